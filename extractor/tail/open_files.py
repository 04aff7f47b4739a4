"""Keep sources open, up to a maximum number."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from extractor.tail.file import FileState, Source

_LOOKED_AT = 8


class Handles:
    """
    The open files, at most *most* of them.

    To stay within the limit, a file that *has_name* is closed, since it can be opened again by its name. Without such a
    file the limit is exceeded. *refuse* is called with a source that cannot be opened, or whose step failed, and the
    error.
    """

    def __init__(
        self, most: int, has_name: Callable[[Source], bool], refuse: Callable[[Source, Exception], None]
    ) -> None:
        self._most = most
        self._has_name = has_name
        self._refuse = refuse
        self._open: dict[Source, None] = {}  # least recently used first

    def __iter__(self) -> Iterator[Source]:
        """Iterate over a copy of the open files, least recently used first."""
        return iter(list(self._open))

    @property
    def has_room(self) -> bool:
        """Whether a file can be opened without closing another one."""
        return len(self._open) < self._most

    def open(self, source: Source) -> bool:
        """Open *source*, unless it is open; return whether it is open now."""
        if source.is_open:
            self._open[source] = self._open.pop(source, None)
            return True
        while not self.has_room and self._close_one():
            pass
        try:
            source.open()
        except FileNotFoundError:
            # Renamed or deleted since it was found; the next scan determines which.
            return False
        except OSError as error:
            self._refuse(source, error)
            return False
        self._open[source] = None
        if source.state is FileState.UNREADABLE:
            source.state = FileState.ACTIVE
        return True

    def each(self, sources: Iterable[Source], step: Callable[[Source], None]) -> None:
        """Call *step* with each of *sources* that can be opened and read."""
        for source in sources:
            if self.open(source):
                try:
                    step(source)
                except FileNotFoundError:
                    continue  # closed for another file, and its name is gone: the next scan searches for it
                except Exception as error:  # noqa: BLE001  # an error in one file must not affect others
                    self._refuse(source, error)

    def close(self, source: Source) -> None:
        """Close *source*."""
        self._open.pop(source, None)
        source.close()

    def _close_one(self) -> bool:
        """Close the least recently used file that can be opened again by its name; return whether there was one."""
        # Prefer a file without news; checking all of them would cost more than opening one again.
        named = list(islice((source for source in self._open if self._has_name(source)), _LOOKED_AT))
        victim = next((source for source in named if not source.has_news), named[0] if named else None)
        if victim is not None:
            self.close(victim)
        return victim is not None
