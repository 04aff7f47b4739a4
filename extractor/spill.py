"""
Values put in any order of their steps, given back in the order of steps; little of them in memory.

What does not fit is written to a pile: a file whose steps ascend. Values that come nearly in order all go onto one
pile, since what is put away next begins where the pile ends; however wild the order, there are never many piles. The
order of values of the same step is not kept.

Knows nothing of what the values are.
"""

import heapq
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter, itemgetter
from pathlib import Path
from struct import Struct
from tempfile import TemporaryDirectory
from typing import IO, Any
from zlib import compress, decompress

import msgspec

from extractor.errors import OutputError

HELD = 64 << 20
"""Bytes of packed values to hold in memory before they are put on a pile."""

_PILES = 64  # open files at a time
_OVERHEAD = 128  # bytes that Python needs for a value besides its own
_FRAME = Struct("<qI")  # the step, and the bytes of the packed value

Packed = tuple[int, bytes]


@contextmanager
def pile_folder() -> Iterator[Path]:
    """A temporary folder for piles; gone with all that is in it after the block."""
    try:
        folder = TemporaryDirectory(prefix="extractor-")
    except OSError as error:
        raise OutputError(f"cannot make a temporary folder: {error.strerror}", "say where to with TMPDIR") from error
    with folder as name:
        yield Path(name)


class _Pile:
    """A file in which steps ascend; *last* is the last of them."""

    def __init__(self, path: Path, packed: Iterable[Packed]) -> None:
        self.path = path
        self.last = 0
        self.add(packed, "xb")

    def add(self, packed: Iterable[Packed], mode: str = "ab") -> None:
        with self._telling("write to"), self.path.open(mode) as file:
            for step, body in packed:
                file.write(_FRAME.pack(step, len(body)) + body)
                self.last = step

    def read(self) -> Iterator[Packed]:
        with self._telling("read in"), self.path.open("rb") as file:
            while head := file.read(_FRAME.size):
                step, length = _FRAME.unpack(head)
                yield step, _read(file, length)

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = self.path.parent
            raise OutputError(f"cannot {what} {folder}: {error.strerror}", "say where to with TMPDIR") from error


class Spill:
    """
    Plain values by their steps, with piles in *folder*, which is the caller's to remove.

    *held* is how many bytes of them stay in memory.
    """

    def __init__(self, folder: Path, held: int = HELD) -> None:
        self._folder = folder
        self._limit = held
        self._held: list[Packed] = []
        self._bytes = 0
        self._piles: list[_Pile] = []
        self._made = 0
        self.values = 0  # put
        self.given = 0

    def put(self, step: int, value: Any) -> None:  # noqa: ANN401  # whatever MessagePack can say
        """Add *value*, which is of *step*."""
        body = compress(msgspec.msgpack.encode(value), 1)
        self._held.append((step, body))
        self._bytes += len(body) + _OVERHEAD
        self.values += 1
        if self._bytes > self._limit:
            self._put_away()

    def items(self) -> Iterator[tuple[int, Any]]:
        """Every value with its step, steps ascending."""
        self.given = 0
        for step, body in self._merged([self._in_order()]):
            self.given += 1
            yield step, msgspec.msgpack.decode(decompress(body))

    def _put_away(self) -> None:
        packed = self._in_order()
        # The pile that ends last before these begin, so that the others stay open to earlier ones.
        fitting = [pile for pile in self._piles if pile.last <= packed[0][0]]
        if fitting:
            max(fitting, key=attrgetter("last")).add(packed)
        elif len(self._piles) < _PILES:
            self._piles.append(self._pile(packed))
        else:
            merged = self._pile(self._merged([packed]))
            for pile in self._piles:
                pile.path.unlink()
            self._piles = [merged]
        self._held.clear()
        self._bytes = 0

    def _in_order(self) -> list[Packed]:
        self._held.sort(key=itemgetter(0))
        return self._held

    def _merged(self, more: Iterable[Iterable[Packed]]) -> Iterator[Packed]:
        return heapq.merge(*more, *(pile.read() for pile in self._piles), key=itemgetter(0))

    def _pile(self, packed: Iterable[Packed]) -> _Pile:
        self._made += 1
        return _Pile(self._folder / f"pile-{self._made}", packed)


def _read(file: IO[bytes], length: int) -> bytes:
    body = file.read(length)
    assert len(body) == length, "a pile is written whole before it is read"
    return body
