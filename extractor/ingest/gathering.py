"""
Columns of events in, all that they add to a state out.

To gather it takes longer than to apply it, and changes nothing that anyone can see: only while it is applied must those
wait who look at the state.

Knows nothing of lines or files.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from extractor.cost.costs import Prices
from extractor.ingest.charges import charge
from extractor.ingest.choices import Choices, RunTexts
from extractor.ingest.elapsed import marks
from extractor.ingest.folding import updates
from extractor.ingest.repeated import Parts, calls, reports
from extractor.ingest.sighted import Named, amounts, named, present, sightings
from extractor.schema.model import Pack
from extractor.state.exact_sum import refuse_tiny
from extractor.state.runs.intervals import Marks
from extractor.state.runs.intervals import Saying as Elapsed
from extractor.state.runs.loops import Calls, Report, Saying
from extractor.state.runs.registry import Sighting
from extractor.state.runs.totals import Amounts
from extractor.state.state import State
from extractor.state.updates import Update


class _OfRuns(NamedTuple):
    """What events say of *runs*: of loops and of intervals in the order in which the accounts keep those."""

    runs: Sequence[str | None]
    sightings: Sequence[Sighting]
    named: Named
    amounts: Amounts
    present: set[int]
    loops: Sequence[tuple[Sequence[tuple[str, Report]], tuple[list[Saying], Calls] | None]]
    intervals: Sequence[Sequence[tuple[list[Elapsed], Marks]]]


class Gathered(NamedTuple):
    """What events of *pack* add to a state, and the calls of unknown cost, by model."""

    pack: Pack
    of_runs: _OfRuns | None
    updates: Sequence[Update]
    unpriced: Tally[str]

    def apply(self, state: State, heard: Callable[[Iterable[Update]], Iterator[Update]]) -> None:
        """Add it to *state*; the updates go through *heard*."""
        if self.of_runs is not None:
            accounts, said = state.accounts[self.pack.name], self.of_runs
            state.see_runs(self.pack, said.sightings, said.named)
            accounts.ledger.add(said.runs, said.amounts)
            accounts.present |= said.present
            for (_, repeats), (reported, made) in zip(accounts.repeats, said.loops, strict=True):
                repeats.report(reported)
                if made is not None:
                    repeats.add(said.runs, *made)
            for (_, kept), each in zip(accounts.intervals, said.intervals, strict=True):
                for starts_and_ends in each:
                    kept.add(*starts_and_ends)
        state.apply(heard(self.updates))


def gather(  # noqa: PLR0913, PLR0917  # what is read, and what it is read by
    pack: Pack, parts: Parts, runs: Sequence[str | None], state: State, prices: Prices, by_slot: frozenset[str]
) -> Gathered:
    """
    What the events of *parts*, whose runs are *runs*, add to *state*, which stays as it is.

    Calls that do not say what they cost are priced, in their columns, by *prices*. *by_slot* is as in `state.updates`.
    Raises `TinyError` if a number is too small to be added up: the fast path does not look.
    """
    unpriced: Tally[str] = Tally()
    for _, columns in parts:
        for numbers in columns.numbers:
            refuse_tiny(np.array(numbers))
    for plan, columns in parts:
        unpriced.update(charge(plan, columns, prices, state.time_of))
    texts, found = RunTexts(runs), list[Update]()
    for plan, columns in parts:
        found += updates(plan, columns, Choices(columns, texts, state.time_of), by_slot)
    return Gathered(pack, _of_runs(pack, parts, runs, state) if pack.run is not None else None, found, unpriced)


def _of_runs(pack: Pack, parts: Parts, runs: Sequence[str | None], state: State) -> _OfRuns:
    accounts = state.accounts[pack.name]
    return _OfRuns(
        runs,
        list(sightings(parts, runs, state.time_of, accounts.runs.epoch)),
        named(parts, runs),
        amounts(parts),
        present(parts),
        [(list(reports(parts, pattern, runs)), calls(parts, pattern)) for pattern, _ in accounts.repeats],
        [list(marks(parts, interval, runs)) for interval, _ in accounts.intervals],
    )
