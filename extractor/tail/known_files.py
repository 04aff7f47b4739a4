"""
Files as they were found in, sources under their names out.

A file that was known is the same under whatever name; of one that was saved the position is waited for until it is
found.

Knows nothing of what a folder holds; it is told.
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
    The *files* as they are found, those of *gone* among them, and what is in them, which *contents* knows.

    *file_at* looks what is at a path, *ready* is told what may be read.
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
        """What must be found whatever its name."""
        return {identity.inode for known in (self._files.sources, self._gone.identities()) for identity in known}

    def settle(self, found: Iterable[Found], is_away: Callable[[str], bool] = lambda _: True) -> None:
        """Take note of files where they were found; what was saved and is not found is gone, unless it *is_away*."""
        self._files.turn += 1
        claimed, new = list[Found](), list[Found]()
        for each in found:
            source = self._files.sources.get(each.identity)
            if source is not None and packed_suffix(each.path) != source.packed:
                source.state = FileState.DELETED
                self.forget(source)  # the inode was given to another file
            elif source is not None:
                self._update(source, each)
                continue
            (claimed if self._gone.is_saved(each) else new).append(each)
        self._add_all(claimed)
        for position in self._gone.vanish(is_away):
            self._contents.vanished(position)
        self._add_all(new)

    def positions(self) -> Iterable[Position]:
        """What must be saved of all files."""
        self._contents.weigh()  # an original may hold something else by now
        yield from self._gone.positions()
        for source in self._files.sources.values():
            if (position := self._contents.saved(source)) is not None:
                yield position

    def forget(self, source: Source) -> None:
        """Let go of *source*."""
        is_copy = source.state is FileState.COPY
        self._files.remove(source)
        if not is_copy:
            self._files.happenings.append(Forgotten(source.path, source.behind))
        self._contents.forget(source, Fate.DELETED if source.state is FileState.DELETED else Fate.HIDDEN)

    def _update(self, source: Source, found: Found) -> None:
        there = found if source.path == found.path else self._file_at(source.path)
        is_moved = there is None or there.identity != source.identity
        changed = (source.size, source.modified) != (found.size, found.modified)
        # Another file may have got the inode. If it has the name, too, what was read is compared before it is read on.
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
            # It is compared when there is something to read in it: that means unpacking all of it.
            self._contents.appeared(source)
        elif claim is not None or self._contents.may_hold_known(source):
            self._contents.doubt(source)
        else:
            self._contents.appeared(source)
        self._enter(source)

    def _enter(self, source: Source) -> None:
        if self._contents.is_decided(source):
            self._ready(source)
        # Opened at first sight, to be read even when its name is gone by then; but not at the price of another one.
        if not source.is_open and self._files.handles.has_room and source.state is not FileState.COPY:
            self._files.handles.open(source)
