"""Store the links between copies and originals, and what is needed once either changes."""

from typing import NamedTuple

from extractor.tail.comparison import ALL, Alike
from extractor.tail.file import Source
from extractor.tail.fingerprint import WINDOW
from extractor.tail.position import Fate, Identity, Position

_State = tuple[int, int]
"""Size in bytes and modification time in ns of a file."""


class Link(NamedTuple):
    """
    *copy* begins with *length* bytes of *original*, of which *whole* are whole lines, and has no other line.

    *head* and *last* are digests of these lines. *seen* is the state of both files at the comparison. The link is
    settled if all lines of the copy had been read in the original by then.
    """

    copy: Source
    original: Source
    length: int
    whole: int
    head: str
    last: str
    seen: tuple[_State, _State]
    is_settled: bool

    @property
    def is_unchanged(self) -> bool:
        """Whether the copy is unchanged since the comparison."""
        return state(self.copy) == self.seen[0]

    @property
    def alike(self) -> Alike | None:
        """The result of the comparison; None if either file has changed."""
        is_known = self.is_unchanged and state(self.original) == self.seen[1]
        return Alike(self.length, self.whole, is_inside=True, is_around=False) if is_known else None

    def up_to(self, end: Position) -> int:
        """Return how many bytes of the copy were counted if the original was counted up to *end*."""
        if end.offset <= self.length:
            return end.offset
        # A compressed copy does not grow: its unfinished last line is the beginning of one that was counted.
        return self.length if self.copy.packed else self.whole

    def position(self, offset: int, head: tuple[int, str], last: tuple[int, str]) -> Position:
        """Return the position to save for the copy, of which the first *offset* bytes were counted."""
        copy = self.copy
        return Position(copy.path, *copy.identity, offset, *head, *last, -1, copy.modified, Fate.COPY.value)

    def own_position(self) -> Position:
        """Return the position to save for the copy if all its lines were counted."""
        return self.position(self.whole, (min(self.whole, WINDOW), self.head), (min(self.whole, WINDOW), self.last))


class Links:
    """The links of copies, by identity of the copy."""

    def __init__(self) -> None:
        self._made: dict[Identity, Link] = {}
        self._ends: dict[Identity, Position] = {}  # last position in the original of a link that is gone
        self._earlier: dict[Identity, Position] = {}  # saved positions of copies

    def add(self, link: Link) -> None:
        """Store *link*."""
        self._made[link.copy.identity] = link
        self._ends.pop(link.copy.identity, None)

    def link(self, source: Source) -> Link | None:
        """Return the link of *source*; None if it never was a copy."""
        return self._made.get(source.identity)

    def end(self, source: Source) -> Position | None:
        """Return the last position in the original of *source*, if the original no longer holds that content."""
        return self._ends.get(source.identity)

    def earlier(self, source: Source) -> Position | None:
        """Return the position that was saved of *source* as a copy."""
        return self._earlier.get(source.identity)

    def original(self, source: Source) -> Source | None:
        """Return the file that held all of *source* when they were compared; None if it no longer does."""
        link = self._made.get(source.identity)
        return link.original if link is not None and source.identity not in self._ends else None

    def of(self, original: Source, end: Position) -> list[Source]:
        """Return the copies of *original*, which was counted up to *end* and no longer holds that content."""
        copies = [link.copy for link in self._made.values() if self.original(link.copy) is original]
        self._ends |= {copy.identity: end for copy in copies}
        return copies

    def of_last_line(self, original: Source) -> list[Source]:
        """Return the copies of *original* that reach beyond its counted content, which may hold a line that it lost."""
        links = [link for link in self._made.values() if link.length > original.offset]
        return [link.copy for link in links if self.original(link.copy) is original]

    def forget(self, source: Source) -> None:
        """Drop all that is stored of *source* as a copy."""
        self._made.pop(source.identity, None)
        self._ends.pop(source.identity, None)
        self._earlier.pop(source.identity, None)

    def restore(self, source: Source, position: Position) -> None:
        """Store the *position* that was saved of *source* as a copy."""
        self._earlier[source.identity] = position

    def saved(self, source: Source) -> Position | None:
        """Return the position to save of *source* as a copy: how much of it was counted in its original."""
        link = self._made.get(source.identity)
        if link is None:
            return self._earlier.get(source.identity)
        end = self._ends.get(source.identity) or link.original.saved()
        if link.whole <= end.offset:
            return link.own_position()
        return link.position(end.offset, (end.head_length, end.head), (end.last_length, end.last))

    def is_settled(self, source: Source) -> bool:
        """Return whether all content of the copy *source* was counted in its original."""
        return self._made[source.identity].is_settled


def state(source: Source) -> _State:
    """Return what is compared to detect a change of *source*."""
    return source.size, source.modified


def is_read(source: Source, length: int) -> bool:
    """Return whether the first *length* bytes of *source* were read."""
    return source.read_to >= length or (length == ALL and not source.has_news)
