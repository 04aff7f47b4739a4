"""
Files that end within a line in, those whose last line is to be handed out as it is out.

The last line of a file that was rotated away is waited for, so long without a change; that of a deleted file is not.
What was decided is true of the file as it was then: if anything has changed since, its inode may hold another file.

Knows nothing of folders.
"""

from collections.abc import Callable, Iterable

from extractor.tail.file import Source
from extractor.tail.position import Identity

_Seen = tuple[int, int, int]


class LastLines:
    """Waits for *seconds* of *clock*."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._waiting: dict[Identity, tuple[_Seen, float]] = {}  # since when
        self._ending: dict[Identity, tuple[Source, _Seen]] = {}

    def wait(self, sources: Iterable[Source], is_replaced: Callable[[Source], bool]) -> None:
        """Look at all *sources*; one that *is_replaced* was rotated away."""
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
        """Nobody will end the last line of *source*."""
        self._ending[source.identity] = source, _seen(source)

    def next(self, is_decided: Callable[[Source], bool]) -> Source | None:
        """One whose last line is to be handed out, which is as it was and *is_decided* to be read."""
        for source, seen in list(self._ending.values()):
            if seen == _seen(source) and is_decided(source):
                return source
            self.discard(source)
        return None

    def take(self, source: Source) -> bool:
        """Whether the last line of *source* is to be handed out; it is asked once."""
        return self._ending.pop(source.identity, None) is not None

    def discard(self, source: Source) -> None:
        """*source* is gone, or another file."""
        self._ending.pop(source.identity, None)


def _seen(source: Source) -> _Seen:
    return source.size, source.modified, source.offset
