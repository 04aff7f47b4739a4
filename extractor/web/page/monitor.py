"""
Samples of the daemon's state in, the status page out, rendered at most once a second.

The reading thread takes samples between two folds; the thread of a request renders the page. Both hold the state's lock
only while they collect numbers, not while they evaluate them.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from heapq import nlargest
from typing import Any

from extractor.ingest.pipeline import Rejected
from extractor.report.objectives import Objectives
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.file import Source
from extractor.web.page import render as page
from extractor.web.page.health import Moment, vitals
from extractor.web.page.history import Trends
from extractor.web.page.model import Monitor
from extractor.web.page.render import Behind, Known, Refused

_FRESH = 1.0  # seconds for which a page is good enough for the next who asks
_BEHIND = 10  # files that are named
_SHARE = 50  # of the time that looking takes: so long until the next look


class Overview:
    """
    The page about *state* and *stats*; *lock* is held while numbers are collected.

    *moment* tells what is counted nowhere; *keeps* says whether there is a state directory.
    """

    def __init__(  # noqa: PLR0913  # everything that the page is about
        self,
        state: State,
        stats: Stats,
        lock: AbstractContextManager[Any],
        objectives: Objectives,
        moment: Callable[[], Moment],
        *,
        version: str,
        followed: Sequence[str],
        keeps: bool,
    ) -> None:
        self._state = state
        self._stats = stats
        self._lock = lock
        self._moment = moment
        self._version = version
        self._followed = followed
        self._keeps = keeps
        self.monitor = Monitor(state, stats, objectives)
        self.rejected: dict[str, Rejected] = {}
        self.behind: list[Behind] = []
        self._look_at = 0.0
        self._one = threading.Lock()
        self._made, self._page = -_FRESH, ""

    def go_on(self, before: "Overview") -> None:
        """Take over what *before* has seen of the same logs."""
        with self._lock:
            self.monitor.go_on(before.monitor)
            self.rejected, self.behind = before.rejected, before.behind

    def reject(self, rejected: Rejected) -> None:
        """Remember where a line was rejected: for each reason, the last place."""
        self.rejected[rejected.reject.reason] = rejected

    @property
    def trends(self) -> Trends:
        """Must hear of all updates."""
        return self.monitor.trends

    def folded(self, sources: Callable[[], Iterable[Source]]) -> None:
        """After a fold: note how far everything is, now and then."""
        now = time.monotonic()
        if now >= self._look_at:
            with self._lock:
                self.monitor.tick()
            # With very many open runs this takes long; reading must come first.
            took = time.monotonic() - now
            self._look_at = now + max(_FRESH, _SHARE * took)
            self.behind = [] if not self._stats.bytes_behind else _most_behind(sources())

    def page(self) -> str:
        """The page, as it was at most a second ago."""
        with self._one:
            if time.monotonic() >= self._made + _FRESH:
                self._page = page.page(self._known())
                self._made = time.monotonic()
            return self._page

    def _known(self) -> Known:
        moment = self._moment()
        with self._lock:
            taken = self.monitor.take()
            own = tuple(vitals(self._state, self._stats, moment, keeps=self._keeps))
            rejects, files = dict(self._stats.rejects), sorted(self._stats.files.items())
            behind = self._stats.bytes_behind
        return Known(
            version=self._version,
            followed=self._followed,
            now=moment.now,
            not_ready=moment.not_ready,
            window=self._state.window_seconds,
            status=self.monitor.status(taken),
            refused=[self._refused(*each) for each in sorted(rejects.items()) if each[1]],
            files=files,
            behind=self.behind if behind else [],
            bytes_behind=behind,
            vitals=own,
        )

    def _refused(self, reason: str, lines: int) -> Refused:
        last = self.rejected.get(reason)
        if last is None:
            return Refused(reason, lines)
        why = ": ".join(part for part in (last.reject.pointer, last.reject.message) if part)
        return Refused(reason, lines, f"{last.path}:{last.offset}", why)


def _most_behind(sources: Iterable[Source]) -> list[Behind]:
    found = [Behind(each.path, each.state, each.behind) for each in sources if each.behind]
    return nlargest(_BEHIND, found, key=lambda each: each.behind)
