"""
The progress of reading in, datagrams for the service manager out: the protocol of sd_notify(3).

Reports readiness, a status text, stopping and reloading, and feeds the watchdog every third of its interval. The
reading loop sends all messages as it makes progress, so a stuck loop is restarted and a busy one is not. Sending never
blocks: state changes that cannot be sent are sent at the next step, and a failing socket has no other effect.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from math import inf

_STATUS_SECONDS = 1.0
_EXTEND_EVERY = 5.0
EXTEND_SECONDS = 60.0
"""How long starting and stopping may go on without a step."""

RESTORE_SECONDS = 600.0
"""How long taking over or saving the state may take: one step, however large the state."""


class Notifier:
    """
    Tells the service manager that *environment* names; where it names none, does nothing at all.

    The variables are taken out of *environment*: they are for this process, not for its children. Must be used by one
    thread only, the one that reads.
    """

    def __init__(self, environment: MutableMapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        self._clock = clock
        self._feed_every = _third(environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", ""))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._unsent: list[str] = []
        self._status = ""
        self._status_at = self._feed_at = self._extend_at = -inf
        self._is_ready = self._is_stopping = False
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def step(self, status: Callable[[], str]) -> None:
        """Reading has got on; *status* says where it is, and is asked only when there is somebody to be told."""
        if self._socket is None:
            return
        now = self._clock()
        due: list[str] = []
        if now >= self._feed_at and self._feed_every < inf:
            self._feed_at = now + self._feed_every
            due.append("WATCHDOG=1")
        if now >= self._extend_at and (self._is_stopping or not self._is_ready):
            due.append(self._extension(EXTEND_SECONDS))
        if now >= self._status_at:
            self._status_at = now + _STATUS_SECONDS
            text = " ".join(status().split())
            if text != self._status:
                self._status = text
                due.append(f"STATUS={text}")
        if due or self._unsent:
            self._say(*due)

    def pause(self) -> float:
        """After how many seconds the next step must come, though there be nothing to read."""
        if self._socket is None or self._feed_every == inf:
            return inf
        return max(self._feed_at - self._clock(), 0.0)

    def long_step(self, status: str) -> None:
        """What begins now, *status*, is one step, and may take minutes."""
        if self._socket is None:
            return
        self._status = status
        self._say(self._extension(RESTORE_SECONDS), f"STATUS={status}")

    def ready(self) -> None:
        """Report once that the service is ready."""
        if not self._is_ready:
            self._is_ready = True
            self._must_say("READY=1")
            self._status_at = -inf

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """While the configuration is read again. Before the service is ready, nobody can have asked for it."""
        if not self._is_ready:
            yield
            return
        # The manager tells by the time that this belongs to its signal, and not to an earlier one.
        self._must_say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._must_say("READY=1")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._is_stopping = True
        self._must_say("STOPPING=1")

    def close(self) -> None:
        """Close the socket; send nothing more."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _extension(self, seconds: float) -> str:
        self._extend_at = self._clock() + (_EXTEND_EVERY if seconds == EXTEND_SECONDS else 0.0)
        return f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}"

    def _must_say(self, message: str) -> None:
        if self._socket is not None:
            self._unsent.append(message)
            self._say()

    def _say(self, *lines: str) -> None:
        """Send what waits, in its order, then *lines*; these only matter now and are lost if they cannot be sent."""
        while self._unsent and self._send(self._unsent[0]):
            del self._unsent[0]
        if lines and not self._unsent:
            self._send("\n".join(lines))

    def _send(self, message: str) -> bool:
        assert self._socket is not None
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:  # its queue is full, or it is not there for now
            return False
        return True


def _third(usec: str, pid: str) -> float:
    """A third of the watchdog's time, in seconds; for ever if there is none, or if it is another process's."""
    if not usec.isdecimal() or not int(usec) or pid not in ("", str(os.getpid())):
        return inf
    return int(usec) / 3_000_000
