"""
Sources of which nothing was decided in, those that are to be read out.

Here it is decided what a file is: one that holds what was counted of it, or what another one holds or held, or a new
one; and what becomes of what was counted of a file when the file holds it no more. What was counted and still stands is
never counted again.

Knows nothing of how files are found.
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
"""How often it is tried to decide what depends on what was decided: logs that grow meanwhile might keep it busy."""


class Contents:
    """What is in *files*, and what was in those that are *gone*; *ready* is told what may be read."""

    def __init__(self, files: Registry, gone: Gone, ready: Callable[[Source], None]) -> None:
        self._files = files
        self._gone = gone
        self._ready = ready
        self._copies = Copies(files.kin, gone, files.handles.open, self._intact)
        self._losses = Losses()

    def weigh(self) -> None:
        """Decide what the files are that are not decided yet, as far as that can be known."""
        # What a file does not hold any more may be in any other one.
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
        """Whether *source*, which is open, must be compared with others before it is read on, and can be."""
        if source.noted and source.noted == source.begin:  # as a rule
            return False
        source.look()
        if (not source.packed and source.size < WINDOW) or source.first() in ("", source.noted):
            return False
        self.doubt(source)
        return True

    def unweighed(self) -> Iterable[Source]:
        """What is not decided yet."""
        return self._copies.undecided.values()

    def is_decided(self, source: Source) -> bool:
        """Whether *source* is to be read."""
        return source.identity not in self._copies.undecided and source.state is not FileState.COPY

    def grown(self, source: Source) -> None:
        """If there is enough of *source* now to be compared with others, that comes first."""
        if not source.noted and source.has_news and source.size >= WINDOW and not source.packed:
            self._files.handles.each([source], lambda source: self.doubt(source) if source.first() else None)

    def doubt(self, source: Source) -> None:
        """Nobody knows any more what *source* holds."""
        self._copies.undecided[source.identity] = source

    def may_hold_known(self, source: Source) -> bool:
        """Whether *source* must be compared with others before it is read."""
        return bool(source.packed) or source.size >= WINDOW or self._copies.may_hold_known(source)

    def restore(self, source: Source, position: Position) -> None:
        """*source* was saved as a copy."""
        self._copies.links.restore(source, position)
        self.doubt(source)

    def appeared(self, source: Source) -> None:
        """*source* is read, and need not be compared with others."""
        source.is_told = True
        self._files.happenings.append(Appeared(source.path, source.offset))

    def vanished(self, position: Position) -> None:
        """What *position* was saved of is not there any more."""
        self._losses.add(position, None, Vanished)

    def saved(self, source: Source) -> Position | None:
        """What must be saved of *source*, if anything is known of it."""
        if source.claim is not None or self.is_decided(source):
            return source.saved()
        copied = self._copies.links.saved(source)
        return source.saved() if copied is None and source.is_told else copied

    def happened(self) -> list[Happening]:
        """What happened since this was asked last."""
        happened, self._files.happenings = self._files.happenings, []
        return happened + self._losses.told()

    def content_lost(self, source: Source) -> bool:
        """
        What was read of *source* is not there as it was: it is read on where it differs, or as a new file.

        Whether anything of that was counted; else only a line without an end was taken back.
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
        """*source* is gone; its content may come back under another identity."""
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
            self._files.remove(source)  # it only might have held more of a log
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
        """Read on in *source*, which holds more than *shorter*, in its place."""
        self._hand_over(shorter, source)
        self._read_on(source, Continued(source.path, shorter.path, source.offset))
        self.doubt(shorter)

    def _compare(self, source: Source) -> None:
        """Read on in *source* as far as it holds what was counted of it; else it is as good as new."""
        kept = source.stands()
        if kept == source.offset:
            source.go_on(kept)
        else:
            self._lose(source, kept or 0)
        if kept is not None:
            self._read_on(source, Appeared(source.path, kept))

    def _set_aside(self, copy: Source, original: Source) -> None:
        self._hand_over(copy, original)
        self._files.kin.note(copy, "")  # what begins as it does is compared with its original
        if copy.state is not FileState.COPY:
            copy.state = FileState.COPY
            copy.is_told = False
            if self._copies.links.earlier(copy) is None:  # else it was told before a restart
                by_rotation = are_relatives(copy.path, original.path)
                self._files.happenings.append(Duplicate(copy.path, original.path, by_rotation=by_rotation))
        if self._copies.links.is_settled(copy):
            self._copies.undecided.pop(copy.identity)
        if copy.packed:
            self._files.handles.close(copy)  # an unpacker may hold megabytes

    def _hand_over(self, source: Source, to: Source) -> None:
        """What was counted of *source* counts as read of the file that holds it, too."""
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
        """Remember what was counted of *source*, which holds no more of that than the first *kept* bytes."""
        before = source.claim or source.saved()
        end = before.given_up(Fate.VANISHED if source.claim and not kept else Fate.REWRITTEN, reused=True)
        kind: Kind = Truncated if source.shrank else Rewritten
        if not kept and stem(before.path) != stem(source.path):
            kind = Vanished  # the inode was given to another file
        # What it was called when that was counted says more of what it may have been copied to.
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
    # What is plain is easier to compare with, and of copies the one that has most is the original.
    return source.packed, -source.size, len(source.path)
