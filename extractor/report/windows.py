"""
Event time cut into windows counted back from its end, each with a state of its own.

There is the current window, the previous one of the same length, and all before. The end is known only when all was
read, so time is cut finely first: into thirtieths of a window. The current window ends with the thirtieth in which the
latest event lies, or the last moment before a time that was given. Runs are the same in all windows: what a run added
up counts when it ended, wherever its events are.

Knows nothing of lines, files or text formats.
"""

from math import ceil, inf, nextafter
from typing import Any, NamedTuple

from extractor.schema.model import Catalog
from extractor.state.state import MOST_SERIES_OF_PARTS, State

PARTS = 30
"""Of a window."""

_LONGEST = 300  # seconds of the sliding window of a state, of which a slot is a thirtieth
_BEFORE = -1 << 62  # the step of all that is in neither window


class Cut(NamedTuple):
    """
    What happened *before* the windows, in the *previous* and in the *current* one, and all of it in *whole*.

    The windows begin at *since*, in seconds since the epoch, and the current one ends before *until*. *events* says
    whether there were any at all, *is_first* that there is no event before the current window, *is_whole* that there
    are events from before the previous one ended its first thirtieth: that it is not cut off by the begin of the logs.
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
    Windows of *seconds*, to be filled; *until* is what the current one ends with, if that is known.

    *seen* is the time of an event that will come: what lies two windows before needs no states of its own then.
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
        # When a run ended is known to a slot of a state. So a part of a window is some whole slots, none of them long.
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
        """A state like those of all parts."""
        return self._before

    def step(self, time: float) -> int:
        """The part of a window in which *time*, in seconds since the epoch, lies; one for all that is too early."""
        part = self._part(time)
        return _BEFORE if self._is_over(part) else part

    def enter(self, step: int) -> State:
        """The state for the events of *step*; all that came before this is folded."""
        # Of what lies before the windows, when exactly does not matter.
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
        """Keep memory bounded; no event that is still to come is far before *floor*."""
        # What is forgotten of runs counts before the windows, and so must have ended there.
        begin = self._time(self._newest + 1 - 2 * PARTS)
        self._before.bound(MOST_SERIES_OF_PARTS, min(floor, begin + 2 * self._run_timeout))

    def cut(self) -> Cut:
        """The windows, for after the last event."""
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
        current.advance(whole.watermark)  # what is open is open at the end
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
