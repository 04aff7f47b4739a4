"""
Identify the content of new and changed files, and select the sources to read.

A file continues one that was counted, copies the content of another file, or is new. When a file no longer holds what
was counted of it, the position is retired, so that another file with the same content can continue it. Content that was
counted and still exists is never counted again.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from extractor.tail.changes import Appeared, Continued, Duplicate, Happening, Rewritten, Truncated, Vanished
from extractor.tail.copies import Answer, Copies, CopyOf, Follows, MoreThan
from extractor.tail.file import FileState, Source
from extractor.tail.fingerprint import WINDOW
from extractor.tail.losses import Kind, Losses
from extractor.tail.position import Fate, Position
from extractor.tail.registry import Registry
from extractor.tail.retired import Gone
from extractor.tail.rotated_names import are_relatives, stem

_ROUNDS = 10
"""Maximum number of decision rounds: decisions depend on one another, and growing logs could keep the loop busy."""


class Contents:
    """Match the content of *files*, and of the retired positions in *gone*; call *ready* with each source to read."""

    def __init__(self, files: Registry, gone: Gone, ready: Callable[[Source], None]) -> None:
        self._files = files
        self._gone = gone
        self._ready = ready
        self._copies = Copies(files.kin, gone, files.handles.open, self._intact)
        self._losses = Losses()

    def weigh(self) -> None:
        """Decide all undecided sources, as far as their content allows."""
        # Lost content may be in any other file, so it is retired before files are matched.
        handles = self._files.handles
        handles.each([source for source in self.unweighed() if source.claim is not None], self._compare)
        handles.each([source for source in self.unweighed() if source.read_to], self._look)
        before: set[Source] = set()
        for _ in range(_ROUNDS):
            new = [source for source in self.unweighed() if source.size and source.claim is None]
            if before == set(new):
                break
            before = set(new)
            handles.each(sorted(new, key=_originals_first), self._decide)

    def must_weigh(self, source: Source) -> bool:
        """Return whether the open *source* must be, and can be, compared with others before the next read."""
        if source.noted and source.noted == source.begin:  # the usual case
            return False
        source.look()
        if (not source.packed and source.size < WINDOW) or source.first() in ("", source.noted):
            return False
        self.doubt(source)
        return True

    def unweighed(self) -> Iterable[Source]:
        """Return the undecided sources."""
        return self._copies.undecided.values()

    def is_decided(self, source: Source) -> bool:
        """Return whether *source* is decided, and not a copy."""
        return source.identity not in self._copies.undecided and source.state is not FileState.COPY

    def grown(self, source: Source) -> None:
        """Mark *source* as undecided if it now has enough content to be compared with others."""
        if not source.noted and source.has_news and source.size >= WINDOW and not source.packed:
            self._files.handles.each([source], lambda source: self.doubt(source) if source.first() else None)

    def doubt(self, source: Source) -> None:
        """Mark *source* as undecided."""
        self._copies.undecided[source.identity] = source

    def may_hold_known(self, source: Source) -> bool:
        """Return whether *source* must be compared with others before it is read."""
        return bool(source.packed) or source.size >= WINDOW or self._copies.may_hold_known(source)

    def restore(self, source: Source, position: Position) -> None:
        """Restore *source* from *position*, which was saved as that of a copy."""
        self._copies.links.restore(source, position)
        self.doubt(source)

    def appeared(self, source: Source) -> None:
        """Report *source* as a new log that needs no comparison."""
        source.is_told = True
        self._files.happenings.append(Appeared(source.path, source.offset))

    def vanished(self, position: Position) -> None:
        """Record that the file of the saved *position* no longer exists."""
        self._losses.add(position, None, Vanished)

    def saved(self, source: Source) -> Position | None:
        """Return the position to save for *source*; None if nothing is known of it."""
        if source.claim is not None or self.is_decided(source):
            return source.saved()
        copied = self._copies.links.saved(source)
        return source.saved() if copied is None and source.is_told else copied

    def happened(self) -> list[Happening]:
        """Return the changes since the last call."""
        happened, self._files.happenings = self._files.happenings, []
        return happened + self._losses.told()

    def content_lost(self, source: Source) -> bool:
        """
        Handle content of *source* that differs from what was read: resume at the first difference, or at 0.

        Return whether counted content was lost. If it was not, only an unfinished line was taken back.
        """
        kept = source.stands()
        if kept is None:
            self.doubt(source)
            self._lose(source, 0)
            return True
        is_lost = kept < source.offset
        if is_lost:
            self._lose(source, kept)
        else:
            source.restart_line()
            self._release(self._copies.links.of_last_line(source))
        self._ready(source)
        return is_lost

    def forget(self, source: Source, fate: Fate) -> None:
        """Drop *source*, which is gone; its content may return under another identity."""
        is_read = self.is_decided(source)
        self._copies.links.forget(source)
        self._copies.undecided.pop(source.identity, None)
        if is_read or source.claim is not None:
            self._retire(source, source.saved().given_up(fate))

    def _look(self, source: Source) -> None:
        if not source.is_intact():
            self.content_lost(source)

    def _decide(self, source: Source) -> None:
        verdict = self._copies.search(source)
        if verdict is Answer.LATER or not self._files.handles.open(source):
            return
        if isinstance(verdict, CopyOf):
            self._set_aside(source, verdict.original)
        elif isinstance(verdict, MoreThan):
            self._replace(verdict.shorter, source)
        elif isinstance(verdict, Follows):
            self._follow(source, verdict)
        elif not source.is_told and not self._files.is_log(source.path) and self._files.may_follow(source.path):
            self._files.remove(source)  # it was a candidate only for continuing a known log
            self._copies.undecided.pop(source.identity)
        else:
            self._read_on(source, Appeared(source.path, source.offset))

    def _follow(self, source: Source, verdict: Follows) -> None:
        if verdict.offset > source.offset:
            source.go_on(verdict.offset)
        end = verdict.end
        if end is None:
            self._read_on(source, Appeared(source.path, source.offset))
            return
        if source.offset == end.offset:
            self._gone.discard(end)
        self._losses.inherit(end, source)
        self._read_on(source, Continued(source.path, end.path, source.offset))

    def _replace(self, shorter: Source, source: Source) -> None:
        """Continue reading in *source*, which holds more than *shorter*, in place of *shorter*."""
        self._hand_over(shorter, source)
        self._read_on(source, Continued(source.path, shorter.path, source.offset))
        self.doubt(shorter)

    def _compare(self, source: Source) -> None:
        """Resume *source* as far as it holds what was counted of it; otherwise leave it undecided, like a new file."""
        kept = source.stands()
        if kept == source.offset:
            source.go_on(kept)
        else:
            self._lose(source, kept or 0)
        if kept is not None:
            self._read_on(source, Appeared(source.path, kept))

    def _set_aside(self, copy: Source, original: Source) -> None:
        self._hand_over(copy, original)
        self._files.kin.note(copy, "")  # files that begin alike are compared with the original
        if copy.state is not FileState.COPY:
            copy.state = FileState.COPY
            copy.is_told = False
            if self._copies.links.earlier(copy) is None:  # otherwise it was reported before a restart
                by_rotation = are_relatives(copy.path, original.path)
                self._files.happenings.append(Duplicate(copy.path, original.path, by_rotation=by_rotation))
        if self._copies.links.is_settled(copy):
            self._copies.undecided.pop(copy.identity)
        if copy.packed:
            self._files.handles.close(copy)  # an unpacker may hold megabytes

    def _hand_over(self, source: Source, to: Source) -> None:
        """Mark what was counted of *source* as read in *to*, which holds it, too."""
        if source.offset > to.offset and self._files.handles.open(to):
            to.go_on(source.offset)
            source.begin_again()

    def _read_on(self, source: Source, happening: Appeared | Continued) -> None:
        if isinstance(happening, Continued) or not source.is_told:
            self._files.happenings.append(happening)
        source.is_told = True
        self._files.kin.note(source, source.first())
        self._copies.undecided.pop(source.identity, None)
        self._copies.links.forget(source)
        self._files.named(source)
        self._ready(source)

    def _intact(self, source: Source) -> bool:
        with suppress(OSError):
            if not source.is_intact():
                self.content_lost(source)
            return self.is_decided(source)
        return False

    def _lose(self, source: Source, kept: int) -> None:
        """Retire what was counted of *source*, which holds only the first *kept* bytes of it."""
        before = source.claim or source.saved()
        end = before.given_up(Fate.VANISHED if source.claim and not kept else Fate.REWRITTEN, reused=True)
        kind: Kind = Truncated if source.shrank else Rewritten
        if not kept and stem(before.path) != stem(source.path):
            kind = Vanished  # the inode was given to another file
        # Copies are named after the path that the file had when the content was counted.
        end = end if source.claim else end._replace(path=source.former)
        self._losses.add(end, source.unread, kind, kept, path=before.path)
        self._files.kin.note(source, "")
        if kept:
            source.go_on(kept)
        else:
            source.begin_again()
            source.since = self._files.turn
        self._retire(source, end)

    def _retire(self, source: Source, end: Position) -> None:
        self._gone.add(end)
        self._release(self._copies.links.of(source, end))

    def _release(self, copies: Iterable[Source]) -> None:
        for copy in copies:
            copy.state = FileState.ACTIVE
            self.doubt(copy)


def _originals_first(source: Source) -> tuple[str, int, int]:
    # Plain files are cheaper to compare with; among copies, the longest one is the original.
    return source.packed, -source.size, len(source.path)
