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
    """
    One event of a run, or several in one epoch.

    *time* is that of the last of them, in seconds since the epoch; *fields* are the raw values of the pack's run
    fields; *end* says that the run ended.
    """

    run: str
    time: float
    fields: tuple[object, ...]
    end: bool = False


class Known(NamedTuple):
    """The latest value of a run field, with the time of the event that carried it."""

    time: float
    value: object


class Run:
    """What is known of one run since its last long silence; times are event times in seconds since the epoch."""

    __slots__ = ("ended", "fields", "first", "last")

    def __init__(self, fields: int) -> None:
        self.first = _NEVER
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

    def see(self, sightings: Iterable[Sighting]) -> None:
        """Take events into account."""
        for run_id, time, fields, end in sorted(sightings, key=_time):
            run = self._run(run_id, time, time)
            if run is None:
                continue
            run.ended |= end
            for place, value in enumerate(fields):
                if value is not None and time >= run.fields[place].time:
                    run.fields[place] = _later(run.fields[place], Known(time, value))

    def merge(self, other: "Runs") -> None:
        """Take into account what *other* knows."""
        for run_id, theirs in other.known.items():
            run = self._run(run_id, theirs.first, theirs.last)
            if run is not None:
                run.ended |= theirs.ended
                run.fields = [_later(mine, more) for mine, more in zip(run.fields, theirs.fields, strict=True)]

    def dump(self) -> list[Any]:
        """Everything known, as plain values."""
        return [
            [name, run.first, run.last, run.ended, [list(field) for field in run.fields]]
            for name, run in self.known.items()
        ]

    def load(self, dumped: list[Any]) -> None:
        """Take over what `dump` gave, with the same run fields."""
        for run_id, first, last, ended, fields in dumped:
            run = self.known[run_id] = Run(self._fields)
            run.first, run.last, run.ended = first, last, ended
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

    def _run(self, run_id: str, first: float, last: float) -> Run | None:
        """The run, seen from *first* to *last* too; None if that lies before its last long silence."""
        run = self.known.get(run_id)
        if run is not None and self._silent(last, run.first):
            return None
        if run is None or self._silent(run.last, first):
            run = self.known[run_id] = Run(self._fields)
        run.first = min(run.first, first)
        run.last = max(run.last, last)
        return run

    def _silent(self, since: float, until: float) -> bool:
        return self.epoch(until) - self.epoch(since) > _EPOCHS


def _time(sighting: Sighting) -> tuple[float, bool]:
    return sighting.time, sighting.end


def _later(one: Known, other: Known) -> Known:
    # The text breaks ties between values of any type.
    return max(one, other, key=lambda known: (known.time, str(known.value)))
