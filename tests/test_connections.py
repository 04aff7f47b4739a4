"""Deadlines of a connection, each with a clock that runs faster than the real one."""

import asyncio
import resource
import shutil
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extractor.web import connections
from extractor.web.app import Pages, Server, listen
from extractor.web.auth import Access
from extractor.web.sharing import Shared
from tests.certificates import make_all
from tests.servers import DEADLINE, eventually

LONG = b"x" * (8 << 20)
SOON = 0.2
NEVER = 10.0 * DEADLINE


async def long(scope, _receive, send):
    """An answer that no kernel takes as a whole."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(LONG))]})
    await send({"type": "http.response.body", "body": LONG})


@pytest.fixture
def refusals() -> Counter[str]:
    """How many were turned away, and why."""
    return Counter()


@pytest.fixture
def serve(refusals: Counter[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[str, int]]]:
    """Starts a server on which one deadline is soon, and the others never."""
    servers: list[Server] = []

    def start(soon: str = "", access: Access | None = None) -> tuple[str, int]:
        for name in ("_REQUEST_SECONDS", "_ANSWER_SECONDS", "IDLE_SECONDS"):
            monkeypatch.setattr(connections, name, SOON if name == soon else NEVER)
        monkeypatch.setattr(connections, "_CLOSING_SECONDS", SOON)
        listener = listen("127.0.0.1:0")
        pages = Pages(metrics=long, not_ready=lambda: "", page=lambda: "")
        servers.append(Server(listener, pages, access, lambda reason: refusals.update([reason])))
        servers[-1].start()
        address: tuple[str, int] = listener.getsockname()
        return address

    yield start
    for server in servers:
        server.stop()


def connected(address: tuple[str, int], send: bytes = b"", window: int = 0) -> socket.socket:
    """A client that has said something."""
    client = socket.socket()
    if window:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    client.settimeout(DEADLINE)
    client.connect(address)
    client.sendall(send)
    return client


def is_closed(client: socket.socket) -> bool:
    """Whether the other end has gone, within the client's patience."""
    try:
        while client.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_request_has_a_deadline(sent: bytes, serve, refusals: Counter[str]):
    """Who does not say what he wants is not waited for."""
    with connected(serve("_REQUEST_SECONDS"), sent) as client:
        assert is_closed(client)
    eventually(lambda: refusals, Counter(slow_request=1))


def send_slowly(client: socket.socket) -> None:
    """A byte now and then, for ever."""
    while True:
        client.sendall(b"x")
        threading.Event().wait(SOON / 20)


def test_a_byte_buys_no_time(serve, refusals: Counter[str]):
    """The deadline of a request is for all of it, not for the next byte."""
    with connected(serve("_REQUEST_SECONDS"), b"GET / HTTP/1.1\r\nX: ") as client:
        client.settimeout(SOON / 10)
        with pytest.raises(ConnectionError):
            send_slowly(client)
    eventually(lambda: refusals, Counter(slow_request=1))


def test_the_second_request_has_a_deadline(serve, refusals: Counter[str]):
    """On a connection that is kept, too, a request has to arrive in time."""
    with connected(serve("_REQUEST_SECONDS"), b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert client.recv(1 << 16)
        client.sendall(b"GET")
        assert is_closed(client)
    eventually(lambda: refusals, Counter(slow_request=1))


def test_a_silent_connection_is_kept_and_then_closed(serve, refusals: Counter[str]):
    """Between two requests a client may be silent for as long as a scraper is, which is nobody's fault."""
    with connected(serve("IDLE_SECONDS"), b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert is_closed(client)

    assert not refusals


def test_an_answer_has_a_deadline(serve, refusals: Counter[str]):
    """Who does not read his answer is not waited for, nor who reads a little of it."""
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(serve("_ANSWER_SECONDS"), request, window=4096) as client:
        client.recv(1)
        eventually(lambda: refusals, Counter(slow_reader=1))

        assert is_closed(client)


def test_a_long_answer_arrives(serve):
    """An answer in portions is the answer."""
    with connected(serve(), b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as client:
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))

    assert LONG == received.partition(b"\r\n\r\n")[2]


@pytest.fixture
def access(tmp_path: Path) -> Access:
    """TLS."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    make_all(tmp_path)
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}")
    return Access(file, pytest.fail, lambda: None)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_handshake_has_a_deadline(sent: bytes, serve, access: Access, refusals: Counter[str]):
    """TLS that is not begun, or not ended, is not waited for."""
    with connected(serve("_REQUEST_SECONDS", access), sent) as client:
        assert is_closed(client)
    eventually(lambda: refusals, Counter(slow_request=1))


def test_what_is_no_tls_is_turned_away(serve, access: Access, refusals: Counter[str]):
    """HTTP where TLS is spoken gets no answer, and is counted."""
    with connected(serve("", access), b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        assert is_closed(client)
    eventually(lambda: refusals, Counter(tls=1))


def test_an_answer_through_tls_has_a_deadline(serve, access: Access, refusals: Counter[str], tmp_path: Path):
    """Under TLS, too, who does not read is not waited for; what is read is the answer."""
    address = serve("", access)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    with context.wrap_socket(connected(address), server_hostname="localhost") as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: client.recv(1 << 20), b""))

    assert LONG == received.partition(b"\r\n\r\n")[2]

    address = serve("_ANSWER_SECONDS", access)
    with context.wrap_socket(connected(address, window=4096), server_hostname="localhost") as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: refusals, Counter(slow_reader=1))


@pytest.mark.parametrize(
    ("descriptors", "most"),
    [((1024, 4096), 256), ((100, 100), 25), ((1, 1), 1), ((1 << 20, 1 << 20), 256), ((-1, -1), 256)],
)
def test_connections_leave_descriptors_for_logs(
    descriptors: tuple[int, int], most: int, monkeypatch: pytest.MonkeyPatch
):
    """Clients get a quarter of what the process may open, and no more than 256."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: descriptors)

    assert most == connections.Connections(None, pytest.fail).most


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (("10.0.0.1", 1), ("10.0.0.1", 2), True),
        (("10.0.0.1", 1), ("10.0.0.2", 1), False),
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:1", 1, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8:0:1::1", 1, 0, 0), False),
        (("::ffff:10.0.0.1", 1, 0, 0), ("10.0.0.1", 1), True),
        (("::ffff:10.0.0.1", 1, 0, 0), ("::ffff:10.0.0.2", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::1", 1, 0, 2), True),
        ("", None, True),
    ],
)
def test_what_is_one_client(one: object, other: object, alike: bool):
    """An IPv4 address is one client, and a network of IPv6, whose holder has all of its addresses."""
    assert alike == (connections.client_of(one) == connections.client_of(other))


def test_who_asks_gets_what_was_made_afterwards():
    """Those who ask while something is made share the next making; who has gone gets none made."""

    async def ask() -> tuple[list[int], list[int]]:
        shared, made, go_on = Shared(), list[int](), threading.Event()
        begun, loop = asyncio.Event(), asyncio.get_running_loop()

        def make() -> int:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(DEADLINE)
            made.append(len(made))
            return made[-1]

        first = asyncio.create_task(shared.get("a", make))
        await begun.wait()
        gone = [asyncio.create_task(shared.get("b", make)) for _ in range(3)]
        others = [asyncio.create_task(shared.get("a", make)) for _ in range(3)]
        await asyncio.sleep(0)
        for each in gone:
            each.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        go_on.set()
        return await asyncio.gather(first, *others), made

    answers, made = asyncio.run(ask())

    assert [0, 1, 1, 1] == answers
    assert [0, 1] == made


def test_what_cannot_be_made_is_an_error_for_all_who_asked():
    """An error reaches those who share it, and the next who asks gets another try."""

    async def ask() -> list[object]:
        shared = Shared()
        failed = await asyncio.gather(*(shared.get("a", lambda: 1 // 0) for _ in range(2)), return_exceptions=True)
        return [*map(type, failed), await shared.get("a", lambda: 1)]

    assert [ZeroDivisionError, ZeroDivisionError, 1] == asyncio.run(ask())
