"""
Find the text in open files that contain NULs.

A file may be longer than its text: it may be preallocated, or extended by zeros that are filled in place. NULs at the
end are not content. Holes of a sparse file and allocated but unwritten blocks are not read, whatever their size.
"""

import errno
import os
from collections.abc import Callable

BLOCK_BYTES = 1 << 18
NUL = b"\0"

MOST_BYTES = 1 << 23
"""Number of bytes searched for text at a time, which takes some milliseconds."""

AGAIN_BYTES = 1 << 18
"""The same for a file without text there when it was last searched; a write usually starts where the text ended."""

_PAGE = 1 << 12
_ZEROS = bytes(BLOCK_BYTES)


TextAt = Callable[[int, int], tuple[int, bool | None]]
"""
Search from an offset, through at most so many bytes; return where text follows and whether it does, None if unknown.
"""


class Search:
    """
    Search for text behind the NULs that end the text of a file; there may be gigabytes of them.

    *size* is the file size if no text was found behind *at*. Later searches then read only what was added to the file,
    and a little of the rest each time. *is_over* is set if there is nothing to do until the file changes.
    """

    __slots__ = ("_is_at_end", "_looked_to", "at", "is_over", "size")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset the search."""
        self.at = self.size = -1
        self.is_over = True
        self._looked_to = 0
        self._is_at_end = False

    def find(self, look: TextAt, at: int, size: int) -> int | None:
        """
        Return the offset of text behind *at* in a file of *size* bytes; None if there is none, or none was found yet.

        *look* is `text_at` of the content.
        """
        again = self.size == size
        start = at if again and self._is_at_end else max(at, self._looked_to)
        self._looked_to, found = look(start, AGAIN_BYTES if again else MOST_BYTES)
        if found:
            text = self._looked_to
            self.forget()
            return text
        self._is_at_end = found is False
        self.is_over = again or self._is_at_end
        if self.is_over:
            self.at, self.size = at, size
        return None


def text_length(data: bytes) -> int:
    """Return the length of *data* without the NULs at its end."""
    end = len(data)
    # Comparing pages is hundreds of times faster than stripping bytes.
    while end and data[max(end - _PAGE, 0) : end] == _ZEROS[: min(end, _PAGE)]:
        end = max(end - _PAGE, 0)
    start = max(end - _PAGE, 0)
    return start + len(data[start:end].rstrip(NUL))


def text_at(fd: int, at: int, most: int) -> tuple[int, bool | None]:
    """
    Return the offset of the next byte other than NUL from *at* on, and whether there is one; None if unknown yet.

    Reads about *most* bytes at most. If they are all NULs, the offset is where the search stopped.
    """
    # Cached pages of unwritten blocks look like data to SEEK_DATA, so the kernel must neither read ahead nor keep them.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    if most > AGAIN_BYTES:
        os.posix_fadvise(fd, at + _PAGE, 0, os.POSIX_FADV_DONTNEED)
    while most > 0 and (start := _seek(fd, at, os.SEEK_DATA)) is not None:
        end = _seek(fd, start, os.SEEK_HOLE) or start + BLOCK_BYTES
        block = os.pread(fd, min(end - start, BLOCK_BYTES), start)
        at = start + len(block)
        if not block:
            return start, False
        if block != _ZEROS[: len(block)]:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_NORMAL)
            return start + first_text(block), True
        most -= len(block)
    return (at, None) if most <= 0 else (max(os.fstat(fd).st_size, at), False)


def text_end(fd: int, size: int) -> int:
    """Return the offset behind the last byte other than NUL within the first *size* bytes of a file."""
    if not size or os.pread(fd, 1, size - 1) != NUL:  # the usual case
        return size
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    end, step = size, BLOCK_BYTES
    while end:  # in growing steps, to avoid listing all ranges of a long file
        begin = max(end - step, 0)
        for start, at in reversed(_stretches(fd, begin, end)):
            while at > start:
                block = os.pread(fd, min(BLOCK_BYTES, at - start), max(at - BLOCK_BYTES, start))
                at = max(at - BLOCK_BYTES, start)  # noqa: PLW2901  # it goes back
                if length := text_length(block):
                    return at + length
        end, step = begin, 4 * step
    return 0


def first_text(block: bytes) -> int:
    """Return the index of the first byte of *block* other than NUL; there must be one."""
    at = 0
    while block[at : at + _PAGE] == _ZEROS[: min(_PAGE, len(block) - at)]:
        at += _PAGE
    page = block[at : at + _PAGE]
    return at + len(page) - len(page.lstrip(NUL))


def _stretches(fd: int, at: int, end: int) -> list[tuple[int, int]]:
    """Return the ranges between *at* and *end* that may hold data."""
    found = []
    while at < end and (start := _seek(fd, at, os.SEEK_DATA)) is not None and start < end:
        at = min(_seek(fd, start, os.SEEK_HOLE) or end, end)
        found.append((start, at))
    return found


def _seek(fd: int, at: int, how: int) -> int | None:
    """Return the offset of the next data or hole; None if there is none, or it is unknown."""
    try:
        return os.lseek(fd, at, how)
    except OSError as error:
        if error.errno == errno.EINVAL and how == os.SEEK_DATA:  # a file system without holes
            return at
        if error.errno not in (errno.ENXIO, errno.EINVAL):
            raise
        return None
