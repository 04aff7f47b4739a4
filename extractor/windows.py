"""
Event time cut into windows counted back from its end, each with a state of its own.

There is the current window, the previous one of the same length, and all before. The end is known only when all was
read, so time is cut finely first: into thirtieths of a window. The current window ends with the thirtieth in which the
latest event lies, or at a time that was given. Runs are the same in all windows: what a run added up counts when it
ended, wherever its events are.

Knows nothing of lines, files or text formats.
"""

from math import inf
from typing import Any, NamedTuple

from extractor.catalog import Catalog
from extractor.parts import HELD
from extractor.state import State

PARTS = 30
"""Of a window."""

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
    Windows of *seconds*, to be filled; *until* is where the current one ends, if that is known.

    *seen* is the time of an event that will come: what lies two windows before needs no states of its own then.
    """

    def __init__(
        self,
        catalog: Catalog,
        seconds: float,
        until: float | None = None,
        seen: float = -inf,
        **like: Any,  # noqa: ANN401  # the options of a State
    ) -> None:
        self._catalog = catalog
        self._like = like
        self.seconds = seconds
        self._length = seconds / PARTS
        self._origin = 0.0 if until is None else until
        self._is_fixed = until is not None
        self._newest = -1 if until is not None else _BEFORE
        self._earliest: int | None = None
        self._before = State(catalog, limited=False, **like)
        self._states: dict[int, State] = {}
        if seen > -inf and not self._is_fixed:
            self._newest = self._slot(seen)

    def step(self, time: float) -> int:
        """The part of a window in which *time*, in seconds since the epoch, lies; one for all that is too early."""
        slot = self._slot(time)
        self._earliest = slot if self._earliest is None else min(self._earliest, slot)
        if not self._is_fixed:
            self._newest = max(self._newest, slot)
        return _BEFORE if self._is_over(slot) else slot

    def enter(self, step: int) -> State:
        """The state for the events of *step*; all that came before this is folded."""
        for slot in [slot for slot in self._states if self._is_over(slot)]:
            self._before.merge_series(self._states.pop(slot))
            self._before.bound(HELD, -inf)
        if self._is_over(step):
            return self._before
        if step not in self._states:
            self._states[step] = self._blank()
        return self._states[step]

    def cut(self) -> Cut:
        """The windows, for after the last event."""
        newest = self._newest if self._newest > _BEFORE else 0
        bounds = [newest + 1 - 2 * PARTS, newest + 1 - PARTS, newest + 1]
        until, *begins = (self._time(bound) for bound in (bounds[2], *bounds[:2]))
        previous, current, whole = self._blank(), self._blank(), self._blank()
        for slot, state in sorted(self._states.items()):
            part = current if slot >= bounds[1] else previous if slot >= bounds[0] else self._before
            part.merge_series(state)
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
        state = State(self._catalog, limited=False, **self._like)
        state.accounts = self._before.accounts
        return state

    def _is_over(self, slot: int) -> bool:
        return slot <= self._newest - 2 * PARTS

    def _slot(self, time: float) -> int:
        return int((time - self._origin) // self._length)

    def _time(self, slot: int) -> float:
        return self._origin + slot * self._length
