"""
Bytes of a file in, what makes its content known again out.

A `Trace` follows what is read and keeps the bytes just before the end of it: before the next read they are read again
and compared, and the digest of those before the offset is saved, as is that of the head of the file. Both cover only
what was handed out.

Knows nothing of files.
"""

from hashlib import blake2b

WINDOW = 1024
"""How much of the head, and of what is before the offset, is compared."""


def digest(data: bytes) -> str:
    """What stands for *data*."""
    return blake2b(data, digest_size=16).hexdigest()


class Trace:
    """
    What is known of the bytes before *offset*, the end of the last line, and before the end of what was read.

    *recent* are the last bytes that were read, *last* those before the offset; neither is longer than `WINDOW`.
    """

    __slots__ = ("_head", "last", "recent")

    def __init__(self, last: bytes = b"", head: str = "") -> None:
        self.last = last
        self.recent = last
        self._head = head  # of the first WINDOW bytes, once they were read

    def extend(self, data: bytes, start: int, offset: int) -> None:
        """*data*, which is `recent` and what follows it, was read at *start*; the last line ends at *offset*."""
        if start == 0 and len(data) >= WINDOW:
            self._head = digest(data[:WINDOW])
        if offset > start:
            self.last = data[max(offset - start - WINDOW, 0) : offset - start]
        self.recent = self.last if offset == start + len(data) else data[-WINDOW:]

    def release(self) -> None:
        """What was read after the offset is read again."""
        self.recent = self.last

    def head(self, offset: int) -> tuple[int, str]:
        """Length and digest of the head of the file, of which everything before *offset* was handed out."""
        return (WINDOW, self._head) if offset >= WINDOW else (len(self.last), digest(self.last))
