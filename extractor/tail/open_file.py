"""Open regular files read-only; they stay readable whatever happens to their names."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from extractor.tail.compression import Content, Packed, Plain
from extractor.tail.position import Found, Identity

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Without O_NONBLOCK, opening would hang if a FIFO had replaced the file."""


class OpenFile:
    """
    The file *identity* at *path*, compressed in the format of the suffix *packed* if not empty.

    Raises FileNotFoundError if another file, or none, has the name by now.
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
        """Return the status of the open file."""
        return os.fstat(self._fd)

    @contextmanager
    def apart(self) -> Iterator[Content]:
        """Yield a second reader of the content, independent of `content` and of `close`."""
        fd = os.dup(self._fd)
        try:
            yield self._content(fd)
        finally:
            os.close(fd)

    def renew(self) -> None:
        """Reset `content`, dropping what was unpacked."""
        self.content = self._content(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _content(self, fd: int) -> Content:
        return Packed(fd, self._packed) if self._packed else Plain(fd)
