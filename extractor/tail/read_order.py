"""
Sources that have something to read in, the one whose next line is the oldest out.

Files are read interleaved by the time of their events: while each of them is in order, what comes of all of them, or of
a file and those it was rotated to, is out of order by a chunk at most. A time that cannot be had only costs order.

Knows nothing of folders or JSON; the time of a line is told to it.
"""

import heapq
from collections.abc import Callable, Iterable
from math import inf

from extractor.tail.file import Source
from extractor.tail.position import Identity


class ReadingOrder:
    """
    A heap by the event time of each source's next line; of two alike the file that was written earlier goes first.

    *time_of* is the event time of a line, None if it has none: then the time the source had before is taken, or when
    the file was written. *first_line* reads ahead in a source: one small read for every chunk, and none while only one
    source waits.
    """

    def __init__(self, time_of: Callable[[bytes], float | None], first_line: Callable[[Source], bytes | None]) -> None:
        self._time_of = time_of
        self._first_line = first_line
        self._waiting: dict[Identity, Source] = {}
        self._heap: list[tuple[float, float, str, Identity]] = []
        self._timed: dict[Identity, Source] = {}

    def add(self, source: Source) -> None:
        """*source* may have something to read."""
        if source.is_due and source.identity not in self._timed:
            self._waiting[source.identity] = source

    def discard(self, source: Source) -> None:
        """*source* is gone."""
        self._waiting.pop(source.identity, None)
        self._timed.pop(source.identity, None)

    def next(self) -> Source | None:
        """The source to read from now, which is then no longer waiting; None if none has anything to read."""
        if len(self._waiting) == 1 and not self._timed:
            return self._waiting.popitem()[1]
        self._time_all()
        while self._heap:
            due, modified, _, identity = heapq.heappop(self._heap)
            source = self._timed.pop(identity, None)
            if source is None:
                continue
            if due == _due(source, modified):
                return source
            # It was emptied while it waited: its next line is another one, and newer than what is in its copy.
            self._waiting[identity] = source
            self._time_all()
        return None

    def oldest(self, undecided: Iterable[Source]) -> float:
        """
        No line that is to be read is older; infinite if there is none, minus that if it cannot be known.

        *undecided* are sources that may come to be read, and do not wait here.
        """
        self._time_all()
        if any(source.behind for source in undecided) or any(source.time is None for source in self._timed.values()):
            return -inf
        while self._heap and self._heap[0][-1] not in self._timed:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def bytes_behind(self) -> int:
        """How much is known to be unread in all of them."""
        return sum(source.behind for known in (self._waiting, self._timed) for source in known.values())

    def _time_all(self) -> None:
        while self._waiting:
            source = self._waiting.popitem()[1]
            line = self._first_line(source)
            time = self._time_of(line) if line else None
            source.time = source.time if time is None else time
            due = _due(source, source.modified)
            heapq.heappush(self._heap, (due, source.modified, source.path, source.identity))
            self._timed[source.identity] = source


def _due(source: Source, modified: float) -> float:
    return modified / 1e9 if source.time is None else source.time
