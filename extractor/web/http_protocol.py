"""
Bytes of a client in, requests for an ASGI application out: the only module that uses uvicorn's protocol class.

`H11Protocol` is no public class of uvicorn. Its options limit the size of a header, the number of connections and the
pause between two requests; they do not limit the time in which a request arrives or an answer is taken, choose which
connection is closed, or change TLS while serving (decision 14). pyproject.toml allows only versions that were tested,
and tests/test_private_api.py fails when the class changes.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


class HttpProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it; what subclasses may know of its state has a name here."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)

    @property
    def request(self) -> object:
        """The request that came last, the same object for as long as it is the last; None before the first."""
        return self.cycle

    @property
    def is_answering(self) -> bool:
        """Whether a request came that is not answered to its end."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_paused(self) -> bool:
        """Whether the client does not read what was written."""
        return bool(self.flow.write_paused)

    def is_gone(self) -> bool:
        """Whether the client of the current request has closed the connection; the application gets to know as well."""
        if self.transport.is_closing():
            self.cycle.disconnected = True
        return self.cycle.disconnected

    def release(self) -> None:
        """Break the cycles of references of a connection that is closed, which else wait for the garbage collector."""
        self.app_state.clear()
        if self.scope is not None:
            self.scope["state"].clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # after an error its timer would keep the connection in memory
