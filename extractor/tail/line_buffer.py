"""
Split chunks of bytes into whole lines.

A chunk may end within a line, and a partial line must not be parsed. `LineBuffer` returns the same lines however the
bytes are cut into chunks. A line over *limit* bytes is never held in memory: it is returned as one `TooLong` once its
end is found. A hole, that is `HOLE` or more NULs between two lines, is skipped.
"""

import re
from dataclasses import dataclass

MAX_LINE_BYTES = 1 << 20
"""Maximum length of a line in bytes, without its newline."""

HEAD_BYTES = 200
"""Number of bytes kept of an over-long line, to identify it."""

NEWLINE = b"\n"
NUL = b"\0"

HOLE = 32
"""
Minimum number of NULs before a line that make a hole, as left by truncation or preallocation of an open file.

Fewer NULs are content, as are those before a newline and within a line. No event is that short, so no hole is one.
"""

_NULS = re.compile(rb"\0*")
_HOLE_AFTER_LINE = NEWLINE + NUL * HOLE


@dataclass(frozen=True, slots=True)
class Blob:
    """Consecutive whole lines, each ending in a newline; *offset* is that of the first one in the file."""

    data: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit: its offset, its *length* in bytes with the newline, and its first bytes."""

    offset: int
    length: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The last line of a file, which no newline will end: its offset and its bytes."""

    offset: int
    data: bytes


Piece = Blob | TooLong | Unfinished


class LineBuffer:
    """
    Buffer for the partial line between two chunks of one file.

    *offset* is where to feed it from if it is lost: everything before was returned. It is the start of the partial
    line, or of the hole before it. With *inside* the line at *offset* was already returned in part, as `Unfinished`,
    and the rest of it is dropped.
    """

    __slots__ = ("_at", "_head", "_head_bytes", "_hole", "_inside", "_limit", "_nuls", "_partial", "_skipped")

    def __init__(self, limit: int = MAX_LINE_BYTES, offset: int = 0, *, inside: bool = False) -> None:
        self._at = offset  # offset of the partial line
        self._hole = 0  # length of the hole before it
        self._inside = inside
        self._limit = limit
        self._head_bytes = min(HEAD_BYTES, limit)
        self._nuls = 0  # NULs at the start of an otherwise empty line
        self._partial = bytearray()
        self._skipped = 0
        self._head = b""

    @property
    def offset(self) -> int:
        """Offset of the first byte that must be fed again if the buffer is lost."""
        return self._at - self._hole

    @property
    def end(self) -> int:
        """Offset of the end of the bytes that were fed."""
        return self._at + self.pending

    @property
    def inside(self) -> bool:
        """Whether the rest of a line that was returned in part is dropped."""
        return self._inside

    @property
    def pending(self) -> int:
        """Number of bytes fed of the partial line, held or skipped."""
        return self._skipped or len(self._partial) or self._nuls

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the lines that *chunk* ends, in order; it starts where the previous chunk ended."""
        if not self._nuls and NUL not in chunk:
            return self._feed(chunk)
        pieces: list[Piece] = []
        tail = chunk[-HOLE:]
        text = len(chunk) - len(tail) + len(tail.rstrip(NUL))
        at = 0
        while at < len(chunk):
            if self._is_between_lines:
                start, at = at, _NULS.match(chunk, at).end()  # type: ignore[union-attr]  # it always matches
                self._nuls += at - start
                if at == len(chunk):
                    break
                self._end_nuls(is_hole=self._nuls >= HOLE and chunk[at : at + 1] != NEWLINE)
            hole = chunk.find(_HOLE_AFTER_LINE, at) + 1
            end = hole or (text if at < text and chunk[text - 1 : text] == NEWLINE else len(chunk))
            pieces += self._feed(chunk[at:end])
            at = end
        return pieces

    def pad(self, nuls: int) -> None:
        """Feed *nuls* NULs, in constant time."""
        if self._inside:
            self._at += nuls
        elif self._is_between_lines:
            self._nuls += nuls
        else:
            self._hold_nuls(nuls)

    def _feed(self, chunk: bytes) -> list[Piece]:
        if self._inside:
            rest = chunk.find(NEWLINE) + 1
            self._inside = not rest
            self._at += rest or len(chunk)
            chunk = chunk[rest:] if rest else b""
        end = chunk.rfind(NEWLINE) + 1
        if not end:
            self._hold(chunk)
            return []
        if self._skipped or len(self._partial) + end > self._limit + 1:
            return self._feed_checked(chunk)

        # No line of this chunk can be over the limit, so none needs a check.
        data = b"".join((self._partial, memoryview(chunk)[:end])) if self._partial else chunk[:end]
        blob = Blob(data, self._at)
        self._at += len(data)
        self._hole = 0
        self._partial.clear()
        self._hold(chunk[end:])
        return [blob]

    def release(self) -> None:
        """
        Release the bytes of the partial line, which must then be fed again from *offset*.

        Skipped bytes of an over-long line stay skipped, and so do NULs that nothing follows.
        """
        self._partial = bytearray()
        if not self._skipped:
            self._at, self._hole = self.offset, 0

    def restart(self) -> None:
        """Drop the partial line, which its writer took back; the bytes at *offset* are fed again."""
        self._start_line(self.offset)

    def finish(self) -> TooLong | Unfinished | None:
        """Return the last line when no newline will follow; if one follows anyway, the bytes up to it are dropped."""
        if self._nuls:
            self._end_nuls(is_hole=self._nuls >= HOLE)
        pending = self.pending
        if not pending:
            return None
        last = (
            TooLong(self._at, pending, self._head)
            if self._skipped
            else Unfinished(self._at, _without_hole(bytes(self._partial)))
        )
        self._start_line(self._at + pending)
        self._inside = True
        return last

    @property
    def _is_between_lines(self) -> bool:
        return not (self._partial or self._skipped or self._inside)

    def _end_nuls(self, *, is_hole: bool) -> None:
        nuls, self._nuls = self._nuls, 0
        if is_hole:
            self._at += nuls
            self._hole += nuls
        else:
            self._hold_nuls(nuls)

    def _hold_nuls(self, nuls: int) -> None:
        if self._skipped or len(self._partial) + nuls > self._limit:
            self._hold(NUL * min(nuls, self._limit + 1))
            self._skipped += max(nuls - self._limit - 1, 0)
        else:
            self._partial += NUL * nuls

    def _feed_checked(self, chunk: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        if self._skipped:
            rest = chunk.find(NEWLINE) + 1
            pieces.append(TooLong(self._at, self._skipped + rest, self._head))
            self._start_line(self._at + self._skipped + rest)
            chunk = chunk[rest:]

        data = bytes(self._partial) + chunk
        base, longest = self._at, self._limit + 1
        end = data.rfind(NEWLINE) + 1
        begin = at = 0
        while end - at > longest:
            # All lines that end within *longest* bytes are within the limit: one step over all of them.
            within = data.rfind(NEWLINE, at, at + longest) + 1
            if within:
                at = within
                continue
            if begin < at:
                pieces.append(Blob(data[begin:at], base + begin))
            begin = data.find(NEWLINE, at + longest) + 1
            pieces.append(TooLong(base + at, begin - at, data[at : at + self._head_bytes]))
            at = begin
        if begin < end:
            pieces.append(Blob(data[begin:end], base + begin))
        self._start_line(base + end)
        self._hold(data[end:])
        return pieces

    def _hold(self, chunk: bytes) -> None:
        if self._skipped:
            self._skipped += len(chunk)
            return
        self._partial += chunk
        if len(self._partial) > self._limit:
            self._skipped = len(self._partial)
            self._head = bytes(self._partial[: self._head_bytes])
            self._partial = bytearray()

    def _start_line(self, offset: int) -> None:
        self._at = offset
        self._hole = 0
        self._nuls = 0
        self._partial = bytearray()
        self._skipped = 0
        self._head = b""


def _without_hole(last: bytes) -> bytes:
    """Return *last* without a hole at its end."""
    text = last.rstrip(NUL)
    return text if len(last) - len(text) >= HOLE else last
