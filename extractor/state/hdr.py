"""
Values in base units in, HDR counts out; quantiles from counts.

The layout is HdrHistogram's with two significant digits over 1e-9 to 4.6e9 base units (a nanosecond to 146 years), the
same for every series, so that any two counts can be added. A quantile is the highest value that HdrHistogram counts
together with the one asked for: never below the true one, and at most `RELATIVE_ERROR` above it (from 1e-7 upwards;
below, at most 1e-9 above). Counts are kept sparse: a series pays for the values it saw, not for the range.

Knows nothing of labels, metrics or clocks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

Indexes = NDArray[np.uint16]
Integers = NDArray[np.int64]

RELATIVE_ERROR = 1 / 128
"""How far a quantile may lie above the true one: the width of a bucket over its lowest value."""

_STEPS = 10**9  # of one base unit: the resolution is a billionth
_HIGHEST = 2**62
_ROUNDING = 2.0**-50  # of a number that was multiplied
_SUB_BUCKET_MAGNITUDE = 8  # log2 of the sub-buckets that two significant digits need
_MANY = 1000  # values: more than there are indexes to fall on, as a rule
_COMPACT_AFTER = 32  # appended arrays, or counts; below that appending costs less than merging
_INDEX, _COUNT = np.dtype("<u2"), np.dtype("<i8")  # as they are kept, and saved
_NO_SLOT = -1 << 62  # earlier than any
_NO_INDEXES: Indexes = np.zeros(0, dtype=_INDEX)
_NO_COUNTS: Integers = np.zeros(0, dtype=_COUNT)


@cache
def _histogram() -> Any:  # noqa: ANN401  # hdrh has no types
    return HdrHistogram(1, _HIGHEST, 2)


@cache
def _highest(index: int) -> float:
    """The highest value, in base units, that *index* counts: HdrHistogram's own answer."""
    value = _histogram().get_value_from_index(index)
    return float(_histogram().get_highest_equivalent_value(value)) / _STEPS


def indexes_of(values: Sequence[float] | NDArray[np.float64], per_unit: int = 1) -> tuple[Indexes, int]:
    """
    The HDR index of each of *values* (not negative, *per_unit* of theirs are one base unit), and how many were clamped.

    Clamped, not dropped: a summary whose worst calls are missing looks healthiest exactly when it is not.
    """
    with np.errstate(over="ignore"):  # infinity is clamped as well
        scaled = np.asarray(values, dtype=np.float64) * (_STEPS / per_unit)
    outside = ((scaled > 0) & (scaled < 1)) | (scaled > _HIGHEST)
    clamped = int(np.count_nonzero(outside))
    if clamped:
        scaled = np.where(scaled > 0, np.clip(scaled, 1, _HIGHEST), scaled)
    # Up, as a quantile is never below the true one; but not for what only a float is above a whole number.
    nearest = np.rint(scaled)
    whole = np.where(np.abs(scaled - nearest) <= scaled * _ROUNDING, nearest, np.ceil(scaled)).astype(np.int64)
    # HdrHistogram's index: the bucket is the power of two above the value, the sub-bucket its leading bits. frexp gives
    # the power; where a large integer rounds up to the next power as a float, the sub-bucket comes out one octave lower
    # and the two cancel out.
    bucket = np.maximum(np.frexp(whole.astype(np.float64))[1].astype(np.int64) - _SUB_BUCKET_MAGNITUDE, 0)
    half = 1 << (_SUB_BUCKET_MAGNITUDE - 1)
    indexes = ((bucket + 1) << (_SUB_BUCKET_MAGNITUDE - 1)) + (whole >> bucket) - half
    return indexes.astype(_INDEX), clamped


def rank(quantile: float, count: int) -> int:
    """
    Which of *count* values in ascending order is the *quantile*, from 1: the smallest that so many do not exceed.

    That is the product rounded up. HdrHistogram rounds it to the nearest, and so says 1 ms for the 0.9 of six calls of
    1 ms and one of a minute.
    """
    part = _as_written(quantile)
    return max(1, -(-part.numerator * count // part.denominator))


@lru_cache(maxsize=1024)
def _as_written(quantile: float) -> Fraction:
    return Fraction(repr(quantile))  # 0.55 is a little more than 55 of 100


class Counts:
    """How many values fell on each HDR index; only indexes that were hit are kept."""

    __slots__ = ("_counts", "_indexes", "_parts", "_recent")

    def __init__(self) -> None:
        self._indexes: Indexes = _NO_INDEXES
        self._counts: Integers = _NO_COUNTS
        self._recent: list[Indexes] = []
        self._parts: list[tuple[Indexes, Integers]] = []  # of others, not yet added to ours

    def add(self, indexes: Indexes) -> None:
        """Count one value at each of *indexes*."""
        self._recent.append(indexes)
        if len(self._recent) >= _COMPACT_AFTER:
            self.pairs()

    def merge(self, other: "Counts") -> None:
        """Add the counts of *other*."""
        # To add them up can wait: of most nobody ever asks for a quantile.
        parts, recent = other.unadded()
        self._parts += parts
        self._recent += recent
        if max(len(self._parts), len(self._recent)) >= _COMPACT_AFTER:
            self.pairs()

    def unadded(self) -> tuple[list[tuple[Indexes, Integers]], list[Indexes]]:
        """Everything as it is kept: pairs of indexes and their counts, and indexes; arrays that are never changed."""
        return [(self._indexes, self._counts), *self._parts], self._recent

    def put(self, counted: list[tuple[Indexes, Integers]], recent: list[Indexes]) -> None:
        """The same, but for pairs of nothing, behind what is in *counted* and *recent*."""
        if self._indexes.size:
            counted.append((self._indexes, self._counts))
        counted += self._parts
        recent += self._recent

    def pairs(self) -> tuple[Indexes, Integers]:
        """The indexes that were hit, ascending, and their counts."""
        if self._recent or self._parts:
            parts = [(self._indexes, self._counts), *self._parts]
            if self._recent:
                fresh = np.concatenate(self._recent)
                parts.append((fresh, np.ones(len(fresh), dtype=_COUNT)))
            self._recent, self._parts = [], []
            self._indexes, self._counts = _added(parts)
        return self._indexes, self._counts

    def dump(self) -> list[bytes]:
        """
        The indexes and the counts, and the indexes of values not yet added to them, as bytes.

        To add few of them up now would take ten times as long, and many would take up ten times the room.
        """
        if len(self._recent) == 1 and not self._parts:  # as in most slots, of which there may be many
            return [self._indexes.tobytes(), self._counts.tobytes(), self._recent[0].tobytes()]
        if self._parts or sum(map(len, self._recent)) >= _MANY:
            self.pairs()
        recent = b"".join([indexes.tobytes() for indexes in self._recent])
        return [self._indexes.tobytes(), self._counts.tobytes(), recent]

    @classmethod
    def load(cls, dumped: list[bytes]) -> "Counts":
        """What `dump` was asked of."""
        loaded = cls()
        loaded._indexes = np.frombuffer(dumped[0], dtype=_INDEX)
        loaded._counts = np.frombuffer(dumped[1], dtype=_COUNT)
        loaded._recent = [np.frombuffer(dumped[2], dtype=_INDEX)] if dumped[2] else []
        return loaded

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        (mine, counts), (theirs, others) = self.pairs(), other.pairs()
        return np.array_equal(mine, theirs) and np.array_equal(counts, others)

    __hash__ = None  # type: ignore[assignment]  # mutable


def _added(parts: Sequence[tuple[Indexes, Integers]]) -> tuple[Indexes, Integers]:
    # Weights are floats in bincount: exact up to 2**53 values, more than a series can see.
    indexes = np.concatenate([part[0] for part in parts])
    weights = np.concatenate([part[1] for part in parts])
    dense = np.bincount(indexes, weights=weights)
    hit = np.flatnonzero(dense)
    return hit.astype(_INDEX), dense[hit].astype(_COUNT)


@dataclass(frozen=True, slots=True)
class Pile:
    """Counts put together as they are at this moment: the arrays are not copied, for they are never changed."""

    counted: list[tuple[Indexes, Integers]]
    recent: list[Indexes]

    def count(self) -> int:
        """How many values there are."""
        return sum(map(len, self.recent)) + sum(int(counts.sum()) for _, counts in self.counted)

    def quantiles(self, wanted: Sequence[float]) -> list[float] | None:
        """
        The *wanted* quantiles, in base units; None when there are no values.

        The rank of each is `rank`.
        """
        # As the sum of dense counts: to add the parts up sparsely takes twice as long for a window of 30 slots.
        dense = np.bincount(np.concatenate([_NO_INDEXES, *self.recent]))
        if self.counted:
            # Weights are floats in bincount: exact up to 2**53 values, more than a series can see.
            indexes, weights = (np.concatenate(column) for column in zip(*self.counted, strict=True))
            more = np.bincount(indexes, weights=weights, minlength=len(dense)).astype(np.int64)
            more[: len(dense)] += dense
            dense = more
        if not len(dense):
            return None
        reached = np.cumsum(dense)
        ranks = [rank(quantile, int(reached[-1])) for quantile in wanted]
        return [_highest(index) for index in np.searchsorted(reached, ranks).tolist()]


def pile(parts: Iterable[Counts]) -> Pile:
    """All values in *parts*; what is counted later is not in it."""
    counted: list[tuple[Indexes, Integers]] = []
    recent: list[Indexes] = []
    for part in parts:
        part.put(counted, recent)
    return Pile(counted, recent)


def joined(piles: Sequence[Pile]) -> Pile:
    """All values of all *piles*."""
    return Pile([pair for each in piles for pair in each.counted], [some for each in piles for some in each.recent])


def quantiles(parts: Sequence[Counts], wanted: Sequence[float]) -> list[float] | None:
    """The *wanted* quantiles, in base units, of all values in *parts*; None when there are none."""
    return pile(parts).quantiles(wanted)


class Window:
    """
    Counts per slot of event time, of which only the last *size* slots matter.

    Slots are numbered: slot n holds the times from n to n + 1 slot widths after the epoch. What is older than the
    window never comes back, so that windows of the same series can be merged in any order.
    """

    __slots__ = ("_dumped", "_latest", "_newest", "_slots", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._newest: int | None = None
        self._slots: dict[int, Counts] = {}
        self._latest = _NO_SLOT
        self._dumped: dict[int, list[Any]] = {}  # the slots as `dump` gives them, until they change

    def add(self, indexes: Indexes, slots: Integers, newest: int) -> None:
        """Count a value at each of *indexes*, each in the slot beside it; *newest* is the latest slot seen anywhere."""
        self._slide(newest)
        oldest = newest - self.size + 1
        # Of few values, in few slots, each call of numpy costs more than what it does.
        ends = [*((slots[1:] != slots[:-1]).nonzero()[0] + 1).tolist(), len(slots)]
        found = slots[[end - 1 for end in ends]].tolist()
        if any(after < before for before, after in pairwise(found)):
            order = np.argsort(slots, kind="stable")
            self.add(indexes[order], slots[order], newest)
            return
        for slot, begin, end in zip(found, [0, *ends], ends, strict=False):
            if slot >= oldest:
                self._slots.setdefault(slot, Counts()).add(indexes[begin:end])
                self._latest = max(self._latest, slot)
                self._dumped.pop(slot, None)

    def merge(self, other: "Window", newest: int) -> None:
        """Add the counts of *other*, slot by slot."""
        self._slide(newest)
        for slot, counts in other.since(newest - self.size + 1):
            self._slots.setdefault(slot, Counts()).merge(counts)
            self._latest = max(self._latest, slot)
            self._dumped.pop(slot, None)

    def since(self, oldest: int) -> Iterable[tuple[int, "Counts"]]:
        """Every slot from *oldest* on, also those that are not in the window yet."""
        return ((slot, counts) for slot, counts in self._slots.items() if slot >= oldest)

    def counts(self, newest: int) -> list[Counts]:
        """The counts of the slots that are in the window."""
        return list(self.slots(newest).values())

    def slots(self, newest: int) -> dict[int, Counts]:
        """The slots that are in the window, by number; later ones, from when a clock was ahead, are not in it yet."""
        self._slide(newest)
        if self._latest <= newest:
            return self._slots
        return {slot: counts for slot, counts in self._slots.items() if slot <= newest}

    def dump(self) -> list[list[Any]]:
        """Every slot with its counts, as plain values."""
        for slot, counts in self._slots.items():
            if slot not in self._dumped:
                self._dumped[slot] = [slot, counts.dump()]
        return list(self._dumped.values())

    def load(self, dumped: list[list[Any]], newest: int) -> None:
        """Take over what `dump` gave, as far as it is in the window that ends with slot *newest*."""
        self._slots = {slot: Counts.load(counts) for slot, counts in dumped}
        self._latest = max(self._slots, default=_NO_SLOT)
        self._dumped = {}
        self._newest = None
        self._slide(newest)

    def _slide(self, newest: int) -> None:
        if newest == self._newest:
            return
        self._newest = newest
        oldest = newest - self.size + 1
        for slot in [slot for slot in self._slots if slot < oldest]:
            del self._slots[slot]
            self._dumped.pop(slot, None)
