"""
Turns SIGTERM into an exception, so that `with` blocks clean up as they do on Ctrl-C.

Afterwards the process terminates itself with the signal, so that its exit status is that of SIGTERM.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(BaseException):
    """Raised on SIGTERM."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` in the block when SIGTERM comes, and end the process by SIGTERM after it."""
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    except Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        sys.exit(128 + signal.SIGTERM)  # the first process of a container does not end by a signal
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
