"""
A state, its trends and objectives in, everything the status page shows out, as plain data.

Data that changes while events are read is collected in one step under the lock, by reference where it is large, and
evaluated afterwards. "Now" is the sliding window of the quantiles, for all signals.
"""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from extractor.report.objectives import Objectives
from extractor.report.verdicts import Measured, Row, rejected, verdicts, whose_label
from extractor.schema.model import Kind, Metric
from extractor.schema.report_rows import Signal
from extractor.schema.signals import base_unit, unit_of
from extractor.state.families import Labels
from extractor.state.hdr import Pile
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.web.page.history import Trends
from extractor.web.page.percentile_curves import Curve, curves
from extractor.web.page.slots import Past, Points
from extractor.web.page.tallies import Tallies, Total, Totals

_CURVES = 6  # of a plot
_HOUR = 3600
_NONE = Total()


class Shown(NamedTuple):
    """A signal: judged over the window, *overall* since counting began, and its *points* in time."""

    row: Row
    overall: Measured
    points: tuple[tuple[float, float], ...]


class Plot(NamedTuple):
    """The percentile curves of one duration, for each value of *label*; *left_out* more had fewer values."""

    title: str
    label: str
    curves: tuple[Curve, ...]
    left_out: int


class Spent(NamedTuple):
    """An *amount*, in dollars, of the day that begins at *midnight*; of what was read *since* the start, if later."""

    midnight: float
    since: float
    amount: float


class Status(NamedTuple):
    """
    What the agents do: the window ends at *until*, in seconds since the epoch, and begins at *since*.

    It *is_partial* if the process began only then, with something counted before; trends have whole windows only.
    """

    since: float
    until: float
    is_partial: bool
    trend_since: float
    signals: tuple[Shown, ...]
    in_progress: tuple[tuple[str, int], ...]
    spent: Spent | None
    plots: tuple[Plot, ...]
    has_runs: bool = True


class Taken(NamedTuple):
    """What was taken under the lock."""

    past: Past
    levels: Mapping[int, float]
    totals: Mapping[int, Totals]
    lines: Total
    piles: Mapping[int, dict[str, Pile]]
    plots: Mapping[str, tuple[str, str, dict[str, Pile]]]
    in_progress: Mapping[str, int]
    unpriced: int
    signals: frozenset[int]  # the places of those of packs that had events


class Monitor:
    """Watches *state*; `tick` and `take` are called with its lock held."""

    def __init__(self, state: State, stats: Stats, objectives: Objectives) -> None:
        self._state = state
        self._stats = stats
        self._objectives = objectives
        self._tallies = Tallies(state)
        self._signals = list(dict.fromkeys(signal for pack in state.catalog.packs for signal in pack.signals))
        self._labels = [(whose_label(s, objectives) or "agent") if s.objective else None for s in self._signals]
        self.lines = self._read_lines()
        self._cost = self._find_cost()
        self.trends = Trends(state, self._signals, self._labels, self._cost)

    def go_on(self, before: "Monitor") -> None:
        """Take over what *before* has seen."""
        self.lines = before.lines
        self.trends.go_on(before.trends)

    def tick(self) -> None:
        """Something was folded: note what has no time of its own."""
        self._tick(self._levels(self._in_progress()))

    def _tick(self, levels: Mapping[int, float]) -> None:
        lines = self._read_lines()
        self.trends.add(lines.since(self.lines), levels)
        self.lines = lines

    def take(self) -> Taken:
        """What `status` is made of."""
        in_progress = self._in_progress()  # looks at every open run: once
        levels = self._levels(in_progress)
        self._tick(levels)
        totals = {
            place: self._tallies.totals(signal, signal.by)
            for place, signal in enumerate(self._signals)
            if self._is_sum(signal)
        }
        return Taken(
            self.trends.past(),
            levels,
            totals,
            self._read_lines(),
            self._piles(),
            self._plots(),
            _by_name(in_progress),
            self._stats.unpriced.total(),
            frozenset(self._signals.index(signal) for pack in self._state.packs_seen() for signal in pack.signals),
        )

    def status(self, taken: Taken) -> Status:
        """What *taken* says; needs no lock."""
        past, line = taken.past, len(self._signals)
        read = past.window(line)[""]
        row = rejected(int(read.whole), int(read.part), self._objectives)
        points = tuple((time, total.part / total.whole) for time, total in past.totals(line) if total.whole)
        ever = taken.lines.part / taken.lines.whole if taken.lines.whole else None
        return Status(
            since=past.since,
            until=past.until,
            is_partial=past.is_partial,
            trend_since=past.begins,
            signals=(
                *(self._signal(place, self._signals[place], taken) for place in sorted(taken.signals)),
                Shown(row, ever, points),
            ),
            in_progress=tuple(sorted(taken.in_progress.items(), key=lambda item: (-item[1], item[0]))),
            has_runs=any(self._metric(self._signals[place]).run == "open" for place in taken.signals),
            spent=self._spent(past) if taken.signals.issuperset(self._cost) else None,
            plots=tuple(_plot(*plot) for plot in taken.plots.values()),
        )

    def _levels(self, in_progress: Mapping[str, Mapping[Labels, int]]) -> dict[int, float]:
        found = {}
        for place, signal in enumerate(self._signals):
            if self._metric(signal).run == "open":
                found[place] = float(sum(in_progress[signal.metric].values()))
            elif self._metric(signal).kind is Kind.GAUGE:
                found[place] = self._tallies.totals(signal, None)[""].part
        return found

    def _read_lines(self) -> Total:
        return Total(self._stats.rejects.total(), self._stats.lines_read)

    def _is_sum(self, signal: Signal) -> bool:
        return self._metric(signal).kind in (Kind.COUNTER, Kind.HISTOGRAM)

    def _piles(self) -> dict[int, dict[str, Pile]]:
        found: dict[int, dict[str, Pile]] = {}
        made: dict[tuple[object, ...], dict[str, Pile]] = {}
        for place, signal in enumerate(self._signals):
            if signal.quantile is not None:
                label = self._labels[place]
                key = signal.metric, signal.where, label
                if key not in made:
                    made[key] = self._tallies.window(signal, label)
                found[place] = made[key]
        return found

    def _plots(self) -> dict[str, tuple[str, str, dict[str, Pile]]]:
        plots = {}
        for pack in self._state.packs_seen():
            for row in pack.report:
                metric = self._state.families[row.metric].metric
                if metric.kind is Kind.SUMMARY and base_unit(metric) == "seconds" and metric.label_names:
                    common = ("agent", pack.release)
                    label = next((n for n in metric.label_names if n not in common), metric.label_names[0])
                    plots[row.metric] = row.title, label, self._tallies.everything(row.metric, label)
        return plots

    def _in_progress(self) -> dict[str, dict[Labels, int]]:
        metrics = {signal.metric for signal in self._signals if self._metric(signal).run == "open"}
        return {metric: self._state.count_open(metric) for metric in metrics}

    def _signal(self, place: int, signal: Signal, taken: Taken) -> Shown:
        past, unit = taken.past, unit_of(signal, self._state.catalog.metrics)
        value: Measured
        overall: Measured = None
        points: Points
        if place in taken.totals:
            if not self._is_seen(signal):
                unpriced = taken.unpriced if unit == "usd" else 0
                return Shown(Row(signal.title, unit, None, unpriced=unpriced), None, ())
            window = past.window(place)
            measured = {who: self._number(signal, total) for who, total in window.items()}
            value = measured[""] if signal.by is None else _shares(window)
            overall = self._overall(signal, taken.totals[place])
            numbers = ((time, self._number(signal, total)) for time, total in past.totals(place))
            points = [(time, number) for time, number in numbers if number is not None]
        elif signal.quantile is not None:
            measured = {who: _quantile(pile, signal.quantile) for who, pile in taken.piles[place].items()}
            value, overall = measured[""], self._overall_quantile(signal, taken)
            points = past.quantiles(place)
        else:
            measured = {"": taken.levels.get(place)}
            value, points = measured[""], past.levels(place)
        whose = sorted(who for who in measured if who)
        judged = verdicts(signal, self._objectives, lambda _: whose, lambda _, who: measured.get(who))
        before = [number for time, number in points if time <= past.until - self._state.window_seconds]
        row = Row(signal.title, unit, value, before[-1] if before else None, verdicts=tuple(judged))
        return Shown(row, overall, () if signal.by is not None else tuple(points))

    def _number(self, signal: Signal, total: Total) -> float | None:
        if signal.over or self._metric(signal).kind is Kind.HISTOGRAM:
            return total.part / total.whole if total.whole else None
        if signal.hourly:
            return total.part * _HOUR / self._state.window_seconds
        return total.part

    def _overall(self, signal: Signal, totals: Totals) -> Measured:
        if signal.by is not None:
            return _shares(totals)
        return None if signal.hourly else self._number(signal, totals[""])

    @staticmethod
    def _overall_quantile(signal: Signal, taken: Taken) -> float | None:
        if signal.quantile is None or signal.where or signal.metric not in taken.plots:
            return None
        _, _, piles = taken.plots[signal.metric]
        return _quantile(piles[""], signal.quantile)

    def _is_seen(self, signal: Signal) -> bool:
        # As in the report.
        names = {signal.metric, *signal.over} if signal.metric in signal.over else {signal.metric}
        return self._metric(signal).run is not None or any(self._state.is_seen(name) for name in names)

    def _find_cost(self) -> list[int]:
        """The place of the first signal that is a sum of dollars, if there is one."""
        for place, signal in enumerate(self._signals):
            metric = self._metric(signal)
            summed = metric.kind is Kind.COUNTER and not (signal.over or signal.hourly or signal.by)
            if summed and base_unit(metric) == "usd":
                return [place]
        return []

    def _spent(self, past: Past) -> Spent | None:
        return next((Spent(*past.of_day(place)) for place in self._cost if past.until > -inf), None)

    def _metric(self, signal: Signal) -> Metric:
        return self._state.families[signal.metric].metric


def _quantile(pile: Pile | None, quantile: float) -> float | None:
    found = pile.quantiles((quantile,)) if pile is not None else None
    return found[0] if found else None


def _shares(totals: Totals) -> dict[str, float] | None:
    parts = {who: total.part for who, total in totals.items() if who and total.part}
    whole = sum(parts.values())
    return {who: part / whole for who, part in sorted(parts.items(), key=lambda item: (-item[1], item[0]))} or None


def _by_name(in_progress: Mapping[str, Mapping[Labels, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for counts in in_progress.values():
        for labels, runs in counts.items():
            found[", ".join(labels)] = found.get(", ".join(labels), 0) + runs
    return found


def _plot(title: str, label: str, piles: dict[str, Pile]) -> Plot:
    found = curves(piles, len(piles))
    return Plot(title, label, tuple(found[:_CURVES]), max(len(found) - _CURVES, 0))
