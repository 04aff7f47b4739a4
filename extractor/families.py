"""
The series of one metric: which exist, and which label values are told apart.

Knows nothing of events, updates or text formats.
"""

from collections import Counter as Tally
from decimal import Decimal
from itertools import product
from typing import Any

from extractor.catalog import OTHER, UNKNOWN, Kind, Metric
from extractor.series import Counter, Histogram, Latest, Series, Summary

Labels = tuple[str, ...]


class Family:
    """The series of one metric, with the label values that are told apart."""

    def __init__(self, metric: Metric, window: int, *, limited: bool) -> None:
        self.metric = metric
        self.series: dict[Labels, Series] = {}
        self.overflow: Tally[str] = Tally()  # events folded, by label; "" where the series limit did it
        self._window = window
        self._limited = limited
        # In decimal, as they are written: 1.001 * 1000 is below 1001 as a float, and 1001 ms would miss its bucket.
        self._bounds = [float(Decimal(repr(bound)) * metric.per_unit) for bound in metric.bounds]
        self._open = [place for place, values in enumerate(metric.label_values) if values is None]
        self._admitted: dict[int, set[str]] = {place: set() for place in self._open}
        if not self._open and metric.kind is not Kind.STATESET:
            self._bear(())

    def open_labels(self) -> list[str]:
        """The names of the labels whose values are limited."""
        return [self.metric.label_names[place] for place in self._open]

    def find(self, labels: Labels, events: int) -> Series:
        """The series of *labels*, made with its siblings if new; *events* is how many are folded if they must be."""
        series = self.series.get(labels)
        return series if series is not None else self._admit(labels, events)

    def folded(self, labels: Labels) -> Labels:
        """*labels* as they are told apart now, without admitting any."""
        return tuple(
            value if place not in self._admitted or value in (*self._admitted[place], UNKNOWN) else OTHER
            for place, value in enumerate(labels)
        )

    def merge(self, other: "Family", newest: int) -> None:
        """Add the series of *other*."""
        for labels, theirs in other.series.items():
            mine = self.find(labels, _events(theirs))
            if isinstance(mine, Summary):
                mine.merge(theirs, newest)  # type: ignore[arg-type]  # one metric, one kind
            else:
                mine.merge(theirs)  # type: ignore[arg-type]
        self.overflow.update(other.overflow)

    def _admit(self, labels: Labels, events: int) -> Series:
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
            if self._limited and len(self.series) >= self.metric.limit:
                labels = tuple(OTHER if place in self._admitted else value for place, value in enumerate(labels))
                self.overflow[""] += events
            if labels not in self.series:
                self._bear(labels)
        return self.series[labels]

    def _bear(self, labels: Labels) -> None:
        # A new series brings its siblings, the other values of the closed labels, so that the first error is seen as an
        # increase from 0. A state set has none to bring: a state nobody reported is not known to be off.
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
                return Histogram(self._bounds)
            case Kind.SUMMARY:
                return Summary(self._window)
            case _:
                return Latest()

    def dump(self) -> dict[str, Any]:
        """Everything that was counted, as plain values."""
        return {
            "series": [[list(labels), series.dump()] for labels, series in self.series.items()],
            "admitted": [sorted(self._admitted[place]) for place in self._open],
            "overflow": dict(self.overflow),
        }

    def load(self, dumped: dict[str, Any], newest: int) -> None:
        """Take over what `dump` gave of the same metric; *newest* is the latest slot seen."""
        for place, values in zip(self._open, dumped["admitted"], strict=True):
            self._admitted[place].update(values)
        self.overflow.update(dumped["overflow"])
        for names, series in dumped["series"]:
            labels = tuple(names)
            if labels not in self.series:
                self._bear(labels)
            if labels not in self.series:  # a value that has left its closed set; what was counted stays
                self.series[labels] = self._new()
            self.series[labels].load(series, newest)


def _events(series: Series) -> int:
    # At least so many events; a counter of tokens does not know how many events brought them.
    match series:
        case Histogram():
            return sum(series.buckets)
        case Summary():
            return series.count
        case _:
            return 1
