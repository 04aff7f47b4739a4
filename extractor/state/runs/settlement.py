"""
Settle runs: return what is observed of a run when it is over, and its loops.

A run that has ended is settled a linger after its end, and its totals up to then are observed once. A run without an
event for the time-out is given up, and counted as abandoned. In the parts of one pass nothing is settled that a later
event could change; it is left to the merge.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf, isnan, nextafter
from typing import Any

import numpy as np

from extractor.schema.exemplar_labels import RUN_LABEL
from extractor.schema.model import Kind, Metric
from extractor.schema.run_specs import Interval, Pattern
from extractor.state.exact_sum import Exact, Numbers, as_exact
from extractor.state.exemplars import Exemplar, usable, usable_texts
from extractor.state.runs.anomalies import Anomalies
from extractor.state.runs.endings import Ending
from extractor.state.runs.intervals import Intervals
from extractor.state.runs.loops import Loop, Repeats
from extractor.state.runs.registry import Runs
from extractor.state.runs.run import Run
from extractor.state.runs.totals import Account, Ledger
from extractor.state.updates import Increment, Observations, Update

Over = list[tuple[str, Run]]
_Series = tuple[str, tuple[str, ...]]

_ALWAYS = 1 << 62  # a slot after all others
_CALLS = 16  # calls take as much memory as one run


class _Found:
    """
    The observations of one series: times, values, and the run ids for exemplars.

    *exact* is the exact sum of the values, before any rounding.
    """

    __slots__ = ("exact", "shown", "times", "values")

    def __init__(self) -> None:
        self.exact: Exact = 0
        self.times: list[float] = []
        self.values: list[float] = []
        self.shown: list[str] = []

    def add(self, time: float, value: float, shown: str) -> None:
        """Add one observation."""
        self.times.append(time)
        self.values.append(value)
        self.shown.append(shown)
        self.exact += as_exact(value)

    def all(self) -> Iterator[tuple[float, float, str]]:
        """Return an iterator over time, value and run id of each observation."""
        return zip(self.times, self.values, self.shown, strict=True)


class Accounts:
    """
    The runs of one pack and their totals; *runs*, *ledger* and the *repeats* of each loop pattern start empty.

    *anomalies* counts the anomalies of runs. *metrics* holds all metrics; *abandoned* returns the series in which a run
    that is given up is counted, by its run fields. *linger* is how long, in seconds, events still count after its end.
    *slot_of* returns the slot of a time, *time_of* the start of a slot. Beyond *most* runs, those that were silent for
    longest are dropped; `shed` counts those that had not ended. `present` holds the indexes of totals for which some
    event had an amount: a run without steps does not show that steps are logged at all.
    """

    def __init__(  # noqa: PLR0913  # what it connects
        self,
        runs: Runs,
        ledger: Ledger,
        repeats: Sequence[tuple[Pattern, Repeats]] = (),
        intervals: Sequence[tuple[Interval, Intervals]] = (),
        *,
        anomalies: Anomalies,
        metrics: Mapping[str, Metric],
        abandoned: Callable[[list[object]], Iterable[tuple[str, tuple[str, ...]]]],
        linger: float,
        most: int,
        slot_of: Callable[[float], int],
        time_of: Callable[[int], float],
    ) -> None:
        self.runs = runs
        self.ledger = ledger
        self.repeats = repeats
        self.intervals = intervals
        self.anomalies = anomalies
        self._metrics = metrics
        self._abandoned = abandoned
        self._linger = linger
        self._most = most
        self.shed = 0
        self.present: set[int] = set()
        self._slot_of = slot_of
        self._time_of = time_of

    def settle(self, moment: float, *, now: float | None = None, end: bool = False) -> list[Update]:
        """
        Settle the runs whose linger is over at *moment*, or all that ended at the *end* of input.

        Runs that are silent at *now*, by default *moment*, are given up. Returns the updates.
        """
        # Stretches before a long silence first: their calls must not mix with later ones.
        updates = self._over(self.runs.sweep(moment if now is None else now))
        due = list(self.runs.due(moment, -inf if end else self._linger))
        self.anomalies.note(run for _, run in (*due, *self.runs.seen_again()))
        updates += self._closed(due)
        for _, run in due:
            run.settle()
        shed = self.runs.shed(self._most)
        self.shed += sum(1 for _, run in shed if run.ending is None)
        updates += self._over(shed, abandoned=False)
        loops = [
            (pattern, repeats.decide(inf if end else moment, is_open=self._is_open))
            for pattern, repeats in self.repeats
        ]
        return [*updates, *self._detections(loops), *self._elapsed(moment, end=end)]

    def limit(self, moment: float) -> list[Update]:
        """Settle what is over for good at *moment*, when no more parts are to be merged."""
        return [*self._over(self.runs.limit()), *self.settle(moment)]

    def settle_by(self, edges: Sequence[float], moment: float) -> list[list[Update]]:
        """
        Return what is over by each of the ascending *edges* but not by the one before, and finally all the rest.

        A run is over when it ended; without an end, when it was given up. Call it once, when all events are known.
        """
        earlier = [(self._over_at(run), name, run) for name, run in self.runs.limit()]
        settled, begin = [], -inf
        for edge in edges:
            over = [(name, run) for time, name, run in earlier if begin <= time < edge]
            settled.append([*self._over(over), *self.settle(edge + self._linger, now=nextafter(edge, -inf))])
            begin = edge
        last = [(name, run) for time, name, run in earlier if begin <= time]
        return [*settled, [*self._over(last), *self.settle(moment, end=True)]]

    def forget(self, floor: float) -> list[Update]:
        """Settle what no event after *floor* can change."""
        return [*self._over(self.runs.settle(floor)), *self._elapsed(self.runs.long_before(floor))]

    def drop(self, run: str) -> None:
        """Drop a run; nothing is observed of it."""
        self.runs.known.pop(run, None)
        with suppress(Exception):  # a dropped run has caused an error, and may cause another
            self.ledger.settle([Account(run, -_ALWAYS, _ALWAYS, _ALWAYS)])

    def forget_calls(self) -> None:
        """Drop all undecided calls and intervals."""
        for each in self._looked_for:
            each.clear()

    def merge(self, other: "Accounts") -> None:
        """Add the content of *other*."""
        self.runs.merge(other.runs)
        self.ledger.merge(other.ledger)
        for (_, repeats), (_, more) in zip(self.repeats, other.repeats, strict=True):
            repeats.merge(more)
        for (_, intervals), (_, others) in zip(self.intervals, other.intervals, strict=True):
            intervals.merge(others)
        self.shed += other.shed
        self.present |= other.present
        self.anomalies.runs.update(other.anomalies.runs)

    @property
    def unended(self) -> int:
        """Number of starts that were dropped because their end did not come."""
        return sum(intervals.unended for _, intervals in self.intervals)

    @property
    def held(self) -> int:
        """Amount of stored data, as a number of runs."""
        return self.runs.held + sum(map(len, self._looked_for)) // _CALLS

    def dump(self) -> list[Any]:
        """Return the whole content as plain values."""
        found = dict(self.anomalies.runs)
        looked_for = [each.dump() for each in self._looked_for]
        return [self.runs.dump(), self.ledger.dump(), self.shed, looked_for, found, sorted(self.present)]

    def load(self, dumped: list[Any], slots: float) -> None:
        """Restore what `dump` returned, with the same fields and totals; a slot of it spans *slots* current ones."""
        self.runs.load(dumped[0])
        self.ledger.load(dumped[1], slots)
        self.shed = dumped[2]
        for each, kept in zip(self._looked_for, dumped[3], strict=True):
            each.load(kept)
        self.anomalies.runs.update(dumped[4])
        self.present = set(dumped[5] if dumped[5:] else range(self.ledger.totals))  # older checkpoints lack it

    @property
    def _looked_for(self) -> list[Repeats | Intervals]:
        return [*(repeats for _, repeats in self.repeats), *(intervals for _, intervals in self.intervals)]

    def _over(self, over: Over, *, abandoned: bool = True) -> list[Update]:
        """Return what is observed of runs that are dropped; count those without an end if *abandoned*."""
        self.anomalies.note(run for _, run in over)
        updates: list[Update] = []
        for runs in _rounds(over):
            ended = [(name, run) for name, run in runs if run.ending is not None and not run.settled]
            rest = [(name, run) for name, run in runs if run.ending is None or run.settled]
            updates += [*self._closed(ended), *self._given_up(rest, abandoned=abandoned)]
        return updates

    def _given_up(self, over: Over, *, abandoned: bool) -> list[Update]:
        accounts = [self._account(name, run, None) for name, run in over]
        self.ledger.settle(accounts)
        # Their totals are not observed, but their loops are.
        updates = self._loops(
            [
                account if run.settled else account._replace(until=account.last)
                for account, (_, run) in zip(accounts, over, strict=True)
            ]
        )
        for name, run in over:
            if run.ending is None and abandoned:
                first, text = self._slot_of(run.last), usable(RUN_LABEL, name)
                shown = Exemplar(run.last, 1.0, (text,)) if text else None
                updates += [
                    Increment(metric, labels, 1, 1, first, shown if self._metrics[metric].exemplar else None)
                    for metric, labels in self._abandoned(run.values())
                ]
        return updates

    def _closed(self, over: Over) -> list[Update]:
        """Return what is observed of runs that have ended."""
        found: dict[_Series, _Found] = defaultdict(_Found)
        loops: list[Update] = []
        for runs in _rounds(over):
            endings = [run.ending for _, run in runs if run.ending is not None]
            accounts = [self._account(name, run, run.ending) for name, run in runs]
            settled = self.ledger.settle(accounts)
            loops += self._loops(accounts)
            shown = usable_texts(RUN_LABEL, [name for name, _ in runs])
            for places in _alike(endings):
                for at, (metric, labels, total) in enumerate(endings[places[0]].adds):
                    into, added = found[metric, labels], []
                    for place in places:
                        said = endings[place].own[at]
                        value = settled.totals[place][total] if said is None else said
                        if said is None and isnan(value):
                            continue  # unknown totals are not observed
                        into.times.append(endings[place].time)
                        into.shown.append(shown[place])
                        into.values.append(value)
                        if said is None:
                            added.append(place)
                        else:
                            into.exact += as_exact(said)
                            self.present.add(total)
                    into.exact += settled.exact(added, total)
        updates = [self._update(*where, each) for where, each in found.items() if each.values]
        return [*updates, *loops]

    def _loops(self, accounts: Sequence[Account]) -> list[Update]:
        """Return the loops in runs that are over."""
        return self._detections((pattern, repeats.settle(accounts)) for pattern, repeats in self.repeats)

    def _detections(self, found: Iterable[tuple[Pattern, Iterable[Loop]]]) -> list[Update]:
        series: dict[_Series, _Found] = defaultdict(_Found)
        for pattern, loops in found:
            for loop in loops:
                time = self._time_of(self._slot_of(loop.time))
                series[pattern.metric, loop.labels].add(time, 1.0, usable(RUN_LABEL, loop.run))
        return [self._update(*where, each) for where, each in series.items()]

    def _elapsed(self, moment: float, *, end: bool = False) -> list[Update]:
        found: dict[_Series, _Found] = defaultdict(_Found)
        for _, intervals in self.intervals:
            for elapsed in intervals.decide(moment, end=end):
                for where in elapsed.says:
                    found[where].add(elapsed.time, elapsed.seconds, "")
        return [self._update(*where, each) for where, each in found.items()]

    def _is_open(self, name: str) -> bool:
        run = self.runs.known.get(name)
        return run is not None and not run.settled

    def _update(self, metric: str, labels: tuple[str, ...], found: _Found) -> Update:
        values = np.array(found.values)
        slot_at = {time: self._slot_of(time) for time in set(found.times)}
        slots = np.array([slot_at[time] for time in found.times])
        total = found.exact
        first = int(slots.min())
        declared = self._metrics[metric]
        if declared.kind is Kind.COUNTER:
            adding = [each for each in found.all() if each[1] and each[2] and declared.exemplar]
            shown = _exemplar(*max(adding)) if adding else None
            spread: dict[int, float] = {}
            for slot, value in zip(slots.tolist(), found.values, strict=True):
                spread[slot] = spread.get(slot, 0.0) + value
            return Increment(metric, labels, len(values), total, first, shown, tuple(spread.items()))
        bounds = declared.bounds_as_written if declared.exemplar else ()
        best: dict[int, tuple[float, float, str]] = {}
        for bucket, each in zip(np.searchsorted(bounds, values).tolist(), found.all(), strict=True) if bounds else ():
            if each[2] and (bucket not in best or each > best[bucket]):
                best[bucket] = each
        chosen = [(bucket, _exemplar(*each)) for bucket, each in best.items()]
        return Observations(metric, labels, Numbers(values, total), slots, first, None, chosen)

    def _over_at(self, run: Run) -> float:
        return self.runs.given_up_at(run.last) if run.ending is None else run.ending.time

    def _account(self, name: str, run: Run, ending: Ending | None) -> Account:
        first = self._slot_of(self.runs.begin(run.first))
        until = first - 1 if ending is None else self._slot_of(ending.time + self._linger)
        return Account(name, first, until, max(self._slot_of(run.last), until))


def _rounds(over: Over) -> Iterator[Over]:
    """Split *over* into rounds with distinct runs: a run may have been given up and seen again."""
    while over:
        names: set[str] = set()
        again: Over = []
        now: Over = []
        for name, run in over:
            (again if name in names else now).append((name, run))
            names.add(name)
        yield now
        over = again


def _alike(endings: Sequence[Ending]) -> Iterable[list[int]]:
    """Return the indexes of *endings*, grouped by the series they add to."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, ending in enumerate(endings):
        places[id(ending.adds)].append(place)  # equal values usually are the same object, and its id is a cheap key
    return places.values()


def _exemplar(time: float, value: float, text: str) -> Exemplar:
    return Exemplar(time, value, (text,))
