"""
Requests in, the four pages out: `/metrics`, `/-/healthy`, `/-/ready` and `/`.

It is handed what to show and runs in a thread of its own; a slow client waits for nobody but itself.

Knows nothing of how the state is kept.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn

from extractor.errors import ServerError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 128
_LAST_PORT = 65535
_POLICY = "default-src 'none'"
_EXTRA = {405: [(b"allow", b"GET, HEAD")], 503: [(b"retry-after", b"1")]}


@dataclass(frozen=True, slots=True)
class Pages:
    """
    What is served: the scrape, whether it is ready (else why not), and the page for people.

    Until it is ready there is no scrape: its counters could be lower than in the scrape before. The page is served with
    a Content-Security-Policy of its own; without a page, `/` says where the metrics are.
    """

    metrics: App
    not_ready: Callable[[], str]
    page: Callable[[], str] | None = None
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
        raise ServerError(f"cannot listen on {address}: {error}", "is the host's name right?") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        hint = "is another extractor running? choose another port with --web.listen-address"
        raise ServerError(f"cannot listen on {address}: {error.strerror}", hint) from error
    return listener


def url(listener: socket.socket) -> str:
    """Where a browser finds what *listener* serves."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server:
    """Serves *pages* on *listener* until it is stopped."""

    def __init__(self, listener: socket.socket, pages: Pages) -> None:
        config = uvicorn.Config(
            _routes(pages),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, name="server", daemon=True)

    def start(self) -> None:
        """Serve from now on, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what was asked, then stop."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))


def _routes(pages: Pages) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, scope, 405, "Only GET and HEAD.\n")
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
                await _answer(send, scope, 200, await asyncio.to_thread(pages.page), _HTML, pages.policy)
            case "/":
                await _answer(send, scope, 404, "There is no page here; see /metrics\n")
            case _:
                await _answer(send, scope, 404, f"Not here; see {'/' if pages.page else '/metrics'}\n")

    return app


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
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
