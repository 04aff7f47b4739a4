"""
HTTP requests in, responses out, for `/metrics`, `/-/healthy`, `/-/ready` and `/`.

The server runs in its own thread, and a slow client does not delay others. Request bodies are not read.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from extractor.errors import ServerError
from extractor.web.connections import IDLE_SECONDS, Connection, Connections, client_of
from extractor.web.hosts import Hosts, is_loopback
from extractor.web.sharing import Shared

if TYPE_CHECKING:
    from extractor.web.auth import Access

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_BACKLOG = 1024  # of connections that the kernel holds for us
_HEADER_BYTES = 1 << 14
_LAST_PORT = 65535
_POLICY = "default-src 'none'"
_EXTRA = {
    401: [(b"www-authenticate", b'Basic realm="extractor"')],
    405: [(b"allow", b"GET, HEAD")],
    503: [(b"retry-after", b"1")],
}
_CLOSE = (b"connection", b"close")
_NO_PAGE = "Internal error while rendering the page; see the log. Reading and /metrics are not affected.\n"
_MISDIRECTED = """\
On a loopback address, only requests for an IP address or localhost are answered.
To allow another name, start extractor with --web.external-url=http://NAME/; see docs/web.md.
"""


@dataclass(frozen=True, slots=True)
class Pages:
    """
    What is served: the scrape, the reason why it is not ready (empty if it is), and the status page.

    There is no scrape before readiness, because its counters could be lower than in an earlier scrape. *page* returns
    None if rendering failed, and is served with the Content-Security-Policy *policy*; without a page, `/` refers to
    `/metrics`.
    """

    metrics: App
    not_ready: Callable[[], str]
    page: Callable[[], str | None] | None = None
    policy: str = _POLICY


def listen(address: str) -> socket.socket:
    """A socket bound to *address*, HOST:PORT; the port may be 0."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ServerError(f"cannot listen on {address!r}", "write HOST:PORT, such as 127.0.0.1:9464")
    host = host.strip("[]") or "0.0.0.0"  # noqa: S104  # ":9464" means every address, as in every exporter
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise ServerError(f"cannot listen on {address}: {error}", "check the host name") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        hint = "is another extractor running? choose another port with --web.listen-address"
        raise ServerError(f"cannot listen on {address}: {error.strerror}", hint) from error
    return listener


def url(listener: socket.socket, *, secure: bool = False) -> str:
    """Where a browser finds what *listener* serves, with TLS if it is *secure*."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(listener.getsockname()).replace(chr(0), '@')}:"
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        host = "127.0.0.1"
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Uvicorn(uvicorn.Server):
    """Accepts some at once, and lets many wait."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)


class Server:
    """
    Serves *pages* on *listener* to those who have *access*, everybody if that is None, until it is stopped.

    On a loopback address only requests for an address, `localhost` or the hosts of *urls* are answered. *count* is
    called with the reason each time somebody is turned away.
    """

    def __init__(
        self,
        listener: socket.socket,
        pages: Pages,
        access: "Access | None" = None,
        count: Callable[[str], None] = lambda _: None,
        urls: Iterable[str] = (),
    ) -> None:
        self._connections = Connections(access, count)
        app = _routes(pages)
        app = _guarded(app, access, count) if access else app
        app = _hosted(app, Hosts(urls), count) if is_loopback(listener) else app
        config = uvicorn.Config(
            _portioned(app, self._connections),
            http=self._connections.protocol(),
            lifespan="off",
            log_config=None,
            log_level="error",  # what clients do wrong is counted
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            backlog=max(1, self._connections.most // 4),  # at once: each is heard before it is one too many
            h11_max_incomplete_event_size=_HEADER_BYTES,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        self._server = _Uvicorn(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> None:
        """Serve from now on, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer pending requests, then stop."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            self._connections.end()


def _portioned(app: App, connections: Connections) -> App:
    async def portioned(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"]["connection"]

        async def send_portion(body: bytes) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": True})

        async def send_in_portions(message: MutableMapping[str, Any]) -> None:
            if body := message.get("body"):
                await connections.send(connection, body, send_portion)
            await send({**message, "body": b""} if body else message)

        connection.task = asyncio.current_task()
        with suppress(asyncio.CancelledError):  # by a client that has gone
            await app(scope, receive, send_in_portions)
        connection.task = None

    return portioned


def _hosted(app: App, hosts: Hosts, count: Callable[[str], None]) -> App:
    async def hosted(scope: Scope, receive: Receive, send: Send) -> None:
        if hosts.admit(value for name, value in scope["headers"] if name == b"host"):
            await app(scope, receive, send)
        else:
            count("host")
            await _answer(send, scope, 421, _MISDIRECTED)

    return hosted


def _guarded(app: App, access: "Access", count: Callable[[str], None]) -> App:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"]["connection"]
        authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        verdict = await access.judge(authorization, client_of(scope["client"]))
        if connection.context is not access.context():
            connection.abort()  # it was made when less was needed, perhaps; its client makes another
            return
        asked_for = [(name.lower().encode(), value.encode()) for name, value in access.headers.items()]
        names = {name for name, _ in asked_for}

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                ours = [header for header in message["headers"] if header[0] not in names]
                message = {**message, "headers": [*ours, *asked_for]}
            await send(message)

        match verdict.value:
            case "admitted":
                await app(scope, receive, send_with_headers)
            case "busy":
                count("busy")
                await _answer(send_with_headers, scope, 503, "Too many failed logins; try again.\n")
            case _:
                count("unauthorized")
                await _answer(send_with_headers, scope, 401, "Authentication required.\n")

    return guarded


def _routes(pages: Pages) -> App:
    shared = Shared()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, scope, 405, "Method not allowed; use GET or HEAD.\n")
            return
        if _has_body(scope):
            await _answer(send, scope, 413, "Request bodies are not accepted.\n")
            return
        match scope["path"]:
            case "/metrics" if reason := pages.not_ready():
                await _answer(send, scope, 503, f"{reason}\n")
            case "/metrics":
                await pages.metrics(scope, receive, send)
            case "/-/healthy":
                await _answer(send, scope, 200, "Healthy.\n")
            case "/-/ready":
                reason = pages.not_ready()
                await _answer(send, scope, 503 if reason else 200, f"{reason or 'Ready.'}\n")
            case "/" if pages.page is not None:
                await _answer_page(send, scope, await shared.get("/", pages.page), pages.policy)
            case "/":
                await _answer(send, scope, 404, "Not found; see /metrics\n")
            case _:
                await _answer(send, scope, 404, f"Not found; see {'/' if pages.page else '/metrics'}\n")

    return app


async def _answer_page(send: Send, scope: Scope, page: str | None, policy: str) -> None:
    if page is None:
        await _answer(send, scope, 500, _NO_PAGE)
    else:
        await _answer(send, scope, 200, page, _HTML, policy)


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""


async def _answer(  # noqa: PLR0913, PLR0917  # everything about an answer
    send: Send, scope: Scope, status: int, body: str, kind: str = _TEXT, policy: str = _POLICY
) -> None:
    content = body.encode()
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
        *_EXTRA.get(status, []),
    ]
    if _has_body(scope):
        headers.append(_CLOSE)  # else it would have to be read to the end, and there may be none
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
