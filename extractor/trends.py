"""
Totals at moments in, how much there was in a window and how that went out.

Moments are those of event time, as the sliding windows are: a log that is caught up with shows what it showed then. The
ring begins when the process does and keeps about an hour; for single agents and tools only as much as a window needs.

Knows nothing of what the totals are of.
"""

from collections import deque
from copy import copy
from datetime import datetime, tzinfo
from math import inf
from typing import NamedTuple

from extractor.tallies import Total, Totals

_SHORTEST = 10.0  # seconds between two samples
_PARTS = 30  # of a window: so far apart, as its slots are
_SPAN = 3600.0  # of the trend lines, in seconds of event time; at least so many windows:
_WINDOWS = 12
_NONE = Total()


class Sample(NamedTuple):
    """
    What had been counted up to *time*, in seconds since the epoch: a total for each signal.

    A signal that is no total, such as a quantile, has its number at that moment in *levels*.
    """

    time: float
    totals: tuple[Totals | None, ...]
    levels: tuple[float | None, ...]


class Trends:
    """The last samples, for windows of *seconds*; *zone* says when a day begins, None for that of the machine."""

    def __init__(self, seconds: float, zone: tzinfo | None = None) -> None:
        self.seconds = seconds
        self.span = max(_SPAN, _WINDOWS * seconds)
        self._step = max(_SHORTEST, seconds / _PARTS)
        self._zone = zone
        self._samples: deque[Sample] = deque()
        self._day: Sample | None = None

    def copy(self) -> "Trends":
        """What is kept now, to be looked at while more is added."""
        twin = copy(self)
        twin._samples = self._samples.copy()  # noqa: SLF001  # our own
        return twin

    def due(self, time: float) -> bool:
        """Whether *time*, up to which was read, is worth a sample."""
        return time > -inf and (not self._samples or time >= self._samples[-1].time + self._step)

    def add(self, sample: Sample) -> None:
        """Keep a sample, later than all before; the first one is what there was at the start."""
        last = self._samples[-1] if self._samples else None
        if last is not None and (self._day is None or self._midnight(sample.time) != self._midnight(last.time)):
            self._day = last
        self._samples.append(sample)
        while len(self._samples) > 1 and self._samples[1].time <= sample.time - self.span - self.seconds:
            self._samples.popleft()
        for place in range(len(self._samples) - 1, -1, -1):
            old = self._samples[place]
            if old.time < sample.time - self.seconds - self._step:
                if any(totals is not None and len(totals) > 1 for totals in old.totals):
                    self._samples[place] = old._replace(totals=tuple(map(_bare, old.totals)))
                else:
                    break

    def before(self, time: float) -> Sample | None:
        """The sample at which the window that ends at *time* begins; None if that is before the start."""
        return next((each for each in reversed(self._samples) if each.time <= time - self.seconds), None)

    def begin(self, now: Sample) -> Sample:
        """Where the window that ends *now* begins: at the start, if that is later."""
        return self.before(now.time) or self._samples[0]

    def of_total(self, place: int, now: Sample) -> list[tuple[float, Total]]:
        """What there was of the total at *place* in the window that ended at each sample, with its time."""
        found = []
        begin = 0
        samples = [*self._samples, now]
        for sample in samples[1:]:
            while samples[begin + 1].time <= sample.time - self.seconds:
                begin += 1
            if samples[begin].time <= sample.time - self.seconds:
                found.append((sample.time, _total(sample, place).since(_total(samples[begin], place))))
        return found

    def of_level(self, place: int, now: Sample) -> list[tuple[float, float | None]]:
        """The level at *place* at each sample, with its time."""
        return [(sample.time, sample.levels[place]) for sample in [*self._samples, now] if sample.time > -inf]

    def of_day(self, place: int, now: Sample) -> tuple[float, float, Total]:
        """When the day of *now* began, since when what there is of the total at *place* is known, and that."""
        midnight, last = self._midnight(now.time), self._samples[-1]
        begin = self._day if self._day is not None and self._midnight(last.time) == midnight else last
        return midnight, max(begin.time, midnight), _total(now, place).since(_total(begin, place))

    def _midnight(self, time: float) -> float:
        if time == -inf:
            return time
        moment = datetime.fromtimestamp(time, self._zone).astimezone(self._zone)
        return moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _bare(totals: Totals | None) -> Totals | None:
    return None if totals is None else {"": totals.get("", _NONE)}


def _total(sample: Sample, place: int) -> Total:
    totals: Totals | None = sample.totals[place] if sample.totals else None
    return _NONE if totals is None else totals.get("", _NONE)
