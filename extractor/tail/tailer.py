"""
Read the logs below some folders; return chunks of whole lines, approximately in the order of their events.

Every log is read once, from its first byte to its last, under any name: a file is identified by inode and content. A
renamed or deleted file is read to its end through its descriptor. `scan` checks all files, `look` only hinted paths:
ten thousand files of which ten are written cost as much as ten.
"""
# ruff: noqa: PTH120  # paths are text: a `Path` costs more than the look itself

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from extractor.tail.admission import Contents
from extractor.tail.changes import Damaged, GivenUp, Happening, Unreadable
from extractor.tail.discovery import Folders, is_below
from extractor.tail.file import FileState, Source
from extractor.tail.known_files import Known
from extractor.tail.last_lines import LastLines
from extractor.tail.line_buffer import MAX_LINE_BYTES, Piece
from extractor.tail.position import Found, Identity, Position
from extractor.tail.read_order import ReadingOrder
from extractor.tail.registry import Registry
from extractor.tail.retired import Gone
from extractor.tail.rotated_names import is_rotated, packed_suffix, unrotated

CHUNK_BYTES = 131072
"""Number of bytes read of one file before another file may be due."""

MAX_OPEN = 256
"""Maximum number of open files: a quarter of the usual limit of a process."""

ROTATE_WAIT = 60.0
"""Seconds without a change after which the unfinished last line of a rotated file is given up."""


def _raise(error: Exception, _path: str) -> None:
    raise error


class Chunk(NamedTuple):
    """The result of one read of one file."""

    source: Source
    pieces: list[Piece]
    happenings: list[Happening]


class Tail:
    """
    The logs below *roots*, each a folder or a single file, which may appear later.

    *wanted* returns whether a file name is that of a log; a root that is a file always is one. *time_of* returns the
    event time of a line, None if it has none. *positions* are those that `positions` returned, to resume there. At most
    *max_open* files are kept open; half of them may be without a known path, and beyond that the least recently used
    are dropped. The unfinished last line of a rotated file is given up after *rotate_wait* seconds of *clock* without a
    change. *contain* is called with an unexpected exception and the path of its file; that file is set aside as
    unreadable, and tried again from where reading last resumed. By default the exception is raised.
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
        rotate_wait: float = ROTATE_WAIT,
        clock: Callable[[], float] = time.monotonic,
        follow_symlinks: bool = False,
        contain: Callable[[Exception, str], None] = _raise,
    ) -> None:
        kept = list(positions)
        self._folders = Folders(roots, wanted, {each.path: each.modified for each in kept}, follow=follow_symlinks)
        self._order = ReadingOrder(time_of, self._first_line)
        self._files = Registry(self._folders.is_log, self._folders.may_follow, contain, max_open)
        self._gone = Gone(kept)
        self._contents = Contents(self._files, self._gone, self._order.add)
        self._known = Known(
            self._files,
            self._gone,
            self._contents,
            self._folders.file,
            self._order.add,
            max_line_bytes=max_line_bytes,
        )
        self._handles = self._files.handles
        self._max_hidden = max_open // 2
        self._closed: dict[str, OSError] = {}  # folders that the last scan could not list
        self._last_lines = LastLines(rotate_wait, clock)

    def scan(self) -> list[Happening]:
        """Check all files and return the changes; a file that two consecutive scans miss is dropped."""
        known, contents, files = self._known, self._contents, self._files
        before, self._closed = self._closed, {}
        found = self._walk()
        seen = {each.identity for each in found}
        if self._gone.misses(seen, self._is_away):
            # A file renamed during the listing of its folder may be omitted.
            found += [each for each in self._walk() if each.identity not in seen]
        for folder, error in self._closed.items():
            if folder not in before and not isinstance(error, FileNotFoundError):
                files.happenings.append(Unreadable(folder, str(error)))
        seen = {each.identity for each in found}
        known.settle(found, self._is_away)
        for source in [source for identity, source in files.sources.items() if identity not in seen]:
            self._miss(source)
        contents.weigh()
        quiet = [source for source in self._handles if not files.in_sight(source) and not source.has_news]
        for source in quiet[: max(len(quiet) - self._max_hidden, 0)]:
            self._forget(source)
        self._last_lines.wait(files.sources.values(), self._is_replaced)
        return contents.happened()

    def look(self, hints: Iterable[str]) -> list[Happening]:
        """Check the hinted paths, and search for files that are no longer there; return the changes."""
        known, contents, files = self._known, self._contents, self._files
        found: list[Found] = []
        strays: dict[Identity, Source] = {}
        # A hint for a compressed file includes the plain one, so that the copy is not taken for a new file.
        for path in sorted({plain for hint in hints for plain in (hint, hint.removesuffix(packed_suffix(hint)))}):
            source, file = files.at(path), self._folders.file(path)
            if source is not None and (file is None or file.identity != source.identity):
                strays[source.identity] = source
            if file is not None and (source is not None or self._folders.holds(path)):
                found.append(file)
            elif file is None and self._folders.is_folder(path) and self._folders.holds(path):
                found += self._folders.walk(path, known.inodes(), {})
        seen = {each.identity for each in found}
        lost = [stray for identity, stray in strays.items() if identity not in seen and not self._is_deleted(stray)]
        for folder in dict.fromkeys(os.path.dirname(stray.path) for stray in lost):
            found += self._folders.listed(folder, known.inodes())
        known.settle(found)
        for source in self._handles:
            if not files.in_sight(source):
                self._is_deleted(source)
        contents.weigh()
        return contents.happened()

    def next_chunk(self, max_bytes: int = CHUNK_BYTES) -> Chunk | None:
        """Read the file whose next line is the oldest; return None once all known content is read."""
        while (source := self._next()) is not None:
            pieces: list[Piece] = []
            ending = self._last_lines.take(source)
            if self._handles.open(source):
                try:
                    pieces = self._read(source, max_bytes, ending=ending)
                except Exception as error:  # noqa: BLE001  # an error in one file must not affect others
                    self._files.refuse(source, error)
                else:
                    if source.state is FileState.UNREADABLE:
                        self._files.named(source)
            happenings = self._contents.happened()
            if pieces or happenings or source.is_searching:
                return Chunk(source, pieces, happenings)
        return None

    def read(self, max_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
        """Yield all chunks until all known content is read."""
        while (chunk := self.next_chunk(max_bytes)) is not None:
            yield chunk

    def sources(self) -> list[Source]:
        """Return all known files."""
        return list(self._files.sources.values())

    def without_logs(self) -> dict[str, int | None]:
        """Return the roots without a known log, and their number of other files; None if a root is missing."""
        paths = {source.path for source in self._files.sources.values()}
        counts = self._folders.passed_over
        return {
            root: None
            if self._folders.status(root) is None
            else sum(files for folder, files in counts.items() if is_below(folder, root))
            for root in self._folders.roots
            if root not in paths and not any(is_below(path, root) for path in paths)
        }

    def positions(self) -> list[Position]:
        """Return the positions to save to resume later; they match the chunks returned so far."""
        return list(self._known.positions())

    def states(self) -> Mapping[str, int]:
        """Return the number of files by `FileState`; folders that cannot be listed count as unreadable."""
        counts = {state.value: 0 for state in FileState}
        for source in self._files.sources.values():
            counts[source.state] += 1
        counts[FileState.UNREADABLE] += sum(not isinstance(error, FileNotFoundError) for error in self._closed.values())
        return counts

    def bytes_behind(self) -> int:
        """Return the number of bytes that were found but not read yet."""
        return self._order.bytes_behind() + sum(source.behind for source in self._undecided())

    def oldest(self) -> float:
        """Return a lower bound of the times of unread lines, if files are in order; infinite if there is none."""
        return self._order.oldest(self._undecided())

    def close(self) -> None:
        """Close all files."""
        for source in self._handles:
            self._handles.close(source)

    def _walk(self) -> list[Found]:
        inodes = self._known.inodes()
        self._folders.passed_over.clear()
        return [each for root in self._folders.roots for each in self._folders.walk(root, inodes, self._closed)]

    def _undecided(self) -> Iterator[Source]:
        # Unreadable files must not hold back others, decided or not.
        left = (FileState.COPY, FileState.UNREADABLE)
        return (source for source in self._contents.unweighed() if source.state not in left)

    def _next(self) -> Source | None:
        if (last := self._last_lines.next(self._contents.is_decided)) is not None:
            return last
        source = self._next_ready()
        if source is None and any(self._contents.unweighed()):
            # Content read meanwhile may decide them.
            self._contents.weigh()
            source = self._next_ready()
        return source

    def _next_ready(self) -> Source | None:
        return next(filter(self._contents.is_decided, iter(self._order.next, None)), None)

    def _read(self, source: Source, max_bytes: int, *, ending: bool) -> list[Piece]:
        if self._contents.must_weigh(source):
            self._contents.weigh()
            return []
        mark = source.mark()
        try:
            pieces = source.read(max_bytes)
            if pieces is not None:
                return self._go_on(source, pieces, ending=ending)
        except Exception:
            source.set_back(mark)
            raise
        if self._contents.content_lost(source):
            # A file is usually copied before it is truncated: search for the copy.
            paths = (source.path, *(each.path for each in self._files.kin.relatives(source)))
            for folder in dict.fromkeys(os.path.dirname(path) for path in paths):
                self._known.settle(self._folders.listed(folder, self._known.inodes()))
        self._contents.weigh()
        return []

    def _go_on(self, source: Source, pieces: list[Piece], *, ending: bool) -> list[Piece]:
        """Return the pieces to return after a read of *source* that gave *pieces*."""
        if ending and not pieces and not source.has_news:
            pieces = self._end(source)
        elif source.identity in self._files.sources:
            self._order.add(source)
        damage = source.content().damage if source.is_open else ""
        if damage and not pieces and not source.has_news:
            self._files.happenings.append(Damaged(source.path, source.offset, damage))
        return pieces

    def _end(self, source: Source) -> list[Piece]:
        """Return the last line of *source* as it is; drop the source if it is deleted."""
        offset, last = source.offset, source.finish()
        if source.state is FileState.DELETED:
            self._forget(source)
        elif last is not None:
            self._files.happenings.append(GivenUp(source.path, offset))
        return [] if last is None else [last]

    def _is_deleted(self, source: Source) -> bool:
        """Return whether *source* is open and has no name left; queue it if it has unread content."""
        if not source.is_open:
            return False
        try:
            deleted = not source.look()
        except OSError as error:
            self._files.refuse(source, error)
            return False
        if deleted and source.state is FileState.COPY:
            self._forget(source)
            return True
        if deleted:
            source.state = FileState.DELETED
            self._files.unname(source)
        if source.state is not FileState.COPY:
            self._order.add(source)
        return deleted

    def _miss(self, source: Source) -> None:
        """Update *source*, which a scan did not find."""
        before = source.state
        # If its folder is temporarily unavailable, the path remains valid.
        out_of_reach = self._files.in_sight(source) and self._is_away(source.path)
        if self._is_deleted(source):
            if before is FileState.DELETED and not source.has_news:
                if source.pending:
                    self._last_lines.give_up(source)
                else:
                    self._forget(source)
        elif source.is_open and not out_of_reach:
            if before is not FileState.RENAMED or self._files.in_sight(source):
                self._files.rename(source, None)
            source.state = FileState.RENAMED
        elif before is not FileState.MISSING:
            # A single miss proves little: a file renamed during the listing of its folder may be omitted.
            source.state = FileState.MISSING
        elif not out_of_reach:
            self._forget(source)

    def _is_away(self, path: str) -> bool:
        return any(is_below(path, folder) for folder in self._closed)

    def _is_replaced(self, source: Source) -> bool:
        """Return whether another file has the name that *source* had when it was written."""
        names = {source.former, unrotated(source.path) if is_rotated(source.path) else source.path}
        return any(self._files.at(name) not in (None, source) for name in names)

    def _forget(self, source: Source) -> None:
        self._order.discard(source)
        self._last_lines.discard(source)
        self._known.forget(source)

    def _first_line(self, source: Source) -> bytes | None:
        try:
            return source.peek() if self._handles.open(source) else None
        except OSError:  # the error shows again when the file is read
            return None
        except Exception as error:  # noqa: BLE001  # a missing line affects only the order
            self._files.contain(error, source.path)
            return None
