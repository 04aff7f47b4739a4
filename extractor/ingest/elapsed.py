"""
Columns of events in, the starts and ends of intervals out.

A key is a code of 64 bits of the run and the property that starts and ends have in common.

Knows nothing of series or lines.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from extractor.ingest.columns import Columns, Texts
from extractor.ingest.derive import Plan
from extractor.ingest.repeated import Parts, codes_of, mixed
from extractor.schema.conditions import label_value, mark_text
from extractor.schema.pointer import Pointer
from extractor.schema.run_specs import End, Interval
from extractor.state.runs.intervals import Integers, Marks, Saying


def marks(parts: Parts, interval: Interval, runs: Sequence[str | None]) -> Iterator[tuple[list[Saying], Marks]]:
    """The starts and ends of *interval* among *parts*, whose runs are *runs*; for ends, what they say."""
    run_codes = codes_of(Texts(name or "" for name in runs))
    for plan, columns in parts:
        ends = [end for end in interval.ends if end.event == plan.event.name]
        if columns.runs and (ends or plan.event.name == interval.span.since):
            keys = mixed(run_codes[np.array(columns.runs)], _keys(plan, columns, interval.span.key))
            said, places = _said(plan, columns, ends) if ends else ([], np.full(len(keys), -1))
            yield said, Marks(keys, np.array(columns.times), places, columns.orders.orders())


def _keys(plan: Plan, columns: Columns, pointer: Pointer) -> Integers:
    if pointer in plan.marks:
        return codes_of(columns.marks[plan.marks.index(pointer)])
    at = plan.keys.index(pointer)
    codes: Integers = codes_of(Texts(mark_text(key[at]) for key in columns.keys))[np.array(columns.places)]
    return codes


def _said(plan: Plan, columns: Columns, ends: Sequence[End]) -> tuple[list[Saying], Integers]:
    """What ends say, and the place of what each row says."""
    at = {pointer: place for place, pointer in enumerate(plan.keys)}
    places = np.array(columns.places)
    known: dict[Saying, int] = {}
    keys, place_of = list(columns.keys), np.zeros(len(columns.keys), dtype=np.int64)
    for place in np.flatnonzero(np.bincount(places)).tolist():
        key = keys[place]
        said = tuple(
            (
                end.metric,
                tuple(
                    label_value(label, key[at[label.pointer]] if label.const is None else None) for label in end.labels
                ),
            )
            for end in ends
        )
        place_of[place] = known.setdefault(said, len(known))
    return list(known), place_of[places]
