"""
Find loops in runs: the same call a number of times within the last few calls of its run.

Whether a call completes a loop depends on the calls before it, in the order of all events, and on nothing later. It is
decided once nothing earlier can come: a linger after the call when following logs, or when the run is over in the parts
of one pass. Of an open run only the last few calls are stored then. A loop that the agent itself reported, earlier in
the run or within a linger after the call, is not counted: the report counts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from extractor.schema.label_values import restored
from extractor.state.event_order import Orders, joined, nothing
from extractor.state.exact_sum import Floats
from extractor.state.runs.totals import Account

Integers = NDArray[np.int64]
K = TypeVar("K")

_CHUNKS = 64  # beyond it, joining chunks is cheaper than iterating over them
_ROW = 16  # bytes of a decided call: its time and its code


class Saying(NamedTuple):
    """The label set in which a loop of a call is counted, and the texts to compare with reports."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]


class Report(NamedTuple):
    """A loop reported by the agent, of calls with these *texts*; an empty text matches any."""

    time: float
    texts: tuple[str, ...]

    def is_of(self, texts: tuple[str, ...]) -> bool:
        """Return whether it may be of a call with these *texts*: texts that both have are equal."""
        return all(mine == theirs or not mine or not theirs for mine, theirs in zip(self.texts, texts, strict=True))


class Calls(NamedTuple):
    """
    Calls: index of the run, time in seconds, code of the call (0: like no other), and index of its `Saying`.

    *orders* order calls of the same time.
    """

    runs: Integers
    times: Floats
    codes: Integers
    says: Integers
    orders: Orders


class Loop(NamedTuple):
    """A loop found in *run*, at *time* in seconds since the epoch."""

    labels: tuple[str, ...]
    time: float
    run: str


class Repeats:
    """
    The calls of the runs of one pack; *times* equal ones among *within* are a loop.

    *linger* is in seconds, as for ends of runs. *compared* holds, for each text of a report, whether the oldest
    checkpoint format included it.
    """

    def __init__(
        self, times: int, within: int, linger: float, slot_seconds: float, compared: Sequence[bool] = ()
    ) -> None:
        self._compared = compared
        self._times = times
        self._within = within
        self._linger = linger
        self._slot_seconds = slot_seconds
        self._chunks: list[Calls] = []  # to be decided
        self._names: dict[str, int] = {}
        self._says: dict[Saying, int] = {}
        self._before: dict[str, bytes] = {}  # the last decided calls of each run
        self._reports: dict[str, set[Report]] = {}

    def __len__(self) -> int:
        return sum(len(chunk.runs) for chunk in self._chunks)

    def add(self, runs: Sequence[str | None], sayings: Sequence[Saying], calls: Calls) -> None:
        """Add *calls*, whose runs and sayings are indexes into the lists; calls without a run are skipped."""
        if not len(calls.runs):
            return
        named = np.array([name is not None for name in runs])[calls.runs]
        kept = _rows(calls, named)
        runs_at = np.array([0 if name is None else _place(self._names, name) for name in runs])
        says_at = np.array([_place(self._says, saying) for saying in sayings])
        self._chunks.append(kept._replace(runs=runs_at[kept.runs], says=says_at[kept.says]))
        if len(self._chunks) > _CHUNKS:
            self._join()

    def report(self, reports: Iterable[tuple[str, Report]]) -> None:
        """Add loops that runs reported."""
        for run, report in reports:
            self._reports.setdefault(run, set()).add(report)

    def merge(self, other: "Repeats") -> None:
        """Add the content of *other*."""
        names, sayings, calls, before, reports = other.kept()
        self.add(names, sayings, calls)
        self.report((run, report) for run, each in reports.items() for report in each)
        for run, packed in before.items():
            self._before[run] = self._before.get(run, b"") + packed

    def settle(self, accounts: Iterable[Account]) -> list[Loop]:
        """Return the loops in the runs of *accounts*, which must be distinct; drop the data of these runs."""
        known = self._names.keys() | self._before.keys() | self._reports.keys()
        ours = [account for account in accounts if account.run in known]
        if not ours:
            return []
        rows = self._join()
        account_of = np.full(len(self._names), -1)
        for place, account in enumerate(ours):
            if account.run in self._names:
                account_of[self._names[account.run]] = place
        first, until, last = (np.array([account[field] for account in ours]) for field in (1, 2, 3))
        of, slots = account_of[rows.runs], rows.times // self._slot_seconds
        over = (of >= 0) & (slots >= first[of]) & (slots <= last[of])
        spans = {account.run: account for account in ours}
        loops = [
            Loop(saying.labels, time, run)
            for run, time, saying in self._found(rows, over & (slots <= until[of]))
            if not self._is_reported(time, saying, self._within_span(spans[run], spans[run].until))
        ]
        for run in spans.keys() & self._before.keys():
            del self._before[run]
        for run in spans.keys() & self._reports.keys():
            rest = self._reports[run] - set(self._within_span(spans[run], spans[run].last))
            del self._reports[run]
            if rest:
                self._reports[run] = rest
        self._keep(rows, ~over)
        return loops

    def decide(self, moment: float, *, is_open: Callable[[str], bool]) -> list[Loop]:
        """Return the loops in open runs until a linger before *moment*; calls of other runs are skipped."""
        rows = self._join()
        due = rows.times + self._linger < moment
        if not due.any():
            return []
        opened = np.array([is_open(run) for run in self._names])[rows.runs]
        loops = [
            Loop(saying.labels, time, run)
            for run, time, saying in self._found(rows, due & opened, keep=True)
            if not self._is_reported(time, saying, self._reports.get(run, ()))
        ]
        self._keep(rows, ~due)
        self._reports = {run: _first(reports, moment) for run, reports in self._reports.items() if is_open(run)}
        return loops

    def kept(self) -> tuple[list[str], list[Saying], Calls, dict[str, bytes], dict[str, set[Report]]]:
        """Return runs, sayings and undecided calls; the last decided calls by run; and reports."""
        return list(self._names), list(self._says), self._join(), self._before, self._reports

    def clear(self) -> None:
        """Drop all undecided calls."""
        self._chunks = []

    def dump(self) -> list[Any]:
        """Return the whole content as plain values."""
        names, sayings, calls, before, reports = self.kept()
        columns = [column.tobytes() for column in calls[:4]]
        said = {run: sorted(each) for run, each in reports.items()}
        return [names, sayings, columns, dict(before), said, calls.orders.dump()]

    def load(self, dumped: list[Any]) -> None:
        """Restore what `dump` returned for the same pattern."""
        names, says, columns, self._before, reports = dumped[:5]
        kinds = (np.int64, np.float64, np.int64, np.int64)
        arrays: Any = [np.frombuffer(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)]
        # Older checkpoints have no order: calls of one time stay as they were read.
        orders = Orders.load(dumped[5]) if dumped[5:] else nothing(len(arrays[0]))
        self.add(
            names,
            [Saying(restored(labels), self._texts(texts)) for labels, texts in says],
            Calls(arrays[0], arrays[1], arrays[2], arrays[3], orders),
        )
        self.report((run, Report(time, self._texts(texts))) for run, each in reports.items() for time, texts in each)

    def _texts(self, dumped: Sequence[str] | str) -> tuple[str, ...]:
        if not isinstance(dumped, str):
            return tuple(dumped)
        texts = iter(dumped.split("\0"))
        return tuple(next(texts, "") if was_compared else "" for was_compared in self._compared)

    def _found(
        self, rows: Calls, chosen: NDArray[np.bool_], *, keep: bool = False
    ) -> Iterator[tuple[str, float, Saying]]:
        """Yield run, time and saying of each of the *chosen* rows that completes a loop."""
        rows = _rows(rows, chosen)
        seen = np.zeros(len(self._names), dtype=bool)
        seen[rows.runs] = True
        every = list(self._names)
        names = [every[place] for place in np.flatnonzero(seen).tolist()]
        packed = [self._before.get(name, b"") for name in names]
        before = np.frombuffer(b"".join(packed), dtype=np.int64).reshape(-1, 2)
        runs = np.repeat(np.arange(len(names)), [len(some) // _ROW for some in packed])
        runs = np.concatenate([runs, (np.cumsum(seen) - 1)[rows.runs]])
        times = np.concatenate([before[:, 0].copy().view(np.float64), rows.times])
        codes = np.concatenate([before[:, 1], rows.codes])
        # Decided calls precede undecided ones.
        order = joined([nothing(len(before)), rows.orders]).sorted(runs, times)
        runs, times, codes = runs[order], times[order], codes[order]
        if keep:
            self._before.update(_last(names, runs, times, codes, self._within))
        sayings = list(self._says)
        for row in np.flatnonzero(self._completes(runs, codes) & (order >= len(before))).tolist():
            saying = sayings[int(rows.says[order[row] - len(before)])]
            yield names[int(runs[row])], float(times[row]), saying

    def _completes(self, runs: Integers, codes: Integers) -> NDArray[np.bool_]:
        """Return whether each call completes a loop that was not complete with the call before."""
        near = np.zeros(len(runs), dtype=np.int64)
        for distance in range(1, self._within):
            near[distance:] += _alike(runs, codes, distance)
        completes: NDArray[np.bool_] = (near == self._times - 1) & (codes != 0)
        completes[self._within :] &= ~_alike(runs, codes, self._within)
        return completes

    def _is_reported(self, time: float, saying: Saying, reports: Iterable[Report]) -> bool:
        return any(report.time <= time + self._linger and report.is_of(saying.texts) for report in reports)

    def _within_span(self, account: Account, last: int) -> list[Report]:
        reports = self._reports.get(account.run, ())
        return [report for report in reports if account.first <= report.time // self._slot_seconds <= last]

    def _join(self) -> Calls:
        if not self._chunks:
            none = np.zeros(0, dtype=np.int64)
            return Calls(none, np.zeros(0), none, none, nothing())
        if len(self._chunks) > 1:
            columns: Any = [
                np.concatenate(column) for column in zip(*(chunk[:4] for chunk in self._chunks), strict=True)
            ]
            self._chunks = [
                Calls(columns[0], columns[1], columns[2], columns[3], joined(chunk.orders for chunk in self._chunks))
            ]
        return self._chunks[0]

    def _keep(self, rows: Calls, chosen: NDArray[np.bool_]) -> None:
        """Keep only the *chosen* rows as undecided, with their runs and sayings."""
        rows = _rows(rows, chosen)
        runs, run_of = np.unique(rows.runs, return_inverse=True)
        says, say_of = np.unique(rows.says, return_inverse=True)
        names, sayings = list(self._names), list(self._says)
        self._names = {names[place]: at for at, place in enumerate(runs.tolist())}
        self._says = {sayings[place]: at for at, place in enumerate(says.tolist())}
        self._chunks = [rows._replace(runs=run_of, says=say_of)] if len(runs) else []


def _place(places: dict[K, int], key: K) -> int:
    return places.setdefault(key, len(places))


def _rows(calls: Calls, chosen: NDArray[np.bool_]) -> Calls:
    columns: Any = [column[chosen] for column in calls]
    return Calls(*columns)


def _alike(runs: Integers, codes: Integers, distance: int) -> NDArray[np.bool_]:
    """Return, for each call from index *distance* on, whether it equals the one *distance* before, in the same run."""
    alike: NDArray[np.bool_] = (codes[distance:] == codes[:-distance]) & (runs[distance:] == runs[:-distance])
    return alike


def _last(
    names: Sequence[str], runs: Integers, times: Floats, codes: Integers, most: int
) -> Iterator[tuple[str, bytes]]:
    """Yield the last calls of each run, at most *most*, packed."""
    packed = np.stack([times.view(np.int64), codes], axis=1).tobytes()
    ends = np.cumsum(np.bincount(runs, minlength=len(names))).tolist()
    for name, begin, end in zip(names, [0, *ends], ends, strict=False):
        yield name, packed[max(begin, end - most) * _ROW : end * _ROW]


def _first(reports: set[Report], moment: float) -> set[Report]:
    """Return *reports* without those before *moment* that repeat an earlier one, which matters alone."""
    first: dict[tuple[str, ...], Report] = {}
    for report in sorted(reports, reverse=True):
        if report.time < moment:
            first[report.texts] = report
    return {report for report in reports if report.time >= moment or first[report.texts] == report}
