"""
Search for the content of an undecided file: it is new, or another file holds or held it.

docs/decisions/0012-copies-by-content.md describes the rule and its limits. Content identifies a file. Names matter only
for content shorter than `WINDOW`.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from extractor.tail.candidates import MOST, Kin, may_be_original
from extractor.tail.comparison import ALL, Alike, compare
from extractor.tail.compression import Content, Plain
from extractor.tail.copy_links import Link, Links, is_read, state
from extractor.tail.file import FileState, Source
from extractor.tail.fingerprint import WINDOW, climb, digest, window_before
from extractor.tail.holes import text_end
from extractor.tail.position import Fate, Identity, Position
from extractor.tail.retired import Gone
from extractor.tail.rotated_names import are_near, is_rotation, packed_suffix, plain_name, unrotated
from extractor.tail.standing import continues, holds, line_start, stands

_NOTHING = Alike(0, 0, is_inside=False, is_around=False)


class Answer(Enum):
    """Result for a file whose content matches no other file."""

    NEW = "new"
    LATER = "later"
    """The file is compressed, and not enough of it exists yet to decide."""


class CopyOf(NamedTuple):
    """The file holds nothing beyond *original*."""

    original: Source


class MoreThan(NamedTuple):
    """The file holds all of *shorter*, which exists, and more."""

    shorter: Source


class Follows(NamedTuple):
    """The file holds the first *offset* bytes counted of a file that lost them; *end* is its last position."""

    offset: int
    end: Position | None


Verdict = Answer | CopyOf | MoreThan | Follows


class Copies:
    """
    Search for copies among the sources in *kin* and the positions in *gone*.

    *opened* opens a source and returns whether it is open. *intact* returns whether an open source still holds what was
    counted of it.
    """

    def __init__(
        self, kin: Kin, gone: Gone, opened: Callable[[Source], bool], intact: Callable[[Source], bool]
    ) -> None:
        self._kin = kin
        self._gone = gone
        self._opened = opened
        self._intact = intact
        self.links = Links()
        self.undecided: dict[Identity, Source] = {}

    def may_hold_known(self, source: Source) -> bool:
        """Return whether *source*, which is short so far, must be compared before it is read, judging by its name."""
        return self._gone.family(source.path) or next(self._kin.relatives(source), None) is not None

    def search(self, source: Source) -> Verdict:
        """Return what *source* holds."""
        content = self._content(source)
        source.look()
        begin = source.first()
        self._kin.note(source, begin)
        if source.packed and not content.read_at(0, 1):
            return Answer.NEW if content.has_ended else Answer.LATER
        if source.since > 1:  # otherwise no other file was read yet
            self._refresh(source)
        longest: Source | None = None
        shared = 0  # bytes in common with files that continue differently
        for other in self._alike(source, begin) if begin else self._named_alike(source):
            if other.identity in self.undecided:
                return Answer.LATER  # it is decided before anything is read
            alike = self._compare(source, other)
            if alike.length < WINDOW and begin and other is not self.links.original(source):
                continue
            if alike.is_inside:
                return CopyOf(other)
            if not alike.is_around:
                shared = max(shared, alike.length)
            elif (begin or other is self.links.original(source)) and (longest is None or other.offset > longest.offset):
                longest = other
        verdict = self._among_gone(source, begin, shared)
        if longest is not None and not (isinstance(verdict, Follows) and verdict.offset > longest.offset):
            return MoreThan(longest)
        return verdict

    def _alike(self, source: Source, begin: str) -> Iterator[Source]:
        """Yield the other sources that are read and begin as *source* does."""
        original = self.links.original(source)
        others = self._kin.alike(source, begin)
        if others:
            self._kin.note_more(source)
            others = self._kin.alike(source, begin)
        left = MOST
        for other in dict.fromkeys((*((original,) if original is not None else ()), *others)):
            if not left or not self._is_read(other):
                continue
            left -= 1
            if self._opened(other):
                self._kin.note_more(other)
                # Lost content of *other* is retired, and may match *source*.
                if not self._intact(other):
                    continue
            yield other

    def _named_alike(self, source: Source) -> Iterator[Source]:
        """Yield the other sources, read or to be read, that by name may be the original of *source*."""
        original = self.links.original(source)
        others = self._kin.relatives(source)
        for other in dict.fromkeys((*((original,) if original is not None else ()), *others)):
            if other.state is FileState.COPY or not (other is original or may_be_original(other, source)):
                continue
            if other.identity in self.undecided:
                if other.size and not other.packed and self._opened(other):
                    yield other
            elif not self._opened(other) or self._intact(other):
                yield other

    def _refresh(self, source: Source) -> None:
        """Check the files that *source* may have replaced: it may hold what they held."""
        for other in self._kin.relatives(source):
            is_worth_it = other.has_news or may_be_original(other, source)
            if is_worth_it and self._is_read(other) and self._opened(other):
                self._intact(other)

    def _is_read(self, source: Source) -> bool:
        return source.identity not in self.undecided and source.state is not FileState.COPY

    def _compare(self, source: Source, other: Source) -> Alike:
        link = self.links.link(source)
        if link is not None and (link.original is not other or self.links.end(source) is not None):
            link = None
        if link is not None and (same := link.alike) is not None:
            self.links.add(link._replace(is_settled=is_read(other, link.length)))
            return same
        self._content(source)
        with source.apart() as content:
            if self._opened(other):
                with other.apart() as others:
                    is_plain = not source.packed and not other.packed
                    alike = compare(content, others, link.length if link is not None and is_plain else 0)
            else:
                alike = _compare_counted(content, source.size, other.saved())
            if alike.is_inside:
                whole = alike.whole
                head = digest(content.read_at(0, min(whole, WINDOW)))
                last = digest(window_before(content.read_at, whole)) if whole < ALL else ""
                seen = (state(source), state(other))
                parts = (alike.length, whole, head, last, seen, is_read(other, alike.length))
                self.links.add(Link(source, other, *parts))
        return alike

    def _content(self, source: Source) -> Content:
        # Opening another file may have closed this one.
        if not self._opened(source):
            raise FileNotFoundError(source.path)
        return source.content()

    def _among_gone(self, source: Source, begin: str, shared: int) -> Follows | Answer:
        content = self._content(source)
        link, end = self.links.link(source), self.links.end(source)
        best: Position | None = None
        later = False
        # From front to back: seeking back in a compressed file is expensive.
        short = (each for each in self._gone.short(source.path) if _may_go_on(source, each))
        found = dict.fromkeys((*self._gone.alike(begin), *short, *(() if end is None else (end,))))
        for position in sorted(found, key=lambda position: position.offset):
            if position == end and link is not None and link.is_settled and link.is_unchanged:
                return Follows(link.up_to(position), position)
            if continues(content, position):
                best = position
            elif source.packed and not content.has_ended:
                later = later or _may_hold_yet(content, position)
        if later:
            return Answer.LATER
        if best is not None:
            return Follows(best.offset, best)
        return self._cut_short(source, content, begin, shared) or Answer.NEW

    def _cut_short(self, source: Source, content: Content, begin: str, shared: int) -> Follows | None:
        """Return where to resume in *source* if it holds only a part of what was counted; None if it holds none."""
        link, end = self.links.link(source), self.links.end(source)
        is_settled = link is not None and link.is_settled and link.whole < ALL
        if link is not None and is_settled and end is not None and holds(content, link.own_position()):
            return Follows(link.up_to(end), end)
        earlier = self.links.earlier(source)
        if earlier is not None and shared < earlier.offset and holds(content, earlier):
            return Follows(earlier.offset, None)
        short = (each for each in self._gone.short(source.path) if _may_be_copy(source.path, each.path))
        positions = [*short, *self._gone.alike(begin)]
        if not positions:  # the usual case; finding the length of the text may be slow
            return None
        length = _length(content, source.size)
        for position in reversed(positions):
            kept = stands(content, length, position) if _may_be_part(source, position, length) else None
            if kept:
                return Follows(kept, position)
        return None


def _compare_counted(content: Content, size: int, position: Position) -> Alike:
    """Compare with a file that cannot be opened, by the digests of what was counted up to *position*."""
    if not position.offset:
        return _NOTHING
    if holds(content, position):
        return Alike(position.offset, position.offset, is_inside=True, is_around=False)
    length = _length(content, size)
    kept = stands(content, length, position) or 0
    return Alike(kept, kept, is_inside=bool(kept) and line_start(content, length) == kept, is_around=False)


def _length(content: Content, size: int) -> int:
    return text_end(content.fd, size) if isinstance(content, Plain) else content.length()


def _may_go_on(source: Source, position: Position) -> bool:
    """Return whether *source* may, by its name, hold the content of *position*, too short for a match."""
    if source.packed:
        return True
    one, other = source.path, position.path
    is_rotated = _may_be_copy(one, other)
    if position.fate == Fate.VANISHED:
        return is_rotated or is_rotation(other, one) or plain_name(one) == plain_name(other)
    # A deleted log may be created anew with the same beginning; a truncated one may have been copied first.
    return is_rotated and position.fate == Fate.REWRITTEN and are_near(one, other)


def _may_be_part(source: Source, position: Position, length: int) -> bool:
    """Return whether another file may hold only the first *length* bytes counted up to *position*."""
    if position.head_length < WINDOW:
        # A plain file that begins like a deleted log may be that log, created anew.
        return bool(source.packed) or position.fate in (Fate.VANISHED, Fate.REWRITTEN)
    compared = max((at for at, _ in climb(position.low, position.rungs) if at <= length), default=0)
    return 4 * compared >= 3 * length or length > position.offset - position.last_length


def _may_be_copy(path: str, of: str) -> bool:
    """Return whether the name of *path* marks it as a rotation or compression of *of* or its predecessor."""
    return bool(packed_suffix(path)) or is_rotation(path, of) or is_rotation(path, unrotated(of))


def _may_hold_yet(content: Content, position: Position) -> bool:
    """Return whether a growing file may come to hold what was counted up to *position*."""
    length = content.length()
    if length < position.head_length:
        return True
    is_alike = digest(content.read_at(0, position.head_length)) == position.head
    return is_alike and length < position.offset
