"""
Sources in, where they are out: by identity, by path, open or not, and by what they may be compared with.

Knows nothing of what is in them.
"""

from collections.abc import Callable

from extractor.tail.candidates import Kin
from extractor.tail.changes import Happening, Renamed, Unreadable
from extractor.tail.file import FileState, Source
from extractor.tail.open_files import Handles
from extractor.tail.position import Identity


class Registry:
    """
    The files that are known, at most *max_open* of them open.

    *is_log* says whether a name is a log's, *may_follow* whether it may be one only if it holds more of a known log.
    *contain* takes an exception that nobody foresaw, and the path at which it was raised; it may raise it.
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
        self.turn = 0  # how often files were found
        self._by_path: dict[str, Source] = {}

    def at(self, path: str) -> Source | None:
        """The source that was last seen at *path*."""
        return self._by_path.get(path)

    def in_sight(self, source: Source) -> bool:
        """Whether *source* was last seen at its path."""
        return self._by_path.get(source.path) is source

    def add(self, source: Source) -> None:
        """*source* is new."""
        self.sources[source.identity] = source
        self.kin.add(source)
        self.found(source)

    def found(self, source: Source) -> None:
        """*source* was seen at its path."""
        self._by_path[source.path] = source

    def named(self, source: Source) -> None:
        """*source* is read for what its name is."""
        source.state = FileState.ACTIVE if self.is_log(source.path) else FileState.RENAMED

    def rename(self, source: Source, path: str | None) -> None:
        """*source* is at *path* now, or out of sight."""
        self.happenings.append(Renamed(source.path, path))
        self.unname(source)
        if path is not None:
            self.kin.discard(source)
            source.former, source.path = source.path, path
            self.kin.add(source)

    def unname(self, source: Source) -> None:
        """*source* is not at its path any more."""
        if self.in_sight(source):
            del self._by_path[source.path]

    def remove(self, source: Source) -> None:
        """Let go of *source*."""
        self.unname(source)
        self.kin.discard(source)
        self.kin.note(source, "")
        self.handles.close(source)
        del self.sources[source.identity]

    def refuse(self, source: Source, error: Exception) -> None:
        """*source* cannot be read now; it is tried again when it is found the next time."""
        why = str(error)
        if not isinstance(error, OSError):
            self.contain(error, source.path)
            why = f"internal error, {type(error).__name__}"
        if source.state is not FileState.UNREADABLE:
            source.state = FileState.UNREADABLE
            self.happenings.append(Unreadable(source.path, why))
