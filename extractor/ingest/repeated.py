"""
Columns of events in, the calls and reports out that loops are found in.

Calls are alike if a code is the same: 64 bits of what they are compared by. Two calls that differ have the same code by
chance once in 10^18; a loop would need that twice.

Knows nothing of series or lines.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from extractor.ingest.columns import Columns, Key, Texts
from extractor.ingest.derive import Plan
from extractor.schema.conditions import label_value, mark_text
from extractor.schema.pointer import Pointer
from extractor.schema.run_specs import Pattern
from extractor.state.runs.loops import Calls, Integers, Report, Saying

Parts = Sequence[tuple[Plan, Columns]]
"""The columns of all event types of a pack."""

_ODD = np.uint64(0x9E3779B97F4A7C15)  # with bits all over, so that each bit of a word comes to matter everywhere


def calls(parts: Parts, pattern: Pattern) -> tuple[list[Saying], Calls] | None:
    """The calls among *parts* in which loops of *pattern* are looked for, and what they say; None if there is none."""
    for plan, columns in parts:
        if plan.event.name == pattern.event and columns.runs:
            places = np.array(columns.places)
            codes, says, sayings = _of_keys(plan, columns, pattern, places)
            for pointer in pattern.repeated.of:
                if pointer in plan.marks:
                    codes = mixed(codes, codes_of(columns.marks[plan.marks.index(pointer)]))
            return sayings, Calls(np.array(columns.runs), np.array(columns.times), codes, says, columns.orders.orders())
    return None


def reports(parts: Parts, pattern: Pattern, runs: Sequence[str | None]) -> Iterator[tuple[str, Report]]:
    """The reports of loops of *pattern* among *parts*, each with its run."""
    for plan, columns in parts:
        if plan.event.name == pattern.repeated.unless:
            keys = list(columns.keys)
            for run, place, time in zip(columns.runs, columns.places, columns.times, strict=True):
                name = runs[run]
                if name is not None:
                    yield name, Report(time, _texts(plan, keys[place], pattern.named))


def _of_keys(
    plan: Plan, columns: Columns, pattern: Pattern, places: Integers
) -> tuple[Integers, Integers, list[Saying]]:
    """Of each row what its key adds to its code, the place of what it says, and all that is said."""
    keys = list(columns.keys)
    labels = [(label, plan.keys.index(label.pointer) if label.const is None else None) for label in pattern.labels]
    compared = [plan.keys.index(pointer) for pointer in pattern.repeated.of if pointer in plan.keys]
    wanted = [at for at in (*(at for _, at in labels), *compared) if at is not None]
    known: dict[Key, int] = {}
    kind_of = np.zeros(len(keys), dtype=np.int64)
    texts: list[str] = []
    says: list[int] = []
    sayings: dict[Saying, int] = {}
    for place in np.flatnonzero(np.bincount(places)).tolist():
        key = keys[place]
        raw = tuple([key[at] for at in wanted])
        if raw not in known:
            said = tuple(label_value(label, None if at is None else key[at]) for label, at in labels)
            saying = Saying(said, _texts(plan, key, pattern.named))
            says.append(sayings.setdefault(saying, len(sayings)))
            words = [mark_text(key[at]) for at in compared]
            texts.append("\0" + "\0".join(words) if all(words) else "")
            known[raw] = len(known)
        kind_of[place] = known[raw]
    kinds = kind_of[places]
    return codes_of(Texts(texts))[kinds], np.array(says)[kinds], list(sayings)


def _texts(plan: Plan, key: Key, named: Sequence[Pointer]) -> tuple[str, ...]:
    """What a loop and its report are compared by, in the order of *named*; empty where there is nothing."""
    return tuple(mark_text(key[plan.keys.index(pointer)]) for pointer in named)


def mixed(codes: Integers, more: Integers) -> Integers:
    """Codes of both together: 0 where one is 0."""
    both = codes * _ODD.view(np.int64) + more
    both[both == 0] = 1
    both[(codes == 0) | (more == 0)] = 0
    return both


def codes_of(texts: Texts) -> Integers:
    """A code for each of *texts*, of all that is in it; 0 where there is none."""
    lengths = np.array(texts.lengths)
    codes = np.zeros(len(lengths), dtype=np.int64)
    as_bytes, begins = np.frombuffer(bytes(texts.data), dtype=np.uint8), np.cumsum(lengths) - lengths
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        rows = np.flatnonzero(lengths == length)
        if len(rows) == len(lengths):  # hashes of arguments mostly are of one length
            codes = _of_bytes(as_bytes.reshape(len(lengths), length))
        elif length:
            codes[rows] = _of_bytes(as_bytes[begins[rows, None] + np.arange(length)])
    return codes


def _of_bytes(data: NDArray[np.uint8]) -> Integers:
    """The code of each row of *data*: all its words of 64 bits, one after the other, mixed; 0 for nothing."""
    rows, length = data.shape
    padded = np.zeros((rows, 8 * -(-length // 8)), dtype=np.uint8)
    padded[:, :length] = data
    codes = np.full(rows, length, dtype=np.uint64)
    for word in padded.view("<u8").T:
        codes = (codes ^ word) * _ODD
        codes ^= codes >> np.uint64(32)
    codes[codes == 0] = min(length, 1)
    return codes.view(np.int64)
