"""
Compute digests that identify the content of a file.

A `Trace` follows the reading and keeps the last bytes that were read; the next read compares them first. Digests of the
head of the file, of the bytes before the offset and of windows in between are saved. They show how much of the content
still exists, here or in another file, and cover only lines that were returned.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b

WINDOW = 1024
"""Number of bytes compared at the head, and before the offset."""

STEP = 512
"""Minimum distance of two rungs in bytes; it doubles when there are more than `RUNGS`."""

RUNGS = 16
RUNG_BYTES = 6

ENDS = 16
"""Maximum number of line ends before the offset that are stored."""

_DISTANCE_BYTES = 2

ReadAt = Callable[[int, int], bytes]
"""Return bytes of a content, from an offset and up to a length."""


def digest(data: bytes) -> str:
    """Return the digest of *data*: BLAKE2b, 16 bytes, as hex."""
    return blake2b(data, digest_size=16).hexdigest()


def begin_of(data: bytes, hole: int) -> str:
    """Return the digest of *data*, the first bytes of a content; for NULs, with the number of NULs appended."""
    return f"{digest(data)}+{hole}" if hole else digest(data)


def rung(window: bytes) -> bytes:
    """Return the digest of the window before a rung: BLAKE2b, `RUNG_BYTES` bytes."""
    return blake2b(window, digest_size=RUNG_BYTES).digest()


def window_before(read_at: ReadAt, at: int) -> bytes:
    """Return the bytes before *at*, at most `WINDOW`."""
    start = max(at - WINDOW, 0)
    return read_at(start, at - start)


class Ladder:
    """
    Digests of windows of a content, one before each rung.

    They show how much of another content is equal without reading all of it. The distance of rungs is a power of two
    times `STEP`. Above it rungs lie at its multiples, and below it at each smaller power of two times `STEP`. Their
    number grows only with the logarithm of the length.
    """

    __slots__ = ("_low", "_rungs")

    def __init__(self, low: bytes = b"", rungs: bytes = b"") -> None:
        self._low = bytearray(low)
        self._rungs = bytearray(rungs)

    @classmethod
    def of(cls, read_at: ReadAt, offset: int) -> "Ladder":
        """Return the ladder of the first *offset* bytes of a content."""
        ladder = cls()
        while offset // ladder._step > RUNGS:
            ladder._low += rung(window_before(read_at, ladder._step))
        while ladder.next <= offset:
            ladder.add(window_before(read_at, ladder.next))
        return ladder

    @property
    def next(self) -> int:
        """Offset of the next rung."""
        return (len(self._rungs) // RUNG_BYTES + 1) * self._step

    def add(self, window: bytes) -> None:
        """Add the rung at `next`, which ends *window*."""
        self._rungs += rung(window)
        if len(self._rungs) > RUNGS * RUNG_BYTES:
            places = range(RUNG_BYTES, len(self._rungs), 2 * RUNG_BYTES)
            self._low += self._rungs[:RUNG_BYTES]
            self._rungs = bytearray().join(self._rungs[at : at + RUNG_BYTES] for at in places)

    def up_to(self, offset: int) -> tuple[bytes, bytes]:
        """Return the rungs within the first *offset* bytes, as `climb` takes them."""
        low = len([at for at, _ in climb(bytes(self._low), b"") if at <= offset])
        return bytes(self._low[: low * RUNG_BYTES]), bytes(self._rungs[: offset // self._step * RUNG_BYTES])

    def cut(self, offset: int) -> None:
        """Drop the rungs after *offset*."""
        low, rungs = self.up_to(offset)
        self._low, self._rungs = bytearray(low), bytearray(rungs)

    @property
    def _step(self) -> int:
        return STEP << (len(self._low) // RUNG_BYTES)


def climb(low: bytes, rungs: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the offset of each rung, and the digest of the window before it."""
    at = STEP
    for start in range(0, len(low), RUNG_BYTES):
        yield at, low[start : start + RUNG_BYTES]
        at *= 2
    for number, start in enumerate(range(0, len(rungs), RUNG_BYTES), 1):
        yield number * at, rungs[start : start + RUNG_BYTES]


def line_ends(last: bytes) -> bytes:
    """Return the last line ends within *last*, encoded for `find_ends`."""
    found = b""
    at = len(last) - 1
    while len(found) < ENDS * (_DISTANCE_BYTES + RUNG_BYTES) and (at := last.rfind(b"\n", 0, max(at, 0)) + 1):
        found += (len(last) - at).to_bytes(_DISTANCE_BYTES, "big") + rung(last[:at])
        at -= 1
    return found


def find_ends(ends: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the distance of each line end from the offset, nearest first, and the digest of the bytes before it."""
    for start in range(0, len(ends), _DISTANCE_BYTES + RUNG_BYTES):
        middle = start + _DISTANCE_BYTES
        yield int.from_bytes(ends[start:middle], "big"), ends[middle : middle + RUNG_BYTES]


class Trace:
    """
    The bytes before *offset*, the end of the last line, and before the end of what was read.

    *recent* holds the last bytes that were read, *last* those before the offset; each has at most `WINDOW` bytes.
    *begin* is the digest of the first `WINDOW` bytes, empty until they are read.
    """

    __slots__ = ("begin", "ladder", "last", "recent")

    def __init__(self, last: bytes = b"", begin: str = "", ladder: Ladder | None = None) -> None:
        self.last = last
        self.recent = last
        self.begin = begin
        self.ladder = ladder or Ladder()

    def extend(self, data: bytes, start: int, offset: int) -> None:
        """Add *data*, which is `recent` and the bytes after it, read at *start*; the last line ends at *offset*."""
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
        """Add *nuls* NULs at *start*, the end of what was read."""
        before = self.recent
        end = start + nuls
        while (at := self.ladder.next) <= end:
            self.ladder.add((before + bytes(min(at - start, WINDOW)))[-WINDOW:])
        self.recent = (before + bytes(min(nuls, WINDOW)))[-WINDOW:]
        if not self.begin and end >= WINDOW and start < WINDOW:
            self.begin = begin_of(before + bytes(WINDOW - start), 0 if start else end)

    def release(self, offset: int) -> None:
        """Drop what was read after *offset*; it is read again."""
        self.recent = self.last
        self.ladder.cut(offset)

    def restart(self, offset: int) -> None:
        """Drop what was read after *offset*; it is gone."""
        self.release(offset)
        if offset < WINDOW:
            self.begin = ""

    def head(self, offset: int) -> tuple[int, str]:
        """Return length and digest of the head of a file whose lines before *offset* were returned."""
        return (WINDOW, self.begin.partition("+")[0]) if offset >= WINDOW else (len(self.last), digest(self.last))
