"""
Order of events with equal times: by writer and number, then by file rank and offset.

All order-dependent results use this order (docs/numbers.md). It depends only on lines and file contents, so it is the
same however the files are named, cut or read.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from extractor.state.exact_sum import Floats
from extractor.state.sequences import numbered

Integers = NDArray[np.int64]

Order = tuple[str, int, int, int]
"""Writer (empty without one), sequence number, rank of the file, offset in the file in bytes."""

HEAD_BYTES = 16384
"""How much of a file its rank is made of."""

_DIGEST_BITS = 10
_LAST_MICROSECOND = (1 << 53) - 1  # leaves room for a digest in 63 bits; in the year 2255

FIRST: Order = ("", 0, 0, 0)
"""Sorts before every event."""


def rank(head: bytes, time_of: Callable[[bytes], float | None]) -> int:
    """
    Return the rank of a file that begins with *head*; *time_of* returns the event time of a line, if any.

    The rank orders all files. It is the time of the first line in microseconds, followed by 10 bits of a digest of that
    line to order files that begin at the same time. Only the first `HEAD_BYTES` count, however much of the file was
    read: a file whose first line is longer has rank 0.
    """
    first = head[: max(head.find(b"\n", 0, HEAD_BYTES), 0)]
    time = time_of(first) if first else None
    micros = min(max(round((time or 0.0) * 1_000_000), 0), _LAST_MICROSECOND)
    return micros << _DIGEST_BITS | crc32(first) & ((1 << _DIGEST_BITS) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """The orders of events, in int64 columns of equal length; *writers* holds indexes into *names*."""

    names: list[str]
    writers: Integers
    numbers: Integers
    ranks: Integers
    offsets: Integers

    def __getitem__(self, chosen: Any) -> "Orders":  # noqa: ANN401  # as numpy has it
        """Return the orders at the *chosen* indexes."""
        return Orders(self.names, *(column[chosen] for column in self.columns))

    @property
    def columns(self) -> tuple[Integers, Integers, Integers, Integers]:
        """Writers, numbers, ranks and offsets."""
        return self.writers, self.numbers, self.ranks, self.offsets

    def sorted(self, groups: Integers, times: Floats) -> Integers:
        """Return the indexes that sort all events by group, then by time, then by this order."""
        if (times[1:] > times[:-1]).all():  # usual for a single file: a radix sort of the groups suffices
            small = len(groups) and groups.max() < 1 << 16
            return np.argsort(groups.astype(np.uint16) if small else groups, kind="stable")
        order = np.lexsort((times, groups))
        by_time, by_group = times[order], groups[order]
        if not ((by_time[1:] == by_time[:-1]) & (by_group[1:] == by_group[:-1])).any():
            return order
        rank_of = np.empty(len(self.names), dtype=np.int64)
        rank_of[sorted(range(len(self.names)), key=self.names.__getitem__)] = np.arange(len(self.names))
        return np.lexsort((self.offsets, self.ranks, self.numbers, rank_of[self.writers], times, groups))

    def values(self) -> list[Order]:
        """Return each order as one value."""
        names = [self.names[place] for place in self.writers.tolist()]
        return list(zip(names, self.numbers.tolist(), self.ranks.tolist(), self.offsets.tolist(), strict=True))

    def dump(self) -> list[Any]:
        """Return all orders as plain values."""
        used = sorted(set(self.writers.tolist()))
        place_of = np.zeros(len(self.names), dtype=np.int64)
        place_of[used] = np.arange(len(used))
        columns = (place_of[self.writers], *self.columns[1:])
        return [[self.names[place] for place in used], *(column.tobytes() for column in columns)]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> "Orders":
        """Return the orders that `dump` returned."""
        return cls(list(dumped[0]), *(np.frombuffer(column, dtype=np.int64) for column in dumped[1:]))


def nothing(size: int = 0) -> Orders:
    """Return *size* orders that are all `FIRST`."""
    return Orders([""], *(np.zeros(size, dtype=np.int64) for _ in range(4)))


def joined(parts: Iterable[Orders]) -> Orders:
    """Return the concatenated orders of *parts*."""
    places: dict[str, int] = {"": 0}
    columns: list[tuple[Integers, ...]] = []
    for part in parts:
        mine = np.array([places.setdefault(name, len(places)) for name in part.names], dtype=np.int64)
        columns.append((mine[part.writers], *part.columns[1:]))
    if not columns:
        return nothing()
    return Orders(list(places), *(np.concatenate(column) for column in zip(*columns, strict=True)))


class OrderColumns:
    """Builder of `Orders`, extended while lines are read."""

    __slots__ = ("_names", "_numbers", "_offsets", "_ranks", "_writers")

    def __init__(self) -> None:
        self._names: dict[str, int] = {"": 0}
        self._writers, self._numbers = array("q"), array("q")
        self._ranks, self._offsets = array("q"), array("q")

    def extend(self, lines: Sequence[tuple[object, object]], rank: int, offsets: Sequence[int]) -> None:
        """Add lines by their raw writer and number, the *rank* of their file, and their *offsets* in bytes."""
        for line in lines:
            name, number = numbered(*line) or ("", 0)
            self._writers.append(self._names.setdefault(name, len(self._names)))
            self._numbers.append(number)
        self._ranks.extend(array("q", [rank]) * len(offsets))
        self._offsets.extend(offsets)

    def orders(self) -> Orders:
        """Return all orders added so far."""
        columns = (self._writers, self._numbers, self._ranks, self._offsets)
        return Orders(list(self._names), *(np.array(column, dtype=np.int64) for column in columns))

    def clear(self) -> None:
        """Remove all orders."""
        self._names = {"": 0}
        for column in (self._writers, self._numbers, self._ranks, self._offsets):
            del column[:]
