"""
Read the content of one file; return its whole lines, and the digests that identify what was read.

Each read first compares the bytes before it with those read last. NULs at the end are not content: they are filled in
place, or never.
"""

from typing import NamedTuple

from extractor.tail.compression import Content, Plain
from extractor.tail.fingerprint import (
    STEP,
    WINDOW,
    Ladder,
    Trace,
    begin_of,
    digest,
    line_ends,
    rung,
    window_before,
)
from extractor.tail.holes import MOST_BYTES, NUL, Search, text_length
from extractor.tail.line_buffer import MAX_LINE_BYTES, NEWLINE, LineBuffer, Piece
from extractor.tail.position import Position

PEEK_BYTES = 16384
"""Number of bytes read ahead to find the first unread line."""

_GOES_ON_BYTES = 16 * WINDOW

FILLED_BYTES = 8192
"""Number of bytes per read where NULs are filled in place."""


class Mark(NamedTuple):
    """A reading position, with the digests that identify the content before it."""

    offset: int
    last: bytes
    begin: str
    low: bytes
    rungs: bytes
    inside: bool


class Cursor:
    """
    The reading position in a content whose lines have at most *limit* bytes.

    *read_to* is the offset of the next read, *search* the state of the search for text behind NULs. *is_done* is set if
    the last read reached the end of the content.
    """

    __slots__ = ("_is_full", "_limit", "_lines", "_trace", "is_done", "read_to", "search")

    def __init__(self, limit: int = MAX_LINE_BYTES, offset: int = 0) -> None:
        self._limit = limit
        self.search = Search()
        self.is_done = False
        self._is_full = False  # whether the last read found text, and nothing but text
        self._start(offset, Trace())

    @property
    def offset(self) -> int:
        """Offset of the first line that was not returned."""
        return self._lines.offset

    @property
    def pending(self) -> int:
        """Number of bytes read of an unfinished line."""
        return self._lines.pending

    @property
    def begin(self) -> str:
        """Digest of the first `WINDOW` bytes; empty until they are read."""
        return self._trace.begin

    @property
    def last(self) -> bytes:
        """The bytes before the offset, at most `WINDOW`."""
        return self._trace.last

    def is_padded(self, size: int) -> bool:
        """Return whether the text of a file of *size* bytes is known to end before the file does."""
        return self.search.size == size

    def end(self, size: int) -> int:
        """Return the offset at which the text of a file of *size* bytes ends, as far as known."""
        return max(self.search.at, self.read_to) if self.is_padded(size) else size

    def first(self, content: Content, size: int) -> str:
        """Return the digest of the first `WINDOW` bytes of the unread *content*; empty if it is shorter."""
        data = content.read_at(0, WINDOW)
        is_text = len(data) == WINDOW and (not data.endswith(NUL) or self._has_text(content, size, WINDOW))
        return _begin(content, data) if is_text else ""

    def goes_on(self, content: Content, size: int) -> bytes:
        """Return digests of some windows of *content* behind the first `WINDOW` bytes, as far as the text reaches."""
        data = content.read_at(0, min(_GOES_ON_BYTES, self.end(size)))
        ends = (end for end in (2 * WINDOW << step for step in range(4)) if end <= text_length(data))
        return b"".join(rung(data[end - WINDOW : end]) for end in ends)

    def position(self, found: tuple[str, int, int], read_size: int, modified: int) -> Position:
        """Return the position to save; *found* is path, device and inode of the file."""
        offset, trace = self.offset, self._trace
        head_length, head = trace.head(offset)
        last_length, last = len(trace.last), digest(trace.last)
        (low, rungs), ends = trace.ladder.up_to(offset), line_ends(trace.last)
        counted = (offset, head_length, head, last_length, last)
        return Position(*(*found, *counted, read_size, modified, "", low, rungs, ends))

    def mark(self) -> Mark:
        """Return a mark for `set_back` at the current offset."""
        offset, trace = self.offset, self._trace
        begin = trace.begin if offset >= WINDOW else ""
        return Mark(offset, trace.last, begin, *trace.ladder.up_to(offset), self._lines.inside)

    def set_back(self, mark: Mark) -> None:
        """Resume at *mark*, without reading."""
        self.search.forget()
        self.is_done = self._is_full = False
        trace = Trace(mark.last, mark.begin, Ladder(mark.low, mark.rungs))
        self._start(mark.offset, trace, inside=mark.inside)

    def begin_again(self) -> None:
        """Resume at 0, because the content that was read is gone."""
        self.search.forget()
        self._start(0, Trace())

    def go_on(self, content: Content, offset: int, claim: Position | None) -> None:
        """Resume at *offset* of *content*, known up to there; reuse the digests of *claim* if it ends there."""
        begin = _begin(content, content.read_at(0, WINDOW)) if offset >= WINDOW else ""
        if claim is not None and claim.offset == offset and (claim.low or claim.rungs or offset < STEP):
            ladder = Ladder(claim.low, claim.rungs)
        else:
            ladder = Ladder.of(content.read_at, offset)
        last = window_before(content.read_at, offset)
        self._start(offset, Trace(last, begin, ladder), inside=last[-1:] not in (b"", NEWLINE))

    def release(self) -> None:
        """Release the bytes of an unfinished line; they are read again."""
        self._lines.release()
        self.read_to = self._lines.end
        if self.read_to == self.offset:
            self._trace.release(self.offset)

    def restart_line(self) -> None:
        """Read an unfinished line anew, because it was taken back or rewritten."""
        self._lines.restart()
        self._trace.restart(self.offset)
        self.read_to = self.offset

    def peek(self, content: Content) -> bytes:
        """Return the first unread line; empty if its end is too far away, or if the content before it has changed."""
        before = self._trace.last
        data = content.read_at(self.offset - len(before), len(before) + PEEK_BYTES)
        if not data.startswith(before):
            return b""
        return data[len(before) : max(data.find(NEWLINE, len(before)), 0)].lstrip(NUL)

    def read(self, content: Content, size: int, max_bytes: int) -> list[Piece] | None:
        """Return the lines in the next *max_bytes* of a file of *size*; None if what was read last has changed."""
        if not self.search.is_over and not isinstance(content, Plain):
            # Nothing fills it in place, and to go back would unpack everything before it again.
            return self._pass_nuls(content, size)
        recent = self._trace.recent
        if self.is_padded(size) and not self._is_full:
            max_bytes = min(max_bytes, FILLED_BYTES)
        start = self.read_to - len(recent)
        data = content.read_at(start, len(recent) + max_bytes)
        if not data.startswith(recent):
            return None
        if data.endswith(NUL) and len(data) > len(recent):
            length = max(text_length(data), len(recent))
            self._is_full = False
            if length == len(recent):
                return self._pass_nuls(content, size)
            data = data[:length]
        else:
            self._is_full = True
        chunk = data[len(recent) :]
        pieces = self._lines.feed(chunk)
        self.read_to += len(chunk)
        self._trace.extend(data, start, self.offset)
        self.is_done = not chunk or (isinstance(content, Plain) and self.read_to >= size)
        return pieces if chunk else self._end(content)

    def is_there(self, content: Content, size: int) -> bool:
        """Return whether a file of *size* bytes still holds what was read last."""
        recent = self._trace.recent
        is_cut = size < self.read_to and isinstance(content, Plain)
        return not is_cut and content.read_at(self.read_to - len(recent), len(recent)) == recent

    def finish(self) -> Piece | None:
        """Return the unfinished last line, if no newline will follow."""
        last = self._lines.finish()
        if last is not None:
            self._trace.last = self._trace.recent
        return last

    def _has_text(self, content: Content, size: int, at: int) -> bool:
        if self.is_padded(size):
            return self.end(size) > at
        return self.search.is_over and bool(content.text_at(at, MOST_BYTES)[1])

    def _end(self, content: Content) -> list[Piece]:
        """Return the last line, if nothing can follow it."""
        last = self.finish() if content.has_ended else None
        return [] if last is None else [last]

    def _pass_nuls(self, content: Content, size: int) -> list[Piece]:
        """Skip to the text behind the NULs that follow; without such text, they are yet to be filled."""
        text = self.search.find(content.text_at, self.read_to, size)
        self.is_done = text is None and self.search.is_over
        if text is None:
            return self._end(content) if self.is_done else []
        self._lines.pad(text - self.read_to)
        self._trace.skip(text - self.read_to, self.read_to)
        self.read_to = text
        return []

    def _start(self, offset: int, trace: Trace, *, inside: bool = False) -> None:
        self._lines = LineBuffer(self._limit, offset, inside=inside)
        self.read_to = offset
        self._trace = trace


def _begin(content: Content, data: bytes) -> str:
    """Return the digest of *data*, the first `WINDOW` bytes of *content*, which contains text."""
    at, found = 0, True if data.strip(NUL) else None
    while found is None:
        at, found = content.text_at(at, MOST_BYTES)
    return begin_of(data, at)
