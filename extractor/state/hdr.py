"""
Count values in HDR buckets, and compute quantiles from the counts.

The layout is that of HdrHistogram (hdrhistogram.org) with two significant digits over 1e-9 to 4.6e9 base units (a
nanosecond to 146 years). It is the same for every series, so any two counts can be added. A quantile is the highest
value in the bucket of the exact quantile: never below it, and at most `RELATIVE_ERROR` above it (from 1e-7 upwards;
below, at most 1e-9 above). Counts are sparse: memory depends on the values in a series, not on the range.
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
"""Maximum relative error of a quantile: the width of a bucket divided by its lowest value."""

_STEPS = 10**9  # of one base unit: the resolution is a billionth
_HIGHEST = 2**62
_ROUNDING = 2.0**-50  # relative error of a product
_SUB_BUCKET_MAGNITUDE = 8  # log2 of the sub-buckets that two significant digits need
_MANY = 1000  # values: usually more than there are distinct indexes
_COMPACT_AFTER = 32  # appended arrays, or counts; below that appending costs less than merging
_INDEX, _COUNT = np.dtype("<u2"), np.dtype("<i8")  # in memory and in checkpoints
_NO_SLOT = -1 << 62  # earlier than any slot
_NO_INDEXES: Indexes = np.zeros(0, dtype=_INDEX)
_NO_COUNTS: Integers = np.zeros(0, dtype=_COUNT)


@cache
def _histogram() -> Any:  # noqa: ANN401  # hdrh has no types
    return HdrHistogram(1, _HIGHEST, 2)


@cache
def _highest(index: int) -> float:
    """Return the highest value, in base units, of the bucket *index*, as computed by HdrHistogram."""
    value = _histogram().get_value_from_index(index)
    return float(_histogram().get_highest_equivalent_value(value)) / _STEPS


def indexes_of(values: Sequence[float] | NDArray[np.float64], per_unit: int = 1) -> tuple[Indexes, int]:
    """
    Return the HDR index of each of *values* as uint16, and the number of clamped values.

    *values* are not negative; *per_unit* of their unit are one base unit. Out-of-range values are clamped, not dropped:
    a summary without its slowest calls would look healthiest exactly when it is not.
    """
    with np.errstate(over="ignore"):  # infinity is clamped as well
        scaled = np.asarray(values, dtype=np.float64) * (_STEPS / per_unit)
    outside = ((scaled > 0) & (scaled < 1)) | (scaled > _HIGHEST)
    clamped = int(np.count_nonzero(outside))
    if clamped:
        scaled = np.where(scaled > 0, np.clip(scaled, 1, _HIGHEST), scaled)
    # Round up, since a quantile is never below the exact one, but ignore float error above a whole number.
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
    Return the rank, from 1, of the *quantile* among *count* ascending values: their product, rounded up.

    HdrHistogram rounds to nearest instead, and so reports 1 ms for the 0.9 of six calls of 1 ms and one of a minute.
    """
    part = _as_written(quantile)
    return max(1, -(-part.numerator * count // part.denominator))


@lru_cache(maxsize=1024)
def _as_written(quantile: float) -> Fraction:
    return Fraction(repr(quantile))  # as a float, 0.55 is slightly more than 55/100


class Counts:
    """Number of values per HDR index; only indexes with values are stored."""

    __slots__ = ("_counts", "_indexes", "_parts", "_recent")

    def __init__(self) -> None:
        self._indexes: Indexes = _NO_INDEXES
        self._counts: Integers = _NO_COUNTS
        self._recent: list[Indexes] = []
        self._parts: list[tuple[Indexes, Integers]] = []  # merged, but not yet added up

    def add(self, indexes: Indexes) -> None:
        """Count one value at each of *indexes*."""
        self._recent.append(indexes)
        if len(self._recent) >= _COMPACT_AFTER:
            self.pairs()

    def merge(self, other: "Counts") -> None:
        """Add the counts of *other*."""
        # Add them up lazily: quantiles of most series are never read.
        parts, recent = other.unadded()
        self._parts += parts
        self._recent += recent
        if max(len(self._parts), len(self._recent)) >= _COMPACT_AFTER:
            self.pairs()

    def unadded(self) -> tuple[list[tuple[Indexes, Integers]], list[Indexes]]:
        """Return the stored parts: pairs of indexes and counts, and indexes of single values; all immutable."""
        return [(self._indexes, self._counts), *self._parts], self._recent

    def put(self, counted: list[tuple[Indexes, Integers]], recent: list[Indexes]) -> None:
        """Append the stored parts, without empty pairs, to *counted* and *recent*."""
        if self._indexes.size:
            counted.append((self._indexes, self._counts))
        counted += self._parts
        recent += self._recent

    def pairs(self) -> tuple[Indexes, Integers]:
        """Return the indexes with values, ascending, and their counts."""
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
        Return the indexes, the counts, and the indexes of values not yet added to them, as bytes.

        Adding few values up now would take ten times as long; leaving many would take ten times the space.
        """
        if len(self._recent) == 1 and not self._parts:  # the case of most slots, which may be many
            return [self._indexes.tobytes(), self._counts.tobytes(), self._recent[0].tobytes()]
        if self._parts or sum(map(len, self._recent)) >= _MANY:
            self.pairs()
        recent = b"".join([indexes.tobytes() for indexes in self._recent])
        return [self._indexes.tobytes(), self._counts.tobytes(), recent]

    @classmethod
    def load(cls, dumped: list[bytes]) -> "Counts":
        """Return the counts that `dump` returned."""
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
    """A snapshot of combined counts; the arrays are shared, because they are never changed."""

    counted: list[tuple[Indexes, Integers]]
    recent: list[Indexes]

    def count(self) -> int:
        """Return the number of values."""
        return sum(map(len, self.recent)) + sum(int(counts.sum()) for _, counts in self.counted)

    def quantiles(self, wanted: Sequence[float]) -> list[float] | None:
        """Return the *wanted* quantiles, in base units, by `rank`; None without values."""
        # Dense counts: adding the parts up sparsely takes twice as long for a window of 30 slots.
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
    """Return a snapshot of all values in *parts*."""
    counted: list[tuple[Indexes, Integers]] = []
    recent: list[Indexes] = []
    for part in parts:
        part.put(counted, recent)
    return Pile(counted, recent)


def joined(piles: Sequence[Pile]) -> Pile:
    """Return all values of all *piles*."""
    return Pile([pair for each in piles for pair in each.counted], [some for each in piles for some in each.recent])


def quantiles(parts: Sequence[Counts], wanted: Sequence[float]) -> list[float] | None:
    """Return the *wanted* quantiles, in base units, of all values in *parts*; None without values."""
    return pile(parts).quantiles(wanted)


class Window:
    """
    Counts per slot of event time, for the last *size* slots.

    Slot n holds the times from n to n + 1 slot widths after the epoch. Slots older than the window never return, so
    windows of the same series can be merged in any order.
    """

    __slots__ = ("_dumped", "_latest", "_newest", "_slots", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._newest: int | None = None
        self._slots: dict[int, Counts] = {}
        self._latest = _NO_SLOT
        self._dumped: dict[int, list[Any]] = {}  # cached results of `dump`, by slot

    def add(self, indexes: Indexes, slots: Integers, newest: int) -> None:
        """Count a value at each of *indexes*, in its slot of *slots*; *newest* is the latest slot of all series."""
        self._slide(newest)
        oldest = newest - self.size + 1
        # Few values are usual, so the overhead of numpy calls dominates.
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
        """Return all slots from *oldest* on, including those later than the window."""
        return ((slot, counts) for slot, counts in self._slots.items() if slot >= oldest)

    def counts(self, newest: int) -> list[Counts]:
        """Return the counts of the slots in the window."""
        return list(self.slots(newest).values())

    def slots(self, newest: int) -> dict[int, Counts]:
        """Return the slots in the window, by number; later slots, from a clock that was ahead, are left out."""
        self._slide(newest)
        if self._latest <= newest:
            return self._slots
        return {slot: counts for slot, counts in self._slots.items() if slot <= newest}

    def dump(self) -> list[list[Any]]:
        """Return every slot with its counts, as plain values."""
        for slot, counts in self._slots.items():
            if slot not in self._dumped:
                self._dumped[slot] = [slot, counts.dump()]
        return list(self._dumped.values())

    def load(self, dumped: list[list[Any]], newest: int) -> None:
        """Restore what `dump` returned, as far as it is in the window that ends with slot *newest*."""
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
