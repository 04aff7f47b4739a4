"""
Match starts and ends by key; return the seconds between them.

An end matches the last start of its key before it, if no other end lies between them and at most the time-out has
passed. As in `state.runs.loops`, this is decided once nothing earlier can come: a linger after the end. Starts whose
end never comes are dropped after the time-out, and counted.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from extractor.schema.label_values import restored
from extractor.state.event_order import Orders, joined, nothing
from extractor.state.exact_sum import Floats

Integers = NDArray[np.int64]

_CHUNKS = 64  # beyond it, joining chunks is cheaper than iterating over them
_START = -1
_SHED = 10  # divisor: the share of all starts dropped at once when there are too many


Saying = tuple[tuple[str, tuple[str, ...]], ...]
"""The metrics and label sets in which an interval is observed."""


class Marks(NamedTuple):
    """
    Starts and ends: the code of the key (int64), the time in seconds, and for ends the index of their `Saying`.

    *orders* order marks of the same time.
    """

    keys: Integers
    times: Floats
    ends: Integers
    orders: Orders


class Elapsed(NamedTuple):
    """An interval of *seconds* that ended at *time*, observed in the series *says*."""

    says: Saying
    seconds: float
    time: float


class Intervals:
    """The starts and ends of one kind; beyond *most* starts without an end, the oldest are dropped."""

    def __init__(self, timeout: float, linger: float, most: int) -> None:
        self._timeout = timeout
        self._linger = linger
        self._most = most
        self._chunks: list[Marks] = []
        self._says: dict[Saying, int] = {}
        self.unended = 0

    def __len__(self) -> int:
        return sum(len(chunk.keys) for chunk in self._chunks)

    def add(self, says: Iterable[Saying], marks: Marks) -> None:
        """Add *marks*, whose ends are indexes into *says*; marks without a key (code 0) are skipped."""
        places = [self._says.setdefault(each, len(self._says)) for each in says]
        marks = _chosen(marks, marks.keys != 0)
        # Starts have index -1, which selects the last element.
        self._chunks.append(marks._replace(ends=np.array([*places, _START])[marks.ends]))
        if len(self._chunks) > _CHUNKS:
            self._join()

    def merge(self, other: "Intervals") -> None:
        """Add the marks of *other*."""
        self.add(*other.kept())
        self.unended += other.unended

    def decide(self, moment: float, *, end: bool = False) -> list[Elapsed]:
        """Return the intervals that ended a linger before *moment*, or all of them at the *end* of input."""
        rows = self._join()
        if not len(rows.keys):
            return []
        rows = _chosen(rows, rows.orders.sorted(rows.keys, rows.times))
        due = rows.times + self._linger < (np.inf if end else moment)
        starts = rows.ends == _START
        # Rows followed by one of the same key; the last row is not.
        followed = np.append(rows.keys[1:] == rows.keys[:-1], [False])
        next_is_end = followed & np.append(~starts[1:], [False])
        next_is_due = followed & np.append(due[1:], [False])
        ended = np.flatnonzero(starts & next_is_end & next_is_due)
        seconds = rows.times[ended + 1] - rows.times[ended]
        ended, seconds = ended[seconds <= self._timeout], seconds[seconds <= self._timeout]
        says = list(self._says)
        found = [
            Elapsed(says[place], value, time)
            for place, value, time in zip(
                rows.ends[ended + 1].tolist(), seconds.tolist(), rows.times[ended + 1].tolist(), strict=True
            )
        ]
        used = np.zeros(len(starts), dtype=bool)
        used[ended] = True
        too_old = rows.times + self._timeout + self._linger < moment
        forgotten = starts & ~used & (next_is_due | too_old)
        self.unended += int(forgotten.sum())
        self._keep(_chosen(rows, np.where(starts, ~used & ~forgotten, ~due)))
        return found

    def kept(self) -> tuple[list[Saying], Marks]:
        """Return all undecided marks, and the list their ends refer to."""
        return list(self._says), self._join()

    def clear(self) -> None:
        """Drop all undecided marks."""
        self._chunks = []

    def dump(self) -> list[Any]:
        """Return the whole content as plain values."""
        says, marks = self.kept()
        return [says, [column.tobytes() for column in marks[:3]], self.unended, marks.orders.dump()]

    def load(self, dumped: list[Any]) -> None:
        """Restore what `dump` returned for the same kind."""
        says, columns, self.unended = dumped[:3]
        kinds = (np.int64, np.float64, np.int64)
        arrays: Any = [np.frombuffer(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)]
        orders = Orders.load(dumped[3]) if dumped[3:] else nothing(len(arrays[0]))
        self.add(
            [tuple((metric, restored(labels)) for metric, labels in each) for each in says],
            Marks(arrays[0], arrays[1], arrays[2], orders),
        )

    def _keep(self, rows: Marks) -> None:
        starts = np.flatnonzero(rows.ends == _START)
        if (extra := len(starts) - self._most) > 0:
            # Drop some extra, because finding them scans all rows.
            oldest = starts[np.lexsort((rows.keys[starts], rows.times[starts]))][: extra + self._most // _SHED]
            self.unended += len(oldest)
            left = np.ones(len(rows.keys), dtype=bool)
            left[oldest] = False
            rows = _chosen(rows, left)
        says, ends = list(self._says), np.unique(rows.ends[rows.ends != _START]).tolist()
        self._chunks = []
        place_of = np.full(len(says) + 1, _START)
        place_of[ends] = np.arange(len(ends))
        self._says = {says[place]: at for at, place in enumerate(ends)}
        if len(rows.keys):
            self._chunks = [rows._replace(ends=place_of[rows.ends])]

    def _join(self) -> Marks:
        if not self._chunks:
            none = np.zeros(0, dtype=np.int64)
            return Marks(none, np.zeros(0), none, nothing())
        if len(self._chunks) > 1:
            columns: Any = [
                np.concatenate(column) for column in zip(*(chunk[:3] for chunk in self._chunks), strict=True)
            ]
            self._chunks = [Marks(columns[0], columns[1], columns[2], joined(chunk.orders for chunk in self._chunks))]
        return self._chunks[0]


def _chosen(marks: Marks, chosen: NDArray[Any]) -> Marks:
    columns: Any = [column[chosen] for column in marks]
    return Marks(*columns)
