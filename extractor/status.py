"""
A state, its trends and objectives in, everything the status page shows out, as plain data.

What changes while events are read is taken in one go, under the lock, and only by reference where it is large; what it
says is worked out afterwards. "Now" is the sliding window of the quantiles, for all signals.

Knows nothing of HTML or HTTP.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from extractor.catalog import Kind, Metric
from extractor.curves import Curve, curves
from extractor.hdr import Pile
from extractor.judgement import Measured, Row, rejected, verdicts, whose_label
from extractor.objectives import Objectives
from extractor.reporting import Signal
from extractor.signals import base_unit, unit_of
from extractor.state import State
from extractor.stats import Stats
from extractor.tallies import Tallies, Total, Totals
from extractor.trends import Sample, Trends

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
    """An *amount*, in dollars, of the day that begins at *midnight*, known *since* then or later."""

    amount: float
    midnight: float
    since: float


class Status(NamedTuple):
    """What the agents do: the window ends at *until*, in seconds since the epoch, and begins at *since*."""

    since: float
    until: float
    trend_since: float
    signals: tuple[Shown, ...]
    in_progress: tuple[tuple[str, int], ...]
    spent: Spent | None
    plots: tuple[Plot, ...]


class Taken(NamedTuple):
    """What was taken under the lock."""

    sample: Sample
    trends: Trends
    piles: Mapping[int, dict[str, Pile]]
    plots: Mapping[str, tuple[str, str, dict[str, Pile]]]
    in_progress: Mapping[str, int]


class Monitor:
    """Watches *state*; `sample` and `take` are called with its lock held."""

    def __init__(self, state: State, stats: Stats, objectives: Objectives) -> None:
        self._state = state
        self._stats = stats
        self._objectives = objectives
        self._tallies = Tallies(state)
        self._signals = [signal for pack in state.catalog.packs for signal in pack.signals]
        self._labels = [(whose_label(s, objectives) or "agent") if s.objective else None for s in self._signals]
        self.trends = Trends(state.window_seconds)
        self.trends.add(self.sample())

    def sample(self) -> Sample:
        """What is counted now; of quantiles that of all together."""
        return self._sample(self._piles(apart=False))

    def take(self) -> Taken:
        """What `status` is made of."""
        piles = self._piles(apart=True)
        return Taken(self._sample(piles), self.trends.copy(), piles, self._plots(), self._in_progress())

    def status(self, taken: Taken) -> Status:
        """What *taken* says; needs no lock."""
        now, trends = taken.sample, taken.trends
        begin = trends.begin(now)
        signals = [self._signal(place, taken, begin) for place in range(len(self._signals))]
        line = len(self._signals)  # the place of the lines that were read
        read = now.totals[line][""].since(begin.totals[line][""])  # type: ignore[index]
        ever = now.totals[line][""]  # type: ignore[index]
        lines = [(time, total.part / total.whole) for time, total in trends.of_total(line, now) if total.whole]
        row = rejected(int(read.whole), int(read.part), self._objectives)
        points = [point for shown in signals for point in shown.points[:1]]
        return Status(
            since=begin.time,
            until=now.time,
            trend_since=min((time for time, _ in points), default=now.time),
            signals=(*signals, Shown(row, ever.part / ever.whole if ever.whole else None, tuple(lines))),
            in_progress=tuple(sorted(taken.in_progress.items(), key=lambda item: (-item[1], item[0]))),
            spent=self._spent(taken),
            plots=tuple(_plot(*plot) for plot in taken.plots.values()),
        )

    def _sample(self, piles: Mapping[int, dict[str, Pile]]) -> Sample:
        totals: list[Totals | None] = []
        levels: list[float | None] = []
        for place, signal in enumerate(self._signals):
            level, total = None, None
            if signal.quantile is not None:
                level = _quantile(piles[place].get(""), signal.quantile)
            elif self._metric(signal).run == "open":
                level = float(sum(self._state.count_open(signal.metric).values()))
            else:
                total = self._tallies.totals(signal, self._labels[place])
                if self._metric(signal).kind is Kind.GAUGE:
                    level = total[""].part
            totals.append(total)
            levels.append(level)
        totals.append({"": Total(self._stats.rejects.total(), self._stats.lines_read)})
        return Sample(self._state.watermark, tuple(totals), tuple(levels))

    def _piles(self, *, apart: bool) -> dict[int, dict[str, Pile]]:
        found: dict[int, dict[str, Pile]] = {}
        made: dict[tuple[object, ...], dict[str, Pile]] = {}
        for place, signal in enumerate(self._signals):
            if signal.quantile is not None:
                label = self._labels[place] if apart else None
                key = signal.metric, signal.where, label
                if key not in made:
                    made[key] = self._tallies.window(signal, label)
                found[place] = made[key]
        return found

    def _plots(self) -> dict[str, tuple[str, str, dict[str, Pile]]]:
        plots = {}
        for pack in self._state.catalog.packs:
            for row in pack.report:
                metric = self._state.families[row.metric].metric
                if metric.kind is Kind.SUMMARY and base_unit(metric) == "seconds" and metric.label_names:
                    common = ("agent", pack.release)
                    label = next((n for n in metric.label_names if n not in common), metric.label_names[0])
                    plots[row.metric] = row.title, label, self._tallies.everything(row.metric, label)
        return plots

    def _in_progress(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for signal in self._signals:
            if self._metric(signal).run == "open":
                for labels, runs in self._state.count_open(signal.metric).items():
                    name = ", ".join(labels)
                    found[name] = found.get(name, 0) + runs
        return found

    def _signal(self, place: int, taken: Taken, begin: Sample) -> Shown:
        signal, now = self._signals[place], taken.sample
        unit = unit_of(signal, self._state.catalog.metrics)
        totals, level = now.totals[place], now.levels[place]
        if totals is None or level is not None:
            points = [(time, value) for time, value in taken.trends.of_level(place, now) if value is not None]
            overall: Measured = self._overall_level(signal, taken)
            piles = taken.piles.get(place, {})
            measured = {who: _quantile(pile, signal.quantile or 0.0) for who, pile in piles.items()}
            value: Measured = level
        elif not self._is_seen(signal, totals[""]):
            return Shown(Row(signal.title, unit, None), None, ())
        else:
            before = begin.totals[place] or {}
            measured = {who: self._number(signal, total.since(before.get(who, _NONE))) for who, total in totals.items()}
            parts = {who: total.since(before.get(who, _NONE)).part for who, total in totals.items() if who}
            value = measured[""] if signal.by is None else _shares(parts)
            overall = self._overall(signal, totals)
            points = [
                (time, number)
                for time, total in (taken.trends.of_total(place, now) if signal.by is None else ())
                if (number := self._number(signal, total)) is not None
            ]
        judged = verdicts(
            signal, self._objectives, lambda _: sorted(who for who in measured if who), lambda _, who: measured.get(who)
        )
        earlier = [number for time, number in points if time <= now.time - self.trends.seconds]
        return Shown(
            Row(signal.title, unit, value, earlier[-1] if earlier else None, verdicts=tuple(judged)),
            overall,
            tuple(points),
        )

    def _number(self, signal: Signal, total: Total) -> float | None:
        if signal.over or self._metric(signal).kind is Kind.HISTOGRAM:
            return total.part / total.whole if total.whole else None
        if signal.hourly:
            return total.part * _HOUR / self.trends.seconds
        return total.part

    def _overall(self, signal: Signal, totals: Totals) -> Measured:
        if signal.by is not None:
            return _shares({who: total.part for who, total in totals.items() if who})
        return None if signal.hourly else self._number(signal, totals[""])

    @staticmethod
    def _overall_level(signal: Signal, taken: Taken) -> float | None:
        if signal.quantile is None or signal.where or signal.metric not in taken.plots:
            return None
        _, _, piles = taken.plots[signal.metric]
        return _quantile(piles[""], signal.quantile)

    def _is_seen(self, signal: Signal, total: Total) -> bool:
        # As in the report: of what adds up to nothing one cannot say whether it was 0 or was never written.
        return bool(self._metric(signal).run or (total.whole if signal.metric in signal.over else total.part))

    def _spent(self, taken: Taken) -> Spent | None:
        now = taken.sample
        for place, signal in enumerate(self._signals):
            summed = not (signal.over or signal.hourly or signal.by) and self._metric(signal).kind is Kind.COUNTER
            if summed and base_unit(self._metric(signal)) == "usd" and now.time > -inf:
                midnight, since, total = taken.trends.of_day(place, now)
                return Spent(total.part, midnight, since)
        return None

    def _metric(self, signal: Signal) -> Metric:
        return self._state.families[signal.metric].metric


def _quantile(pile: Pile | None, quantile: float) -> float | None:
    found = pile.quantiles((quantile,)) if pile is not None else None
    return found[0] if found else None


def _shares(parts: Mapping[str, float]) -> dict[str, float] | None:
    whole = sum(parts.values())
    ordered = sorted(parts.items(), key=lambda item: (-item[1], item[0]))
    return {who: part / whole for who, part in ordered if part} if whole else None


def _plot(title: str, label: str, piles: dict[str, Pile]) -> Plot:
    found = curves(piles, len(piles))
    return Plot(title, label, tuple(found[:_CURVES]), max(len(found) - _CURVES, 0))
