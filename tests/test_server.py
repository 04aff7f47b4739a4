"""Four pages, each with the right answer; everything else is not here."""

import gzip
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPMessage

import pytest

from extractor.errors import ServerError
from extractor.exposition.self_metrics import OwnText
from extractor.state.stats import Stats
from extractor.web.app import Pages, Server, listen, url
from extractor.web.priority import Turns
from extractor.web.scrape import Scrapes, SeriesText
from tests.reading import read, tool_call

POLICY = "default-src 'none'; script-src 'sha256-x'"


class Readiness:
    """What the server is told when it asks why it is not ready."""

    reason = ""


@pytest.fixture(scope="module")
def readiness() -> Readiness:
    """Ready, until a test says otherwise."""
    return Readiness()


@pytest.fixture(scope="module")
def address(readiness: Readiness) -> Iterator[tuple[str, int]]:
    """A running server of a state with one event."""
    listener = listen("127.0.0.1:0")
    state, lock = read([tool_call()]), threading.Lock()
    own = OwnText(state, Stats(), lock, lambda: 2e9, "1.2.3")
    pages = Pages(
        metrics=Scrapes(SeriesText(state, lock), own, Turns()),
        not_ready=lambda: readiness.reason,
        page=lambda: "<!doctype html>",
        policy=POLICY,
    )
    server = Server(listener, pages)
    server.start()
    yield listener.getsockname()
    server.stop()


Answer = tuple[int, HTTPMessage, bytes]


def ask(address: tuple[str, int], path: str, method: str = "GET", **headers: str) -> Answer:
    """The status, the headers and the body of one answer."""
    connection = HTTPConnection(*address, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, response.headers, response.read()
    connection.close()
    return answer


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pages(path: str, method: str, address: tuple[str, int]) -> None:
    """Each page is there for GET, and for HEAD without a body."""
    status, headers, body = ask(address, path, method)

    assert 200 == status
    assert bool(body) == (method == "GET")
    assert headers["content-type"].startswith("text/")


@pytest.mark.parametrize("path", ["/metric", "/metrics/", "/-/", "/favicon.ico", "/../metrics", "/%2e%2e/etc/passwd"])
def test_nothing_else_is_here(path: str, address: tuple[str, int]) -> None:
    """Any other path is a 404: metrics are on one path only."""
    assert 404 == ask(address, path)[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/metrics", "/", "/nowhere"])
def test_nothing_can_be_changed(method: str, path: str, address: tuple[str, int]) -> None:
    """Any other method is a 405 that says what is allowed."""
    status, headers, _ = ask(address, path, method)

    assert (405, "GET, HEAD") == (status, headers["allow"])


OPENMETRICS = "application/openmetrics-text"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/plain", "text/plain"),
        ("text/html,application/xhtml+xml", "text/plain"),
        ("application/openmetrics-text;version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5", OPENMETRICS),
    ],
)
def test_content_type_follows_accept(accept: str, kind: str, address: tuple[str, int]) -> None:
    """Who asks for OpenMetrics gets it, everybody else gets the Prometheus text."""
    _, headers, body = ask(address, "/metrics", Accept=accept)

    assert kind == headers["content-type"].split(";")[0]
    assert (kind == OPENMETRICS) == body.endswith(b"# EOF\n")
    assert b"agent_tool_calls_total" in body


def test_gzip(address: tuple[str, int]) -> None:
    """Who accepts gzip gets it, and the same text."""
    _, plain_headers, plain = ask(address, "/metrics", Accept_Encoding="identity")
    _, headers, body = ask(address, "/metrics", Accept_Encoding="gzip")

    assert ("gzip", None) == (headers["content-encoding"], plain_headers["content-encoding"])
    assert without_process(plain) == without_process(gzip.decompress(body))


def without_process(scrape: bytes) -> list[bytes]:
    """What does not change from one scrape to the next by itself."""
    return [row for row in scrape.splitlines() if not row.startswith(b"process_")]


def test_ready_once_caught_up(readiness: Readiness, address: tuple[str, int]) -> None:
    """Until it has caught up the answer is 503 with the reason; it is healthy all the while."""
    readiness.reason = "Catching up."
    before, _, why = ask(address, "/-/ready")
    healthy, _, _ = ask(address, "/-/healthy")
    readiness.reason = ""
    after, _, _ = ask(address, "/-/ready")

    assert (503, b"Catching up.\n", 200, 200) == (before, why, healthy, after)


def test_each_page_has_its_policy(address: tuple[str, int]) -> None:
    """The page is served with its own Content-Security-Policy; on all others nothing may be loaded or run."""
    policies = {path: ask(address, path)[1]["content-security-policy"] for path in ("/", "/-/ready", "/nowhere")}

    assert {"/": POLICY, "/-/ready": "default-src 'none'", "/nowhere": "default-src 'none'"} == policies
    assert "nosniff" == ask(address, "/")[1]["x-content-type-options"]


def test_slow_client_waits_for_nobody_but_itself(address: tuple[str, int]) -> None:
    """A client that has sent half a request keeps no other from its answer."""
    with socket.create_connection(address) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")

        assert 200 == ask(address, "/metrics")[0]


def test_without_a_page() -> None:
    """Where the page is turned off, `/` is a 404 that says where the metrics are."""
    listener = listen("127.0.0.1:0")
    state, lock = read([tool_call()]), threading.Lock()
    own = OwnText(state, Stats(), lock, lambda: 2e9, "1.2.3")
    server = Server(listener, Pages(metrics=Scrapes(SeriesText(state, lock), own, Turns()), not_ready=lambda: ""))
    server.start()
    status, _, body = ask(listener.getsockname(), "/")
    server.stop()

    assert 404 == status
    assert b"/metrics" in body


def test_port_in_use() -> None:
    """A port that is taken is an error that names the address and says what to do."""
    with listen("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError) as raised:
            listen(f"127.0.0.1:{port}")

    assert f"127.0.0.1:{port}" in raised.value.message
    assert "--web.listen-address" in raised.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "",
        "9464",
        "localhost",
        "localhost:",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0.1:99999",
        "127.0.0.1:65536",
        "192.0.2.1:0",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    """What cannot be listened on is a `ServerError` with a hint; a port alone does not mean every address."""
    with pytest.raises(ServerError) as raised, listen(address):
        pass

    assert raised.value.hint


@pytest.mark.parametrize(("address", "shown"), [("127.0.0.1:0", "http://127.0.0.1:"), (":0", "http://127.0.0.1:")])
def test_url_for_a_browser(address: str, shown: str) -> None:
    """The address that is shown can be opened, also when every address is listened on."""
    with listen(address) as listener:
        assert f"{shown}{listener.getsockname()[1]}" == url(listener)
