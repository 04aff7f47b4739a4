"""Index the known sources by identity, path, open state, and what they may be compared with."""

from collections.abc import Callable

from extractor.tail.candidates import Kin
from extractor.tail.changes import Happening, Renamed, Unreadable
from extractor.tail.file import FileState, Source
from extractor.tail.open_files import Handles
from extractor.tail.position import Identity


class Registry:
    """
    The known files, at most *max_open* of them open.

    *is_log* returns whether a path has the name of a log, *may_follow* whether it is a log only if it continues a known
    one. *contain* is called with an unexpected exception and the path of the file; it may raise the exception.
    """

    def __init__(
        self,
        is_log: Callable[[str], bool],
        may_follow: Callable[[str], bool],
        contain: Callable[[Exception, str], None],
        max_open: int,
    ) -> None:
        self.is_log = is_log
        self.may_follow = may_follow
        self.contain = contain
        self.sources: dict[Identity, Source] = {}
        self.handles = Handles(max_open, self.in_sight, self.refuse)
        self.kin = Kin(self.at)
        self.happenings: list[Happening] = []
        self.turn = 0  # number of calls of `Known.settle`
        self._by_path: dict[str, Source] = {}

    def at(self, path: str) -> Source | None:
        """Return the source that was last found at *path*."""
        return self._by_path.get(path)

    def in_sight(self, source: Source) -> bool:
        """Return whether *source* is the file last found at its path."""
        return self._by_path.get(source.path) is source

    def add(self, source: Source) -> None:
        """Add the new *source*."""
        self.sources[source.identity] = source
        self.kin.add(source)
        self.found(source)

    def found(self, source: Source) -> None:
        """Record that *source* was found at its path."""
        self._by_path[source.path] = source

    def named(self, source: Source) -> None:
        """Set the state of *source* by its name."""
        source.state = FileState.ACTIVE if self.is_log(source.path) else FileState.RENAMED

    def rename(self, source: Source, path: str | None) -> None:
        """Record that *source* moved to *path*, or that its path is unknown (None)."""
        self.happenings.append(Renamed(source.path, path))
        self.unname(source)
        if path is not None:
            self.kin.discard(source)
            source.former, source.path = source.path, path
            self.kin.add(source)

    def unname(self, source: Source) -> None:
        """Record that *source* is no longer at its path."""
        if self.in_sight(source):
            del self._by_path[source.path]

    def remove(self, source: Source) -> None:
        """Close *source* and remove it."""
        self.unname(source)
        self.kin.discard(source)
        self.kin.note(source, "")
        self.handles.close(source)
        del self.sources[source.identity]

    def refuse(self, source: Source, error: Exception) -> None:
        """Mark *source* as unreadable because of *error*; it is tried again when it is next found."""
        why = str(error)
        if not isinstance(error, OSError):
            self.contain(error, source.path)
            why = f"internal error, {type(error).__name__}"
        if source.state is not FileState.UNREADABLE:
            source.state = FileState.UNREADABLE
            self.happenings.append(Unreadable(source.path, why))
