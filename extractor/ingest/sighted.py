"""
Columns of events in, what they say of runs out: when each was seen, whether it ended, and what it added up.

That a run was seen in an epoch is never lost (see `state.runs.registry`). Times are those of slots: the columns hold no
others, and a run that is open for an hour need not be given up to the second.

Knows nothing of series or lines.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from math import inf, isnan

import numpy as np

from extractor.ingest.columns import Columns
from extractor.ingest.derive import Plan
from extractor.state.exact_sum import Floats
from extractor.state.runs.endings import Add, Ending
from extractor.state.runs.registry import Sighting
from extractor.state.runs.totals import Amounts, Integers, nothing

_EXACT = 2**53  # below it sums of integers are exact as floats
_DENSE = 1 << 22  # entries; a larger table costs more than to sort the rows


_NO_SLOT = np.iinfo(np.int64).max

Parts = Sequence[tuple[Plan, Columns]]
"""The columns of all event types of a pack."""

Named = dict[tuple[tuple[object, ...], bool], int]
"""What events say of their runs, by run field, and whether they start them; with a slot."""


def sightings(
    parts: Parts, runs: Sequence[str | None], time_of: Callable[[int], float], epoch_of: Callable[[float], int]
) -> Iterator[Sighting]:
    """
    What *parts* say of runs, whose ids are *runs*.

    *time_of* is the time of a slot, in seconds since the epoch, and *epoch_of* the epoch of such a time.
    """
    sayings: dict[tuple[object, ...], int] = {}
    rows = [
        (np.array(columns.runs), _sayings(plan, columns, sayings)[np.array(columns.places)], np.array(columns.slots))
        for plan, columns in parts
        if columns.runs
    ]
    if not rows:
        return
    run, saying, slot = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.argsort(slot, kind="stable")
    run, saying, slot = run[order], saying[order], slot[order]
    begins = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    epochs = np.array([epoch_of(time_of(place)) for place in slot[begins].tolist()])
    epoch = np.repeat(epochs - epochs[0], np.diff(begins, append=len(slot)))
    width = int(epochs[-1] - epochs[0]) + 1
    code = (run * len(sayings) + saying) * width + epoch
    said = list(sayings)
    for row in _last(code, len(runs) * len(sayings) * width).tolist():
        name = runs[int(run[row])]
        if name is not None:
            yield Sighting(name, time_of(int(slot[row])), said[int(saying[row])])
    for plan, columns in parts:
        if plan.event.run == "end":
            yield from _endings(plan, columns, runs, time_of)
        elif plan.event.run == "start":
            starts = ((runs[run], time_of(slot)) for run, slot in zip(columns.runs, columns.slots, strict=True))
            yield from (Sighting(name, time, (), starts=True) for name, time in starts if name is not None)


def named(parts: Parts, runs: Sequence[str | None]) -> Named:
    """What the events of *parts*, whose runs are *runs*, say of them, with the earliest slot in which one said so."""
    found: Named = {}
    is_named = np.array([name is not None for name in runs], dtype=bool)
    for plan, columns in parts:
        if not columns.runs:
            continue
        starts = plan.event.run == "start"
        said = plan.fields_by_key(columns.keys)
        rows = is_named[np.array(columns.runs)]
        places, slots = np.array(columns.places)[rows], np.array(columns.slots)[rows]
        first = np.full(len(said), _NO_SLOT)
        np.minimum.at(first, places, slots)
        for place in np.flatnonzero(first < _NO_SLOT).tolist():
            key = said[place], starts
            found[key] = min(found.get(key, _NO_SLOT), int(first[place]))
    return found


def amounts(parts: Parts) -> Amounts:
    """What the events of *parts* add to the totals of their runs."""
    rows: list[tuple[Integers, Integers, Integers, Floats]] = []
    for plan, columns in parts:
        run, slot = np.array(columns.runs), np.array(columns.slots)
        for total, column in plan.amounts if columns.runs else ():
            values = np.ones(len(run)) if column is None else np.nan_to_num(np.array(columns.numbers[column]))
            rows.append(_by_slot(total, run, slot, values))
            if columns.unpriced and plan.price is not None and column == plan.price.cost:
                unknown = np.unique(np.stack([run[columns.unpriced], slot[columns.unpriced]]), axis=1)
                rows.append((unknown[0], np.full(unknown.shape[1], total), unknown[1], np.full(unknown.shape[1], inf)))
    return Amounts(*map(np.concatenate, zip(*rows, strict=True))) if rows else nothing()


def present(parts: Parts) -> set[int]:
    """The places of the totals of runs that an event of *parts* has an amount of, were it 0."""
    return {
        total
        for plan, columns in parts
        for total, column in (plan.amounts if columns.runs else ())
        if column is None or not np.isnan(np.array(columns.numbers[column])).all()
    }


def _by_slot(total: int, run: Integers, slot: Integers, values: Floats) -> tuple[Integers, Integers, Integers, Floats]:
    """The amounts of one total; integers of one run and slot as their sum, which is exact."""
    some = np.flatnonzero(values)  # 0 adds nothing
    run, slot, values = run[some], slot[some], values[some]
    if len(values):
        low, span = int(slot.min()), int(slot.max() - slot.min()) + 1
        size = (int(run.max()) + 1) * span
        if size <= _DENSE and (values == np.trunc(values)).all() and float(np.abs(values).max()) * len(values) < _EXACT:
            sums = np.asarray(np.bincount(run * span + slot - low, weights=values), dtype=np.float64)
            hit = np.flatnonzero(sums)
            run, slot, values = hit // span, hit % span + low, sums[hit]
    return run, np.full(len(run), total), slot, values


def _endings(
    plan: Plan, columns: Columns, runs: Sequence[str | None], time_of: Callable[[int], float]
) -> Iterator[Sighting]:
    keys = list(columns.keys)
    adds: dict[int, tuple[Add, ...]] = {}  # by the place of the key
    own = [[None] * len(columns.runs) if item.own is None else _given(columns, item.own) for item in plan.closings]
    said = zip(*own, strict=True) if own else repeat(())
    exact = zip(columns.times, columns.orders.orders().values(), strict=True)
    rows = zip(columns.runs, columns.places, columns.slots, exact, said, strict=False)
    for run, place, slot, (at, order), numbers in rows:
        name, time = runs[run], time_of(slot)
        if name is not None:
            if place not in adds:
                items = ((item.metric.name, item.labels_of(keys[place]), item.place) for item in plan.closings)
                adds[place] = tuple(Add(*item) for item in items)
            # What it says of its run was seen with all other events.
            yield Sighting(name, time, (), Ending(time, adds[place], numbers, at, order))


def _given(columns: Columns, column: int) -> list[float | None]:
    return [None if isnan(number) else number for number in columns.numbers[column]]


def _sayings(plan: Plan, columns: Columns, sayings: dict[tuple[object, ...], int]) -> Integers:
    """The place in *sayings* of what an event with each key says of its run."""
    said = plan.fields_by_key(columns.keys)
    places = np.zeros(len(said), dtype=np.int64)
    for key in np.flatnonzero(np.bincount(columns.places)).tolist():
        places[key] = sayings.setdefault(said[key], len(sayings))
    return places


def _last(code: Integers, size: int) -> Integers:
    """The last row of each of *size* codes that there is one of."""
    if size > _DENSE:
        _, backwards = np.unique(code[::-1], return_index=True)
        return np.asarray(len(code) - 1 - backwards, dtype=np.int64)
    last = np.full(size, -1)
    last[code] = np.arange(len(code))  # the last assignment counts
    return last[last >= 0]
