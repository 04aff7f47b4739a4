"""
Order the sources that have something to read by the event time of their next line.

Files are read interleaved by event time. As long as each file is in order, the merged lines of all files, including
rotated ones, are out of order by at most a chunk. A missing time affects only the order.
"""

import heapq
from collections.abc import Callable, Iterable
from math import inf

from extractor.tail.file import Source
from extractor.tail.position import Identity


class ReadingOrder:
    """
    Heap of sources by the event time of the next line; equal times are ordered by the modification time of the file.

    *time_of* returns the event time of a line in seconds, None if it has none; then the last known time of the source
    is used, or else the modification time. *first_line* reads ahead in a source: one small read per chunk, and none
    while only one source waits.
    """

    def __init__(self, time_of: Callable[[bytes], float | None], first_line: Callable[[Source], bytes | None]) -> None:
        self._time_of = time_of
        self._first_line = first_line
        self._waiting: dict[Identity, Source] = {}
        self._heap: list[tuple[float, float, str, Identity]] = []
        self._timed: dict[Identity, Source] = {}

    def add(self, source: Source) -> None:
        """Add *source* if it may have something to read."""
        if source.is_due and source.identity not in self._timed:
            self._waiting[source.identity] = source

    def discard(self, source: Source) -> None:
        """Remove *source*, which is gone."""
        self._waiting.pop(source.identity, None)
        self._timed.pop(source.identity, None)

    def next(self) -> Source | None:
        """Remove and return the source to read next; None if none has anything to read."""
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
            # It was truncated while it waited: its next line has changed, and is newer than those in its copy.
            self._waiting[identity] = source
            self._time_all()
        return None

    def oldest(self, undecided: Iterable[Source]) -> float:
        """
        Return a lower bound of the times of unread lines; inf if there is none, -inf if it is unknown.

        *undecided* are sources that may still be read, and do not wait here.
        """
        self._time_all()
        if any(source.behind for source in undecided) or any(source.time is None for source in self._timed.values()):
            return -inf
        while self._heap and self._heap[0][-1] not in self._timed:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def bytes_behind(self) -> int:
        """Return the number of bytes known to be unread in all sources."""
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
