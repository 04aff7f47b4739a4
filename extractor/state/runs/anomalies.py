"""
Runs in, how many of them were not as they ought to be out, by kind: what is wrong with how an agent is instrumented.

A kind is counted once for each run, as soon as it is known.

Knows nothing of events.
"""

from collections import Counter
from collections.abc import Iterable

from extractor.state.runs.run import Run

NO_START, SECOND_END, AFTER_END = KINDS = ("no_start", "second_end", "after_end")
"""Nothing started it before it was over; it ended twice; it went on after it was over."""


class Anomalies:
    """
    The runs of one pack by what is wrong with them.

    Where nothing *starts* a run, no start is missed. A run is over *linger* seconds after its end.
    """

    def __init__(self, linger: float, *, starts: bool) -> None:
        self._linger = linger
        self._starts = starts
        self.runs: Counter[str] = Counter(dict.fromkeys(KINDS, 0))

    def note(self, runs: Iterable[Run]) -> None:
        """Look at *runs*, which are settled or given up."""
        for run in runs:
            over = run.last if run.ending is None else run.ending.time + self._linger
            unstarted = self._starts and run.started > over
            if unstarted or run.ends > 1 or run.last > over:
                odd = {NO_START: unstarted, SECOND_END: run.ends > 1, AFTER_END: run.last > over}
                new = {kind for kind, is_so in odd.items() if is_so} - run.odd
                run.odd |= new
                self.runs.update(new)
