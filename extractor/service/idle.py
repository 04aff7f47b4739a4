"""
Counts of events read in, the seconds by which the time of runs advances while no agent writes out.

The value survives a restart, because a scrape may already show runs that were settled because of it.
"""

import time
from collections.abc import Callable

from extractor.state.stats import Stats

QUIET_SECONDS = 30.0
"""Without a line, until time goes on: what agents still hold back must not come too late."""


class Silence:
    """
    Watches *stats*; `Stats.heard_at` is when an event was read last, also before a restart.

    Of the time between two looks at most *longest* seconds count: a process that was stopped for a while, with its
    machine perhaps, has not seen that nobody writes. *clock* and *wall* are the two clocks, in seconds.
    """

    def __init__(
        self,
        stats: Stats,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._stats = stats
        self._longest = longest
        self._clock, self._wall = clock, wall
        self._events, self._looked = stats.events, clock()
        self._seconds = max(wall() - stats.heard_at, 0.0) if stats.heard_at else 0.0

    def look(self) -> float:
        """For how long time has gone on for runs, in seconds."""
        now = self._clock()
        self._seconds += min(now - self._looked, self._longest)
        self._looked = now
        if self._stats.bytes_behind:
            self._seconds = 0.0
        self.hear()
        return max(self._seconds - QUIET_SECONDS, 0.0)

    def hear(self) -> None:
        """Something may have been read; to be called before it is saved."""
        if self._stats.events != self._events:
            self._events, self._seconds = self._stats.events, 0.0
            self._stats.heard_at = self._wall()
