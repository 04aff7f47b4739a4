"""
Sightings of runs in, what is known of each run kept.

A run is open from its first event, in whatever file that stood, until its end is seen; without an event for the
time-out it is given up, and an event after so long a silence is the first of the run again. Silence is measured in
epochs, parts of the time-out: that a run was seen in an epoch survives any summing up of its events, so it does not
matter when and how often that is done. What is known of a run between two long silences is a stretch; only its last one
counts, but which events belong to that may be known only once all parts of a log are put together.

Knows nothing of files, schemas or Prometheus.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from extractor.state.runs.endings import Add, Ending, load_adds
from extractor.state.runs.run import NEVER, Known, Run, later

_EPOCHS = 20  # in a time-out
_SHED = 10  # the part of all runs that is forgotten at once when there are too many


class Sighting(NamedTuple):
    """
    One event of a run, or several in one epoch.

    *time* is that of the last of them, in seconds since the epoch; *fields* are the raw values of the run fields,
    if they are not said elsewhere; *ending* is the event itself if it ends the run, *starts* says that one starts it.
    """

    run: str
    time: float
    fields: tuple[object, ...]
    ending: Ending | None = None
    starts: bool = False


class Runs:
    """
    The runs of one pack, by their id.

    An ended run is kept as long as an open one could be: an event that comes after its end does not open it again. The
    stretches before the last one are kept until they are swept: in whatever order events come, the same is known then.
    """

    def __init__(self, fields: int, timeout: float) -> None:
        self._fields = fields
        self._timeout = timeout
        self._swept = -NEVER
        self.known: dict[str, Run] = {}
        self._earlier: dict[str, list[Run]] = {}
        self._again: dict[str, Run] = {}

    def epoch(self, time: float) -> int:
        """The number of the epoch in which *time* lies."""
        return int(time * _EPOCHS // self._timeout)

    def see(self, sightings: Iterable[Sighting]) -> None:
        """Take events into account."""
        for run_id, time, fields, ending, starts in sorted(sightings, key=_time):
            run = self.known.get(run_id)
            if run is not None and run.last <= time < run.last + self._timeout / 2:
                run.last = time  # as nearly always; it is not before an earlier stretch
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
        """Take into account what *other* knows."""
        for run_id, theirs in other.stretches():
            if run_id not in self.known:
                self.known[run_id] = theirs.copy()
                continue
            run = self._run(run_id, theirs.first, theirs.last)
            if run is not None:
                run.add(theirs)

    def stretches(self) -> Iterator[tuple[str, Run]]:
        """Every stretch that is kept, with the id of its run."""
        for run_id, stretches in self._earlier.items():
            yield from ((run_id, run) for run in stretches)
        yield from self.known.items()

    def dump(self) -> list[Any]:
        """Everything known, as plain values."""
        adds: dict[tuple[Add, ...], int] = {}  # the same for many runs
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
        """Take over what `dump` gave, with the same run fields."""
        adds, kept = [load_adds(each) for each in dumped[0]], dumped[1]
        for run_id, seen, is_open, said in kept:
            run = Run(self._fields)
            if is_open:
                run.fields = [Known(time, value) for time, value in said]
            else:
                time, place, own, *exact = said
                order = (exact[0], tuple(exact[1])) if exact else ()  # not known before there was one
                run.end(Ending(time, adds[place], tuple(own), *order))
            run.first, run.last, run.started, run.ends, run.settled, odd = seen
            run.odd = frozenset(odd)
            self._keep(run_id, run)

    @property
    def held(self) -> int:
        """How many stretches are kept."""
        return len(self.known) + sum(map(len, self._earlier.values()))

    def limit(self) -> list[tuple[str, Run]]:
        """Keep only the last stretch of each run; those that are over."""
        over = [(run_id, run) for run_id, stretches in self._earlier.items() for run in stretches]
        self._earlier = {}
        return over

    def settle(self, floor: float) -> list[tuple[str, Run]]:
        """Forget what was silent for long before *floor*, which no event still to come is far before; what that is."""
        return self._forgotten(floor - self._timeout)

    def due(self, moment: float, linger: float) -> Iterator[tuple[str, Run]]:
        """The runs that ended more than *linger* seconds before *moment* and are not settled."""
        return (
            (run_id, run)
            for run_id, run in self.known.items()
            if run.ending is not None and not run.settled and run.ending.time + linger < moment
        )

    def seen_again(self) -> list[tuple[str, Run]]:
        """The runs of which an event came after they were settled, since this was asked last."""
        again, self._again = self._again, {}
        return list(again.items())

    def open(self, watermark: float) -> Iterator[Run]:
        """The runs that are open when the latest event time seen is *watermark*."""
        return (run for run in self.known.values() if run.ending is None and not self._silent(run.last, watermark))

    def sweep(self, watermark: float) -> list[tuple[str, Run]]:
        """Forget the runs without an event for the time-out; what is over."""
        # To forget costs a look at every run, and within an epoch nothing becomes old.
        if watermark > -NEVER and (self._swept == -NEVER or self.epoch(watermark) != self.epoch(self._swept)):
            self._swept = watermark
            return self._forgotten(watermark)
        return []

    def shed(self, most: int) -> list[tuple[str, Run]]:
        """Forget the stretches that were silent for longest, so that *most* are kept; those that are over so."""
        if self.held <= most:
            return []
        by_last = sorted(self.stretches(), key=lambda item: (item[1].last, item[0]))
        # A few more at once: to find them costs a look at all.
        over = by_last[: len(by_last) - most + most // _SHED]
        for run_id, run in over:
            self._drop(run_id, run)
        return over

    def begin(self, time: float) -> float:
        """When the epoch of *time* begins."""
        return self.epoch(time) * self._timeout / _EPOCHS

    def given_up_at(self, time: float) -> float:
        """When a run is given up whose last event is at *time*."""
        return (self.epoch(time) + _EPOCHS + 1) * self._timeout / _EPOCHS

    def long_before(self, floor: float) -> float:
        """A time that no event which comes after *floor* is before, for all that can be known."""
        return floor - 2 * self._timeout

    def _forgotten(self, watermark: float) -> list[tuple[str, Run]]:
        earlier = [(run_id, run) for run_id, stretches in self._earlier.items() for run in stretches]
        over = [(run_id, run) for run_id, run in (*earlier, *self.known.items()) if self._silent(run.last, watermark)]
        for run_id, run in over:
            self._drop(run_id, run)
        return over

    def _drop(self, run_id: str, run: Run) -> None:
        """Keep *run* no longer; of one id the earliest stretch goes first."""
        if run_id in self._earlier:
            self._earlier[run_id].remove(run)
            if not self._earlier[run_id]:
                del self._earlier[run_id]
        else:
            del self.known[run_id]

    def _run(self, run_id: str, first: float, last: float) -> Run | None:
        """The run, seen from *first* to *last* too; None if that lies before a long silence, and was swept already."""
        run = self.known.get(run_id)
        if run is None:
            run = self.known[run_id] = Run(self._fields)
        elif self._silent(last, run.first) or self._silent(run.last, first) or run_id in self._earlier:
            return self._apart(run_id, run, first, last)
        run.extend(first, last)
        return run

    def _apart(self, run_id: str, run: Run, first: float, last: float) -> Run | None:
        """The stretch of *run* that holds *first* to *last*, or that this makes."""
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
        """Keep *run*, which comes after all stretches of the same run that are kept."""
        if run_id in self.known:
            self._earlier.setdefault(run_id, []).append(self.known[run_id])
        self.known[run_id] = run

    def _silent(self, since: float, until: float) -> bool:
        if until - since < self._timeout / 2:
            return False  # nearly always, and at a third of the cost
        return self.epoch(until) - self.epoch(since) > _EPOCHS


def _first(run: Run) -> float:
    return run.first


def _time(sighting: Sighting) -> float:
    return sighting.time
