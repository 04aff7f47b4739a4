"""On a loopback address, requests for a name that anybody could have are refused: no open page reads the metrics."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.web.app import listen
from extractor.web.hosts import Hosts, host_of, is_loopback
from tests.browser import CHROMIUM, browsing
from tests.conftest import Log
from tests.killing import Victim
from tests.reading import tool_call
from tests.servers import DEADLINE

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/nowhere")
URLS = ("https://Agents.Example.org/extractor/", "http://[2001:db8::1]:80", "http://bücher.example")
ADMITTED = [
    *("localhost", "LOCALHOST:9464", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:9464", "10.1.2.3", "[::1]"),
    *("[::1]:9464", "[::1%25lo]:80", "::1", "[2001:DB8::2]", "[::ffff:127.0.0.1]:9464", "", " localhost ", ":9464"),
    *("agents.example.org", "AGENTS.example.org:443", "agents.example.org.", "xn--bcher-kva.example:1"),
]
REFUSED = [
    *("evil.example", "evil.example:9464", "localhost.evil.example", "notlocalhost", "a.localhost", "127.0.0.1.evil"),
    *("127.1", "0x7f.1", "2130706433", "[evil.example]:9464", "[::1].evil", "localhost@evil.example"),
    *("localhost,evil.example", "[", "[]", "[]:80", "[:"),
    *("agents.example.org.evil.example", "xagents.example.org", "localhost..", "é", "\xff", "::1]", "evil.example:a:b"),
]

NO_URLS = [
    *("", "example.org", "example.org:80", "ftp://example.org", "http://", "http://[::1", "http://a b/", "http://a..b"),
    *("//x", f"http://{'a' * 64}.b", "http://ex\0mple/", "http://\ud800/", "http://a,b"),
]

REQUESTS = [
    ("GET /metrics HTTP/1.1\r\nHost: localhost:9464\r\n", 200),
    ("GET /metrics HTTP/1.1\r\nhOST: LocalHost.\r\n", 200),
    ("GET /metrics HTTP/1.1\r\nHost: [::1]:9464\r\n", 200),
    ("GET /metrics HTTP/1.1\r\nHost:\r\n", 200),
    ("GET /metrics HTTP/1.0\r\n", 200),
    ("GET /metrics HTTP/1.0\r\nHost: evil.example\r\n", 421),
    ("GET /metrics HTTP/1.1\r\n", 400),
    ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
    ("GET /metrics HTTP/1.0\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
    ("GET http://localhost/metrics HTTP/1.1\r\nHost: evil.example\r\n", 421),
    ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n", 421),
]


@pytest.mark.parametrize("host", ADMITTED)
def test_hosts_that_are_ours(host: str) -> None:
    """An address, `localhost` and the hosts of the given URLs are admitted, however they are written."""
    assert Hosts(URLS).admit([host.encode("latin-1")])


@pytest.mark.parametrize("host", REFUSED)
def test_hosts_that_anybody_could_have(host: str) -> None:
    """Any other name is refused, also beside one that is ours."""
    hosts = Hosts(URLS)

    assert not hosts.admit([host.encode("latin-1")])
    assert not hosts.admit([b"localhost", host.encode("latin-1")])


def test_without_a_host() -> None:
    """A request without any `Host`, as HTTP/1.0 allows, is from no browser."""
    assert Hosts().admit([])


@pytest.mark.parametrize("url", NO_URLS)
def test_urls_that_have_no_host(url: str) -> None:
    """What is no URL of HTTP with a host is an error that says what to write."""
    with pytest.raises(ValueError):  # noqa: PT011  # whatever is wrong with it
        host_of(url)
    result = CliRunner().invoke(main, ["run", "logs", "--web.external-url", url])

    assert 2 == result.exit_code
    assert "write https://agents.example.org/" in result.output


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        *((address, True) for address in ("127.0.0.1", "127.9.9.9", "[::1]", "localhost", "[::ffff:127.0.0.1]")),
        *((address, False) for address in ("0.0.0.0", "[::]", "")),
    ],
)
def test_what_is_a_loopback_address(address: str, loopback: bool) -> None:
    """Where only this machine comes, the name matters; where others come, it is for a firewall and for passwords."""
    with listen(f"{address}:0") as listener:
        assert loopback == is_loopback(listener)


def test_a_socket_of_unix_is_reached_by_no_browser(tmp_path: Path) -> None:
    """Behind it is a proxy that passes on whatever name it has."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))

        assert not is_loopback(listener)


@pytest.fixture
def serve(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Callable[..., Victim]]:
    """Starts an extractor with these options; it is stopped at the end of the test."""
    log.append(tool_call())
    with ExitStack() as stack:

        def run(*options: str) -> Victim:
            [port] = free_ports(1)
            victim = Victim(log.path.parent, tmp_path / "state", port, tmp_path / "said", options)
            stack.callback(victim.close)
            victim.start()
            victim.ready()
            return victim

        yield run


def ask(victim: Victim, request: bytes) -> tuple[int, str]:
    """The status and the whole answer to *request*, a head without its last line."""
    with socket.create_connection(("127.0.0.1", victim.port), timeout=DEADLINE) as client:
        client.sendall(request + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b"")).decode()
    return int(answer.split(" ")[1]), answer


def test_a_name_that_leads_here_gets_nothing(serve: Callable[..., Victim]) -> None:
    """For whatever path and method, a request for a name gets a 421 that says what to set, and nothing of a log."""
    victim = serve()
    for path in PATHS:
        for method in ("GET", "HEAD", "POST"):
            status, answer = ask(victim, f"{method} {path} HTTP/1.1\r\nHost: unheard.example:9464\r\n".encode())

            assert 421 == status
            assert "agent_" not in answer
            assert "unheard" not in answer
            assert ("--web.external-url=http://NAME/" in answer) == (method != "HEAD")
    assert float(3 * len(PATHS)) == victim.value('extractor_web_refusals_total{reason="host"}')


def test_requests_of_every_kind(serve: Callable[..., Victim]) -> None:
    """What counts is the one `Host`; without one there is none to refuse, and several are no HTTP."""
    victim = serve()
    for request, status in REQUESTS:
        assert status == ask(victim, request.encode())[0], request


def test_a_given_name_is_answered(serve: Callable[..., Victim]) -> None:
    """With the URL of a proxy, and another, requests for their hosts are answered, whatever the port."""
    victim = serve("--web.external-url", "https://agents.example.org/x", "--web.external-url", "http://host:1")
    for name, status in (("agents.example.org", 200), ("HOST:9464", 200), ("example.org", 421), ("localhost", 200)):
        assert status == ask(victim, f"GET /metrics HTTP/1.1\r\nHost: {name}\r\n".encode())[0]


def test_on_every_address_all_names_are_answered(serve: Callable[..., Victim]) -> None:
    """Who listens for others is asked by whatever names they have for it."""
    victim = serve()
    victim.stop()
    victim.options = ("--web.listen-address", f"0.0.0.0:{victim.port}")
    victim.start()
    victim.ready()

    assert 200 == ask(victim, b"GET /metrics HTTP/1.1\r\nHost: anybody.example\r\n")[0]


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt install chromium")
def test_a_browser_that_was_led_here(serve: Callable[..., Victim], tmp_path: Path) -> None:
    """In a real Chromium, for which a name leads to 127.0.0.1, that name shows nothing, and a given one the page."""
    victim = serve("--web.external-url", "http://given.example")
    rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
    with browsing(tmp_path / "chromium", rules) as browser:
        page = browser.page()
        seen = {}
        for name in ("given.example", "rebound.example"):
            page.open(f"http://{name}:{victim.port}/")
            seen[name] = page.text("body")

    assert "search" in seen["given.example"]
    assert "--web.external-url=http://NAME/" in seen["rebound.example"]
    assert "search" not in seen["rebound.example"]
