"""
The standard streams, for a program that was started without some of them.

Without this the next file that is opened takes the place of the stream, and what is printed goes into it.
"""

import errno
import io
import os
import sys
from typing import Any

_STDERR = 2


class _Closed(io.RawIOBase):
    """A stream that is not there: to read or to write it fails, as the system would have it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, _buffer: object, /) -> int:
        raise OSError(errno.EBADF, "is closed", self.name)

    def write(self, _data: object, /) -> int:
        raise OSError(errno.EBADF, "is closed", self.name)


def open_standard_streams() -> None:
    """Let nothing take the place of a stream that is closed; what goes to a closed standard error is lost."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass  # it stays open, in the place of the stream
    os.close(fd)
    # Python has None for a stream that is closed, whatever its types say.
    streams: dict[str, Any] = vars(sys)
    if streams["stdin"] is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_Closed("standard input")))
    if streams["stdout"] is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Closed("standard output")))
    if streams["stderr"] is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # as long as the process lives


def give_up_output() -> None:
    """What standard output refused is not tried again at the end of the program."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # as above
