"""
Count runs that were not instrumented as they should be, by kind of anomaly.

A kind is counted at most once per run, as soon as it is detected.
"""

from collections import Counter
from collections.abc import Iterable

from extractor.state.runs.run import Run

NO_START, SECOND_END, AFTER_END = KINDS = ("no_start", "second_end", "after_end")
"""Not started before it was over; ended more than once; had events after it was over."""


class Anomalies:
    """
    Anomalies of the runs of one pack.

    Without *starts* the pack has no start events, and a missing start is no anomaly. A run is over *linger* seconds
    after its end.
    """

    def __init__(self, linger: float, *, starts: bool) -> None:
        self._linger = linger
        self._starts = starts
        self.runs: Counter[str] = Counter(dict.fromkeys(KINDS, 0))

    def note(self, runs: Iterable[Run]) -> None:
        """Check *runs*, which are settled or given up."""
        for run in runs:
            over = run.last if run.ending is None else run.ending.time + self._linger
            unstarted = self._starts and run.started > over
            if unstarted or run.ends > 1 or run.last > over:
                odd = {NO_START: unstarted, SECOND_END: run.ends > 1, AFTER_END: run.last > over}
                new = {kind for kind, is_so in odd.items() if is_so} - run.odd
                run.odd |= new
                self.runs.update(new)
