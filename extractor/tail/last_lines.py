"""
Select the files whose unfinished last line is to be returned as it is.

The last line of a rotated file waits for a period without a change; that of a deleted file does not. A decision holds
only as long as the file is unchanged, because its inode may be given to another file.
"""

from collections.abc import Callable, Iterable

from extractor.tail.file import Source
from extractor.tail.position import Identity

_Seen = tuple[int, int, int]


class LastLines:
    """Select unfinished lines of files that were unchanged for *seconds* of *clock*."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._waiting: dict[Identity, tuple[_Seen, float]] = {}  # state, and the time since when it is unchanged
        self._ending: dict[Identity, tuple[Source, _Seen]] = {}

    def wait(self, sources: Iterable[Source], is_replaced: Callable[[Source], bool]) -> None:
        """Check all *sources*; a source that *is_replaced* was rotated."""
        now = self._clock()
        waiting: dict[Identity, tuple[_Seen, float]] = {}
        for source in sources:
            if source.pending and not source.has_news and is_replaced(source):
                seen = _seen(source)
                before, since = self._waiting.get(source.identity, (seen, now))
                waiting[source.identity] = (seen, since if before == seen else now)
                if now - waiting[source.identity][1] >= self._seconds:
                    self.give_up(source)
        self._waiting = waiting

    def give_up(self, source: Source) -> None:
        """Return the last line of *source* as it is, if the file does not change before."""
        self._ending[source.identity] = source, _seen(source)

    def next(self, is_decided: Callable[[Source], bool]) -> Source | None:
        """Return a source whose last line is to be returned, is unchanged and *is_decided*; None if there is none."""
        for source, seen in list(self._ending.values()):
            if seen == _seen(source) and is_decided(source):
                return source
            self.discard(source)
        return None

    def take(self, source: Source) -> bool:
        """Return whether the last line of *source* is to be returned; true only once."""
        return self._ending.pop(source.identity, None) is not None

    def discard(self, source: Source) -> None:
        """Drop *source*, which is gone or replaced."""
        self._ending.pop(source.identity, None)


def _seen(source: Source) -> _Seen:
    return source.size, source.modified, source.offset
