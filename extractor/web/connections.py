"""
TCP connections in, requests for uvicorn out, from clients that meet the deadlines.

Adds to uvicorn timeouts for receiving a request, for sending a response and for idle connections; limits on open
connections and on buffered responses, which bound memory and file descriptors; and the TLS configuration in force when
a client connects. At the connection limit, a new connection replaces the one that has waited longest, of the host with
the most connections.
"""

import asyncio
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv6Address
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from extractor.web.http_protocol import HttpProtocol

if TYPE_CHECKING:
    from extractor.web.auth import Access

IDLE_SECONDS = 75
"""Between two requests; more than the usual pause between two scrapes."""

_REQUEST_SECONDS = 10.0  # from the first byte of a request, or from the connection, TLS included
_ANSWER_SECONDS = 30.0  # from the request until all is sent but what the kernel holds
_CLOSING_SECONDS = 5.0  # for uvicorn to close by itself
_MOST = 256
_IDLE = "idle"  # a phase that may end so
_DESCRIPTORS_SHARE = 4  # of those that the process may have: the logs need some, too
_MOST_BODIES = 8  # long ones that are being sent; those of the same moment are one
_PORTION_BYTES = 1 << 17
_KERNEL_BYTES = 1 << 18  # of an answer; by itself it takes megabytes for each client that does not read


class Connections:
    """All that are open; *count* is told why one is closed that its client would have kept."""

    def __init__(self, access: "Access | None", count: Callable[[str], None]) -> None:
        self.access = access
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = descriptors == resource.RLIM_INFINITY
        self.most = _MOST if unlimited else max(1, min(_MOST, descriptors // _DESCRIPTORS_SHARE))
        self._count = count
        self._open: dict[Connection, None] = {}
        self._bodies: dict[int, dict[Connection, None]] = {}
        self._of_host: Counter[str] = Counter()

    def protocol(self) -> type[asyncio.Protocol]:
        """What uvicorn calls for each new connection."""
        return cast("type[asyncio.Protocol]", partial(Connection, self))

    def enter(self, connection: "Connection") -> None:
        """A new one; another goes if there are too many."""
        self._open[connection] = None
        self._of_host[connection.host] += 1
        if len(self._open) > self.most:
            others = (each for each in self._open if each is not connection)
            # Who is being answered goes last. What matters is when it last got on, not when it came.
            self.close(max(others, key=lambda each: (self._of_host[each.host], each.waits, -each.since)), "full")

    def leave(self, connection: "Connection") -> None:
        """Closed, by whomever."""
        if connection in self._open:
            del self._open[connection]
            self._of_host[connection.host] -= 1
            if not self._of_host[connection.host]:
                del self._of_host[connection.host]

    async def send(self, connection: "Connection", body: bytes, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send *body*, if it is long a portion whenever the client has read one, or let it go for others."""
        if len(body) <= _PORTION_BYTES:
            await send(body)
            return
        holders = self._bodies.setdefault(id(body), {})
        holders[connection] = None
        if len(self._bodies) > _MOST_BODIES:
            for each in [*max(self._bodies.values(), key=self._tiresome)]:
                self.close(each, "slow_reader")
        try:
            for start in range(0, len(body), _PORTION_BYTES):
                if connection.is_gone():
                    break
                await send(body[start : start + _PORTION_BYTES])
                connection.since = connection.loop.time()
        finally:
            holders.pop(connection, None)
            if not holders:
                self._bodies.pop(id(body), None)

    def _tiresome(self, holders: dict["Connection", None]) -> tuple[int, float]:
        # Held for hosts with many connections only, and none of them has read on for long.
        return min(self._of_host[each.host] for each in holders), -max(each.since for each in holders)

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


class Connection(HttpProtocol):
    """One of them: at first plain TCP, then TLS if it is to be, then uvicorn's own."""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self._connections = connections
        self._wire: asyncio.Transport | None = None
        self._speaks = False  # HTTP
        self._early = b""
        self._due: asyncio.TimerHandle | None = None
        self._phase = ""
        self._asked: object = None
        self._handshake: asyncio.Task[None] | None = None
        self.task: asyncio.Task[Any] | None = None
        """What makes the answer."""
        self.context: ssl.SSLContext | None = None
        self.host = ""
        self.since = self.loop.time()
        """When it last got on."""

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn."""
        return not self.is_answering or self.is_paused

    def abort(self) -> None:
        """Close it without another word."""
        if self._due:
            self._due.cancel()
        if self._wire:
            self._wire.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """TCP is there."""
        self._wire = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        self.host = client_of(transport.get_extra_info("peername"))
        self._enter("slow_request", _REQUEST_SECONDS)
        self._connections.enter(self)
        access = self._connections.access
        self.context = access.context() if access else None
        if self.context is None:
            self._speak(transport)
        else:
            transport.pause_reading()
            self._handshake = self.loop.create_task(self._secure(transport, self.context))

    async def _secure(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        if transport.is_closing():
            return
        try:
            secured = await self.loop.start_tls(transport, self, context, server_side=True)
        except OSError as error:
            clear_frames(error.__traceback__)  # else they hold buffers until the garbage collector comes
            secured = None
        access = self._connections.access
        if secured is None or (access and not access.admits(secured.get_extra_info("ssl_object"))):
            self._connections.close(self, "tls")
            return
        secured.set_write_buffer_limits(_PORTION_BYTES)
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
        if self.task:
            self.task.cancel()  # of no use any more
        self.release()
        self._connections.leave(self)
        if self._speaks:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request."""
        if not self._speaks:
            self._early += data  # TLS is through, and nobody has told us yet
            return
        super().data_received(data)
        if not self.is_answering:
            if self._phase != "slow_request":
                self._enter("slow_request", _REQUEST_SECONDS)
        elif self._asked is not self.request:
            self._asked = self.request
            self._enter("slow_reader", _ANSWER_SECONDS)

    def on_response_complete(self) -> None:
        """The last byte of an answer was handed over; the next request may be here already."""
        super().on_response_complete()
        if self.is_answering:
            self._asked = self.request
            self._enter("slow_reader", _ANSWER_SECONDS)
        elif not self.is_paused and not self.transport.is_closing():
            self._enter(_IDLE, IDLE_SECONDS + _CLOSING_SECONDS)

    def resume_writing(self) -> None:
        """The client has read on."""
        super().resume_writing()
        if not self.is_answering:
            self._enter(_IDLE, IDLE_SECONDS + _CLOSING_SECONDS)

    def _enter(self, phase: str, seconds: float) -> None:
        # Each phase has one deadline, whatever happens in it: a byte now and then buys no time.
        if self._due:
            self._due.cancel()
        self._phase, self.since = phase, self.loop.time()
        self._due = self.loop.call_later(seconds, self._connections.close, self, phase)


def client_of(peer: object) -> str:
    """What is one client: an IPv4 address, or a network of IPv6, as who has one address there has 2 to the 64."""
    if not isinstance(peer, tuple):
        return ""
    address = str(peer[0]).partition("%")[0]
    if ":" not in address:
        return address
    of_six = IPv6Address(address)
    return str(of_six.ipv4_mapped or int(of_six) >> 64)
