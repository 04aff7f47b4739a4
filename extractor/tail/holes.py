"""
Open files in, where there is text in them out.

A file may be longer than its text: preallocated, or grown by zeros that are filled in place. NULs at its end are no
content, however many. Holes of a sparse file and what was only allocated are not read, whatever their size.
"""

import errno
import os
from collections.abc import Callable

BLOCK_BYTES = 1 << 18
NUL = b"\0"

MOST_BYTES = 1 << 23
"""How much is read at a time in search of text: some milliseconds."""

AGAIN_BYTES = 1 << 18
"""The same where there was none, in a file that was written to: as a rule where the text ended."""

_PAGE = 1 << 12
_ZEROS = bytes(BLOCK_BYTES)


TextAt = Callable[[int, int], tuple[int, bool | None]]
"""Where text is again from a place on, looking at so many bytes; whether there is any, or None if that is not known."""


class Search:
    """
    Looks for text behind the NULs at which the text of a file ends, which may be gigabytes.

    *size* is that of the file if it was found to have none behind *at*. Only what was added to the file is looked at
    then, and a little of the rest each time. With *is_over* there is nothing to do until the file changes.
    """

    __slots__ = ("_is_at_end", "_looked_to", "at", "is_over", "size")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.at = self.size = -1
        self.is_over = True
        self._looked_to = 0
        self._is_at_end = False

    def find(self, look: TextAt, at: int, size: int) -> int | None:
        """
        Where there is text behind *at* in a file of *size*; None if there is none, or it was not found yet.

        *look* is `text_at` of what is in the file.
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
    """How long *data* is without the NULs at its end."""
    end = len(data)
    # To strip byte by byte takes hundreds of times as long as to compare.
    while end and data[max(end - _PAGE, 0) : end] == _ZEROS[: min(end, _PAGE)]:
        end = max(end - _PAGE, 0)
    start = max(end - _PAGE, 0)
    return start + len(data[start:end].rstrip(NUL))


def text_at(fd: int, at: int, most: int) -> tuple[int, bool | None]:
    """
    Where the next byte other than NUL is, from *at* on, and whether there is one; None if that is not known yet.

    At most about *most* bytes are read. If none of them is one, the answer is how far there is none.
    """
    # What the kernel has read, or reads ahead, of what was only allocated cannot be told from what was written.
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
    """Where the text ends in the first *size* bytes of a file: behind the last of them that is not NUL."""
    if not size or os.pread(fd, 1, size - 1) != NUL:  # as a rule
        return size
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    end, step = size, BLOCK_BYTES
    while end:  # ever farther back, so that not all stretches of a long file are asked for
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
    """Where the first byte of *block* is that is not NUL; there is one."""
    at = 0
    while block[at : at + _PAGE] == _ZEROS[: min(_PAGE, len(block) - at)]:
        at += _PAGE
    page = block[at : at + _PAGE]
    return at + len(page) - len(page.lstrip(NUL))


def _stretches(fd: int, at: int, end: int) -> list[tuple[int, int]]:
    """Where there may be data between *at* and *end*: from, to."""
    found = []
    while at < end and (start := _seek(fd, at, os.SEEK_DATA)) is not None and start < end:
        at = min(_seek(fd, start, os.SEEK_HOLE) or end, end)
        found.append((start, at))
    return found


def _seek(fd: int, at: int, how: int) -> int | None:
    """Where the next data are, or the next hole; None if there are none, or that cannot be known."""
    try:
        return os.lseek(fd, at, how)
    except OSError as error:
        if error.errno == errno.EINVAL and how == os.SEEK_DATA:  # a file system without holes
            return at
        if error.errno not in (errno.ENXIO, errno.EINVAL):
            raise
        return None
