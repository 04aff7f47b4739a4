"""
TCP connections in, requests for uvicorn out, from clients that keep to the deadlines.

Uvicorn speaks HTTP; what it does not have is here. A request has to arrive, an answer to be taken and a silence to end
in time; so many connections are open at once, and so many with an answer that nobody reads, that neither memory nor
file descriptors grow. When it is full there is still room for who comes: of the host with the most connections, the one
that has waited for longest is closed. TLS is spoken as it is configured when the client connects.

Knows nothing of what is asked for or answered.
"""

import asyncio
import resource
import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from extractor.access import Access

IDLE_SECONDS = 75
"""Between two requests; more than the usual pause between two scrapes."""

_REQUEST_SECONDS = 10.0  # from the first byte of a request, or from the connection, TLS included
_ANSWER_SECONDS = 30.0  # from the request until all is sent but what the kernel holds
_CLOSING_SECONDS = 5.0  # for uvicorn to close by itself
_MOST = 128
_IDLE = "idle"  # a phase that may end so
_DESCRIPTORS_SHARE = 8  # of those that the process may have: the logs need most
_MOST_STALLED = 16  # each holds a whole answer
_UNSENT_BYTES = 1 << 16


class Connections:
    """All that are open; *count* is told why one is closed that its client would have kept."""

    def __init__(self, access: "Access | None", count: Callable[[str], None]) -> None:
        self.access = access
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = descriptors == resource.RLIM_INFINITY
        self._most = _MOST if unlimited else max(1, min(_MOST, descriptors // _DESCRIPTORS_SHARE))
        self._count = count
        self._open: dict[Connection, None] = {}
        self._stalled: dict[Connection, None] = {}
        self._of_host: Counter[str] = Counter()

    def protocol(self) -> type[asyncio.Protocol]:
        """What uvicorn calls for each new connection."""
        return cast("type[asyncio.Protocol]", partial(Connection, self))

    def enter(self, connection: "Connection") -> None:
        """A new one; another goes if there are too many."""
        self._open[connection] = None
        self._of_host[connection.host] += 1
        if len(self._open) > self._most:
            others = (each for each in self._open if each is not connection)
            self.close(max(others, key=lambda each: (self._of_host[each.host], each.waits, -each.since)), "full")

    def leave(self, connection: "Connection") -> None:
        """Closed, by whomever."""
        if connection in self._open:
            del self._open[connection]
            self._of_host[connection.host] -= 1
            if not self._of_host[connection.host]:
                del self._of_host[connection.host]
        self._stalled.pop(connection, None)

    def stall(self, connection: "Connection") -> None:
        """Its client does not read its answer; another goes if there are too many such."""
        self._stalled[connection] = None
        if len(self._stalled) > _MOST_STALLED:
            self.close(max(self._stalled, key=lambda each: (self._of_host[each.host], -each.since)), "slow_reader")

    def flow(self, connection: "Connection") -> None:
        """Its client has read on."""
        self._stalled.pop(connection, None)

    def close(self, connection: "Connection", reason: str) -> None:
        """Close it now, with all that it holds."""
        if connection in self._open and reason != _IDLE:
            self._count(reason)
        self.leave(connection)
        connection.abort()

    def end(self) -> None:
        """Close all that are left."""
        for connection in list(self._open):
            self.leave(connection)
            connection.abort()


class Connection(H11Protocol):
    """One of them: at first plain TCP, then TLS if it is to be, then uvicorn's own."""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections
        self._wire: asyncio.Transport | None = None
        self._speaks = False  # HTTP
        self._early = b""
        self._due: asyncio.TimerHandle | None = None
        self._phase = ""
        self._asked: object = None
        self._handshake: asyncio.Task[None] | None = None
        self.host = ""
        self.since = self.loop.time()

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn."""
        return not self._answering or self.flow.write_paused

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def abort(self) -> None:
        """Close it without another word."""
        if self._due:
            self._due.cancel()
        if self._wire:
            self._wire.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """TCP is there."""
        self._wire = transport
        self.host = _host(transport.get_extra_info("peername"))
        self._enter("slow_request", _REQUEST_SECONDS)
        self._connections.enter(self)
        access = self._connections.access
        context = access.context() if access else None
        if context is None:
            self._speak(transport)
        else:
            transport.pause_reading()
            self._handshake = self.loop.create_task(self._secure(transport, context))

    async def _secure(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            secured = await self.loop.start_tls(transport, self, context, server_side=True)
        except OSError:
            secured = None
        access = self._connections.access
        if secured is None or (access and not access.admits(secured.get_extra_info("ssl_object"))):
            self._connections.close(self, "tls")
            return
        secured.set_write_buffer_limits(_UNSENT_BYTES)
        self._speak(secured)

    def _speak(self, transport: asyncio.Transport) -> None:
        self._speaks = True
        super().connection_made(transport)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        if self._due:
            self._due.cancel()
        self._connections.leave(self)
        if self._speaks:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request."""
        if not self._speaks:
            self._early += data  # TLS is through, and nobody has told us yet
            return
        super().data_received(data)
        if not self._answering:
            if self._phase != "slow_request":
                self._enter("slow_request", _REQUEST_SECONDS)
        elif self._asked is not self.cycle:
            self._asked = self.cycle
            self._enter("slow_reader", _ANSWER_SECONDS)

    def on_response_complete(self) -> None:
        """The last byte of an answer was handed over; the next request may be here already."""
        super().on_response_complete()
        if self._answering:
            self._asked = self.cycle
            self._enter("slow_reader", _ANSWER_SECONDS)
        elif not self.flow.write_paused and not self.transport.is_closing():
            self._enter(_IDLE, IDLE_SECONDS + _CLOSING_SECONDS)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._connections.stall(self)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._connections.flow(self)
        if not self._answering:
            self._enter(_IDLE, IDLE_SECONDS + _CLOSING_SECONDS)

    def _enter(self, phase: str, seconds: float) -> None:
        # Each phase has one deadline, whatever happens in it: a byte now and then buys no time.
        if self._due:
            self._due.cancel()
        self._phase, self.since = phase, self.loop.time()
        self._due = self.loop.call_later(seconds, self._connections.close, self, phase)


def _host(peer: object) -> str:
    # Who has one IPv6 address has 2 to the 64.
    if not isinstance(peer, tuple):
        return ""
    host = str(peer[0]).partition("%")[0]
    return str(int(IPv6Address(host)) >> 64) if ":" in host else host
