"""
Amounts of runs in, what a run added up out: kept from the run's first event until it ends, in whatever file that is.

An amount is a number with its run, the total it belongs to, and the slot of its time. Amounts are kept one by one, so
that a sum is exact, and so that what comes after the end of a run can be left out of it even if the end is read last.

Knows nothing of event types or metrics.
"""

from collections.abc import Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from extractor.state.exact_sum import Exact, Floats, exact_sums, rounded_sums

Integers = NDArray[np.int64]

_CHUNKS = 64  # kept apart; past that, joining them costs less than going through them


class Amounts(NamedTuple):
    """Numbers, each with its run (a place in some list), the place of its total, and its slot; infinite if unknown."""

    runs: Integers
    totals: Integers
    slots: Integers
    values: Floats


class Account(NamedTuple):
    """What of *run* is settled: the amounts of slots *first* to *last*; those up to slot *until* count."""

    run: str
    first: int
    until: int
    last: int


class Settled(NamedTuple):
    """
    What was settled: the totals of each account, each rounded once, and what they are made of.

    A total is NaN if one of its amounts is unknown. *groups* has beside each of *values* the place of its account times
    the number of totals, plus that of its total.
    """

    totals: list[list[float]]
    values: Floats
    groups: Integers

    def exact(self, accounts: Sequence[int], total: int) -> Exact:
        """What the *total* of *accounts*, given by their places, adds up to, without rounding."""
        if not accounts or not len(self.values):
            return 0
        width = len(self.totals[0])
        chosen = np.zeros(len(self.totals) * width, dtype=bool)
        chosen[np.array(accounts) * width + total] = True
        values = self.values[chosen[self.groups]]
        return exact_sums(values, np.zeros(len(values), dtype=np.int64), 1)[0]


def nothing() -> Amounts:
    """No amounts."""
    none = np.zeros(0, dtype=np.int64)
    return Amounts(none, none, none, np.zeros(0))


class Ledger:
    """The amounts of the runs of one pack, which have so many *totals*."""

    def __init__(self, totals: int) -> None:
        self.totals = totals
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        self._chunks: list[Amounts] = []

    def __len__(self) -> int:
        return sum(len(chunk.values) for chunk in self._chunks)

    def add(self, runs: Sequence[str | None], amounts: Amounts) -> None:
        """Take *amounts* down, whose runs are places in *runs*; what has no run is left out."""
        if not len(amounts.values):
            return
        named = np.array([name is not None for name in runs])[amounts.runs]
        places = np.array([0 if name is None else self._place(name) for name in runs])
        kept = Amounts(*(column[named] for column in amounts))
        self._chunks.append(kept._replace(runs=places[kept.runs]))
        if len(self._chunks) > _CHUNKS:
            self._join()

    def merge(self, other: "Ledger") -> None:
        """Take down what *other* holds."""
        self.add(*other.rows())

    def settle(self, accounts: Sequence[Account]) -> "Settled":
        """The totals of each of *accounts*, no two of which are of one run; their amounts are no longer kept."""
        size = len(accounts) * self.totals
        if not self._chunks or not size:
            return Settled([[0.0] * self.totals for _ in accounts], np.zeros(0), np.zeros(0, dtype=np.int64))
        account_of = np.full(len(self._names), -1)
        for place, account in enumerate(accounts):
            if account.run in self._places:
                account_of[self._places[account.run]] = place
        first, until, last = (np.array([account[field] for account in accounts]) for field in (1, 2, 3))
        rows = self._join()
        of = account_of[rows.runs]
        settled = (of >= 0) & (rows.slots >= first[of]) & (rows.slots <= last[of])
        counted = settled & (rows.slots <= until[of])
        values, groups = rows.values[counted], of[counted] * self.totals + rows.totals[counted]
        unknown = groups[np.isinf(values)]
        if len(unknown):
            values, groups = values[np.isfinite(values)], groups[np.isfinite(values)]
        sums = rounded_sums(values, groups, size)
        for group in set(unknown.tolist()):
            sums[group] = nan
        self._keep(Amounts(*(column[~settled] for column in rows)))
        return Settled([sums[begin : begin + self.totals] for begin in range(0, size, self.totals)], values, groups)

    def rows(self) -> tuple[list[str], Amounts]:
        """Everything that is kept, and the runs that it has."""
        return self._names, self._join()

    def dump(self) -> list[Any]:
        """Everything that is kept, as plain values."""
        return [list(self._names), *(column.tobytes() for column in self._join())]

    def load(self, dumped: list[Any], slots: float) -> None:
        """Take over what `dump` gave, with the same totals; a slot was as long as so many *slots* are now."""
        names, *columns = dumped
        kinds = (np.int64, np.int64, np.int64, np.float64)
        arrays: Any = (np.frombuffer(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True))
        rows = Amounts(*arrays)
        self.add(names, rows if slots == 1 else rows._replace(slots=np.floor(rows.slots * slots).astype(np.int64)))

    def _join(self) -> Amounts:
        if not self._chunks:
            return nothing()
        joined = Amounts(*(np.concatenate(columns) for columns in zip(*self._chunks, strict=True)))
        self._chunks = [joined]
        return joined

    def _keep(self, rows: Amounts) -> None:
        """Keep only *rows*, and the names of their runs."""
        places, runs = np.unique(rows.runs, return_inverse=True)
        self._names = [self._names[place] for place in places.tolist()]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._chunks = [rows._replace(runs=runs)] if len(rows.values) else []

    def _place(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self._names)
            self._names.append(name)
        return place
