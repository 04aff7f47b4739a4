"""
Folders in, chunks of whole lines out, in about the order of their events.

Every log below the roots is read once, from its first byte to its last, under whatever name: a file is known by its
identity, and a renamed or deleted one is read to its end through the open file. `scan` looks at everything, `look` only
at what was hinted: ten thousand files of which ten are written cost what ten cost.

Knows nothing of JSON or metrics; the time of a line is told to it.
"""
# ruff: noqa: PTH120  # paths are text: a `Path` costs more than the look itself

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from extractor.folders import Folders, is_below
from extractor.lines import MAX_LINE_BYTES, Piece
from extractor.order import ReadingOrder
from extractor.sources import (
    Appeared,
    FileState,
    Forgotten,
    Found,
    Happening,
    Identity,
    Position,
    Renamed,
    Source,
    Unreadable,
)

CHUNK_BYTES = 131072
"""How much is read of one file before another one may be due."""

MAX_OPEN = 256
"""How many files are kept open: a quarter of what a process may have unless it asks for more."""


class Chunk(NamedTuple):
    """What one read of one file gave."""

    source: Source
    pieces: list[Piece]
    happenings: list[Happening]


class Tail:
    """
    The logs below *roots*, each a folder or a single file, which may appear later.

    *wanted* says whether a file of this name is a log; a root that is a file always is. *time_of* is the event time of
    a line, None if it has none. *positions* are what `positions` gave, to read on from there. Of the *max_open* files
    that are kept open half may be out of sight; of more, those that were quiet for longest are let go.
    """

    def __init__(  # noqa: PLR0913  # options, given by name
        self,
        roots: Sequence[Path],
        wanted: Callable[[str], bool],
        time_of: Callable[[bytes], float | None],
        *,
        positions: Iterable[Position] = (),
        max_line_bytes: int = MAX_LINE_BYTES,
        max_open: int = MAX_OPEN,
    ) -> None:
        self._folders = Folders(roots, wanted)
        self._order = ReadingOrder(time_of, self._first_line)
        self._max_line_bytes = max_line_bytes
        self._max_open = max_open
        self._saved = {position.identity: position for position in positions}
        self._sources: dict[Identity, Source] = {}
        self._by_path: dict[str, Source] = {}
        self._open: dict[Identity, Source] = {}  # unused for longest first
        self._closed: dict[str, OSError] = {}  # folders that the last scan could not list
        self._happenings: list[Happening] = []

    def scan(self) -> list[Happening]:
        """Look at everything. Only here a file that is gone is forgotten, when two scans in a row miss it."""
        before, self._closed = self._closed, {}
        inodes = self._inodes()
        found = [each for root in self._folders.roots for each in self._folders.walk(root, inodes, self._closed)]
        for folder, error in self._closed.items():
            if folder not in before and not isinstance(error, FileNotFoundError):
                self._happenings.append(Unreadable(folder, str(error)))
        self._settle(found)

        seen = {each.identity for each in found}
        for source in [source for identity, source in self._sources.items() if identity not in seen]:
            self._miss(source)
        quiet = [source for source in self._open.values() if not self._in_sight(source) and not source.has_news]
        for source in quiet[: max(len(quiet) - self._max_open // 2, 0)]:
            self._forget(source)
        return self._happened()

    def look(self, hints: Iterable[str]) -> list[Happening]:
        """Look at the hinted paths only, and for the files that are no longer there."""
        found: list[Found] = []
        strays: dict[Identity, Source] = {}
        for path in hints:
            known, file = self._by_path.get(path), self._folders.file(path)
            if known is not None and (file is None or file.identity != known.identity):
                strays[known.identity] = known
            if file is not None and (known is not None or self._folders.holds(path)):
                found.append(file)
            elif file is None and self._folders.is_folder(path) and self._folders.holds(path):
                found += self._folders.walk(path, self._inodes(), {})

        seen = {each.identity for each in found}
        lost = [stray for identity, stray in strays.items() if identity not in seen and not self._is_deleted(stray)]
        for folder in {os.path.dirname(stray.path) for stray in lost}:
            found += self._folders.listed(folder, self._inodes())
        self._settle(found)
        for source in [source for source in self._open.values() if not self._in_sight(source)]:
            self._is_deleted(source)
        return self._happened()

    def next_chunk(self, max_bytes: int = CHUNK_BYTES) -> Chunk | None:
        """Read on in the file whose next line is the oldest; None once everything that was seen has been read."""
        while (source := self._order.next()) is not None:
            pieces: list[Piece] = []
            if self._opened(source):
                try:
                    pieces, truncated = source.read(max_bytes)
                except OSError as error:
                    self._refuse(source, error)
                else:
                    self._happenings += [truncated] if truncated else []
                    self._order.add(source)
            if pieces or self._happenings:
                return Chunk(source, pieces, self._happened())
        return None

    def read(self, max_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
        """All chunks until everything that was seen has been read."""
        while (chunk := self.next_chunk(max_bytes)) is not None:
            yield chunk

    def sources(self) -> list[Source]:
        """Every file that is known."""
        return list(self._sources.values())

    def positions(self) -> list[Position]:
        """What must be saved to read on later; it is true of the chunks handed out so far."""
        return [*self._saved.values(), *(source.saved() for source in self._sources.values())]

    def states(self) -> Mapping[str, int]:
        """How many files there are by `FileState`; folders that cannot be listed count as unreadable."""
        counts = {state.value: 0 for state in FileState}
        for source in self._sources.values():
            counts[source.state] += 1
        counts[FileState.UNREADABLE] += sum(not isinstance(error, FileNotFoundError) for error in self._closed.values())
        return counts

    def bytes_behind(self) -> int:
        """How many bytes were seen and not read yet."""
        return self._order.bytes_behind()

    def close(self) -> None:
        """Let go of all files."""
        for source in self._open.values():
            source.close()
        self._open.clear()

    def _inodes(self) -> set[int]:
        return {identity.inode for known in (self._sources, self._saved) for identity in known}

    def _in_sight(self, source: Source) -> bool:
        return self._by_path.get(source.path) is source

    def _settle(self, found: Iterable[Found]) -> None:
        """Take note of files where they were found."""
        for each in found:
            source = self._sources.get(each.identity)
            if source is None:
                if each.identity not in self._saved and not self._folders.is_log(each.path):
                    continue
                source = self._add(each)
            elif source.path != each.path:
                there = self._folders.file(source.path)
                if there is None or there.identity != source.identity:
                    self._rename(source, each.path)
            source.size, source.modified = each.size, each.modified
            self._by_path[source.path] = source
            if source.state is not FileState.UNREADABLE:
                source.state = FileState.ACTIVE if self._folders.is_log(source.path) else FileState.RENAMED
            self._order.add(source)
            # Opened at first sight, to be read even when its name is gone by then; but not at the price of another one.
            if not source.is_open and len(self._open) < self._max_open:
                self._opened(source)

    def _add(self, found: Found) -> Source:
        position = self._saved.pop(found.identity, None)
        offset = position.offset if position else 0
        source = Source(found, offset=offset, max_line_bytes=self._max_line_bytes)
        self._sources[found.identity] = source
        self._happenings.append(Appeared(found.path, offset))
        return source

    def _rename(self, source: Source, path: str | None) -> None:
        self._happenings.append(Renamed(source.path, path))
        self._unname(source)
        source.path = path or source.path

    def _unname(self, source: Source) -> None:
        if self._in_sight(source):
            del self._by_path[source.path]

    def _is_deleted(self, source: Source) -> bool:
        """Whether *source* is open and has no name left; what is new in an open file waits to be read."""
        if not source.is_open:
            return False
        deleted = not source.look()
        if deleted:
            source.state = FileState.DELETED
            self._unname(source)
        self._order.add(source)
        return deleted

    def _miss(self, source: Source) -> None:
        """A scan did not find *source*."""
        before = source.state
        # Its folder may be away only for a while; then its name still stands.
        out_of_reach = self._in_sight(source) and any(is_below(source.path, folder) for folder in self._closed)
        if self._is_deleted(source):
            if before is FileState.DELETED and not source.has_news:
                self._forget(source)
        elif source.is_open and not out_of_reach:
            if before is not FileState.RENAMED or self._in_sight(source):
                self._rename(source, None)
            source.state = FileState.RENAMED
        elif before is not FileState.MISSING:
            # Missed once says little: what is renamed while its folder is being listed may not be listed at all.
            source.state = FileState.MISSING
        elif not out_of_reach:
            self._forget(source)

    def _forget(self, source: Source) -> None:
        self._happenings.append(Forgotten(source.path, source.finish(), source.behind))
        self._unname(source)
        self._order.discard(source)
        self._open.pop(source.identity, None)
        del self._sources[source.identity]
        source.close()

    def _happened(self) -> list[Happening]:
        happened, self._happenings = self._happenings, []
        return happened

    def _first_line(self, source: Source) -> bytes | None:
        with suppress(OSError):  # what is wrong with the file shows when it is read
            return source.peek() if self._opened(source) else None
        return None

    def _opened(self, source: Source) -> bool:
        if source.is_open:
            self._open[source.identity] = self._open.pop(source.identity)
            return True
        while len(self._open) >= self._max_open and self._close_one():
            pass
        try:
            source.open()
        except FileNotFoundError:
            # Renamed or deleted since it was seen; the next scan finds out which.
            return False
        except OSError as error:
            self._refuse(source, error)
            return False
        self._open[source.identity] = source
        if source.state is FileState.UNREADABLE:
            source.state = FileState.ACTIVE
        return True

    def _close_one(self) -> bool:
        """Close the file that was unused for longest among those that can be opened again by their name."""
        named = [source for source in self._open.values() if self._in_sight(source)]
        victim = next((source for source in named if not source.has_news), named[0] if named else None)
        if victim is None:
            return False
        del self._open[victim.identity]
        victim.close()
        return True

    def _refuse(self, source: Source, error: OSError) -> None:
        if source.state is not FileState.UNREADABLE:
            source.state = FileState.UNREADABLE
            self._happenings.append(Unreadable(source.path, str(error)))
