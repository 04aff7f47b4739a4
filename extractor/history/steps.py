"""
Events by the step of time in which they lie in, what each step adds out.

Step n ends at n times the length of a step and includes its end: a scrape at that moment sees exactly the events of
steps up to n. What the events of one step add is a state of its own. Adding states is free of order, so a step may be
gone back to however late; what it has by then waits in a `Spill`.

Knows nothing of lines, files or text formats.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from extractor.history.external_sort import Spill
from extractor.schema.model import Catalog
from extractor.state.state import State

LONGEST = 3600
"""Seconds of the longest step: with longer ones no series could be told from one that has ended."""

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")


def duration_seconds(text: str) -> int:
    """The seconds of a duration as Prometheus writes it: `15s`, `1m`, `1h30m`, `7d`, `2w`; 0 if it is none."""
    parts = _DURATION.fullmatch(text)
    return sum(int(number) * _UNITS[unit] for unit, number in parts.groupdict("0").items()) if parts else 0


def step_seconds(text: str) -> int:
    """The seconds of a step, such as `15s`, `1m` or `1h`. Raises `ValueError`."""
    seconds = duration_seconds(text)
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"{text!r} is no step; write whole seconds, minutes or an hour: 15s, 1m, 1h")
    return seconds


class Steps:
    """
    The steps of *seconds* each, put away in *spill*; what each adds is kept in states like *like*.

    One step is filled at a time.
    """

    def __init__(self, catalog: Catalog, seconds: int, spill: Spill, **like: Any) -> None:  # noqa: ANN401  # the options of a State
        self._catalog = catalog
        self._options = like
        self.seconds = seconds
        self._spill = spill
        self._step: int | None = None
        self._state = self.blank()
        self._blank = self._state.dump()

    def blank(self) -> State:
        """An empty state for a part of what happened."""
        return State(self._catalog, limited=False, **self._options)

    @property
    def like(self) -> State:
        """A state like those of all steps."""
        return self._state

    def step(self, time: float) -> int:
        """The step in which *time*, in seconds since the epoch, lies."""
        return int(-(-time // self.seconds))  # exact, as division would not be

    def enter(self, step: int) -> State:
        """The state for events of *step*; that of the step before must be complete."""
        self._put_away()
        self._step, self._state = step, self.blank()
        return self._state

    def bound(self, floor: float) -> None:
        """Nothing to do: what there is was put away."""

    def changes(self) -> Iterator[tuple[int, State]]:
        """What each step adds, in the order of time; for after the last event."""
        self._put_away()
        self._step = None
        for step, items in groupby(self._spill.items(), itemgetter(0)):
            added: State | None = None
            for _, packed in items:
                more = self._unpacked(packed)
                if added is None:
                    added = more
                else:
                    added.merge(more)
            if added is not None:
                yield step, added

    def _put_away(self) -> None:
        if self._step is not None:
            dumped = self._state.dump()
            # A step touches few of the metrics; the others are as in any blank state, and so is what they declare.
            families = dumped["families"].items()
            touched = {name: family for name, family in families if family != self._blank["families"][name]}
            self._spill.put(self._step, [dumped["watermark"], dumped["clamped"], touched, dumped["runs"]])

    def _unpacked(self, packed: list[Any]) -> State:
        watermark, clamped, families, runs = packed
        state = self.blank()
        state.load(self._blank | {"watermark": watermark, "clamped": clamped, "families": families, "runs": runs})
        return state
