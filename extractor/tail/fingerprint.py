"""
Bytes of a file in, what makes its content known again out.

A `Trace` follows what is read and keeps the bytes just before the end of it: before the next read they are read again
and compared. Digests of what is before the offset, of the head of the file and of windows in between are saved, and
tell how much of the content still stands, here or in another file. They cover only what was handed out.

Knows nothing of files.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b

WINDOW = 1024
"""How much of the head, and of what is before the offset, is compared."""

STEP = 512
"""The least distance of two rungs; it doubles when there are more than `RUNGS`."""

RUNGS = 16
RUNG_BYTES = 6

ENDS = 16
"""How many line ends before the offset are remembered."""

_DISTANCE_BYTES = 2

ReadAt = Callable[[int, int], bytes]
"""Bytes of a content: from where on, and how many at most."""


def digest(data: bytes) -> str:
    """What stands for *data*."""
    return blake2b(data, digest_size=16).hexdigest()


def begin_of(data: bytes, hole: int) -> str:
    """What stands for *data*, the first bytes of a content; if they are NULs, for how many of them there are, too."""
    return f"{digest(data)}+{hole}" if hole else digest(data)


def rung(window: bytes) -> bytes:
    """What stands for the window before a rung."""
    return blake2b(window, digest_size=RUNG_BYTES).digest()


def window_before(read_at: ReadAt, at: int) -> bytes:
    """The bytes before *at*, at most `WINDOW`."""
    start = max(at - WINDOW, 0)
    return read_at(start, at - start)


class Ladder:
    """
    Digests of windows of a content: one before each of some places that were reached.

    They tell how much of another content is the same without reading all of it. Below a power of two there is one at
    each smaller one, from `STEP` on; from there on at its multiples. There are few, however long the content is.
    """

    __slots__ = ("_low", "_rungs")

    def __init__(self, low: bytes = b"", rungs: bytes = b"") -> None:
        self._low = bytearray(low)
        self._rungs = bytearray(rungs)

    @classmethod
    def of(cls, read_at: ReadAt, offset: int) -> "Ladder":
        """That of the first *offset* bytes of a content."""
        ladder = cls()
        while offset // ladder._step > RUNGS:
            ladder._low += rung(window_before(read_at, ladder._step))
        while ladder.next <= offset:
            ladder.add(window_before(read_at, ladder.next))
        return ladder

    @property
    def next(self) -> int:
        """Where the next rung is."""
        return (len(self._rungs) // RUNG_BYTES + 1) * self._step

    def add(self, window: bytes) -> None:
        """*window* is before `next`."""
        self._rungs += rung(window)
        if len(self._rungs) > RUNGS * RUNG_BYTES:
            places = range(RUNG_BYTES, len(self._rungs), 2 * RUNG_BYTES)
            self._low += self._rungs[:RUNG_BYTES]
            self._rungs = bytearray().join(self._rungs[at : at + RUNG_BYTES] for at in places)

    def up_to(self, offset: int) -> tuple[bytes, bytes]:
        """What `climb` takes, of the first *offset* bytes."""
        low = len([at for at, _ in climb(bytes(self._low), b"") if at <= offset])
        return bytes(self._low[: low * RUNG_BYTES]), bytes(self._rungs[: offset // self._step * RUNG_BYTES])

    def cut(self, offset: int) -> None:
        """What is after *offset* is not there any more."""
        low, rungs = self.up_to(offset)
        self._low, self._rungs = bytearray(low), bytearray(rungs)

    @property
    def _step(self) -> int:
        return STEP << (len(self._low) // RUNG_BYTES)


def climb(low: bytes, rungs: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each rung is, and what stands for the window before it."""
    at = STEP
    for start in range(0, len(low), RUNG_BYTES):
        yield at, low[start : start + RUNG_BYTES]
        at *= 2
    for number, start in enumerate(range(0, len(rungs), RUNG_BYTES), 1):
        yield number * at, rungs[start : start + RUNG_BYTES]


def line_ends(last: bytes) -> bytes:
    """The last line ends within *last*, which are kept as `find_ends` gives them."""
    found = b""
    at = len(last) - 1
    while len(found) < ENDS * (_DISTANCE_BYTES + RUNG_BYTES) and (at := last.rfind(b"\n", 0, max(at, 0)) + 1):
        found += (len(last) - at).to_bytes(_DISTANCE_BYTES, "big") + rung(last[:at])
        at -= 1
    return found


def find_ends(ends: bytes) -> Iterator[tuple[int, bytes]]:
    """How far each line end is before the offset, the nearest first, and the rung of what is before it."""
    for start in range(0, len(ends), _DISTANCE_BYTES + RUNG_BYTES):
        middle = start + _DISTANCE_BYTES
        yield int.from_bytes(ends[start:middle], "big"), ends[middle : middle + RUNG_BYTES]


class Trace:
    """
    What is known of the bytes before *offset*, the end of the last line, and before the end of what was read.

    *recent* are the last bytes that were read, *last* those before the offset; neither is longer than `WINDOW`. *begin*
    is the digest of the first `WINDOW` bytes, once they were read.
    """

    __slots__ = ("begin", "ladder", "last", "recent")

    def __init__(self, last: bytes = b"", begin: str = "", ladder: Ladder | None = None) -> None:
        self.last = last
        self.recent = last
        self.begin = begin
        self.ladder = ladder or Ladder()

    def extend(self, data: bytes, start: int, offset: int) -> None:
        """*data*, which is `recent` and what follows it, was read at *start*; the last line ends at *offset*."""
        if not self.begin and start == 0 and len(data) >= WINDOW:
            self.begin = digest(data[:WINDOW])
        end = start + len(data)
        ladder = self.ladder
        while (at := ladder.next) <= end:
            ladder.add(data[max(at - WINDOW - start, 0) : at - start])
        if offset > start:
            self.last = data[max(offset - start - WINDOW, 0) : offset - start]
        self.recent = self.last if offset == end else data[-WINDOW:]

    def skip(self, nuls: int, start: int) -> None:
        """So many NULs were found at *start*, where what was read ends."""
        before = self.recent
        end = start + nuls
        while (at := self.ladder.next) <= end:
            self.ladder.add((before + bytes(min(at - start, WINDOW)))[-WINDOW:])
        self.recent = (before + bytes(min(nuls, WINDOW)))[-WINDOW:]
        if not self.begin and end >= WINDOW and start < WINDOW:
            self.begin = begin_of(before + bytes(WINDOW - start), 0 if start else end)

    def release(self, offset: int) -> None:
        """What was read after *offset* is read again."""
        self.recent = self.last
        self.ladder.cut(offset)

    def restart(self, offset: int) -> None:
        """What was read after *offset* is not there any more."""
        self.release(offset)
        if offset < WINDOW:
            self.begin = ""

    def head(self, offset: int) -> tuple[int, str]:
        """Length and digest of the head of the file, of which everything before *offset* was handed out."""
        return (WINDOW, self.begin.partition("+")[0]) if offset >= WINDOW else (len(self.last), digest(self.last))
