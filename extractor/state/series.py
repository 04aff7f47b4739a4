"""
The value of one series, by type of metric.

Every class has `merge`. Merging in any order, however the numbers were split, gives the value of a single pass over all
of them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np

from extractor.state.event_order import FIRST, Order
from extractor.state.exact_sum import Exact, Numbers, dump_exact, load_exact
from extractor.state.exemplars import Exemplars
from extractor.state.hdr import Counts, Indexes, Integers, Window, indexes_of

_FEW = 16  # values; below it, Python's bisect is faster than numpy


class Counter:
    """A total that only increases."""

    __slots__ = ("exemplars", "total")

    def __init__(self) -> None:
        self.total: Exact = 0
        self.exemplars = Exemplars()

    def merge(self, other: "Counter") -> None:
        """Add the total of *other*."""
        self.total += other.total
        self.exemplars.merge(other.exemplars)

    def dump(self) -> list[Any]:
        """Return the total as a plain value."""
        return [dump_exact(self.total)]

    def load(self, dumped: list[Any], _newest: int) -> None:
        """Restore what `dump` returned."""
        self.total = load_exact(dumped[0])


class Latest:
    """The value of a gauge, or the state of a state set: that of the latest event."""

    __slots__ = ("order", "time", "value")

    def __init__(self) -> None:
        self.value: float | str | None = None
        self.time = float("-inf")
        self.order = FIRST

    def set(self, value: float | str, time: float, order: Order) -> None:
        """Store *value* unless that of a later event is stored."""
        if self.value is None or (time, order, value) > (self.time, self.order, self.value):
            self.value, self.time, self.order = value, time, order

    def merge(self, other: "Latest") -> None:
        """Store the value of *other* if it is later."""
        if other.value is not None:
            self.set(other.value, other.time, other.order)

    def dump(self) -> list[Any]:
        """Return the value, its time and its order."""
        return [self.value, self.time, self.order]

    def load(self, dumped: list[Any], _newest: int) -> None:
        """Restore what `dump` returned."""
        self.value, self.time = dumped[:2]
        self.order = tuple(dumped[2]) if dumped[2:] else FIRST  # older checkpoints lack it


class Histogram:
    """
    Exact counts per bucket, and the exact sum, of values in the unit of the log.

    *bounds* are inclusive upper bounds in that unit; `buckets` has one more element, for values above the last bound.
    """

    __slots__ = ("bounds", "buckets", "exemplars", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total: Exact = 0
        self.exemplars = Exemplars()

    def observe(self, numbers: Numbers, places: Integers | None = None) -> None:
        """Count *numbers*; *places* are the indexes of their buckets, if known."""
        self.total += numbers.total
        if len(numbers) < _FEW:
            found = [bisect_left(self.bounds, value) for value in numbers.array.tolist()] if places is None else places
            for place in found:
                self.buckets[place] += 1
            return
        if places is None:
            places = np.searchsorted(self.bounds, numbers.array, side="left")
        counts = np.bincount(places, minlength=len(self.buckets)).tolist()
        self.buckets = [mine + more for mine, more in zip(self.buckets, counts, strict=True)]

    def merge(self, other: "Histogram") -> None:
        """Add the counts and the sum of *other*."""
        self.total += other.total
        self.exemplars.merge(other.exemplars)
        self.buckets = [mine + more for mine, more in zip(self.buckets, other.buckets, strict=True)]

    def dump(self) -> list[Any]:
        """Return the counts and the sum as plain values."""
        return [list(self.buckets), dump_exact(self.total)]

    def load(self, dumped: list[Any], _newest: int) -> None:
        """Restore what `dump` returned, with the same bounds."""
        self.buckets, self.total = list(dumped[0]), load_exact(dumped[1])


class Summary:
    """Count, exact sum and HDR counts of all values, and HDR counts of the sliding window."""

    __slots__ = ("all", "count", "total", "window")

    def __init__(self, window: int) -> None:
        self.count = 0
        self.total: Exact = 0
        self.all = Counts()
        self.window = Window(window)

    def observe(
        self, numbers: Numbers, slots: Integers, newest: int, per_unit: int, places: Indexes | None = None
    ) -> int:
        """Count *numbers* in their *slots*; return how many were clamped, 0 if their HDR indexes *places* are given."""
        # Copied, because a view would keep the whole batch in memory.
        indexes, clamped = (places.copy(), 0) if places is not None else indexes_of(numbers.array, per_unit)
        self.count += len(numbers)
        self.total += numbers.total
        self.all.add(indexes)
        self.window.add(indexes, slots, newest)
        return clamped

    def merge(self, other: "Summary", newest: int) -> None:
        """Add the counts of *other*."""
        self.count += other.count
        self.total += other.total
        self.all.merge(other.all)
        self.window.merge(other.window, newest)

    def dump(self) -> list[Any]:
        """Return the counts, the sum and the windows as plain values."""
        return [self.count, dump_exact(self.total), self.all.dump(), self.window.dump()]

    def load(self, dumped: list[Any], newest: int) -> None:
        """Restore what `dump` returned; the window ends with slot *newest*."""
        self.count, self.total = dumped[0], load_exact(dumped[1])
        self.all = Counts.load(dumped[2])
        self.window.load(dumped[3], newest)


Series = Counter | Latest | Histogram | Summary
