"""
Determine how much of the counted content still exists in a file.

The content is compared by digests: of its head, of windows in between, and of the bytes before the offset.
"""

from typing import Protocol

from extractor.tail.fingerprint import STEP, climb, digest, find_ends, rung, window_before
from extractor.tail.line_buffer import NEWLINE
from extractor.tail.position import Position

_BACK_BYTES = 1 << 14
_LONGEST = 1 << 24
"""Maximum distance in bytes to search back for the start of a line."""


class Readable(Protocol):
    """Content that can be read at any offset."""

    def read_at(self, at: int, length: int) -> bytes:
        """Return *length* bytes from offset *at*; fewer at the end."""


def holds(content: Readable, position: Position) -> bool:
    """Return whether *content*, of the file of *position*, still begins with what was read up to there."""
    if digest(content.read_at(0, position.head_length)) != position.head:
        return False
    return digest(content.read_at(position.offset - position.last_length, position.last_length)) == position.last


def continues(content: Readable, position: Position) -> bool:
    """Return whether *content*, of any file, begins with what was read up to *position*."""
    # From front to back: seeking back in a compressed file is expensive.
    return (
        digest(content.read_at(0, position.head_length)) == position.head
        and _climbs(content, position.offset, position)
        and holds(content, position)
    )


def begins(content: Readable, length: int, position: Position) -> bool:
    """
    Return whether the first *length* bytes of *content* are the beginning of what was read up to *position*.

    Bytes after the last rung within them are not compared.
    """
    if length < STEP or not (position.low or position.rungs) or not _climbs(content, length, position):
        return False
    head = position.head_length
    return length < head or digest(content.read_at(0, head)) == position.head


def stands(content: Readable, size: int, position: Position, last: bytes = b"") -> int | None:
    """
    Return how many bytes read up to *position* still exist in a file of *size* bytes; None if its content differs.

    The result is the offset of *position*, or a line end before it, if the rest was cut off or rewritten. *last* holds
    the bytes before the offset, if known.
    """
    if size >= position.offset and holds(content, position):
        return position.offset
    start = position.offset - position.last_length
    now = content.read_at(start, max(min(size, position.offset) - start, 0))
    alike = _lines_alike(now, last) if last else _ends_alike(now, position)
    if alike:
        end = start + alike
        if start and now.find(NEWLINE) + 1 == alike:  # many lines end alike: the rest of one alone proves nothing
            compared = max(end, min(size, STEP))
            is_known = compared >= STEP and bool(position.low or position.rungs)
        else:
            compared, is_known = end, True
        return end if is_known and _is_as_it_was(content, compared, position) else None
    if alike is None or not begins(content, size, position):
        return None
    return line_start(content, size) or None


def line_start(content: Readable, at: int) -> int:
    """Return the offset of the line of *content* that contains *at*; 0 if it is too far away."""
    lowest = max(at - _LONGEST, 0)
    while at > lowest:
        begin = max(at - _BACK_BYTES, lowest)
        if found := content.read_at(begin, at - begin).rfind(NEWLINE) + 1:
            return begin + found
        at = begin
    return 0


def _climbs(content: Readable, length: int, position: Position) -> bool:
    rungs = climb(position.low, position.rungs)
    return all(rung(window_before(content.read_at, at)) == one for at, one in rungs if at <= length)


def _is_as_it_was(content: Readable, end: int, position: Position) -> bool:
    """Return whether the first *end* bytes are unchanged, as far as the digests show."""
    if end >= position.head_length and digest(content.read_at(0, position.head_length)) != position.head:
        return False
    return _climbs(content, end, position)


def _lines_alike(now: bytes, last: bytes) -> int | None:
    """Return the length of the whole lines that *now* shares with *last*; None if the first line differs."""
    alike = next((at for at, pair in enumerate(zip(now, last, strict=False)) if pair[0] != pair[1]), len(now))
    whole = now.rfind(NEWLINE, 0, alike) + 1
    return None if not whole and alike < len(now) else whole


def _ends_alike(now: bytes, position: Position) -> int | None:
    """Like `_lines_alike`, with the saved line ends in place of the bytes."""
    first = position.last_length
    for distance, one in find_ends(position.ends):
        first = position.last_length - distance
        if first <= len(now) and rung(now[:first]) == one:
            return first
    return 0 if len(now) < first else None
