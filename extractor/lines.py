"""
Bytes in, whole lines out.

A writer may be caught in the middle of a line; a reader must never parse half of one. However the bytes are cut into
chunks, `LineBuffer` hands out the same lines. A line over *limit* bytes is never held in memory: it comes out as one
`TooLong`, once its end was seen.

Knows nothing of files, JSON or metrics.
"""

from dataclasses import dataclass

MAX_LINE_BYTES = 1 << 20
"""The longest line, without its newline, that is handed out."""

HEAD_BYTES = 200
"""How much of an over-long line is kept, so that a person can recognise it."""

NEWLINE = b"\n"


@dataclass(frozen=True, slots=True)
class Blob:
    """Whole lines in one piece, each ending in a newline; *offset* is where in the file the first one begins."""

    data: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit: where it begins, its *length* with the newline, and its first bytes."""

    offset: int
    length: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The last line of a file, which no newline will end: where it begins and what there is of it."""

    offset: int
    data: bytes


Piece = Blob | TooLong | Unfinished


class LineBuffer:
    """
    Holds the partial line between two chunks of one file.

    *offset* is the start of the partial line: everything before it was handed out. With *inside* the line at *offset*
    was already handed out in part, as `Unfinished`, and the rest of it is dropped.
    """

    __slots__ = ("_head", "_head_bytes", "_inside", "_limit", "_partial", "_skipped", "offset")

    def __init__(self, limit: int = MAX_LINE_BYTES, offset: int = 0, *, inside: bool = False) -> None:
        self.offset = offset
        self._inside = inside
        self._limit = limit
        self._head_bytes = min(HEAD_BYTES, limit)
        self._partial = bytearray()
        self._skipped = 0
        self._head = b""

    @property
    def pending(self) -> int:
        """How many bytes of the partial line were fed, held or skipped."""
        return self._skipped or len(self._partial)

    def feed(self, chunk: bytes) -> list[Piece]:
        """The lines that *chunk* ends, in their order; it begins where the last one stopped."""
        if self._inside:
            rest = chunk.find(NEWLINE) + 1
            self._inside = not rest
            self.offset += rest or len(chunk)
            chunk = chunk[rest:] if rest else b""
        end = chunk.rfind(NEWLINE) + 1
        if not end:
            self._hold(chunk)
            return []
        if self._skipped or len(self._partial) + end > self._limit + 1:
            return self._feed_checked(chunk)

        # No line of this chunk can be over the limit, so none needs to be looked at.
        data = b"".join((self._partial, memoryview(chunk)[:end])) if self._partial else chunk[:end]
        blob = Blob(data, self.offset)
        self.offset += len(data)
        self._partial.clear()
        self._hold(chunk[end:])
        return [blob]

    def release(self) -> None:
        """
        Let go of the bytes held for the partial line, which must then be fed again from *offset*.

        What was skipped of an over-long line stays skipped.
        """
        self._partial = bytearray()

    def finish(self) -> TooLong | Unfinished | None:
        """The last line when no newline will follow; if one does in the end, the bytes up to it are dropped."""
        pending = self.pending
        if not pending:
            return None
        last = (
            TooLong(self.offset, pending, self._head)
            if self._skipped
            else Unfinished(self.offset, bytes(self._partial))
        )
        self._start_line(self.offset + pending)
        self._inside = True
        return last

    def _feed_checked(self, chunk: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        if self._skipped:
            rest = chunk.find(NEWLINE) + 1
            pieces.append(TooLong(self.offset, self._skipped + rest, self._head))
            self._start_line(self.offset + self._skipped + rest)
            chunk = chunk[rest:]

        data = bytes(self._partial) + chunk
        base, longest = self.offset, self._limit + 1
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
        self.offset = offset
        self._partial = bytearray()
        self._skipped = 0
        self._head = b""
