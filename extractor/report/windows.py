"""
Cut event time into windows counted back from its end, each with a state of its own.

The windows are the current one, the previous one of the same length, and all time before. The end is known only after
reading, so time is first cut into thirtieths of a window. The current window ends with the thirtieth of the latest
event, or before a given time. Runs are shared by all windows: the totals of a run count in the window in which it
ended, wherever its events are.
"""

from math import ceil, inf, nextafter
from typing import Any, NamedTuple

from extractor.schema.model import Catalog
from extractor.state.state import MOST_SERIES_OF_PARTS, State

PARTS = 30
"""Number of parts of a window."""

_LONGEST = 300  # seconds of a state's sliding window, which has 30 slots
_BEFORE = -1 << 62  # the step of all events before the windows


class Cut(NamedTuple):
    """
    The events *before* the windows, in the *previous* and in the *current* one, and all of them in *whole*.

    The windows begin at *since*, in seconds since the epoch, and the current one ends before *until*. *events* is set
    if there were any, *is_first* if there is none before the current window. *is_whole* is set if there are events
    before the end of the first thirtieth of the previous window, so that the start of the logs does not cut it off.
    """

    before: State
    previous: State
    current: State
    whole: State
    since: tuple[float, float]
    until: float
    events: bool
    is_first: bool
    is_whole: bool


class Windows:
    """
    Windows of *seconds*, to be filled; *until* is the end of the current one, if known.

    *seen* is the time of an event that will come: events two windows before it then need no states of their own.
    """

    def __init__(
        self,
        catalog: Catalog,
        seconds: float,
        until: float | None = None,
        seen: float = -inf,
        *,
        run_timeout: float = 3600.0,
        **like: Any,  # noqa: ANN401  # the options of a State
    ) -> None:
        self._catalog = catalog
        # Ends of runs are accurate to a slot of a state, so a part of a window is a whole number of short slots.
        self._slots = max(1, ceil(seconds / _LONGEST))
        self._options = like | {"run_timeout": run_timeout, "window_seconds": seconds / self._slots}
        self._run_timeout = run_timeout
        self._before = State(catalog, limited=False, **self._options)
        self._states: dict[int, State] = {}
        self._earliest: int | None = None
        self._is_fixed = until is not None
        self._newest = _BEFORE
        if until is not None:
            self._newest = self._part(nextafter(until, -inf))
        elif seen > -inf:
            self._newest = self._part(seen)

    @property
    def like(self) -> State:
        """A state with the options of all parts."""
        return self._before

    def step(self, time: float) -> int:
        """Return the part of a window of *time*, in seconds since the epoch; early times share one part."""
        part = self._part(time)
        return _BEFORE if self._is_over(part) else part

    def enter(self, step: int) -> State:
        """Return the state for the events of *step*; all events before must be folded."""
        # Before the windows the exact time does not matter.
        part = self._newest - 2 * PARTS if step == _BEFORE else step
        self._earliest = part if self._earliest is None else min(self._earliest, part)
        if not self._is_fixed:
            self._newest = max(self._newest, part)
        for part in [part for part in self._states if self._is_over(part)]:
            self._before.merge_series(self._states.pop(part))
        if self._is_over(step):
            return self._before
        if step not in self._states:
            self._states[step] = self._blank()
        return self._states[step]

    def bound(self, floor: float) -> None:
        """Bound memory; no event still to come is far before *floor*."""
        # Runs that are dropped count before the windows, so they must have ended there.
        begin = self._time(self._newest + 1 - 2 * PARTS)
        self._before.bound(MOST_SERIES_OF_PARTS, min(floor, begin + 2 * self._run_timeout))

    def cut(self) -> Cut:
        """Return the windows, after the last event."""
        newest = self._newest if self._newest > _BEFORE else 0
        bounds = [newest + 1 - 2 * PARTS, newest + 1 - PARTS, newest + 1]
        until, *begins = (self._time(bound) for bound in (bounds[2], *bounds[:2]))
        previous, current, whole = self._blank(), self._blank(), self._blank()
        for part, state in sorted(self._states.items()):
            window = current if part >= bounds[1] else previous if part >= bounds[0] else self._before
            window.merge_series(state)
        self._states.clear()
        states = (self._before, previous, current)
        for state in states:
            whole.advance(state.watermark)
        current.advance(whole.watermark)  # open runs are those open at the end
        for state, updates in zip(states, whole.settle_by(begins), strict=True):
            state.apply(updates)
            whole.merge_series(state)
        earliest = self._earliest
        return Cut(
            *states,
            whole,
            since=(begins[0], begins[1]),
            until=until,
            events=earliest is not None,
            is_first=earliest is None or earliest >= bounds[1],
            is_whole=earliest is not None and earliest <= bounds[0],
        )

    def _blank(self) -> State:
        state = State(self._catalog, limited=False, **self._options)
        state.accounts = self._before.accounts
        return state

    def _is_over(self, part: int) -> bool:
        return part <= self._newest - 2 * PARTS

    def _part(self, time: float) -> int:
        return self._before.slot(time) // self._slots

    def _time(self, part: int) -> float:
        return self._before.time_of(part * self._slots)
