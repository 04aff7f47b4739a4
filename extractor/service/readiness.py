"""The files at startup in, whether all of them are counted out: until then counters could be lower than before."""

from collections.abc import Callable, Iterable

from extractor.state.state import State
from extractor.tail.file import Source


class Readiness:
    """Whether everything is counted that files held at the start, and what that says of runs is settled."""

    def __init__(self) -> None:
        self.is_ready = False
        self._waiting: dict[Source, int] | None = None  # how far each file reached; None before the first look
        self._caught_up_to: float | None = None  # the time of the latest event in them; None before all was read

    def begin(self, sources: Iterable[Source]) -> None:
        """These are the files at the start."""
        self._waiting = {source: source.size for source in sources}

    def folded(self, sources: Callable[[], Iterable[Source]], state: State) -> bool:
        """
        What was read is in *state*, and these are the *sources* that are known; whether to look at all files again now.

        What is settled of runs is what was there when all files were looked at last.
        """
        if self._waiting is None or self.is_ready:
            return False
        if self._caught_up_to is not None:
            # Time comes back when a clock does that was ahead.
            self.is_ready = state.read_to >= min(self._caught_up_to, state.watermark)
            return False
        known = set(sources())
        self._waiting = {
            source: size for source, size in self._waiting.items() if source in known and not source.has_reached(size)
        }
        if self._waiting:
            return False
        self._caught_up_to = state.watermark
        return True
