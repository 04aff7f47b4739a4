"""
Columns of events in, updates out: what thousands of events add to each label set, all at once.

Every step is a numpy operation over all rows or all keys of an event type; only label sets are looked at one by one.

Knows nothing of series or lines.
"""

from collections.abc import Container, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from extractor.ingest.choices import Choices, Chosen
from extractor.ingest.columns import Columns, Sources
from extractor.ingest.derive import Binding, Labels, Plan
from extractor.schema.model import Kind, Metric
from extractor.state.exact_sum import Exact, Floats, Numbers, exact_sums
from extractor.state.exemplars import Exemplar
from extractor.state.hdr import indexes_of
from extractor.state.updates import Increment, Observations, Settings, Update

Integers = NDArray[np.int64]

_LAST = np.iinfo(np.int64).max


class _Touched(NamedTuple):
    """A label set that events touched: its place among those of the measure, how many count, and the earliest slot."""

    target: int
    labels: Labels
    events: int
    first: int


class _Rows(NamedTuple):
    """The rows that count for a measure: their places, the label set that each touches, and its number."""

    places: Integers
    targets: Integers
    numbers: Floats


class _Counted(NamedTuple):
    """The bucket or HDR index of each row, if that is known, and exemplars of buckets by target."""

    places: NDArray[np.integer[Any]] | None
    chosen: dict[int, list[tuple[int, Exemplar]]]


def updates(plan: Plan, columns: Columns, choices: Choices, by_slot: Container[str] = frozenset()) -> Iterator[Update]:
    """
    What the rows of *columns*, cut by *plan*, add to the metrics: one update for each label set of a measure.

    Exemplars are *choices* among the rows. Of the counters *by_slot* it is also said what is of which slot.
    """
    if not columns.places or not plan.measures:
        return
    fold = _Fold(columns, choices, by_slot)
    for binding in plan.bindings(columns.keys):
        match binding.measure.metrics[0].kind:
            case Kind.COUNTER:
                yield from fold.increments(binding)
            case Kind.GAUGE | Kind.STATESET:
                yield from fold.settings(binding)
            case _:
                yield from fold.observations(binding)


class _Fold:
    """The rows of *columns*, and what of each key all measures need."""

    def __init__(self, columns: Columns, choices: Choices, by_slot: Container[str]) -> None:
        self._by_slot = by_slot
        self._columns = columns
        self._choices = choices
        self._places = np.array(columns.places)  # of the key of each row
        self._slots = np.array(columns.slots)
        rows = np.bincount(self._places)
        first = _earliest(self._places, self._slots, len(rows))
        self._keys = np.flatnonzero(rows)
        self._rows_of, self._first_of = rows[self._keys], first[self._keys]

    def increments(self, binding: Binding) -> Iterator[Update]:
        """What a counter rises by."""
        metric, sources = binding.measure.metrics[0], binding.measure.exemplars[0]
        rows = None if binding.measure.column is None else self._rows(binding)
        sums = None if rows is None else _sums(binding, rows)
        chosen = self._of_counter(binding, sources, rows) if sources else {}
        spread = self._spread(binding, rows) if metric.name in self._by_slot else {}
        having = None if rows is None else set(rows.targets.tolist())
        for target, labels, events, first in self._touched(binding):
            amount = events if sums is None else sums[target]
            seen = having is None or target in having
            shown = chosen.get(target), spread.get(target, ())
            yield Increment(metric.name, labels, events, amount, first, *shown, seen)

    def _spread(self, binding: Binding, rows: _Rows | None) -> dict[int, list[tuple[int, float]]]:
        """How much of what each label set of a counter rises by is of which slot; nothing if there is but one slot."""
        if (self._slots == self._slots[0]).all():
            return {}
        if rows is None:
            targets, counts = binding.arrays()
            places = np.flatnonzero(counts[self._places])
            rows = _Rows(places, targets[self._places[places]], np.ones(len(places)))
        slots, codes = np.unique(self._slots[rows.places], return_inverse=True)
        found, at = np.unique(rows.targets * max(len(slots), 1) + codes, return_inverse=True)
        amounts = np.bincount(at, weights=rows.numbers, minlength=len(found))
        spread: dict[int, list[tuple[int, float]]] = {}
        for code, amount in zip(found.tolist(), amounts.tolist(), strict=True):
            target, slot = divmod(code, len(slots))
            spread.setdefault(target, []).append((int(slots[slot]), amount))
        return spread

    def settings(self, binding: Binding) -> Iterator[Update]:
        """The values of a gauge, or the states of a state set."""
        measure, rows = binding.measure, self._rows(binding)
        order, parts = _sorted(binding, rows)
        places = rows.places[order]
        times = np.array(self._columns.times)[places].tolist()
        orders = self._columns.orders.orders()[places].values()
        values: list[float | str] = rows.numbers[order].tolist()
        if measure.state is not None:
            values = [measure.state] * len(values)
        for target, labels, _, first in self._touched(binding):
            part = parts[target]
            yield Settings(measure.metrics[0].name, labels, values[part], times[part], orders[part], first)

    def observations(self, binding: Binding) -> Iterator[Update]:
        """What histograms and summaries observe."""
        rows = self._rows(binding)
        sums = _sums(binding, rows)
        order, parts = _sorted(binding, rows)
        rows = _Rows(rows.places[order], rows.targets[order], rows.numbers[order])
        numbers, slots = rows.numbers, self._slots[rows.places]
        counted = [
            self._of_buckets(metric, sources, rows) if metric.kind is Kind.HISTOGRAM else _of_indexes(metric, rows)
            for metric, sources in zip(binding.measure.metrics, binding.measure.exemplars, strict=True)
        ]
        for target, labels, _, first in self._touched(binding):
            part = parts[target]
            observed = Numbers(numbers[part], sums[target])
            for metric, (places, chosen) in zip(binding.measure.metrics, counted, strict=True):
                known = None if places is None else places[part]
                yield Observations(metric.name, labels, observed, slots[part], first, known, chosen.get(target, ()))

    def _of_counter(self, binding: Binding, sources: Sources, rows: _Rows | None) -> dict[int, Exemplar]:
        """The exemplar of each label set of a counter."""
        if rows is None:
            keys = self._choices.of_keys(sources)
            targets, counts = binding.arrays()
            counting = keys.only(counts[keys.codes])
            chosen = self._choices.among(sources, Chosen(counting.rows, targets[counting.codes]))
            return dict(self._choices.exemplars(sources, chosen))
        adding = rows.numbers.nonzero()[0]  # what adds nothing is no example
        asked = Chosen(rows.places[adding], rows.targets[adding], rows.numbers[adding])
        return dict(self._choices.exemplars(sources, self._choices.among(sources, asked)))

    def _of_buckets(self, metric: Metric, sources: Sources, rows: _Rows) -> _Counted:
        """The buckets of *rows* in a histogram, and their exemplars."""
        bounds = metric.bounds_as_written
        places = np.searchsorted(bounds, rows.numbers, side="left")
        chosen: dict[int, list[tuple[int, Exemplar]]] = {}
        if sources:
            width = len(bounds) + 1
            best = self._choices.among(sources, Chosen(rows.places, rows.targets * width + places, rows.numbers))
            for code, exemplar in self._choices.exemplars(sources, best):
                chosen.setdefault(code // width, []).append((code % width, exemplar))
        return _Counted(places, chosen)

    def _touched(self, binding: Binding) -> Iterator[_Touched]:
        names, size = list(binding.targets), len(binding.targets)
        targets, counts = binding.arrays()
        target_of = targets[self._keys]
        counting = self._rows_of * counts[self._keys]
        events = np.bincount(target_of, weights=counting, minlength=size)
        first = _earliest(target_of, self._first_of, size)
        for target in (first < _LAST).nonzero()[0].tolist():
            yield _Touched(target, names[target], int(events[target]), int(first[target]))

    def _rows(self, binding: Binding) -> _Rows:
        column = binding.measure.column
        targets, counts = binding.arrays()
        counting = counts[self._places]
        numbers = np.zeros(len(counting)) if column is None else np.array(self._columns.numbers[column])
        chosen = counting & ~np.isnan(numbers)
        if chosen.all():
            return _Rows(np.arange(len(numbers)), targets[self._places], numbers)
        places = chosen.nonzero()[0]
        return _Rows(places, targets[self._places[places]], numbers[places])


def _sums(binding: Binding, rows: _Rows) -> list[Exact]:
    return exact_sums(rows.numbers, rows.targets, len(binding.targets))


def _of_indexes(metric: Metric, rows: _Rows) -> _Counted:
    """The HDR indexes of *rows* in a summary."""
    indexes, clamped = indexes_of(rows.numbers, metric.per_unit)
    return _Counted(None if clamped else indexes, {})  # each series says itself what it has clamped


def _earliest(places: Integers, slots: Integers, size: int) -> Integers:
    """The earliest of the *slots* beside each of *size* places; `_LAST` where there is none."""
    first = np.full(size, _LAST)
    if (slots[1:] >= slots[:-1]).all():
        first[places[::-1]] = slots[::-1]  # the last assignment counts; a tenth of the time of the general way
    else:
        np.minimum.at(first, places, slots)
    return first


def _sorted(binding: Binding, rows: _Rows) -> tuple[Integers, list[slice]]:
    """The order of *rows* label set by label set, within one as they were read; and the part of each in it."""
    ends = np.cumsum(np.bincount(rows.targets, minlength=len(binding.targets))).tolist()
    parts = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
    # Integers of 16 bits are sorted by radix: a fifth of the time.
    targets = rows.targets.astype(np.uint16) if len(binding.targets) < 1 << 16 else rows.targets
    return np.argsort(targets, kind="stable"), parts
