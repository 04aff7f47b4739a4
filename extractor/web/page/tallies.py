"""
A state in, the inputs of its signals out: totals since counting began, and the values of the sliding window.

Totals are floats, precise enough for display, and are summed over lists of series that are built once: the page is
rendered every second and must not hold up reading.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from extractor.schema.model import Kind
from extractor.schema.report_rows import Signal
from extractor.state.exact_sum import Exact, as_float
from extractor.state.hdr import Counts, Pile, joined, pile
from extractor.state.series import Counter, Histogram, Latest, Series, Summary
from extractor.state.state import State

Where = tuple[tuple[str, tuple[str, ...]], ...]
Groups = dict[str, list[Series]]


class Total(NamedTuple):
    """The sum that a signal is about, and the one that it is divided by, if it is a ratio or a mean."""

    part: float = 0.0
    whole: float = 0.0

    def since(self, before: "Total") -> "Total":
        """What was added since *before*; never less than nothing, however sums were rounded."""
        return Total(max(self.part - before.part, 0.0), max(self.whole - before.whole, 0.0))


Totals = Mapping[str, Total]
"""The total of each value of a label, such as of each agent; of all together under the empty name."""


class Tallies:
    """Adds up the series of *state*; whoever calls holds its lock."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._groups: dict[tuple[str, Where, str | None], tuple[int, Groups]] = {}

    def totals(self, signal: Signal, label: str | None) -> Totals:
        """What *signal*, which is a sum, a ratio or a mean, is made of, for each value of *label* and of all."""
        metric = self._state.families[signal.metric].metric
        names = (signal.metric, *signal.over)
        label = signal.by or (label if all(label in self._labels(name) for name in names) else None)
        parts: dict[str, float] = {}
        wholes: dict[str, float] = {}
        for who, series in self._grouped(signal.metric, signal.where, label).items():
            parts[who] = sum(as_float(_amount(each), metric.per_unit) for each in series)
            if metric.kind is Kind.HISTOGRAM:
                wholes[who] = float(sum(sum(each.buckets) for each in series if isinstance(each, Histogram)))
        for name in signal.over:
            per_unit = self._state.families[name].metric.per_unit
            for who, series in self._grouped(name, (), label).items():
                wholes[who] = wholes.get(who, 0.0) + sum(as_float(_amount(each), per_unit) for each in series)
        everything = Total(sum(parts.values()), sum(wholes.values()))
        apart = {} if label is None else {who: Total(parts.get(who, 0.0), wholes.get(who, 0.0)) for who in parts}
        return apart | {"": everything}

    def window(self, signal: Signal, label: str | None) -> dict[str, Pile]:
        """The values of the sliding window that a quantile is of, for each value of *label* and of all."""
        newest = self._state.newest_slot
        groups = self._grouped(signal.metric, signal.where, label)
        return _piles({who: [part for each in _summaries(some) for part in each.window.counts(newest)]
                       for who, some in groups.items()})  # fmt: skip

    def everything(self, metric: str, label: str | None) -> dict[str, Pile]:
        """All values that a summary has counted, for each value of *label* and of all."""
        groups = self._grouped(metric, (), label)
        return _piles({who: [each.all for each in _summaries(some)] for who, some in groups.items()})

    def _labels(self, metric: str) -> tuple[str, ...]:
        return self._state.families[metric].metric.label_names

    def _grouped(self, metric: str, where: Where, label: str | None) -> Groups:
        family = self._state.families[metric]
        known, groups = self._groups.get((metric, where, label), (-1, {}))
        if known != len(family.series):
            names = family.metric.label_names
            wanted = [(names.index(name), texts) for name, texts in where]
            place = names.index(label) if label in names else None
            groups = {}
            for labels, series in family.series.items():
                if all(labels[at] in texts for at, texts in wanted):
                    groups.setdefault("" if place is None else labels[place], []).append(series)
            self._groups[metric, where, label] = len(family.series), groups
        return groups


def _summaries(series: list[Series]) -> Iterator[Summary]:
    return (each for each in series if isinstance(each, Summary))


def _piles(parts: dict[str, list[Counts]]) -> dict[str, Pile]:
    piles = {who: pile(some) for who, some in parts.items()}
    return piles | {"": joined(list(piles.values()))}


def _amount(series: Series) -> Exact:
    match series:
        case Counter() | Histogram():
            return series.total
        case Latest(value=int() | float() as value):
            return Fraction(value)
        case _:
            return 0
