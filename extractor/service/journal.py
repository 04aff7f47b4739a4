"""
A journal of the byte ranges being processed, read by the next process after a crash.

A line can crash a library, or make the kernel kill the process, and the next process would read the same line. So each
range is recorded before it is processed and removed afterwards. Ranges found at startup may have caused the crash, and
are tried in a process of their own before they are counted.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from extractor.tail.position import NO_FILE, Identity

NAME = "in-progress"

_ENTRY = Struct("<QQQQ")
_END = bytes(_ENTRY.size)
_MOST = 2000  # entries; of a batch of more chunks the first ones are known


class Range(NamedTuple):
    """Bytes of a file, from *start* to before *end*."""

    file: Identity
    start: int
    end: int

    def overlaps(self, other: "Range") -> bool:
        """Whether both have a byte in common."""
        return self.file == other.file and self.start < other.end and other.start < self.end


class Journal:
    """
    The ranges that are in work, in a file in *folder*.

    It is written and never synced: it lives as long as the system does, which is longer than the process. The ranges
    that were in work when the process before ended are `suspects`. What cannot be written is not known to the next one.
    """

    def __init__(self, folder: Path) -> None:
        self.suspects: list[Range] = []
        self._fd = -1
        self._count = 0
        with suppress(OSError):
            self._fd = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            self.suspects = list(_ranges(os.pread(self._fd, _MOST * _ENTRY.size, 0)))

    def begin(self, entry: Range) -> None:
        """*entry* is in work from now on."""
        if self._count < _MOST:
            self._write(_ENTRY.pack(*entry.file, entry.start, entry.end) + _END)
            self._count += 1

    def clear(self) -> None:
        """Nothing is in work any more."""
        if self._count:
            self._count = 0
            self._write(_END)

    def is_suspect(self, entry: Range) -> bool:
        """Whether the process before may have died of a byte in *entry*."""
        return any(entry.overlaps(suspect) for suspect in self.suspects)

    def close(self) -> None:
        """Nothing is in work, and nothing will be."""
        self._count = 0
        self._write(_END)
        with suppress(OSError):
            os.close(self._fd)
        self._fd = -1

    def _write(self, data: bytes) -> None:
        with suppress(OSError):
            os.pwrite(self._fd, data, self._count * _ENTRY.size)


def _ranges(data: bytes) -> Iterator[Range]:
    for offset in range(0, len(data) - _ENTRY.size + 1, _ENTRY.size):
        device, inode, start, end = _ENTRY.unpack_from(data, offset)
        if Identity(device, inode) == NO_FILE:
            return
        yield Range(Identity(device, inode), start, end)
