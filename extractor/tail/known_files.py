"""
Match the files that a scan found with the known sources.

A known file remains the same source under any name. A saved position waits until its file is found.
"""

from collections.abc import Callable, Iterable

from extractor.tail.admission import Contents
from extractor.tail.changes import Forgotten
from extractor.tail.file import FileState, Source
from extractor.tail.position import Fate, Found, Position
from extractor.tail.registry import Registry
from extractor.tail.retired import Gone
from extractor.tail.rotated_names import packed_suffix


class Known:
    """
    The sources in *files* and the retired positions in *gone*, matched with what is found.

    *contents* decides what a file holds, *file_at* returns the file at a path, *ready* is called with each source to
    read.
    """

    def __init__(  # noqa: PLR0913  # what a file is known by
        self,
        files: Registry,
        gone: Gone,
        contents: Contents,
        file_at: Callable[[str], Found | None],
        ready: Callable[[Source], None],
        *,
        max_line_bytes: int,
    ) -> None:
        self._files = files
        self._gone = gone
        self._contents = contents
        self._file_at = file_at
        self._ready = ready
        self._max_line_bytes = max_line_bytes

    def inodes(self) -> set[int]:
        """Return the inodes of files that must be found whatever their name."""
        return {identity.inode for known in (self._files.sources, self._gone.identities()) for identity in known}

    def settle(self, found: Iterable[Found], is_away: Callable[[str], bool] = lambda _: True) -> None:
        """Update the sources from *found*; a saved position without a file vanishes, unless it *is_away*."""
        self._files.turn += 1
        claimed, new = list[Found](), list[Found]()
        for each in found:
            source = self._files.sources.get(each.identity)
            if source is not None and packed_suffix(each.path) != source.packed:
                source.state = FileState.DELETED
                self.forget(source)  # the inode was reused
            elif source is not None:
                self._update(source, each)
                continue
            (claimed if self._gone.is_saved(each) else new).append(each)
        self._add_all(claimed)
        for position in self._gone.vanish(is_away):
            self._contents.vanished(position)
        self._add_all(new)

    def positions(self) -> Iterable[Position]:
        """Yield the positions to save of all files."""
        self._contents.weigh()  # an original may have changed
        yield from self._gone.positions()
        for source in self._files.sources.values():
            if (position := self._contents.saved(source)) is not None:
                yield position

    def forget(self, source: Source) -> None:
        """Drop *source*."""
        is_copy = source.state is FileState.COPY
        self._files.remove(source)
        if not is_copy:
            self._files.happenings.append(Forgotten(source.path, source.behind))
        self._contents.forget(source, Fate.DELETED if source.state is FileState.DELETED else Fate.HIDDEN)

    def _update(self, source: Source, found: Found) -> None:
        there = found if source.path == found.path else self._file_at(source.path)
        is_moved = there is None or there.identity != source.identity
        changed = (source.size, source.modified) != (found.size, found.modified)
        # Another file may have taken the inode. If it also has the name, the next read compares the content anyway.
        if changed and not source.is_open and self._contents.is_decided(source) and (is_moved or not source.offset):
            source.claim = source.saved() if source.offset else None
            source.since = self._files.turn
            self._contents.doubt(source)
        if is_moved:
            self._files.rename(source, found.path)
        source.note(found.size, found.modified)
        source.look_again()
        if self._contents.is_decided(source):
            self._contents.grown(source)
        self._files.found(source)
        if source.state is FileState.COPY:
            if changed:
                self._contents.doubt(source)
        elif source.state is not FileState.UNREADABLE:
            self._files.named(source)
        self._enter(source)

    def _add_all(self, found: Iterable[Found]) -> None:
        for each in sorted(found, key=lambda each: (len(each.path), each.path)):
            if each.identity not in self._files.sources:
                self._add(each)

    def _add(self, found: Found) -> None:
        claim = self._gone.claim(found)
        if claim is None and not self._files.is_log(found.path) and not self._files.may_follow(found.path):
            return
        copied: Position | None = None
        if claim is not None and claim.fate == Fate.COPY:
            claim, copied = None, claim
        elif claim is not None and not claim.offset:
            claim = None
        source = Source(found, claim=claim and claim._replace(fate=""), max_line_bytes=self._max_line_bytes)
        source.since = 0 if claim else self._files.turn
        self._files.add(source)
        self._files.named(source)
        if copied is not None:
            self._contents.restore(source, copied)
        elif claim is not None and source.packed and not source.has_news:
            # Comparing unpacks all of it, so it waits until there is something to read.
            self._contents.appeared(source)
        elif claim is not None or self._contents.may_hold_known(source):
            self._contents.doubt(source)
        else:
            self._contents.appeared(source)
        self._enter(source)

    def _enter(self, source: Source) -> None:
        if self._contents.is_decided(source):
            self._ready(source)
        # Opened at once, to be readable even after it is deleted, but only if no other file must be closed for it.
        if not source.is_open and self._files.handles.has_room and source.state is not FileState.COPY:
            self._files.handles.open(source)
