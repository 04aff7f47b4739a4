"""
Values by slot of event time in, windows and trends out.

A window is a fixed number of slots and ends in the slot of the latest event. Each point of a trend covers a whole
window.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from math import inf

import numpy as np

from extractor.state.hdr import Pile, joined
from extractor.web.page.tallies import Total, Totals

SLOTS = 30
"""Of a window."""

_POINTS = 60  # of a trend: more than there are pixels for
_NOTHING = (0.0, 0.0)

Points = list[tuple[float, float]]
"""Times, in seconds since the epoch, and values."""


@dataclass(frozen=True, slots=True)
class Past:
    """
    What there was of each signal, which is known by its place, in each slot up to the *newest*, and *until* when.

    `sums` are parts and wholes of sums, `apart` those of single label values, `piles` the values that `asked`
    are of (the place that has them, and the quantile), `was` what was no sum at the end of the slot; `days` have
    the parts by midnight. Nothing is known from before the slot *started*, if there was something; *begin* is the first
    slot in which a window ended of which all is known.
    """

    sums: Mapping[int, Mapping[int, tuple[float, ...]]]
    apart: Mapping[int, Mapping[tuple[int, str], tuple[float, ...]]]
    piles: Mapping[int, Mapping[int, Pile]]
    was: Mapping[int, Mapping[int, float]]
    days: Mapping[float, Mapping[int, float]]
    asked: Mapping[int, tuple[int, float]]
    newest: int
    until: float
    started: int | None
    begin: int
    time_of: Callable[[int], float]
    _found: dict[int, list[tuple[float, list[float]]]] = field(default_factory=dict)

    @property
    def since(self) -> float:
        """When the window begins: with the process, if that is later."""
        begin = self.newest + 1 - SLOTS
        return self.time_of(begin if self.started is None else max(begin, self.started))

    @property
    def is_partial(self) -> bool:
        """Whether the process began within the window, with something counted before."""
        return self.started is not None and self.started > self.newest + 1 - SLOTS

    @property
    def begins(self) -> float:
        """When the trends begin."""
        return self.time_of(self.begin)

    def window(self, place: int) -> Totals:
        """What there was in the window: of all, and of each label value."""
        found: dict[str, list[float]] = {"": [0.0, 0.0]}
        for slot in range(self.newest + 1 - SLOTS, self.newest + 1):
            cells = [("", self.sums.get(slot, {}).get(place, _NOTHING))]
            cells += [(who, cell) for (at, who), cell in self.apart.get(slot, {}).items() if at == place]
            for who, (part, whole) in cells:
                sums = found.setdefault(who, [0.0, 0.0])
                sums[0], sums[1] = sums[0] + part, sums[1] + whole
        return {who: Total(*sums) for who, sums in found.items()}

    def totals(self, place: int) -> list[tuple[float, Total]]:
        """What there was in the windows that ended in each slot, with the time of their end."""
        slots = self._shown()
        if not slots:
            return []
        cells = [self.sums.get(slot, {}).get(place, _NOTHING) for slot in range(self.begin - SLOTS, self.newest + 1)]
        sums = np.cumsum(np.array(cells), axis=0)
        windows = (sums[SLOTS:] - sums[:-SLOTS]).tolist()
        return [(self._end(slot), Total(*windows[slot - self.begin])) for slot in slots]

    def quantiles(self, place: int) -> Points:
        """The quantile of the windows that ended in each slot, with the time of their end."""
        first, _ = self.asked[place]
        alike = [each for each, (same, _) in self.asked.items() if same == first]
        if first not in self._found:
            wanted = [self.asked[each][1] for each in alike]
            self._found[first] = []
            for slot in self._shown():
                window = range(slot + 1 - SLOTS, slot + 1)
                piles = [self.piles[at][first] for at in window if first in self.piles.get(at, {})]
                found = joined(piles).quantiles(wanted)
                if found:
                    self._found[first].append((self._end(slot), found))
        return [(time, found[alike.index(place)]) for time, found in self._found[first]]

    def levels(self, place: int) -> Points:
        """What a signal that is no sum was at in each slot."""
        return [(self._end(slot), cells[place]) for slot, cells in sorted(self.was.items()) if place in cells]

    def of_day(self, place: int) -> tuple[float, float, float]:
        """When the day of the latest event began, since when we know it, and what there was of a counter."""
        day = midnight(self.until)
        known = day if self.started is None else max(day, self.time_of(self.started))
        return day, known, self.days.get(day, {}).get(place, 0.0)

    def _shown(self) -> range:
        """The slots that a trend has a point for: evenly spread, the newest among them."""
        step = max(1, -(-(self.newest + 1 - self.begin) // _POINTS))
        return range(self.newest - max(self.newest - self.begin, -1) // step * step, self.newest + 1, step)

    def _end(self, slot: int) -> float:
        return min(self.time_of(slot + 1), self.until)


@lru_cache(maxsize=1024)
def midnight(time: float) -> float:
    """When the day of *time* began, where we are."""
    if time == -inf:
        return time
    moment = datetime.fromtimestamp(time).astimezone()
    return moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
