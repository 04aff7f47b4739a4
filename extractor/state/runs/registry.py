"""
Track the runs of one pack by their events.

A run is open from its first event, in any file, until its end. Without an event for the time-out it is given up, and an
event after such a silence starts the run anew. Silence is measured in epochs, fractions of the time-out: the epochs
with events survive any aggregation of events, so it does not matter when and how often they are aggregated. The data of
a run between two long silences are a stretch. Only its last stretch counts, but which events belong to it may be known
only once all parts of a log are merged.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from extractor.state.runs.endings import Add, Ending, load_adds
from extractor.state.runs.run import NEVER, Known, Run, later

_EPOCHS = 20  # in a time-out
_SHED = 10  # divisor: the share of all runs dropped at once when there are too many


class Sighting(NamedTuple):
    """
    One event of a run, or several in one epoch.

    *time* is that of the last of them, in seconds since the epoch. *fields* are the raw values of the run fields,
    unless another sighting has them. *ending* is set if the event ends the run, *starts* if one of the events starts
    it.
    """

    run: str
    time: float
    fields: tuple[object, ...]
    ending: Ending | None = None
    starts: bool = False


class Runs:
    """
    The runs of one pack, by id.

    An ended run is kept as long as an open one could be, so that a later event does not reopen it. Stretches before the
    last one are kept until they are swept, so that the result does not depend on the order of events.
    """

    def __init__(self, fields: int, timeout: float) -> None:
        self._fields = fields
        self._timeout = timeout
        self._swept = -NEVER
        self.known: dict[str, Run] = {}
        self._earlier: dict[str, list[Run]] = {}
        self._again: dict[str, Run] = {}

    def epoch(self, time: float) -> int:
        """Return the number of the epoch of *time*, in seconds since the epoch."""
        return int(time * _EPOCHS // self._timeout)

    def see(self, sightings: Iterable[Sighting]) -> None:
        """Add events of runs."""
        for run_id, time, fields, ending, starts in sorted(sightings, key=_time):
            run = self.known.get(run_id)
            if run is not None and run.last <= time < run.last + self._timeout / 2:
                run.last = time  # the usual case; it does not precede an earlier stretch
            elif (run := self._run(run_id, time, time)) is None:
                continue
            if run.settled:
                self._again[run_id] = run
            if ending is not None:
                run.end(ending)
            if starts and time < run.started:
                run.started = time
            for place, value in enumerate(fields if run.ending is None else ()):
                if value is not None and time >= (before := run.fields[place]).time:
                    known = Known(time, value)
                    run.fields[place] = known if time > before.time else later(before, known)

    def merge(self, other: "Runs") -> None:
        """Add the runs of *other*."""
        for run_id, theirs in other.stretches():
            if run_id not in self.known:
                self.known[run_id] = theirs.copy()
                continue
            run = self._run(run_id, theirs.first, theirs.last)
            if run is not None:
                run.add(theirs)

    def stretches(self) -> Iterator[tuple[str, Run]]:
        """Yield every stored stretch with the id of its run."""
        for run_id, stretches in self._earlier.items():
            yield from ((run_id, run) for run in stretches)
        yield from self.known.items()

    def dump(self) -> list[Any]:
        """Return the whole content as plain values."""
        adds: dict[tuple[Add, ...], int] = {}  # equal for many runs
        kept = []
        for name, run in self.stretches():
            ending = run.ending
            said: object = list(run.fields)
            if ending is not None:
                said = (ending.time, adds.setdefault(ending.adds, len(adds)), *ending[2:])
            seen = (run.first, run.last, run.started, run.ends, run.settled, list(run.odd))
            kept.append((name, seen, ending is None, said))
        return [list(adds), kept]

    def load(self, dumped: list[Any]) -> None:
        """Restore what `dump` returned with the same run fields."""
        adds, kept = [load_adds(each) for each in dumped[0]], dumped[1]
        for run_id, seen, is_open, said in kept:
            run = Run(self._fields)
            if is_open:
                run.fields = [Known(time, value) for time, value in said]
            else:
                time, place, own, *exact = said
                order = (exact[0], tuple(exact[1])) if exact else ()  # older checkpoints lack it
                run.end(Ending(time, adds[place], tuple(own), *order))
            run.first, run.last, run.started, run.ends, run.settled, odd = seen
            run.odd = frozenset(odd)
            self._keep(run_id, run)

    @property
    def held(self) -> int:
        """Number of stored stretches."""
        return len(self.known) + sum(map(len, self._earlier.values()))

    def limit(self) -> list[tuple[str, Run]]:
        """Keep only the last stretch of each run; return the others."""
        over = [(run_id, run) for run_id, stretches in self._earlier.items() for run in stretches]
        self._earlier = {}
        return over

    def settle(self, floor: float) -> list[tuple[str, Run]]:
        """Drop and return the stretches that were silent for long before *floor*, the earliest time still to come."""
        return self._forgotten(floor - self._timeout)

    def due(self, moment: float, linger: float) -> Iterator[tuple[str, Run]]:
        """Yield the unsettled runs that ended more than *linger* seconds before *moment*."""
        return (
            (run_id, run)
            for run_id, run in self.known.items()
            if run.ending is not None and not run.settled and run.ending.time + linger < moment
        )

    def seen_again(self) -> list[tuple[str, Run]]:
        """Return the runs that had an event after they were settled, since the last call."""
        again, self._again = self._again, {}
        return list(again.items())

    def open(self, watermark: float) -> Iterator[Run]:
        """Yield the runs that are open when the latest event time is *watermark*."""
        return (run for run in self.known.values() if run.ending is None and not self._silent(run.last, watermark))

    def sweep(self, watermark: float) -> list[tuple[str, Run]]:
        """Drop and return the runs without an event for the time-out."""
        # Sweeping scans every run, and within an epoch no run becomes old.
        if watermark > -NEVER and (self._swept == -NEVER or self.epoch(watermark) != self.epoch(self._swept)):
            self._swept = watermark
            return self._forgotten(watermark)
        return []

    def shed(self, most: int) -> list[tuple[str, Run]]:
        """Drop and return the stretches that were silent for longest, so that at most *most* remain."""
        if self.held <= most:
            return []
        by_last = sorted(self.stretches(), key=lambda item: (item[1].last, item[0]))
        # Drop some extra, because finding them scans all stretches.
        over = by_last[: len(by_last) - most + most // _SHED]
        for run_id, run in over:
            self._drop(run_id, run)
        return over

    def begin(self, time: float) -> float:
        """Return the start of the epoch of *time*."""
        return self.epoch(time) * self._timeout / _EPOCHS

    def given_up_at(self, time: float) -> float:
        """Return when a run whose last event is at *time* is given up."""
        return (self.epoch(time) + _EPOCHS + 1) * self._timeout / _EPOCHS

    def long_before(self, floor: float) -> float:
        """Return a time that no event after *floor* can affect."""
        return floor - 2 * self._timeout

    def _forgotten(self, watermark: float) -> list[tuple[str, Run]]:
        earlier = [(run_id, run) for run_id, stretches in self._earlier.items() for run in stretches]
        over = [(run_id, run) for run_id, run in (*earlier, *self.known.items()) if self._silent(run.last, watermark)]
        for run_id, run in over:
            self._drop(run_id, run)
        return over

    def _drop(self, run_id: str, run: Run) -> None:
        """Drop *run*; the stretches of one id must be dropped earliest first."""
        if run_id in self._earlier:
            self._earlier[run_id].remove(run)
            if not self._earlier[run_id]:
                del self._earlier[run_id]
        else:
            del self.known[run_id]

    def _run(self, run_id: str, first: float, last: float) -> Run | None:
        """Return the run, extended to *first* and *last*; None if they precede a swept silence."""
        run = self.known.get(run_id)
        if run is None:
            run = self.known[run_id] = Run(self._fields)
        elif self._silent(last, run.first) or self._silent(run.last, first) or run_id in self._earlier:
            return self._apart(run_id, run, first, last)
        run.extend(first, last)
        return run

    def _apart(self, run_id: str, run: Run, first: float, last: float) -> Run | None:
        """Return the stretch of *run* that contains *first* to *last*, merged or created as needed."""
        apart: list[Run] = []
        near: list[Run] = []
        for stretch in (*self._earlier.get(run_id, ()), run):
            is_apart = self._silent(stretch.last, first) or self._silent(last, stretch.first)
            (apart if is_apart else near).append(stretch)
        if not near and self._silent(last, run.first) and self._silent(last, self._swept):
            return None
        seen = Run(self._fields)
        seen.extend(first, last)
        for stretch in near:
            seen.extend(stretch.first, stretch.last)
            seen.add(stretch)
        del self.known[run_id]
        self._earlier.pop(run_id, None)
        for stretch in sorted((*apart, seen), key=_first):
            self._keep(run_id, stretch)
        return seen

    def _keep(self, run_id: str, run: Run) -> None:
        """Store *run*, which follows all stored stretches of the same id."""
        if run_id in self.known:
            self._earlier.setdefault(run_id, []).append(self.known[run_id])
        self.known[run_id] = run

    def _silent(self, since: float, until: float) -> bool:
        if until - since < self._timeout / 2:
            return False  # the usual case, at a third of the cost
        return self.epoch(until) - self.epoch(since) > _EPOCHS


def _first(run: Run) -> float:
    return run.first


def _time(sighting: Sighting) -> float:
    return sighting.time
