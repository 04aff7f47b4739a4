"""
Files as they were found in, sources that may be read out.

Here it is decided what a file is: one that was known, under whatever name, one that holds what another one held, or a
new one; and what becomes of what was read of a file when the file holds it no more.

Knows nothing of what a folder holds; it is told.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from extractor.copies import Answer, Copies
from extractor.gone import Gone
from extractor.handles import Handles
from extractor.happenings import (
    Appeared,
    Continued,
    Duplicate,
    Forgotten,
    Happening,
    Renamed,
    Rewritten,
    Truncated,
    Unreadable,
    Vanished,
)
from extractor.losses import Kind, Losses
from extractor.positions import Fate, Found, Identity, Position
from extractor.rotation import is_rotated, packed_suffix, stem
from extractor.sources import FileState, Source


class Known:
    """
    All files that are known, those of *positions* among them.

    *is_log* says whether a name is a log's, *file_at* looks what is at a path, *ready* is told what may be read.
    """

    def __init__(  # noqa: PLR0913  # what the tail knows
        self,
        positions: Iterable[Position],
        is_log: Callable[[str], bool],
        file_at: Callable[[str], Found | None],
        ready: Callable[[Source], None],
        *,
        max_line_bytes: int,
        max_open: int,
    ) -> None:
        self.gone = Gone(positions)
        self.sources: dict[Identity, Source] = {}
        self.handles = Handles(max_open, self.in_sight, self.refuse)
        self.happenings: list[Happening] = []
        self._is_log = is_log
        self._file_at = file_at
        self._ready = ready
        self._max_line_bytes = max_line_bytes
        self._by_path: dict[str, Source] = {}
        self._copies = Copies(self.gone, self.handles.open, self._intact)
        self._losses = Losses()
        self._turn = 0

    def at(self, path: str) -> Source | None:
        """The source that was last seen at *path*."""
        return self._by_path.get(path)

    def in_sight(self, source: Source) -> bool:
        """Whether *source* was last seen at its path."""
        return self._by_path.get(source.path) is source

    def inodes(self) -> set[int]:
        """What must be found whatever its name."""
        return {identity.inode for known in (self.sources, self.gone.identities()) for identity in known}

    def settle(self, found: Iterable[Found], is_away: Callable[[str], bool] = lambda _: True) -> None:
        """Take note of files where they were found; what was saved and is not found is gone, unless it *is_away*."""
        self._turn += 1
        claimed: list[Found] = []
        new: list[Found] = []
        for each in found:
            source = self.sources.get(each.identity)
            if source is not None and packed_suffix(each.path) != source.packed:
                source.state = FileState.DELETED
                self.forget(source)  # the inode was given to another file
            elif source is not None:
                self._update(source, each)
                continue
            (claimed if self.gone.is_saved(each) else new).append(each)
        self._add_all(claimed)
        for position in self.gone.vanish(is_away):
            self._losses.add(position, None, Vanished)
        self._add_all(new)

    def weigh(self) -> None:
        """Decide what the files are that are not decided yet, as far as that can be known."""
        # What a file does not hold any more may be in any other one.
        self.handles.each([source for source in self.unweighed() if source.claim is not None], self._compare)
        new = [source for source in self.unweighed() if source.claim is None and source.size]
        self.handles.each(sorted(new, key=lambda source: len(source.path)), self._decide)

    def happened(self) -> list[Happening]:
        """What happened since this was asked last."""
        happened, self.happenings = self.happenings, []
        return happened + self._losses.told()

    def positions(self) -> Iterable[Position]:
        """What must be saved of all files."""
        self.weigh()  # an original may hold something else by now
        yield from self.gone.positions()
        for source in self.sources.values():
            if source.claim is not None or self.is_decided(source):
                yield source.saved()
            elif (copied := self._copies.saved(source)) is not None:
                yield copied

    def unweighed(self) -> Iterable[Source]:
        """What is not decided yet."""
        return self._copies.unread.values()

    def is_decided(self, source: Source) -> bool:
        """Whether *source* is to be read."""
        return source.identity not in self._copies.unread and source.state is not FileState.COPY

    def content_lost(self, source: Source) -> None:
        """What was read of *source* is not there any more: it is read from 0, and its old content is looked for."""
        self._give_up(source, source.unread)
        source.begin_again()
        if source.packed or is_rotated(source.path):
            self._copies.unread[source.identity] = source
        else:
            self._ready(source)

    def rename(self, source: Source, path: str | None) -> None:
        """*source* is at *path* now, or out of sight."""
        self.happenings.append(Renamed(source.path, path))
        self.unname(source)
        if path is not None:
            self._copies.discard(source)
            source.former, source.path = source.path, path
            self._copies.add(source)

    def unname(self, source: Source) -> None:
        """*source* is not at its path any more."""
        if self.in_sight(source):
            del self._by_path[source.path]

    def forget(self, source: Source) -> None:
        """Let go of *source*; its content may come back under another identity."""
        is_read = self.is_decided(source)
        fate = Fate.DELETED if source.state is FileState.DELETED else Fate.HIDDEN
        self.unname(source)
        self._copies.discard(source)
        self._copies.forget(source)
        self._copies.unread.pop(source.identity, None)
        self.handles.close(source)
        del self.sources[source.identity]
        if source.state is not FileState.COPY:
            self.happenings.append(Forgotten(source.path, source.behind))
        if is_read or source.claim is not None:
            end = source.saved().given_up(fate)
            self.gone.add(end)
            self._release_copies(source, end)

    def refuse(self, source: Source, error: OSError) -> None:
        """*source* cannot be read now."""
        if source.state is not FileState.UNREADABLE:
            source.state = FileState.UNREADABLE
            self.happenings.append(Unreadable(source.path, str(error)))

    def _update(self, source: Source, found: Found) -> None:
        there = found if source.path == found.path else self._file_at(source.path)
        is_moved = there is None or there.identity != source.identity
        changed = (source.size, source.modified) != (found.size, found.modified)
        if changed and not source.is_open and self.is_decided(source):
            self._doubt(source, is_moved=is_moved)
        if is_moved:
            self.rename(source, found.path)
        source.note(found.size, found.modified)
        self._by_path[source.path] = source
        if source.state is FileState.COPY:
            if changed:
                self._copies.unread[source.identity] = source
        elif source.state is not FileState.UNREADABLE:
            source.state = FileState.ACTIVE if self._is_log(source.path) else FileState.RENAMED
        self._enter(source)

    def _doubt(self, source: Source, *, is_moved: bool) -> None:
        # Another file may have got the inode. If it has the name, too, what was read is compared before it is read on.
        if is_moved or (not source.offset and (source.packed or is_rotated(source.path))):
            source.claim = source.saved() if source.offset else None
            source.since = self._turn
            self._copies.unread[source.identity] = source

    def _add_all(self, found: Iterable[Found]) -> None:
        # Of two that hold the same, the one with the shorter name is the original.
        for each in sorted(found, key=lambda each: (len(each.path), each.path)):
            if each.identity not in self.sources:
                self._add(each)

    def _add(self, found: Found) -> None:
        claim = self.gone.claim(found)
        if claim is None and not self._is_log(found.path):
            return
        copied: Position | None = None
        if claim is not None and claim.fate == Fate.COPY:
            claim, copied = None, claim
        elif claim is not None and not claim.offset:
            claim = None
        source = Source(found, claim=claim and claim._replace(fate=""), max_line_bytes=self._max_line_bytes)
        source.state = FileState.ACTIVE if self._is_log(found.path) else FileState.RENAMED
        source.since = 0 if claim else self._turn
        self.sources[source.identity] = source
        self._by_path[source.path] = source
        self._copies.add(source)
        if copied is not None:
            self._copies.restore(source, copied)
            self._copies.unread[source.identity] = source
        elif claim is not None and source.packed and not source.has_news:
            # It is compared when there is something to read in it: that means unpacking all of it.
            self.happenings.append(Appeared(source.path, source.offset))
        elif claim is not None or source.packed or self._copies.may_hold_known(source):
            self._copies.unread[source.identity] = source
        else:
            self.happenings.append(Appeared(source.path, 0))
        self._enter(source)

    def _enter(self, source: Source) -> None:
        if self.is_decided(source):
            self._ready(source)
        # Opened at first sight, to be read even when its name is gone by then; but not at the price of another one.
        if not source.is_open and self.handles.has_room and source.state is not FileState.COPY:
            self.handles.open(source)

    def _decide(self, source: Source) -> None:
        known = self._copies.search(source)
        if isinstance(known, Source):
            self._set_aside(source, known)
        elif known is not Answer.LATER and self.handles.open(source):
            if isinstance(known, Position):
                source.go_on(self._copies.known_length(source, known))
                if source.offset == known.offset:
                    self.gone.discard(known)
                self._losses.inherit(known, source)
                self._read_on(source, Continued(source.path, known.path, source.offset))
            else:
                length = self._copies.proven_length(source)  # of a copy that somebody wrote to
                self.handles.open(source)
                source.go_on(length)
                self._read_on(source, Appeared(source.path, source.offset))

    def _compare(self, source: Source) -> None:
        """Read on in *source* if it holds what was read of it; else it is as good as new."""
        source.look()
        if source.claim is not None and source.holds(source.claim):
            source.go_on(source.claim.offset)
            self._read_on(source, Appeared(source.path, source.offset))
        else:
            self._give_up(source, source.unread)
            source.begin_again()

    def _set_aside(self, copy: Source, original: Source) -> None:
        if copy.state is not FileState.COPY:
            copy.state = FileState.COPY
            self.happenings.append(Duplicate(copy.path, original.path))
        if self._copies.is_settled(copy):
            self._copies.unread.pop(copy.identity)
        if copy.packed:
            self.handles.close(copy)  # an unpacker may hold megabytes

    def _read_on(self, source: Source, happening: Appeared | Continued) -> None:
        self.happenings.append(happening)
        self._copies.unread.pop(source.identity, None)
        self._copies.forget(source)
        source.state = FileState.ACTIVE if self._is_log(source.path) else FileState.RENAMED
        self._ready(source)

    def _intact(self, source: Source) -> bool:
        with suppress(OSError):
            if source.is_intact():
                return True
            self.content_lost(source)
        return False

    def _give_up(self, source: Source, unread: int | None) -> None:
        """Remember what was read of *source*, which holds something else now."""
        before = source.claim or source.saved()
        end = before.given_up(Fate.VANISHED if source.claim else Fate.REWRITTEN, reused=True)
        kind: Kind = Truncated if source.shrank else Rewritten
        if stem(before.path) != stem(source.path):
            kind = Vanished  # the inode was given to another file
        self._losses.add(end, unread, kind)
        self.gone.add(end)
        self._release_copies(source, end)

    def _release_copies(self, original: Source, end: Position) -> None:
        for copy in self._copies.of(original, end):
            copy.state = FileState.ACTIVE
            self._copies.unread[copy.identity] = copy
