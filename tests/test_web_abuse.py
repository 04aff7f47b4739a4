"""
What clients can do to a running extractor: nothing that a scrape has to wait for, or that grows.

A scrape that waited for one of them would wait until the soonest deadline, which is 10 seconds. That it is not even a
second later was measured (docs/web.md); a test of a second would fail on a busy machine.

The attackers are real sockets of another process, more than the extractor may have file descriptors for.
"""

import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.reading import tool_call
from tests.servers import DEADLINE, eventually, get

ATTACKERS = 1000
DESCRIPTORS = 1024
"""What systemd and most shells allow a process."""

LATER = 5.0
"""Seconds by which a scrape may be later than one that nobody disturbs: half of the soonest deadline."""

ATTACKER = "127.0.0.3"

GROWTH = 120 << 20
"""Bytes: a tenth of what a thousand answers or the endless bodies would need."""

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Target:
    """A running extractor with a scrape of about a megabyte."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.address = ("127.0.0.1", port)
        self.calm()
        self.memory = self._memory()

    def calm(self) -> None:
        """Nobody disturbs it now."""
        self._allowed = max(self.scrape() for _ in range(3)) + LATER

    def scrape(self, path: str = "/metrics", source: str = "127.0.0.1") -> float:
        """How long an answer takes, from the connection to the last byte."""
        begun = time.monotonic()
        connection = HTTPConnection(*self.address, timeout=DEADLINE, source_address=(source, 0))
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert 200 == response.status, body
        return time.monotonic() - begun

    def holds(self) -> None:
        """A scrape comes in time, health too; memory and descriptors have not grown."""
        for path in ("/metrics", "/-/healthy", "/metrics"):
            assert self.scrape(path) <= self._allowed, path
        assert self._memory() <= self.memory + GROWTH
        assert self.descriptors() <= DESCRIPTORS // 2

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def refused(self, reason: str) -> float:
        """How many were turned away for *reason*."""
        name = f'extractor_web_refusals_total{{reason="{reason}"}} '
        text = get(f"http://{self.address[0]}:{self.address[1]}/metrics")
        return next(float(row.removeprefix(name)) for row in text.splitlines() if row.startswith(name))

    def _memory(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(row.split()[1]) << 10 for row in status.splitlines() if row.startswith("VmRSS"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]) -> Iterator[Target]:
    """One for all attacks: none may leave anything behind."""
    folder = tmp_path_factory.mktemp("abuse")
    (folder / "agent.jsonl").write_bytes(
        b"".join(tool_call(agent=f"a{agent}", tool=f"t{tool}") + b"\n" for agent in range(20) for tool in range(100))
    )
    [port] = free_ports(1)
    run = [sys.executable, "-m", "extractor", "run", str(folder), "--web.listen-address", f"127.0.0.1:{port}"]
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh", *run], stdout=output, stderr=output
        )
        try:
            eventually(lambda: get(f"http://127.0.0.1:{port}/-/ready"), "Ready.\n")
            yield Target(process.pid, port)
        finally:
            process.terminate()
            assert 0 == process.wait(DEADLINE)
    assert "Traceback" not in said.read_text()
    assert 3 == len(said.read_text().splitlines()), said.read_text()


@pytest.fixture(autouse=True)
def ready(target: Target) -> Iterator[None]:
    """Attackers have more descriptors than their victim, which has recovered from those before."""
    eventually(lambda: target.descriptors() < 100, expected=True)
    target.calm()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ATTACKERS + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"ulimit -Hn is {hard}: attackers need {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def attackers(target: Target, send: bytes, number: int = ATTACKERS, window: int = 0) -> Iterator[list[socket.socket]]:
    """So many connections that have sent something, with a small *window* if they do not mean to read."""
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            attacker = stack.enter_context(socket.socket())
            if window:
                attacker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            attacker.settimeout(DEADLINE)
            attacker.bind((ATTACKER, 0))
            attacker.connect(target.address)
            opened.append(attacker)
            with suppress(ConnectionError):
                attacker.sendall(send)
        yield opened


@contextmanager
def going_on(step: Callable[[], None]) -> Iterator[None]:
    """*step* again and again, in a thread, for as long as the block lasts."""
    stop = threading.Event()

    def again() -> None:
        while not stop.is_set():
            with suppress(OSError):
                step()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(DEADLINE)


def send_to_all(opened: list[socket.socket], data: bytes) -> None:
    """The same to each that still listens."""
    for attacker in opened:
        with suppress(OSError):
            attacker.send(data)


def answer(attacker: socket.socket) -> bytes:
    """Everything until the other end is closed."""
    received = b""
    with suppress(ConnectionError):
        while part := attacker.recv(1 << 16):
            received += part
    return received


def test_a_thousand_idle_connections(target: Target):
    """Who connects and says nothing keeps nobody out."""
    with attackers(target, b""):
        target.holds()

        assert target.refused("full") >= ATTACKERS / 2


def test_headers_byte_by_byte(target: Target):
    """Who sends a request one byte at a time waits for nobody but himself."""
    with (
        attackers(target, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") as opened,
        going_on(lambda: send_to_all(opened, b"x")),
    ):
        target.holds()


def test_answers_that_nobody_reads(target: Target):
    """Answers that nobody reads are held once for all who asked at the same time, and those of few such times."""
    before = target.refused("slow_reader")
    with attackers(target, SCRAPE, window=4096):
        target.holds()
    with ExitStack() as waves:
        for _ in range(40):
            [first, *_] = waves.enter_context(attackers(target, SCRAPE, number=3, window=4096))
            first.recv(1)
        target.holds()

        assert target.refused("slow_reader") - before >= 3 * 30


def test_answers_read_byte_by_byte(target: Target):
    """Who reads on, but slowly, is no better than who does not read."""

    def read() -> None:
        for attacker in opened:
            with suppress(OSError):
                attacker.recv(1)

    with attackers(target, SCRAPE, number=200, window=4096) as opened, going_on(read):
        target.holds()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (10 << 20),
        b"GET /" + b"x" * (10 << 20),
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * (1 << 20),
        b"\r\n" * (1 << 20),
        b"\0" * (1 << 20),
    ],
    ids=["header", "path", "headers", "newlines", "noise"],
)
def test_oversized_requests(request_: bytes, target: Target):
    """A request that goes on and on is cut off after some kilobytes, and is not kept."""
    with attackers(target, request_, number=20) as opened:
        target.holds()
        for attacker in opened:
            assert answer(attacker)[:12] in (b"HTTP/1.1 400", b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("length", [b"Content-Length: 99999999999999", b"Transfer-Encoding: chunked"])
def test_endless_bodies(method: str, length: bytes, target: Target):
    """The body of a request is not read: there is an answer, and the connection is closed."""
    head = method.encode() + b" /metrics HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\n"
    with (
        attackers(target, head, number=20) as opened,
        going_on(lambda: send_to_all(opened, b"10000\r\n" + b"x" * 0x10000 + b"\r\n")),
    ):
        target.holds()
        for attacker in opened:
            with suppress(OSError):
                attacker.sendall(b"10000\r\n" + b"x" * (1 << 20))
            with suppress(OSError):
                assert answer(attacker)[:12] in (b"HTTP/1.1 413", b"HTTP/1.1 405", b"")


def test_a_body_that_is_announced_is_answered(target: Target):
    """Who says that a body will come is told at once that none is wanted."""
    with attackers(target, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n", number=1) as [attacker]:
        said = answer(attacker)

    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in said


@pytest.mark.parametrize("window", [4096, 0], ids=["unread", "read"])
def test_pipelining(window: int, target: Target):
    """Requests in advance are answered one after the other, and scrapes that come meanwhile are not behind them."""

    def read() -> None:
        for attacker in opened:
            with suppress(OSError):
                attacker.recv(1 << 20, socket.MSG_DONTWAIT)

    with (
        attackers(target, SCRAPE * 400, number=100, window=window) as opened,
        going_on(read if not window else lambda: time.sleep(0)),
    ):
        target.holds()


def test_who_asks_and_goes(target: Target):
    """A scrape for somebody who has gone costs what one scrape costs, however many there are."""

    def ask() -> None:
        with attackers(target, SCRAPE, number=10):
            pass

    with going_on(ask), going_on(ask):
        for _ in range(3):
            target.holds()


def test_every_kind_of_answer_at_once(target: Target):
    """Who asks for all kinds of answers that there are delays a scrape no more than who asks for one."""
    kinds = [
        f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nAccept-Encoding: {coding}\r\n\r\n".encode()
        for coding in ("gzip", "identity")
        for kind in ("application/openmetrics-text", "text/plain")
        for version in ("0.0.1", "0.0.4", "1.0.0", "1.0.1", "2.0.0", "abc", "")
        for escaping in ("allow-utf-8", "underscores", "dots", "values", "x")
        for accept in [f"{kind};version={version};escaping={escaping}"]
    ]

    def ask() -> None:
        for kind in kinds:
            with attackers(target, kind, number=1):
                pass

    with going_on(ask):
        for _ in range(3):
            target.holds()


def test_a_neighbour_keeps_its_connection(target: Target):
    """When it is full, who has most connections loses some: a scraper from elsewhere keeps the one it has."""
    scraper = HTTPConnection(*target.address, timeout=DEADLINE, source_address=("127.0.0.2", 0))
    scraper.request("GET", "/-/healthy")
    scraper.getresponse().read()
    kept = scraper.sock
    with attackers(target, b"GET /"):
        scraper.request("GET", "/-/healthy")
        scraper.getresponse().read()

        assert kept is scraper.sock is not None
    scraper.close()


def test_nothing_is_left(target: Target):
    """When the attackers are gone, so is what they held."""
    eventually(lambda: target.descriptors() < 100, expected=True)
    target.holds()
