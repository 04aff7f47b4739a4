"""
Add up amounts by run, from its first event until it ends, across files.

An amount is a number with its run, its total, and the slot of its time. Amounts are stored individually: sums stay
exact, and amounts after the end of a run can be left out even if the end is read last.
"""

from collections.abc import Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from extractor.state.exact_sum import Exact, Floats, exact_sums, rounded_sums

Integers = NDArray[np.int64]

_CHUNKS = 64  # beyond it, joining chunks is cheaper than iterating over them


class Amounts(NamedTuple):
    """Numbers (float64, infinite if unknown), each with index of its run, index of its total, and slot (int64)."""

    runs: Integers
    totals: Integers
    slots: Integers
    values: Floats


class Account(NamedTuple):
    """The amounts of *run* to settle: slots *first* to *last*, of which those up to slot *until* count."""

    run: str
    first: int
    until: int
    last: int


class Settled(NamedTuple):
    """
    The totals of each account, each rounded once, and the amounts that make them up.

    A total is NaN if one of its amounts is unknown. *groups* holds, for each of *values*, the index of its account
    times the number of totals, plus the index of its total.
    """

    totals: list[list[float]]
    values: Floats
    groups: Integers

    def exact(self, accounts: Sequence[int], total: int) -> Exact:
        """Return the exact sum of *total* over *accounts*, both given as indexes."""
        if not accounts or not len(self.values):
            return 0
        width = len(self.totals[0])
        chosen = np.zeros(len(self.totals) * width, dtype=bool)
        chosen[np.array(accounts) * width + total] = True
        values = self.values[chosen[self.groups]]
        return exact_sums(values, np.zeros(len(values), dtype=np.int64), 1)[0]


def nothing() -> Amounts:
    """Return no amounts."""
    none = np.zeros(0, dtype=np.int64)
    return Amounts(none, none, none, np.zeros(0))


class Ledger:
    """The amounts of the runs of one pack, which has *totals* totals."""

    def __init__(self, totals: int) -> None:
        self.totals = totals
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        self._chunks: list[Amounts] = []

    def __len__(self) -> int:
        return sum(len(chunk.values) for chunk in self._chunks)

    def add(self, runs: Sequence[str | None], amounts: Amounts) -> None:
        """Add *amounts*, whose runs are indexes into *runs*; amounts without a run are skipped."""
        if not len(amounts.values):
            return
        named = np.array([name is not None for name in runs])[amounts.runs]
        places = np.array([0 if name is None else self._place(name) for name in runs])
        kept = Amounts(*(column[named] for column in amounts))
        self._chunks.append(kept._replace(runs=places[kept.runs]))
        if len(self._chunks) > _CHUNKS:
            self._join()

    def merge(self, other: "Ledger") -> None:
        """Add the amounts of *other*."""
        self.add(*other.rows())

    def settle(self, accounts: Sequence[Account]) -> "Settled":
        """Remove the amounts of *accounts*, whose runs must be distinct, and return their totals."""
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
        """Return all stored amounts, and the names of their runs."""
        return self._names, self._join()

    def dump(self) -> list[Any]:
        """Return the whole content as plain values."""
        return [list(self._names), *(column.tobytes() for column in self._join())]

    def load(self, dumped: list[Any], slots: float) -> None:
        """Restore what `dump` returned with the same totals; one slot of it spans *slots* current slots."""
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
