"""Who may look at a running extractor: TLS, client certificates and users, also when their files change, and a real
Prometheus that is let in.
"""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import bcrypt
import pytest

from tests.certificates import issue, make_all
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually, get, query, running

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/nowhere")
DOCS = Path("docs/web.md")
TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
CLIENTS = TLS.replace("}", ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}")
PASSWORD = "a 1:ä"
USERS = f"basic_auth_users: {{scraper: '{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}'}}\n"
NO_HEADERS: Mapping[str, str] = {}
NOBODY = {"Authorization": "Basic " + base64.b64encode(b"scraper:wrong").decode()}
SCRAPER = {"Authorization": "Basic " + base64.b64encode(f"scraper:{PASSWORD}".encode()).decode()}

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


class Guarded:
    """A running extractor with a web configuration."""

    def __init__(self, folder: Path, port: int, said: Path) -> None:
        self.folder = folder
        self.port = port
        self._said = said

    def configure(self, text: str) -> None:
        """Another configuration, in one step."""
        (self.folder / "new").write_text(text)
        (self.folder / "new").rename(self.folder / "web.yml")

    def ask(
        self,
        path: str = "/metrics",
        *,
        secure: bool = False,
        certificate: str = "",
        method: str = "GET",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """The answer to one request."""
        connection = self._secure(certificate) if secure else HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def status(
        self,
        path: str = "/metrics",
        *,
        certificate: str = "",
        secure: bool = False,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> int:
        """The status alone, or 0 if there is no answer."""
        try:
            return self.ask(path, secure=secure, certificate=certificate, headers=headers)[0]
        except OSError:
            return 0

    def said(self) -> str:
        """Everything that a person was told."""
        return self._said.read_text()

    def _secure(self, certificate: str) -> HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        if certificate:
            context.load_cert_chain(self.folder / f"{certificate}.crt", self.folder / f"{certificate}.key")
        return HTTPSConnection("127.0.0.1", self.port, timeout=DEADLINE, context=context)


Start = Callable[[str], Guarded]


@pytest.fixture
def start(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Start]:
    """Starts an extractor of one line with a configuration; it is stopped at the end of the test."""
    make_all(tmp_path)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "agent.jsonl").write_bytes(tool_call(tool='"><script>alert(1)</script>\r\nX: y') + b"\n")
    with ExitStack() as stack:

        def run(text: str) -> Guarded:
            [port] = free_ports(1)
            guarded = Guarded(tmp_path, port, tmp_path / "said")
            guarded.configure(text)
            command = [
                sys.executable, "-m", "extractor", "run", logs, "--web.listen-address", f"127.0.0.1:{port}",
                "--web.config.file", tmp_path / "web.yml",
            ]  # fmt: skip
            stack.enter_context(running(command, tmp_path / "said"))
            eventually(lambda: "serving" in guarded.said(), expected=True)
            return guarded

        yield run


def test_every_path_needs_the_password(start: Start):
    """Without a user's name and password there is a 401 for whatever path and method, health too; with it, the page."""
    guarded = start(USERS)
    for path in PATHS:
        anonymous, headers, body = guarded.ask(path)

        assert (401, 'Basic realm="extractor"') == (anonymous, headers["www-authenticate"])
        assert "agent_" not in body
        assert 401 == guarded.status(path, headers=NOBODY)
        assert 401 == guarded.ask(path, method="POST")[0]
        eventually(partial(guarded.status, path, headers=SCRAPER), 404 if path == "/nowhere" else 200)


def test_tls_and_nothing_but_tls(start: Start):
    """With a certificate there is HTTPS, its address is shown, and plain HTTP gets no answer."""
    guarded = start(TLS)
    eventually(lambda: guarded.status(secure=True), 200)

    assert 0 == guarded.status()
    assert f"serving https://127.0.0.1:{guarded.port}/metrics" in guarded.said()


def test_client_certificates(start: Start):
    """Where clients need a certificate, only one for clients from the right authority gets an answer."""
    guarded = start(CLIENTS)
    eventually(lambda: guarded.status(secure=True, certificate="client"), 200)

    assert [0, 0, 0] == [guarded.status(secure=True, certificate=name) for name in ("", "stranger", "server")]


@pytest.mark.parametrize(("name", "status"), [("spiffe://example/prometheus", 200), ("spiffe://example/other", 0)])
def test_allowed_names(name: str, status: int, start: Start):
    """Where names are given, a certificate needs one of them to get an answer."""
    guarded = start(CLIENTS.replace("}", f", client_allowed_sans: ['{name}']}}"))
    eventually(lambda: guarded.status(secure=True, certificate="client"), status)


def test_headers_are_on_every_answer(start: Start):
    """The headers of the configuration stand once on each answer, instead of ours."""
    guarded = start(
        "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: sandbox}}\n" + USERS
    )
    for path in PATHS:
        for headers in (NO_HEADERS, SCRAPER):
            found = guarded.ask(path, headers=headers)[1]

            assert ["deny"] == found.get_all("x-frame-options")
            assert ["sandbox"] == found.get_all("content-security-policy")


def test_certificates_are_renewed_without_a_restart(start: Start):
    """Who connects after a new certificate was put in place is shown that one."""
    guarded = start(TLS)
    eventually(lambda: guarded.status(secure=True), 200)
    before = ssl.get_server_certificate(("127.0.0.1", guarded.port))
    issue(guarded.folder, "server", "ca", "IP:127.0.0.1", "serverAuth")
    after = ssl.get_server_certificate(("127.0.0.1", guarded.port))

    assert before != after
    assert 200 == guarded.status(secure=True)


def test_users_are_changed_without_a_restart(start: Start):
    """Who is taken out of the file has no access at the next request; who is added has."""
    guarded = start(USERS)
    eventually(lambda: guarded.status(headers=SCRAPER), 200)
    guarded.configure(USERS.replace("scraper", "other"))
    other = {"Authorization": "Basic " + base64.b64encode(f"other:{PASSWORD}".encode()).decode()}

    assert (401, 200) == (guarded.status(headers=SCRAPER), guarded.status(headers=other))


def test_tls_is_switched_on_without_a_restart(start: Start):
    """More protection is taken over at once, less of it needs a restart."""
    guarded = start("{}")
    eventually(guarded.status, 200)
    guarded.configure(CLIENTS + USERS)

    assert (0, 0) == (guarded.status(), guarded.status(secure=True))
    assert 401 == guarded.status(secure=True, certificate="client")
    assert 200 == guarded.status(secure=True, certificate="client", headers=SCRAPER)

    guarded.configure(CLIENTS)

    assert 401 == guarded.status(secure=True, certificate="client")
    assert "a reload cannot remove all users (restart extractor to apply this)" in guarded.said()


def test_who_is_connected_needs_what_is_needed_now(start: Start):
    """A connection that was made before more was needed is closed at its next request, without an answer."""
    guarded = start("{}")
    eventually(guarded.status, 200)
    kept = HTTPConnection("127.0.0.1", guarded.port, timeout=DEADLINE)
    kept.request("GET", "/-/healthy")
    kept.getresponse().read()
    guarded.configure(TLS)
    kept.request("GET", "/metrics")
    with pytest.raises(ConnectionError):
        kept.getresponse()
    kept.close()

    assert 200 == guarded.status(secure=True)
    assert "Traceback" not in guarded.said()


@pytest.mark.parametrize(
    "broken", ["", "tls_server_config: [\n", USERS.replace("$2b", "$3b"), None], ids=["empty", "YAML", "hash", "gone"]
)
def test_a_broken_configuration_changes_nothing(broken: str | None, start: Start):
    """A file that is wrong, or gone, leaves in force what was; it is said once, counted, and over when mended."""
    guarded = start(USERS)
    eventually(lambda: guarded.status(headers=SCRAPER), 200)
    if broken is None:
        (guarded.folder / "web.yml").unlink()
    else:
        guarded.configure(broken)
    seen = [guarded.status(), guarded.status(headers=SCRAPER), guarded.status(headers=NOBODY)]

    assert [401, 200, 401] == seen
    assert 1 == guarded.said().count("the previous configuration stays in force")
    assert "extractor_web_config_failures_total 1.0\n" in guarded.ask(headers=SCRAPER)[2]

    guarded.configure(USERS.replace("scraper", "other"))

    assert 401 == guarded.status(headers=SCRAPER)
    assert 1 == guarded.said().count("stays in force")


def test_a_wrong_configuration_at_the_start(tmp_path: Path):
    """At the start there is nothing that could stay in force: it ends with 1 and one line."""
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_user: {}\n")
    command = [sys.executable, "-m", "extractor", "run", str(tmp_path), "--web.config.file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert (1, "") == (done.returncode, done.stdout)
    assert f"{file}:1: basic_auth_user: is not a known key (did you mean basic_auth_users?)\n" in done.stderr


@pytest.mark.parametrize("package", ["yaml", "bcrypt"])
def test_what_the_option_needs_is_missing(package: str, tmp_path: Path):
    """Without the packages of the extra `web` the option is an error that says how to install them."""
    file = tmp_path / "web.yml"
    file.write_text("{}")
    main = f"import sys; sys.modules[{package!r}] = None; from extractor.__main__ import main; main()"
    command = [sys.executable, "-c", main, "run", str(tmp_path), "--web.config.file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert 1 == done.returncode
    hint = "pip install 'agent-extractor[web]'"
    assert f"extractor: {file}: cannot be used: {package} is not installed ({hint})" in done.stderr


def test_guesses_do_not_delay_scrapes(start: Start):
    """While others guess passwords, who is known is answered before any of them."""
    slow = USERS.replace("$2b$04", "$2b$12")
    guarded = start(USERS.replace("\n", "").replace("}", f", slow: {slow.partition('scraper: ')[2]}"))
    eventually(lambda: guarded.status(headers=SCRAPER), 200)
    guess = "Basic " + base64.b64encode(b"slow:guess").decode()
    with ExitStack() as stack:
        guesses = [stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port))) for _ in range(20)]
        for each in guesses:
            each.setblocking(False)
            each.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {guess}\r\n\r\n".encode())

        assert 200 == guarded.status(headers=SCRAPER)
        answered = 0
        for each in guesses:
            with suppress(BlockingIOError):
                answered += b" 401 " in each.recv(100)
        assert 10 > answered
    eventually(lambda: 'extractor_web_refusals_total{reason="busy"}' in guarded.ask(headers=SCRAPER)[2], expected=True)


@pytest.mark.parametrize("wrong", ["a cost of 31", "a FIFO"])
def test_nothing_in_place_of_the_file_stops_it(wrong: str, start: Start):
    """While the file has passwords that take days, or cannot be opened, all goes on as before, then it ends."""
    guarded = start(USERS)
    eventually(lambda: guarded.status(headers=SCRAPER), 200)
    if wrong == "a FIFO":
        os.mkfifo(guarded.folder / "new")
        (guarded.folder / "new").rename(guarded.folder / "web.yml")
        said = "cannot be read: it is a FIFO"
    else:
        guarded.configure(USERS.replace("$2b$04", "$2b$31").replace("scraper", "other"))
        said = (
            r":1: basic_auth_users.other: is a hash of cost 31: checking one password would take longer than a second"
        )
    other = {"Authorization": "Basic " + base64.b64encode(b"other:guess").decode()}

    assert (401, 401, 200) == (guarded.status(), guarded.status(headers=other), guarded.status(headers=SCRAPER))
    assert f"{said} (" in guarded.said()
    assert "; the previous configuration stays in force" in guarded.said()
    assert "extractor_web_config_failures_total 1.0" in guarded.ask(headers=SCRAPER)[2]


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Clients that stay until everything else has ended."""
    with ExitStack() as stack:
        yield stack


def test_who_guesses_does_not_keep_it_from_ending(clients: ExitStack, start: Start):
    """With guesses at the dearest password that is allowed in the line, it ends when told to, with exit code 0."""
    guarded = start(USERS.replace("$2b$04", "$2b$13"))
    eventually(guarded.status, 401)
    guess = f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {NOBODY['Authorization']}\r\n\r\n".encode()
    for _ in range(10):  # nobody waits for the answers
        clients.enter_context(socket.create_connection(("127.0.0.1", guarded.port))).sendall(guess)


def test_handshakes_that_do_not_end(start: Start):
    """A thousand clients that begin no TLS keep nobody out, and take neither memory nor descriptors for long."""
    guarded = start(TLS)
    eventually(lambda: guarded.status(secure=True), 200)
    with ExitStack() as stack:
        for number in range(1000):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port)))
            idle.sendall(b"\x16\x03\x01" if number % 2 else b"")
            if not number % 100:
                assert 200 == guarded.status(secure=True)
        assert 200 == guarded.status(secure=True)
        resident = re.search(r"^process_resident_memory_bytes (\S+)", guarded.ask(secure=True)[2], re.MULTILINE)
        assert resident
        assert 300e6 > float(resident[1])


def test_hostile_words_of_a_log_stay_words(start: Start):
    """What a log says is text in every page and every format: no markup, no row and no header of its own."""
    guarded = start("{}")
    eventually(guarded.status, 200)
    for path in PATHS:
        for accept in ("text/html", "application/openmetrics-text;version=1.0.0", "text/plain;version=<script>\t"):
            _, headers, body = guarded.ask(path, headers={"Accept": accept})

            assert "x" not in headers
            if headers["content-type"].startswith("text/html"):
                assert "<script>alert" not in body
            else:
                assert "nosniff" == headers["x-content-type-options"]
            assert not re.search(r"^X: y", body, re.MULTILINE)
    rows = [row for row in guarded.ask()[2].split("\n") if "<script" in row]
    expected = re.compile(r'\w+\{.*tool="\\"><script>alert\(1\)</script>.*\\nX: y".*\} \S+')

    assert rows
    assert [] == [row for row in rows if not expected.fullmatch(row)]


def test_what_is_asked_is_not_repeated(start: Start):
    """No word of a request is in its answer."""
    guarded = start("{}")
    eventually(guarded.status, 200)
    for path in ("/%3Cunheard%3E", "/?x=<unheard>", "/metrics?name[]=<unheard>", "/%00", "//metrics", "/%2Fmetrics"):
        status, headers, body = guarded.ask(
            path, method="HEAD" if "?" in path else "GET", headers={"Accept": "text/plain;version=<unheard>"}
        )

        assert status in (200, 404)
        assert "unheard" not in str(headers) + body


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_prometheus_is_let_in(start: Start, free_ports: Callable[[int], list[int]], tmp_path: Path):
    """A real Prometheus scrapes through TLS with a client certificate and a password, as the documentation says."""
    web, scrape = re.findall(r"```yaml\n(# .*?)```", DOCS.read_text(), re.DOTALL)
    made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    guarded = start(re.sub(r"(scraper:).*", lambda found: f"{found[1]} {made}", web))
    eventually(lambda: guarded.status(secure=True, certificate="client", headers=SCRAPER), 200)
    (tmp_path / "password").write_text(PASSWORD)
    config = (
        scrape.replace("agents.example.org:9464", f"127.0.0.1:{guarded.port}")
        .replace("/etc/prometheus/", f"{tmp_path}/")
        .replace("scrape_configs:", "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:")
    )
    (tmp_path / "prometheus.yml").write_text(config)
    [port] = free_ports(1)
    command = [
        "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with running(command, tmp_path / "prometheus.txt"):
        eventually(lambda: query(f"http://127.0.0.1:{port}", "min(up)"), {(): 1.0})
        targets = json.loads(get(f"http://127.0.0.1:{port}/api/v1/targets"))["data"]["activeTargets"]

    assert ["https"] == [target["scrapeUrl"].partition(":")[0] for target in targets]
