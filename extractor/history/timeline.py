"""
Compute the samples of a state that grows step by step, as lines of text.

A step changes few series, and only their lines are written again; all other lines are reused. This makes it possible to
write every series at every step of a long history.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from extractor.exposition import samples
from extractor.schema.model import Kind, Metric
from extractor.state.families import Family, Labels
from extractor.state.series import Series, Summary
from extractor.state.state import State
from extractor.state.updates import Update

_FROM_ZERO = (Kind.COUNTER, Kind.HISTOGRAM, Kind.SUMMARY)


class Timeline:
    """
    The samples of *state*, which must be limited and empty, and must not be changed elsewhere.

    A line is a sample without its time: series and value. All series get *labels* in addition to their own.
    """

    def __init__(self, state: State, labels: Mapping[str, str]) -> None:
        self._state = state
        self._labels = labels
        self._series: list[str] = []  # the text of each sample's series; indexes agree
        self._values: list[float | None] = []  # the value of each sample
        self._lines: list[str] = []  # the line of each sample
        self._places: dict[Series, int] = {}  # index of the first sample of a series
        self._waiting: dict[Series, Labels] = {}  # series without a sample: gauges never set
        self._open: dict[str, dict[Labels, int]] = {}  # the same for the gauges of open runs
        self._known = dict.fromkeys(state.families, 0)  # number of series added so far
        self._sliding: dict[Summary, tuple[Metric, int]] = {}  # number of slots with values in their window
        self._slot = state.newest_slot

    @property
    def samples(self) -> int:
        """Current number of samples."""
        return len(self._lines)

    def at(self, time: int) -> str:
        """Return all current samples, at *time* in seconds since the epoch."""
        return _at(self._lines, time)

    def add(self, added: State, before: int) -> str:
        """
        Merge *added*; return samples of the new series at *before*, in seconds since the epoch.

        Series that count from 0 had that value then, and `increase()` must include their first event.
        """
        self._state.merge(added)
        touched = [(name, labels) for name, part in added.families.items() for labels in part.series]
        return self._follow(touched, self._state.sweep(), before)

    def end(self, before: int) -> str | None:
        """Settle all ended runs at the end of input; return samples like `add`, or None if nothing changes."""
        settled = self._state.sweep(end=True)
        return self._follow((), settled, before) if settled else None

    def _follow(self, touched: Iterable[tuple[str, Labels]], settled: Iterable[Update], before: int) -> str:
        """Write the series *touched* by events or by *settled* runs."""
        born = [line for family in self._state.families.values() for line in self._bring(family)]
        changed: dict[Series, Metric] = {}  # beyond a limit, several label sets share a series
        for name, labels in chain(touched, ((update.metric, update.labels) for update in settled)):
            family = self._state.families[name]
            changed[family.find(labels, 0, 0)] = family.metric
        for series, metric in changed.items():
            self._write(metric, series)
        self._slide()
        self._count_open()
        return _at(born, before)

    def _bring(self, family: Family) -> Iterator[str]:
        """Add the new series, and yield those that count from 0."""
        metric = family.metric
        known, self._known[metric.name] = self._known[metric.name], len(family.series)
        for labels, series in islice(family.series.items(), known, None):
            if metric.run == "open":
                continue
            self._waiting[series] = labels
            place = self._write(metric, series)
            if metric.kind in _FROM_ZERO:
                for text in self._series[place + len(metric.quantiles) :]:  # without values, quantiles are NaN, not 0
                    yield text + "0.0"

    def _write(self, metric: Metric, series: Series) -> int:
        """Write the lines of *series*, and return the index of the first one."""
        parts = list(samples.parts(metric, series, self._state.newest_slot))
        if parts and series in self._waiting:
            self._places[series] = len(self._lines)
            labels = self._waiting.pop(series)
            for suffix, extra, _ in parts:
                self._append(samples.series_text(metric, labels, suffix, {**extra, **self._labels}))
        place = self._places.get(series, len(self._lines))
        for at, (_, _, value) in enumerate(parts, place):
            self._set(at, value)
        if isinstance(series, Summary):
            slots = len(series.window.slots(self._state.newest_slot))
            if slots:
                self._sliding[series] = metric, slots
            else:  # it is NaN now, until it is touched again
                self._sliding.pop(series, None)
        return place

    def _set(self, place: int, value: float) -> None:
        # Most buckets of a histogram are unchanged, and comparing costs a tenth of writing.
        if value != self._values[place]:
            self._values[place] = value
            self._lines[place] = self._series[place] + samples.number_text(value)

    def _slide(self) -> None:
        """Advance the windows to the latest event."""
        newest = self._state.newest_slot
        if newest == self._slot:
            return
        self._slot = newest
        for series, (metric, slots) in list(self._sliding.items()):
            if len(series.window.slots(newest)) != slots:
                self._write(metric, series)

    def _count_open(self) -> None:
        for name, family in self._state.families.items():
            if family.metric.run != "open":
                continue
            counts = self._state.count_open(name)
            places = self._open.setdefault(name, {})
            for labels in sorted(counts.keys() - places.keys()):
                places[labels] = len(self._lines)
                self._append(samples.series_text(family.metric, labels, extra=self._labels))
            # Runs without labels leave no series behind. In a scrape their series would be missing, which ends it;
            # here only another value replaces the last one.
            for labels, place in places.items():
                self._set(place, float(counts.get(labels, 0)))

    def _append(self, series: str) -> None:
        self._series.append(series + " ")
        self._values.append(None)
        self._lines.append("")


def _at(lines: list[str], time: int) -> str:
    end = f" {time}\n"
    return end.join(lines) + end if lines else ""
