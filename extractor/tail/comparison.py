"""
Compare two open contents: determine whether one is the beginning of the other.

Only whole lines count, because an unfinished line may still change. Contents are compared in full, piece by piece.
"""

import sys
from typing import NamedTuple

from extractor.tail.compression import Content, Packed, Plain
from extractor.tail.fingerprint import WINDOW
from extractor.tail.holes import NUL, text_end
from extractor.tail.line_buffer import NEWLINE
from extractor.tail.standing import line_start

ALL = sys.maxsize
"""Length of a common beginning that was not unpacked, because the compressed files are identical."""

_PIECE_BYTES = 1 << 15
_ZEROS = bytes(_PIECE_BYTES)
_LONGEST = 1 << 20
"""Bytes after the common beginning that count as a line even without a line end."""


class Alike(NamedTuple):
    """
    Two contents share their first *length* bytes, of which *whole* are whole lines.

    *is_inside* is set if the first content has no further whole line, *is_around* if the second has none.
    """

    length: int
    whole: int
    is_inside: bool
    is_around: bool


class _Text:
    """*content* without the NULs at its end; holes are not read."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._end = text_end(content.fd, content.length()) if isinstance(content, Plain) else None

    def read_at(self, at: int, length: int) -> bytes:
        """Return *length* bytes from offset *at*; fewer at the end of the text."""
        if self._end is not None:
            length = max(min(length, self._end - at), 0)
        return self._content.read_at(at, length)

    def ends_with(self, length: int, whole: int) -> bool:
        """Return whether no line follows the first *length* bytes, of which *whole* are whole lines."""
        if not length or (not whole and self.read_at(length, 1).strip(NUL)):
            return False
        return not self._has_line(length)

    def _has_line(self, at: int) -> bool:
        for start in range(at, at + _LONGEST, _PIECE_BYTES):
            piece = self.read_at(start, _PIECE_BYTES)
            if NEWLINE in piece:
                return True
            if len(piece) < _PIECE_BYTES:
                return False
        return True

    def text_at(self, at: int) -> int:
        """Return the offset of the next byte other than NUL, if known without reading; otherwise *at*."""
        if not isinstance(self._content, Plain):
            return at
        return min(self._content.next_text(at), self._end or 0)


def compare(one: Content, other: Content, known: int = 0) -> Alike:
    """Compare *one* with *other*; the first *known* bytes were found to be equal before."""
    if isinstance(one, Packed) and isinstance(other, Packed) and one.is_as_packed_as(other):
        return Alike(ALL, ALL, is_inside=True, is_around=True)
    texts = _Text(one), _Text(other)
    length = _same(*texts, known if _are_as_known(texts, known) else 0)
    # Seeking back in a compressed file may unpack it again.
    whole = line_start(texts[isinstance(other, Plain)], length)
    return Alike(length, whole, *(text.ends_with(length, whole) for text in texts))


def _are_as_known(texts: tuple[_Text, _Text], known: int) -> bool:
    return all(
        texts[0].read_at(at, WINDOW) == texts[1].read_at(at, WINDOW) for at in (0, known // 2, max(known - WINDOW, 0))
    )


def _same(one: _Text, other: _Text, at: int) -> int:
    while True:
        pieces = one.read_at(at, _PIECE_BYTES), other.read_at(at, _PIECE_BYTES)
        shorter = min(map(len, pieces))
        if pieces[0][:shorter] != pieces[1][:shorter]:
            return at + _first_difference(pieces[0][:shorter], pieces[1][:shorter])
        at += shorter
        if shorter < _PIECE_BYTES:
            return at
        if pieces[0] == _ZEROS:
            at = max(at, min(one.text_at(at), other.text_at(at)))


def _first_difference(one: bytes, other: bytes) -> int:
    start, end = 0, len(one)
    while end - start > 1:
        middle = (start + end) // 2
        if one[start:middle] == other[start:middle]:
            start = middle
        else:
            end = middle
    return start
