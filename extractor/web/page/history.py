"""
Updates in, the values of each signal by slot of event time out, for about the last hour.

Trends follow event time, not the time of reading, and "now" is the sliding window of the quantiles, with the same
slots. Kept since the start of the process, in bounded memory: values of single agents and tools for one window only,
and with the same limit on label values as the series.
"""

from collections.abc import Container, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple

import numpy as np

from extractor.schema.model import Kind
from extractor.schema.report_rows import Signal
from extractor.state.exact_sum import Floats
from extractor.state.families import Labels
from extractor.state.hdr import Counts, indexes_of, pile
from extractor.state.state import State
from extractor.state.updates import Increment, Observations, Settings, Slots, Update
from extractor.web.page.slots import SLOTS, Past, midnight
from extractor.web.page.tallies import Total

_SPAN = 3600.0  # of the trends, in seconds of event time; at least so many windows:
_WINDOWS = 12
_WAITING = 1000  # arrays of values that are not in their slots yet
_KNOWN = 50_000  # label sets for which it is remembered what they add to


class _Feed(NamedTuple):
    """How a metric adds to the signal at *place*: series that match *where*, apart by the label at *apart*."""

    place: int
    role: int
    where: tuple[tuple[int, tuple[str, ...]], ...]
    apart: int | None


@dataclass(slots=True)
class Heard:
    """
    What was heard so far, by slot and by place: of all, and of each label value *apart*; values, and those *waiting*.

    *started* is the slot of the latest event before anything was heard, *first* the first of which there is something,
    *oldest* the first that is kept. *days* are by midnight.
    """

    started: int | None
    first: int | None = None
    oldest: int = -(1 << 62)
    all: dict[int, dict[int, list[float]]] = field(default_factory=dict)
    apart: dict[int, dict[tuple[int, str], list[float]]] = field(default_factory=dict)
    counts: dict[int, dict[int, Counts]] = field(default_factory=dict)
    waiting: dict[int, list[tuple[Floats, Slots]]] = field(default_factory=dict)
    levels: dict[int, dict[int, float]] = field(default_factory=dict)
    days: dict[float, dict[int, float]] = field(default_factory=dict)


class Trends:
    """
    Hears of all updates to *state*; whoever calls holds its lock.

    *signals* are told apart by the label beside each in *labels*, if it is not None; those at the places *daily* are
    also added up by day. A last place, behind those of the signals, is for what `add` counts.
    """

    def __init__(
        self, state: State, signals: Sequence[Signal], labels: Sequence[str | None], daily: Container[int]
    ) -> None:
        self._state = state
        self._signals = signals
        self._feeds: dict[str, list[_Feed]] = {}
        made: dict[object, int] = {}  # of quantiles of the same values, the first place
        self._quantiles = {
            place: (made.setdefault((signal.metric, signal.where), place), signal.quantile)
            for place, signal in enumerate(signals)
            if signal.quantile is not None
        }
        for place, signal in enumerate(signals):
            self._feed(place, 0, signal.metric, signal, labels[place])
            for name in signal.over:
                self._feed(place, 1, name, signal, labels[place])
        self.wanted = frozenset(self._feeds)
        self._daily = daily
        self.about = (signals, labels, state.window_seconds)
        self.heard = Heard(state.newest_slot if state.watermark > -inf else None)
        self._timeout = round(state.run_timeout / state.window_seconds * SLOTS)
        self._kept = SLOTS + max(int(_SPAN / state.window_seconds * SLOTS), _WINDOWS * SLOTS)
        self._known: dict[tuple[str, Labels], list[tuple[int, int, str]]] = {}

    def go_on(self, before: "Trends") -> None:
        """Take over what *before* has heard, unless its signals, or the windows, were others."""
        if self.about == before.about:
            self.heard = before.heard

    def note(self, update: Update) -> None:
        """Take an update into account that was applied."""
        if update.metric not in self._feeds or isinstance(update, Settings):
            return
        known = self._known.get((update.metric, update.labels))
        if known is None:
            known = self._find(update.metric, update.labels)
        metric = self._state.families[update.metric].metric
        if isinstance(update, Increment):
            if update.amount and known:
                # A run is abandoned a time-out after its last event, however late that is noticed.
                first = update.first if metric.run is None else update.first + self._timeout
                for slot, amount in update.slots or ((first, float(update.amount)),):
                    self._count(known, slot, amount / metric.per_unit)
        elif known and len(update.numbers):
            if metric.kind is not Kind.SUMMARY:
                self._observe(known, update, metric.per_unit)
                return
            for place in {self._quantiles[place][0] for place, _, _ in known}:
                waiting = self.heard.waiting.setdefault(place, [])
                waiting.append((update.numbers.array / metric.per_unit, update.slots))
                if len(waiting) >= _WAITING:
                    self._settle()

    def add(self, total: Total, levels: Mapping[int, float]) -> None:
        """So much more was counted by now, of what has no time; signals that are no sums are at these *levels*."""
        newest = self._state.newest_slot
        if self._state.watermark == -inf:
            return
        self._settle()
        cell = self.heard.all.setdefault(newest, {}).setdefault(len(self._signals), [0.0, 0.0])
        cell[0], cell[1] = cell[0] + total.part, cell[1] + total.whole
        self.heard.levels.setdefault(newest, {}).update(levels)
        self.heard.first = newest if self.heard.first is None else min(self.heard.first, newest)
        oldest = newest - self._kept
        if oldest != self.heard.oldest:  # earlier than it was, once a clock that was ahead has come back
            self.heard.oldest = oldest
            _forget(self.heard.all, oldest)
            _forget(self.heard.counts, oldest)
            _forget(self.heard.levels, oldest)
            _forget(self.heard.apart, newest - SLOTS)
            for day in sorted(self.heard.days)[:-2]:
                del self.heard.days[day]

    def past(self) -> Past:
        """What there is now, to be looked at while more is added."""
        self._settle()
        state = self._state
        return Past(
            sums={slot: {place: (*cell,) for place, cell in cells.items()} for slot, cells in self.heard.all.items()},
            apart={slot: {key: (*cell,) for key, cell in cells.items()} for slot, cells in self.heard.apart.items()},
            piles={
                slot: {at: pile([counts]) for at, counts in cells.items()} for slot, cells in self.heard.counts.items()
            },
            was={slot: dict(cells) for slot, cells in self.heard.levels.items()},
            days={day: dict(cells) for day, cells in self.heard.days.items()},
            asked=self._quantiles,
            newest=state.newest_slot,
            until=state.watermark,
            started=self.heard.started,
            begin=self._begin(),
            time_of=state.time_of,
        )

    def _feed(self, place: int, role: int, metric: str, signal: Signal, label: str | None) -> None:
        names = self._state.families[metric].metric.label_names
        label = signal.by or label
        where = signal.where if role == 0 else ()
        self._feeds.setdefault(metric, []).append(
            _Feed(
                place,
                role,
                tuple((names.index(name), texts) for name, texts in where),
                names.index(label) if label in names else None,
            )
        )

    def _find(self, metric: str, labels: Labels) -> list[tuple[int, int, str]]:
        folded = self._state.families[metric].folded(labels)
        if len(self._known) >= _KNOWN:
            self._known.clear()
        found = [
            (feed.place, feed.role, "" if feed.apart is None else folded[feed.apart])
            for feed in self._feeds[metric]
            if all(folded[at] in texts for at, texts in feed.where)
        ]
        self._known[metric, labels] = found
        return found

    def _count(self, known: list[tuple[int, int, str]], slot: int, amount: float, whole: float | None = None) -> None:
        if slot < self.heard.oldest:
            return
        self.heard.first = slot if self.heard.first is None else min(self.heard.first, slot)
        for place, role, who in known:
            cells = [self.heard.all.setdefault(slot, {}).setdefault(place, [0.0, 0.0])]
            if who and slot > self.heard.oldest + self._kept - SLOTS:
                cells.append(self.heard.apart.setdefault(slot, {}).setdefault((place, who), [0.0, 0.0]))
            for cell in cells:
                cell[role] += amount
                if whole is not None:
                    cell[1] += whole
            if role == 0 and place in self._daily:
                days = self.heard.days.setdefault(midnight(self._state.time_of(slot)), {})
                days[place] = days.get(place, 0.0) + amount

    def _observe(self, known: list[tuple[int, int, str]], update: Observations, per_unit: int) -> None:
        slots, codes = np.unique(update.slots, return_inverse=True)
        sums = np.bincount(codes, weights=update.numbers.array).tolist()
        for slot, part, whole in zip(slots.tolist(), sums, np.bincount(codes).tolist(), strict=True):
            self._count(known, slot, part / per_unit, float(whole))

    def _settle(self) -> None:
        """Put the values that are waiting into the counts of their slots: all at once costs a tenth of one by one."""
        for place, waiting in self.heard.waiting.items():
            numbers, slots = (np.concatenate(column) for column in zip(*waiting, strict=True))
            order = np.argsort(slots, kind="stable")
            indexes, slots = indexes_of(numbers[order])[0], slots[order]
            begins = [0, *(np.flatnonzero(slots[1:] != slots[:-1]) + 1).tolist(), len(slots)]
            for begin, end in pairwise(begins):
                slot = int(slots[begin])
                if slot >= self.heard.oldest:
                    self.heard.first = slot if self.heard.first is None else min(self.heard.first, slot)
                    self.heard.counts.setdefault(slot, {}).setdefault(place, Counts()).add(indexes[begin:end])
        self.heard.waiting.clear()

    def _begin(self) -> int:
        """The first slot in which a window ended of which everything is known."""
        newest = self._state.newest_slot
        begin = newest + 1 if self.heard.first is None else self.heard.first
        if self.heard.started is not None:
            begin = self.heard.started + SLOTS
        return max(begin, newest + 1 - (self._kept - SLOTS))


def _forget(slots: MutableMapping[int, Any], oldest: int) -> None:
    for slot in [slot for slot in slots if slot < oldest]:
        del slots[slot]
