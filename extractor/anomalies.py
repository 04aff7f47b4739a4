"""
Runs in, how many of them were not as they ought to be out, by kind: what is wrong with how an agent is instrumented.

A kind is counted once for each run, as soon as it is known.

Knows nothing of events.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from extractor.run import Run

NO_START, SECOND_END, AFTER_END = KINDS = ("no_start", "second_end", "after_end")
"""Nothing started it before it was over; it ended twice; it went on after it was over."""


class Anomalies:
    """The runs of one pack by what is wrong with them; where nothing *starts* a run, no start is missed."""

    def __init__(self, *, starts: bool) -> None:
        self._starts = starts
        self.runs: Counter[str] = Counter(dict.fromkeys(KINDS, 0))

    def note(self, runs: Iterable[Run], is_late: Callable[[Run, float], bool]) -> None:
        """Look at *runs*, which are settled or given up; *is_late* says whether a time lies a linger after the end."""
        for run in runs:
            odd = {
                NO_START: self._starts and is_late(run, run.started),
                SECOND_END: run.ends > 1,
                AFTER_END: is_late(run, run.last),
            }
            new = {kind for kind, is_so in odd.items() if is_so} - run.odd
            if new:
                run.odd |= new
                self.runs.update(new)
