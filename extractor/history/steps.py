"""
Group events by step of time, with a state for what each step adds.

Step n ends at n times the length of a step, inclusive: a scrape at that moment covers exactly the events of steps up to
n. Merging states is independent of order, so a step can be entered again later; completed states are stored in a
`Spill`.
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
"""Maximum length of a step in seconds; with longer steps, every series would appear to have ended."""

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")


def duration_seconds(text: str) -> int:
    """Return the seconds of a duration in Prometheus' format: `15s`, `1m`, `1h30m`, `7d`, `2w`; 0 if invalid."""
    parts = _DURATION.fullmatch(text)
    return sum(int(number) * _UNITS[unit] for unit, number in parts.groupdict("0").items()) if parts else 0


def step_seconds(text: str) -> int:
    """Return the seconds of a step, such as `15s`, `1m` or `1h`; raise `ValueError` if invalid."""
    seconds = duration_seconds(text)
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"{text!r} is no step; write whole seconds, minutes or an hour: 15s, 1m, 1h")
    return seconds


class Steps:
    """
    Steps of *seconds* each, stored in *spill*; what each adds is counted in a state with the options *like*.

    Only one step is filled at a time.
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
        """Return an empty state for a part of the events."""
        return State(self._catalog, limited=False, **self._options)

    @property
    def like(self) -> State:
        """A state with the options of all steps."""
        return self._state

    def step(self, time: float) -> int:
        """Return the step of *time*, in seconds since the epoch."""
        return int(-(-time // self.seconds))  # floor division is exact

    def enter(self, step: int) -> State:
        """Return a state for events of *step*; that of the previous step must be complete."""
        self._put_away()
        self._step, self._state = step, self.blank()
        return self._state

    def bound(self, floor: float) -> None:
        """Do nothing: states are stored already."""

    def changes(self) -> Iterator[tuple[int, State]]:
        """Yield what each step adds, in the order of time; called after the last event."""
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
            # A step touches few metrics; the others, and the declarations, are as in any blank state.
            families = dumped["families"].items()
            touched = {name: family for name, family in families if family != self._blank["families"][name]}
            self._spill.put(self._step, [dumped["watermark"], dumped["clamped"], touched, dumped["runs"]])

    def _unpacked(self, packed: list[Any]) -> State:
        watermark, clamped, families, runs = packed
        state = self.blank()
        state.load(self._blank | {"watermark": watermark, "clamped": clamped, "families": families, "runs": runs})
        return state
