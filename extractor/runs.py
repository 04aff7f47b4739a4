"""
Sightings of runs in, what is known of each run kept.

A run is open from its first event, in whatever file that stood, until its end is seen; without an event for the
time-out it is given up, and an event after so long a silence is the first of the run again. Silence is measured in
epochs, quarters of the time-out: that a run was seen in an epoch survives any summing up of its events, so it does not
matter when and how often that is done.

Knows nothing of files, schemas or Prometheus.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_NEVER = float("inf")
_EPOCHS = 4  # in a time-out
_SWEEPS_PER_TIMEOUT = 8  # forgetting costs a look at every run; doing it rarely costs a little memory


class Sighting(NamedTuple):
    """One event of a run: its time in seconds since the epoch, and the raw values of the pack's run fields."""

    run: str
    time: float
    fields: tuple[object, ...]


class Known(NamedTuple):
    """The latest value of a run field, with the time of the event that carried it."""

    time: float
    value: object


class Run:
    """What is known of one run; times are event times in seconds since the epoch."""

    __slots__ = ("ended", "fields", "last")

    def __init__(self, fields: int) -> None:
        self.last = -_NEVER
        self.ended = False
        self.fields = [Known(-_NEVER, None)] * fields

    def values(self) -> list[object]:
        """The value of each run field; None where no event had it."""
        return [known.value for known in self.fields]


class Runs:
    """
    The runs of one pack, by their id.

    An ended run is kept as long as an open one could be: an event that comes after its end does not open it again.
    """

    def __init__(self, fields: int, timeout: float) -> None:
        self._fields = fields
        self._timeout = timeout
        self._swept = -_NEVER
        self.known: dict[str, Run] = {}

    def epoch(self, time: float) -> int:
        """The number of the epoch in which *time* lies."""
        return int(time * _EPOCHS // self._timeout)

    def see(self, sightings: Iterable[Sighting], *, end: bool = False) -> None:
        """Take events into account, all of one kind; *end* says that they end their run."""
        for run_id, time, fields in sorted(sightings, key=_time):
            run = self._run(run_id, time)
            if run is None:
                continue
            run.last = max(run.last, time)
            run.ended |= end
            for place, value in enumerate(fields):
                if value is not None and time >= run.fields[place].time:
                    run.fields[place] = _later(run.fields[place], Known(time, value))

    def merge(self, other: "Runs") -> None:
        """Take into account what *other* knows."""
        for run_id, theirs in other.known.items():
            run = self._run(run_id, theirs.last)
            if run is not None:
                run.last = max(run.last, theirs.last)
                run.ended |= theirs.ended
                run.fields = [_later(mine, more) for mine, more in zip(run.fields, theirs.fields, strict=True)]

    def dump(self) -> list[Any]:
        """Everything known, as plain values."""
        return [[name, run.last, run.ended, list(map(list, run.fields))] for name, run in self.known.items()]

    def load(self, dumped: list[Any]) -> None:
        """Take over what `dump` gave, with the same run fields."""
        for run_id, last, ended, fields in dumped:
            run = self.known[run_id] = Run(self._fields)
            run.last, run.ended = last, ended
            run.fields = [Known(time, value) for time, value in fields]

    def open(self, watermark: float) -> Iterator[Run]:
        """The runs that are open when the latest event time seen is *watermark*."""
        return (run for run in self.known.values() if not run.ended and run.last + self._timeout >= watermark)

    def sweep(self, watermark: float) -> None:
        """Forget the runs without an event for the time-out."""
        if watermark < self._swept + self._timeout / _SWEEPS_PER_TIMEOUT:
            return
        self._swept = watermark
        self.known = {run_id: run for run_id, run in self.known.items() if not self._silent(run.last, watermark)}

    def _run(self, run_id: str, time: float) -> Run | None:
        """What is known of the run since its last long silence; None if *time* lies before that."""
        run = self.known.get(run_id)
        if run is not None and self._silent(time, run.last):
            return None
        if run is None or self._silent(run.last, time):
            run = self.known[run_id] = Run(self._fields)
        return run

    def _silent(self, since: float, until: float) -> bool:
        return since > -_NEVER and self.epoch(until) - self.epoch(since) > _EPOCHS


def _time(sighting: Sighting) -> float:
    return sighting.time


def _later(one: Known, other: Known) -> Known:
    # The text breaks ties between values of any type.
    return max(one, other, key=lambda known: (known.time, str(known.value)))
