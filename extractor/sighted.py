"""
Columns of events in, sightings of runs out: when each run was seen last, in each epoch, and what its events said of it.

That a run was seen in an epoch is never lost (see `runs`). Times are those of slots: the columns hold no others, and a
run that is open for an hour need not be given up to the second.

Knows nothing of series or lines.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from extractor.columns import Columns
from extractor.derive import Plan
from extractor.runs import Sighting

Integers = NDArray[np.int64]

_DENSE = 1 << 22  # entries; a larger table costs more than to sort the rows


def sightings(
    parts: Iterable[tuple[Plan, Columns]],
    runs: Sequence[str | None],
    time_of: Callable[[int], float],
    epoch_of: Callable[[float], int],
) -> Iterator[Sighting]:
    """
    The sightings in the columns of all event types of a pack; *runs* are the ids that their runs are places of.

    *time_of* is the time of a slot, in seconds since the epoch, and *epoch_of* the epoch of such a time.
    """
    sayings: dict[tuple[object, ...], int] = {}  # run fields, and whether the run ends
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
            *fields, end = said[int(saying[row])]
            yield Sighting(name, time_of(int(slot[row])), tuple(fields), end=bool(end))


def _sayings(plan: Plan, columns: Columns, sayings: dict[tuple[object, ...], int]) -> Integers:
    """The place in *sayings* of what an event with each key says of its run."""
    end = plan.event.run == "end"
    said = [(*plan.fields_of(key), end) for key in columns.keys]
    return np.array([sayings.setdefault(item, len(sayings)) for item in said], dtype=np.int64)


def _last(code: Integers, size: int) -> Integers:
    """The last row of each of *size* codes that there is one of."""
    if size > _DENSE:
        _, backwards = np.unique(code[::-1], return_index=True)
        return np.asarray(len(code) - 1 - backwards, dtype=np.int64)
    last = np.full(size, -1)
    last[code] = np.arange(len(code))  # the last assignment counts
    return last[last >= 0]
