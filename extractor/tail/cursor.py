"""
The content of one file in, its whole lines out, and what makes known later what they were read from.

Before anything is read, the bytes before it are compared with what they were. NULs at the end are not content: they are
filled in place, or never.

Knows nothing of names, of what a folder holds or of compression.
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
"""How much is read ahead to find the first unread line."""

_GOES_ON_BYTES = 16 * WINDOW

FILLED_BYTES = 8192
"""How much is read at a time where NULs are filled in place."""


class Mark(NamedTuple):
    """How far a content was read, and what makes that known again."""

    offset: int
    last: bytes
    begin: str
    low: bytes
    rungs: bytes
    inside: bool


class Cursor:
    """
    How far a content was read, of which no line may have more than *limit* bytes.

    *read_to* is where the next read begins, *search* what is known of NULs there. *is_done* says whether the last read
    came to the end of what there was.
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
        """Where the first line begins that was not handed out."""
        return self._lines.offset

    @property
    def pending(self) -> int:
        """How many bytes of a line without an end were read."""
        return self._lines.pending

    @property
    def begin(self) -> str:
        """What stands for the first `WINDOW` bytes, once they were read; empty until then."""
        return self._trace.begin

    @property
    def last(self) -> bytes:
        """The bytes before the offset, at most `WINDOW`."""
        return self._trace.last

    def is_padded(self, size: int) -> bool:
        """Whether the text of a file of *size* was found to end before the file does."""
        return self.search.size == size

    def end(self, size: int) -> int:
        """Where the text of a file of *size* ends, as far as is known."""
        return max(self.search.at, self.read_to) if self.is_padded(size) else size

    def first(self, content: Content, size: int) -> str:
        """What stands for the first `WINDOW` bytes of *content*, of which nothing was read; empty if it has fewer."""
        data = content.read_at(0, WINDOW)
        is_text = len(data) == WINDOW and (not data.endswith(NUL) or self._has_text(content, size, WINDOW))
        return _begin(content, data) if is_text else ""

    def goes_on(self, content: Content, size: int) -> bytes:
        """What stands for some windows of *content* behind the first `WINDOW` bytes, as far as there is text."""
        data = content.read_at(0, min(_GOES_ON_BYTES, self.end(size)))
        ends = (end for end in (2 * WINDOW << step for step in range(4)) if end <= text_length(data))
        return b"".join(rung(data[end - WINDOW : end]) for end in ends)

    def position(self, found: tuple[str, int, int], read_size: int, modified: int) -> Position:
        """What must be saved of the file that was *found*: its path, device and inode."""
        offset, trace = self.offset, self._trace
        head_length, head = trace.head(offset)
        last_length, last = len(trace.last), digest(trace.last)
        (low, rungs), ends = trace.ladder.up_to(offset), line_ends(trace.last)
        counted = (offset, head_length, head, last_length, last)
        return Position(*(*found, *counted, read_size, modified, "", low, rungs, ends))

    def mark(self) -> Mark:
        """What `set_back` takes to read on again at the offset of now."""
        offset, trace = self.offset, self._trace
        begin = trace.begin if offset >= WINDOW else ""
        return Mark(offset, trace.last, begin, *trace.ladder.up_to(offset), self._lines.inside)

    def set_back(self, mark: Mark) -> None:
        """Read on at *mark*, without reading anything now."""
        self.search.forget()
        self.is_done = self._is_full = False
        trace = Trace(mark.last, mark.begin, Ladder(mark.low, mark.rungs))
        self._start(mark.offset, trace, inside=mark.inside)

    def begin_again(self) -> None:
        """Read from 0; what was read is not there any more."""
        self.search.forget()
        self._start(0, Trace())

    def go_on(self, content: Content, offset: int, claim: Position | None) -> None:
        """Read on at *offset* of *content*, which is known up to there, as *claim* says if it is of there."""
        begin = _begin(content, content.read_at(0, WINDOW)) if offset >= WINDOW else ""
        if claim is not None and claim.offset == offset and (claim.low or claim.rungs or offset < STEP):
            ladder = Ladder(claim.low, claim.rungs)
        else:
            ladder = Ladder.of(content.read_at, offset)
        last = window_before(content.read_at, offset)
        self._start(offset, Trace(last, begin, ladder), inside=last[-1:] not in (b"", NEWLINE))

    def release(self) -> None:
        """Do not hold a line without an end: it is read again."""
        self._lines.release()
        self.read_to = self._lines.end
        if self.read_to == self.offset:
            self._trace.release(self.offset)

    def restart_line(self) -> None:
        """A line without an end was taken back, or is written anew."""
        self._lines.restart()
        self._trace.restart(self.offset)
        self.read_to = self.offset

    def peek(self, content: Content) -> bytes:
        """The first unread line; empty if its end is not near, or if what was read before it is not there any more."""
        before = self._trace.last
        data = content.read_at(self.offset - len(before), len(before) + PEEK_BYTES)
        if not data.startswith(before):
            return b""
        return data[len(before) : max(data.find(NEWLINE, len(before)), 0)].lstrip(NUL)

    def read(self, content: Content, size: int, max_bytes: int) -> list[Piece] | None:
        """The lines in the next *max_bytes* of a file of *size*; None if what was read last is not there any more."""
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
        """Whether a file of *size* still holds what was read last."""
        recent = self._trace.recent
        is_cut = size < self.read_to and isinstance(content, Plain)
        return not is_cut and content.read_at(self.read_to - len(recent), len(recent)) == recent

    def finish(self) -> Piece | None:
        """The last line, when no newline will ever end it."""
        last = self._lines.finish()
        if last is not None:
            self._trace.last = self._trace.recent
        return last

    def _has_text(self, content: Content, size: int, at: int) -> bool:
        if self.is_padded(size):
            return self.end(size) > at
        return self.search.is_over and bool(content.text_at(at, MOST_BYTES)[1])

    def _end(self, content: Content) -> list[Piece]:
        """The last line, if nothing can follow it."""
        last = self.finish() if content.has_ended else None
        return [] if last is None else [last]

    def _pass_nuls(self, content: Content, size: int) -> list[Piece]:
        """Go to the text behind the NULs that follow; if there is none, they are to be filled."""
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
    """What stands for *data*, the first `WINDOW` bytes of *content*, in which text follows."""
    at, found = 0, True if data.strip(NUL) else None
    while found is None:
        at, found = content.text_at(at, MOST_BYTES)
    return begin_of(data, at)
