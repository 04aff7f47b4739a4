"""
Work in, what became of it in a process of its own out.

The process is a fork: it has a copy of everything, so that nothing it does can be seen here, and whatever ends it, an
exception, a crash of a library or an endless loop, ends only it.
"""

import os
import select
import signal
import time
from collections.abc import Callable

_SECONDS = 10.0  # work that takes longer goes on forever
_MESSAGE = 1000  # bytes


class Dead(Exception):  # noqa: N818  # a verdict on work, not an error of ours
    """Work that ended the process in which it was tried."""


def isolated(work: Callable[[], object], seconds: float = _SECONDS) -> str:
    """
    Do *work* in a fork of this process; empty if it returned, else what ended it.

    It is killed after so many *seconds*. Raises `OSError` if there is no process to be had.
    """
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(_work(work, theirs, ours))
    os.close(ours)
    message = None
    try:
        message = _message(theirs, time.monotonic() + seconds)
    finally:
        os.close(theirs)
        if message is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if message is None:
        return f"it did not end within {seconds:.0f} s"
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"it ended the process with {signal.Signals(-code).name}"
    return "" if code == 0 else message or f"it ended the process with exit code {code}"


def _work(work: Callable[[], object], theirs: int, ours: int) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both; the parent answers it
    os.close(theirs)
    try:
        work()
    except BaseException as error:  # noqa: BLE001  # told to the parent
        os.write(ours, f"{type(error).__name__}: {error}".encode(errors="replace")[:_MESSAGE])
        return 1
    return 0


def _message(pipe: int, deadline: float) -> str | None:
    """What the child wrote until it ended; None if it has not ended by *deadline*."""
    parts = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0.0))
        if not ready:
            return None
        part = os.read(pipe, _MESSAGE)
        if not part:
            return parts.decode(errors="replace")
        parts += part
