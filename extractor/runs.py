"""
Sightings of runs in, what is known of each run kept.

A run is open from its first event, in whatever file that stood, until its end is seen; without an event for the
time-out it is given up. Open is decided when asked, from times alone, so that it does not matter in which order, or in
how many states, the events were seen.

Knows nothing of files, schemas or Prometheus.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_NEVER = float("inf")
_SWEEPS_PER_TIMEOUT = 8  # forgetting costs a look at every run; doing it rarely costs a little memory


class Sighting(NamedTuple):
    """One event of a run: its time in seconds since the epoch, and the raw values of the pack's run fields."""

    run: str
    time: float
    fields: Sequence[object]


class Known(NamedTuple):
    """The latest value of a run field, with the time of the event that carried it."""

    time: float
    value: object


class Run:
    """What is known of one run; times are event times in seconds since the epoch."""

    __slots__ = ("ended", "fields", "last")

    def __init__(self, fields: int) -> None:
        self.last = -_NEVER
        self.ended = _NEVER
        self.fields = [Known(-_NEVER, None)] * fields

    def see(self, time: float, fields: Sequence[object]) -> None:
        """Take one event of the run into account."""
        self.last = max(self.last, time)
        for place, value in enumerate(fields):
            if value is not None and time >= self.fields[place].time:
                self.fields[place] = _later(self.fields[place], Known(time, value))

    def values(self) -> list[object]:
        """The value of each run field; None where no event had it."""
        return [known.value for known in self.fields]

    def merge(self, other: "Run") -> None:
        """Take into account what *other* knows of the same run."""
        self.last = max(self.last, other.last)
        self.ended = min(self.ended, other.ended)
        self.fields = [_later(mine, theirs) for mine, theirs in zip(self.fields, other.fields, strict=True)]


def _later(one: Known, other: Known) -> Known:
    # The text breaks ties between values of any type.
    return max(one, other, key=lambda known: (known.time, str(known.value)))


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

    def see(self, sightings: Iterable[Sighting], *, end: bool = False) -> None:
        """Take events into account, all of one type; *end* says that they end their run."""
        for run_id, time, fields in sightings:
            run = self.known.get(run_id)
            if run is None:
                run = self.known[run_id] = Run(self._fields)
            run.see(time, fields)
            if end:
                run.ended = min(run.ended, time)

    def merge(self, other: "Runs") -> None:
        """Take into account what *other* knows."""
        for run_id, theirs in other.known.items():
            self.known.setdefault(run_id, Run(self._fields)).merge(theirs)

    def open(self, watermark: float) -> Iterator[Run]:
        """The runs that are open when the latest event time seen is *watermark*."""
        return (run for run in self.known.values() if run.ended == _NEVER and run.last + self._timeout >= watermark)

    def sweep(self, watermark: float) -> None:
        """Forget the runs without an event for the time-out."""
        if watermark < self._swept + self._timeout / _SWEEPS_PER_TIMEOUT:
            return
        self._swept = watermark
        oldest = watermark - self._timeout
        self.known = {run_id: run for run_id, run in self.known.items() if run.last >= oldest}
