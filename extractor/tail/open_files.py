"""
Sources in, open ones out, and never too many of them.

Knows nothing of folders or of what is read.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from extractor.tail.file import FileState, Source

_LOOKED_AT = 8


class Handles:
    """
    The open files, at most *most* as long as one can be closed that *has_name*, by which it can be opened again.

    *refuse* is told of a file that cannot be opened, or with which a step failed.
    """

    def __init__(
        self, most: int, has_name: Callable[[Source], bool], refuse: Callable[[Source, Exception], None]
    ) -> None:
        self._most = most
        self._has_name = has_name
        self._refuse = refuse
        self._open: dict[Source, None] = {}  # unused for longest first

    def __iter__(self) -> Iterator[Source]:
        """The open files, unused for longest first, as they are now."""
        return iter(list(self._open))

    @property
    def has_room(self) -> bool:
        """Whether a file can be opened without closing another one."""
        return len(self._open) < self._most

    def open(self, source: Source) -> bool:
        """Whether *source* is open now."""
        if source.is_open:
            self._open[source] = self._open.pop(source, None)
            return True
        while not self.has_room and self._close_one():
            pass
        try:
            source.open()
        except FileNotFoundError:
            # Renamed or deleted since it was seen; the next scan finds out which.
            return False
        except OSError as error:
            self._refuse(source, error)
            return False
        self._open[source] = None
        if source.state is FileState.UNREADABLE:
            source.state = FileState.ACTIVE
        return True

    def each(self, sources: Iterable[Source], step: Callable[[Source], None]) -> None:
        """Take *step* with all *sources* that can be opened and read now."""
        for source in sources:
            if self.open(source):
                try:
                    step(source)
                except FileNotFoundError:
                    continue  # another one had to be closed, and has no name: it is looked for by the next scan
                except Exception as error:  # noqa: BLE001  # what is wrong with one file is no other file's concern
                    self._refuse(source, error)

    def close(self, source: Source) -> None:
        """Let go of *source*."""
        self._open.pop(source, None)
        source.close()

    def _close_one(self) -> bool:
        """Close the file that was unused for longest among those that can be opened again by their name."""
        # Rather one without news, but to look at all of them each time would cost more than to open one again.
        named = list(islice((source for source in self._open if self._has_name(source)), _LOOKED_AT))
        victim = next((source for source in named if not source.has_news), named[0] if named else None)
        if victim is not None:
            self.close(victim)
        return victim is not None
