"""
Standard streams for a program that was started with some of them closed.

Otherwise the next file that is opened would get the descriptor of the closed stream, and output would be written to it.
"""

import errno
import io
import os
import sys
from typing import Any

_STDERR = 2


class _Closed(io.RawIOBase):
    """A closed stream: reading and writing raise EBADF."""

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
    """Reserve the descriptors of closed streams; output to a closed standard error is discarded."""
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
    """Discard further output, so that the interpreter does not flush a broken stream when it exits."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # as above
