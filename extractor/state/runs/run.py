"""The data of one run: its first and last event, the values of its fields, its start and end."""

from typing import NamedTuple

from extractor.state.runs.endings import Ending, order_of

NEVER = float("inf")


class Known(NamedTuple):
    """The latest value of a run field, with the time of its event."""

    time: float
    value: object


_UNKNOWN = Known(-NEVER, None)
_NOTHING: list[Known] = []  # shared by all ended runs, which are kept for long


class Run:
    """
    Data of one run since its last long silence; times are event times in seconds since the epoch.

    *ending* is the first event that ended it, *settled* is set once its totals were observed. *started* is the time of
    its first start, *ends* the number of its ends, and *odd* the anomalies it was counted for (see
    `state.runs.anomalies`).
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
        """Extend the run to include *first* to *last*."""
        self.first = min(self.first, first)
        self.last = max(self.last, last)

    def add(self, other: "Run") -> None:
        """Add *other*, which is of the same stretch; once the run has ended, its fields are dropped."""
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
        """Add an ending; the first of several counts."""
        self.ends += 1
        self.fields = _NOTHING
        if self.ending is None or order_of(ending) < order_of(self.ending):
            self.ending = ending

    def settle(self) -> None:
        """Mark the totals as observed, and drop all of the ending but its time."""
        self.settled = True
        if self.ending is not None:
            self.ending = self.ending._replace(adds=(), own=())

    def copy(self) -> "Run":
        """Return a copy that can be changed independently."""
        other = Run(0)
        other.first, other.last, other.fields = self.first, self.last, self.fields[:]
        other.ending, other.settled = self.ending, self.settled
        other.started, other.ends, other.odd = self.started, self.ends, self.odd
        return other

    def values(self) -> list[object]:
        """Return the value of each run field; None where no event had it."""
        return [known.value for known in self.fields]


def later(one: Known, other: Known) -> Known:
    """Return the later of two values."""
    # The text breaks ties between values of any type.
    return max(one, other, key=lambda known: (known.time, str(known.value)))
