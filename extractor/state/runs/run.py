"""
One run: when it was seen, what its events said of it, whether it started and ended.

Knows nothing of other runs.
"""

from typing import NamedTuple

from extractor.state.runs.endings import Ending, order_of

NEVER = float("inf")


class Known(NamedTuple):
    """The latest value of a run field, with the time of the event that carried it."""

    time: float
    value: object


_UNKNOWN = Known(-NEVER, None)
_NOTHING: list[Known] = []  # of all runs that have ended, which are kept for long


class Run:
    """
    What is known of one run since its last long silence; times are event times in seconds since the epoch.

    *ending* is the first event that ended it, *settled* says that its totals were observed; *started* is when it first
    was, *ends* how many ends were seen, and *odd* what it was counted for (see `state.runs.anomalies`).
    """

    __slots__ = ("ending", "ends", "fields", "first", "last", "odd", "settled", "started")

    def __init__(self, fields: int) -> None:
        self.first = NEVER
        self.last = -NEVER
        self.ending: Ending | None = None
        self.ends = 0
        self.settled = False
        self.started = NEVER
        self.odd: frozenset[str] = frozenset()
        self.fields = [_UNKNOWN] * fields

    def extend(self, first: float, last: float) -> None:
        """It was seen from *first* to *last*, too."""
        self.first = min(self.first, first)
        self.last = max(self.last, last)

    def add(self, other: "Run") -> None:
        """Take over what *other*, of the same stretch, says; of one that has ended nothing else matters."""
        self.settled |= other.settled
        self.started = min(self.started, other.started)
        self.odd |= other.odd
        ends = self.ends + other.ends
        if other.ending is not None:
            self.end(other.ending)
        self.ends = ends
        if self.ending is None:
            self.fields = [later(mine, more) for mine, more in zip(self.fields, other.fields, strict=True)]

    def end(self, ending: Ending) -> None:
        """It ended; of several endings the first counts."""
        self.ends += 1
        self.fields = _NOTHING
        if self.ending is None or order_of(ending) < order_of(self.ending):
            self.ending = ending

    def settle(self) -> None:
        """Its totals were observed; when it ended is all that matters from now on."""
        self.settled = True
        if self.ending is not None:
            self.ending = self.ending._replace(adds=(), own=())

    def copy(self) -> "Run":
        """The same, to be changed."""
        other = Run(0)
        other.first, other.last, other.fields = self.first, self.last, self.fields[:]
        other.ending, other.settled = self.ending, self.settled
        other.started, other.ends, other.odd = self.started, self.ends, self.odd
        return other

    def values(self) -> list[object]:
        """The value of each run field; None where no event had it."""
        return [known.value for known in self.fields]


def later(one: Known, other: Known) -> Known:
    """The later of two values."""
    # The text breaks ties between values of any type.
    return max(one, other, key=lambda known: (known.time, str(known.value)))
