"""
The series of one metric, with limits on label values and series.

A family without limits keeps all label values apart, and stores when each label set was first touched. `limit` then
folds them in that order, so the result does not depend on how the events were ordered or cut.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from extractor.schema.label_values import restored
from extractor.schema.model import OTHER, Kind, Metric
from extractor.state.series import Counter, Histogram, Latest, Series, Summary

Labels = tuple[str, ...]


class Touch(NamedTuple):
    """The earliest slot of event time that touched a label set, and the number of events that did."""

    first: int
    events: int


class Family:
    """
    The series of one metric, by label set.

    `seen` is set if an event had the metric's value, so that a 0 is a number.
    """

    def __init__(self, metric: Metric, window: int, *, limited: bool) -> None:
        self.metric = metric
        self.series: dict[Labels, Series] = {}
        self.seen = False
        self.overflow: Tally[str] = Tally()  # events folded, by label; "" for the series limit
        self._window = window
        self._limited = limited
        self._open = [place for place, values in enumerate(metric.label_values) if values is None]
        self._siblings = prod(len(values) for values in metric.label_values if values is not None)
        self._admitted: dict[int, set[str]] = {place: set() for place in self._open}
        self._touched: dict[Labels, Touch] = {}  # only while not limited
        if limited:
            self._begin()

    def open_labels(self) -> list[str]:
        """Return the names of the labels whose values are limited."""
        return [self.metric.label_names[place] for place in self._open]

    def find(self, labels: Labels, events: int, first: int) -> Series:
        """
        Return the series of *labels*, created with its siblings if new.

        *events* is added to the overflow if the labels are folded; *first* is the earliest slot that touches the
        series.
        """
        if not self._limited:
            return self._touch(labels, Touch(first, events))
        series = self.series.get(labels)
        return series if series is not None else self._admit(labels, events)

    def folded(self, labels: Labels) -> Labels:
        """Return *labels* as folded by the current limits, without admitting any value."""
        if not self._limited:
            return labels
        return tuple(
            value if place not in self._admitted or self._has_room(place, value) else OTHER
            for place, value in enumerate(labels)
        )

    def _has_room(self, place: int, value: str) -> bool:
        admitted = self._admitted[place]
        return value in admitted or len(admitted) < self.metric.label_limits[place]

    def merge(self, other: "Family", newest: int) -> None:
        """Add the series of *other*; if only this family is limited, in the order in which they were touched."""
        for labels, touch in self._admitted_order(other.in_order()):
            theirs = other.series[labels]
            _add(self.find(labels, touch.events, touch.first), theirs, newest)
        self.overflow.update(other.overflow)
        self.seen |= other.seen

    def limit(self, newest: int) -> None:
        """Apply the limits from now on, and to the existing series in the order in which they were touched."""
        if self._limited:
            return
        parts, touched = self.series, list(self.in_order())
        self._limited = True
        self.series, self._touched = {}, {}
        self._admitted = {place: set() for place in self._open}
        self._begin()
        taken: set[Labels] = set()
        for labels, touch in self._admitted_order(touched):
            target = self._place(labels, touch.events)
            if target in taken:
                _add(self.series[target], parts[labels], newest)
            else:
                self.series[target] = parts[labels]
                taken.add(target)

    def in_order(self) -> Iterable[tuple[Labels, Touch]]:
        """Return the label sets in the order in which they were first touched; within a slot, in text order."""
        if self._limited:
            return [(labels, Touch(0, _events(series))) for labels, series in self.series.items()]
        return sorted(self._touched.items(), key=lambda item: (item[1].first, item[0]))

    def _touch(self, labels: Labels, touch: Touch) -> Series:
        before = self._touched.get(labels)
        if before is None:
            self._touched[labels] = touch
            # Its siblings are created when the family is limited.
            self.series[labels] = self._new()
        else:
            # A gauge of runs has no events: each label set of runs is folded once, however often it was named.
            events = max(before.events, touch.events) if self.metric.run == "open" else before.events + touch.events
            self._touched[labels] = Touch(min(before.first, touch.first), events)
        return self.series[labels]

    def _begin(self) -> None:
        if not self._open and self.metric.kind is not Kind.STATESET:
            self._bear(())

    def _admit(self, labels: Labels, events: int) -> Series:
        return self.series[self._place(labels, events)]

    def _admitted_order(self, touched: Iterable[tuple[Labels, Touch]]) -> Sequence[tuple[Labels, Touch]]:
        """
        Return *touched* in the order in which label sets get series of their own; admit the values of their labels.

        Values are admitted first, by slot, and within a slot by text. Folded label sets follow in the same order.
        """
        order = list(touched)
        if not self._limited:
            return order
        for place in self._open:
            first: dict[str, int] = {}
            for labels, touch in order:
                first[labels[place]] = min(first.get(labels[place], touch.first), touch.first)
            admitted, most = self._admitted[place], self.metric.label_limits[place]
            waiting = sorted((slot, value) for value, slot in first.items() if value not in admitted and value != OTHER)
            admitted.update(value for _, value in waiting[: max(most - len(admitted), 0)])
        folded = {labels: self.folded(labels) for labels, _ in order}
        opens = {labels: tuple(each[place] for place in self._open) for labels, each in folded.items()}
        return sorted(order, key=lambda item: (item[1].first, opens[item[0]], folded[item[0]]))

    def _place(self, labels: Labels, events: int) -> Labels:
        """Return the label set that *labels* are counted under; create its series if missing."""
        folded = list(labels)
        for place in self._open:
            value, admitted = labels[place], self._admitted[place]
            if value in admitted or value == OTHER:
                continue
            if self._limited and len(admitted) >= self.metric.label_limits[place]:
                folded[place] = OTHER
                self.overflow[self.metric.label_names[place]] += events
            else:
                admitted.add(value)
        labels = tuple(folded)
        if labels not in self.series:
            if self._limited and len(self.series) + self._siblings > self.metric.limit:
                labels = tuple(OTHER if place in self._admitted else value for place, value in enumerate(labels))
                self.overflow[""] += events
            if labels not in self.series:
                self._bear(labels)
        return labels

    def _bear(self, labels: Labels) -> None:
        # A new series brings its siblings, the other values of the closed labels, so that the first error is an
        # increase from 0. A state set has no siblings: a state without a report is not known to be off.
        if self.metric.kind is Kind.STATESET:
            self.series[labels] = Latest()
            return
        choices = [
            (labels[place],) if values is None else values for place, values in enumerate(self.metric.label_values)
        ]
        for sibling in product(*choices):
            if sibling not in self.series:
                self.series[sibling] = self._new()

    def _new(self) -> Series:
        match self.metric.kind:
            case Kind.COUNTER:
                return Counter()
            case Kind.HISTOGRAM:
                return Histogram(self.metric.bounds_as_written)
            case Kind.SUMMARY:
                return Summary(self._window)
            case _:
                return Latest()

    def dump(self) -> dict[str, Any]:
        """Return the whole content as plain values."""
        return {
            "series": [(labels, series.dump()) for labels, series in self.series.items()],
            "admitted": [sorted(self._admitted[place]) for place in self._open],
            "overflow": dict(self.overflow),
            "seen": self.seen,
            "exemplars": [
                list(self.metric.exemplar),
                [
                    [place, series.exemplars.dump()]
                    for place, series in enumerate(self.series.values())
                    if isinstance(series, Counter | Histogram) and series.exemplars
                ],
            ],
            "touched": [list(self._touched[labels]) for labels in self.series] if not self._limited else [],
        }

    def load(self, dumped: dict[str, Any], newest: int) -> None:
        """Restore what `dump` returned for the same metric; *newest* is the latest slot."""
        for place, values in zip(self._open, dumped["admitted"], strict=True):
            self._admitted[place].update(restored(values))
        self.overflow.update(dumped["overflow"])
        # Older checkpoints lack the key; any amount then implies it.
        self.seen = dumped.get("seen", any(_is_more_than_nothing(series) for _, series in dumped["series"]))
        touched = dumped.get("touched", ())
        names_of_texts, exemplars = dumped.get("exemplars", ((), ()))
        # With other exemplar labels, the stored texts would be misinterpreted.
        noted = dict(exemplars) if tuple(names_of_texts) == self.metric.exemplar else {}
        loaded: set[Labels] = set()
        for place, (names, series) in enumerate(dumped["series"]):
            labels = restored(names)
            if not self._limited:
                self._touch(labels, Touch(*touched[place]))
            elif labels not in self.series:
                self._bear(labels)
            if labels not in self.series:  # a value that left its closed set; its counts stay
                self.series[labels] = self._new()
            mine = self._new() if labels in loaded else self.series[labels]
            mine.load(series, newest)
            if place in noted and isinstance(mine, Counter | Histogram):
                mine.exemplars.load(noted[place])
            if labels in loaded:  # two label sets that differed only in characters that cannot be served
                _add(self.series[labels], mine, newest)
            loaded.add(labels)


def _add(mine: Series, theirs: Series, newest: int) -> None:
    if isinstance(mine, Summary):
        mine.merge(theirs, newest)  # type: ignore[arg-type]  # one metric, one kind
    else:
        mine.merge(theirs)  # type: ignore[arg-type]


def _events(series: Series) -> int:
    # A lower bound: a counter of tokens does not store its number of events.
    match series:
        case Histogram():
            return sum(series.buckets)
        case Summary():
            return series.count
        case _:
            return 1


def _is_more_than_nothing(dumped: Sequence[Any]) -> bool:
    return dumped[0] not in (0, None, "0") if not isinstance(dumped[0], list) else any(dumped[0])
