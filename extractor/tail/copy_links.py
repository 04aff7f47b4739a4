"""
Copies and what they are copies of in, what must be known of them out once either changes.

Knows nothing of how a copy is found.
"""

from typing import NamedTuple

from extractor.tail.comparison import ALL, Alike
from extractor.tail.file import Source
from extractor.tail.fingerprint import WINDOW
from extractor.tail.position import Fate, Identity, Position

_State = tuple[int, int]
"""Size of a file, and when it was written."""


class Link(NamedTuple):
    """
    *copy* began with *length* bytes of *original*, of which *whole* are lines, and held no other line.

    *head* and *last* stand for these lines. *seen* is how large both files were, and when they were written. It is
    settled if all the lines had been read of the original by then.
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
        """Whether the copy is as it was."""
        return state(self.copy) == self.seen[0]

    @property
    def alike(self) -> Alike | None:
        """What comparing the two again would give; None if either has changed."""
        is_known = self.is_unchanged and state(self.original) == self.seen[1]
        return Alike(self.length, self.whole, is_inside=True, is_around=False) if is_known else None

    def up_to(self, end: Position) -> int:
        """How much of the copy was counted, if its original was counted up to *end*: that, or all that it holds."""
        if end.offset <= self.length:
            return end.offset
        # What is compressed goes on no more: what it has of a last line was the beginning of one that was counted.
        return self.length if self.copy.packed else self.whole

    def position(self, offset: int, head: tuple[int, str], last: tuple[int, str]) -> Position:
        """What must be saved of the copy, of which the first *offset* bytes were counted."""
        copy = self.copy
        return Position(copy.path, *copy.identity, offset, *head, *last, -1, copy.modified, Fate.COPY.value)

    def own_position(self) -> Position:
        """The same, if all its lines were counted."""
        return self.position(self.whole, (min(self.whole, WINDOW), self.head), (min(self.whole, WINDOW), self.last))


class Links:
    """What is known of copies, by their identity."""

    def __init__(self) -> None:
        self._made: dict[Identity, Link] = {}
        self._ends: dict[Identity, Position] = {}  # of the original of a link, when it was gone
        self._earlier: dict[Identity, Position] = {}  # what was saved of copies

    def add(self, link: Link) -> None:
        """This is a copy."""
        self._made[link.copy.identity] = link
        self._ends.pop(link.copy.identity, None)

    def link(self, source: Source) -> Link | None:
        """That of *source*, if it is a copy or was one."""
        return self._made.get(source.identity)

    def end(self, source: Source) -> Position | None:
        """Where the original of *source* was counted to, if it does not hold that any more."""
        return self._ends.get(source.identity)

    def earlier(self, source: Source) -> Position | None:
        """What was saved of *source*, if that was a copy."""
        return self._earlier.get(source.identity)

    def original(self, source: Source) -> Source | None:
        """The file that holds everything that *source* does, as was found when they were compared."""
        link = self._made.get(source.identity)
        return link.original if link is not None and source.identity not in self._ends else None

    def of(self, original: Source, end: Position) -> list[Source]:
        """The copies of *original*, which was counted up to *end* and does not hold its content any more."""
        copies = [link.copy for link in self._made.values() if self.original(link.copy) is original]
        self._ends |= {copy.identity: end for copy in copies}
        return copies

    def of_last_line(self, original: Source) -> list[Source]:
        """The copies of *original* that hold more than what was counted of it, of which it may have lost the rest."""
        links = [link for link in self._made.values() if link.length > original.offset]
        return [link.copy for link in links if self.original(link.copy) is original]

    def forget(self, source: Source) -> None:
        """Nothing needs to be known of *source* as a copy any more."""
        self._made.pop(source.identity, None)
        self._ends.pop(source.identity, None)
        self._earlier.pop(source.identity, None)

    def restore(self, source: Source, position: Position) -> None:
        """*source* was saved as a copy."""
        self._earlier[source.identity] = position

    def saved(self, source: Source) -> Position | None:
        """What must be saved of *source* if it is a copy or was one: how much of it was counted of the original."""
        link = self._made.get(source.identity)
        if link is None:
            return self._earlier.get(source.identity)
        end = self._ends.get(source.identity) or link.original.saved()
        if link.whole <= end.offset:
            return link.own_position()
        return link.position(end.offset, (end.head_length, end.head), (end.last_length, end.last))

    def is_settled(self, source: Source) -> bool:
        """Whether all that *source*, which is a copy, holds was counted of its original."""
        return self._made[source.identity].is_settled


def state(source: Source) -> _State:
    """By what it is seen that a file has changed."""
    return source.size, source.modified


def is_read(source: Source, length: int) -> bool:
    """Whether the first *length* bytes of *source* were read."""
    return source.read_to >= length or (length == ALL and not source.has_news)
