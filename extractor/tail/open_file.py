"""
Paths of regular files in, open ones out, read-only and whatever becomes of their names.

Knows nothing of what was read.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from extractor.tail.compression import Content, Packed, Plain
from extractor.tail.position import Found, Identity

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Without O_NONBLOCK the open would hang if a FIFO took the file's name since it was looked at."""


class OpenFile:
    """
    The file *identity* at *path*, which was compressed by the program whose files end in *packed*, if by any.

    FileNotFoundError if another file, or none, has the name by now.
    """

    __slots__ = ("_fd", "_packed", "content")

    def __init__(self, path: str, identity: Identity, packed: str) -> None:
        self._fd = os.open(path, OPEN_FLAGS)
        self._packed = packed
        status = self.status()
        if not stat.S_ISREG(status.st_mode) or Found.of(path, status).identity != identity:
            os.close(self._fd)
            raise FileNotFoundError(path)
        self.content = self._content(self._fd)

    def status(self) -> os.stat_result:
        """What the system knows of it."""
        return os.fstat(self._fd)

    @contextmanager
    def apart(self) -> Iterator[Content]:
        """What is in it, to be read beside `content` from its beginning, also if it is closed meanwhile."""
        fd = os.dup(self._fd)
        try:
            yield self._content(fd)
        finally:
            os.close(fd)

    def renew(self) -> None:
        """Read `content` anew: what is known of it, and what was unpacked, is forgotten."""
        self.content = self._content(self._fd)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    def _content(self, fd: int) -> Content:
        return Packed(fd, self._packed) if self._packed else Plain(fd)
