"""
A file that was not seen before in, what it holds out: something new, or what another file holds or held.

The rule and its limits are in docs/decisions/0005-copies.md. Contents are compared by their first bytes and by those
before the point up to which they must be equal, never by their names; names only say which are worth comparing.

Knows nothing of folders or of the order of reading.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from extractor.fingerprints import WINDOW, digest
from extractor.gone import Gone
from extractor.packed import Content
from extractor.positions import Fate, Identity, Position
from extractor.rotation import are_near, is_rotated, stem, unrotated
from extractor.sources import PEEK_BYTES, FileState, Source


class Answer(Enum):
    """What a file holds, if it is not what another file holds or held."""

    NEW = "new"
    LATER = "later"
    """It is compressed, and not enough of it is there yet to tell."""


class Proof(NamedTuple):
    """
    A file of *size* that was written at *modified* held the first *length* bytes of *original*, and nothing else.

    *head* and *last* are digests of the first and the last of them. It is settled if all of them had been read by then.
    """

    original: Source
    length: int
    head: str
    last: str
    size: int
    modified: int
    is_settled: bool


class Copies:
    """
    The sources by family, and what is known of copies among them.

    *opened* opens a source, and *intact* says whether an open one still holds what was read of it.
    """

    def __init__(self, gone: Gone, opened: Callable[[Source], bool], intact: Callable[[Source], bool]) -> None:
        self._gone = gone
        self._opened = opened
        self._intact = intact
        self._families: dict[str, dict[Identity, Source]] = {}
        self._proofs: dict[Identity, Proof] = {}
        self._ends: dict[Identity, Position] = {}  # of the original of a proof, when it was gone
        self._earlier: dict[Identity, Position] = {}  # what was saved of copies
        self.unread: dict[Identity, Source] = {}  # of which nothing was decided yet

    def add(self, source: Source) -> None:
        """*source* is known now."""
        self._families.setdefault(stem(source.path), {})[source.identity] = source

    def discard(self, source: Source) -> None:
        """*source* is gone, or about to change its name."""
        self._families.get(stem(source.path), {}).pop(source.identity, None)

    def may_hold_known(self, source: Source) -> bool:
        """Whether *source* must be compared before it is read."""
        if self._gone.family(source.path):
            return True
        return is_rotated(source.path) and len(self._families.get(stem(source.path), ())) > 1

    def original(self, source: Source) -> Source | None:
        """The file that holds everything that *source* does, as was found when they were compared."""
        proof = self._proofs.get(source.identity)
        return proof.original if proof is not None and source.identity not in self._ends else None

    def of(self, original: Source, end: Position) -> list[Source]:
        """The copies of *original*, which was read up to *end* and does not hold its content any more."""
        family = [each for known in self._families.values() for each in known.values()]
        copies = [source for source in family if self.original(source) is original]
        for source in copies:
            self._ends[source.identity] = end
        return copies

    def forget(self, source: Source) -> None:
        """Nothing needs to be known of *source* as a copy any more."""
        self._proofs.pop(source.identity, None)
        self._ends.pop(source.identity, None)
        self._earlier.pop(source.identity, None)

    def restore(self, source: Source, position: Position) -> None:
        """*source* was saved as a copy."""
        self._earlier[source.identity] = position

    def saved(self, source: Source) -> Position | None:
        """What must be saved of *source* if it is a copy or was one: how much of it was read from the original."""
        proof = self._proofs.get(source.identity)
        if proof is None:
            return self._earlier.get(source.identity)
        end = self._ends.get(source.identity) or proof.original.saved()
        last = (min(proof.length, WINDOW), proof.last) if proof.length < end.offset else (end.last_length, end.last)
        offset = min(proof.length, end.offset)
        head = last if proof.length < min(end.offset, WINDOW) else (end.head_length, end.head)
        return Position(source.path, *source.identity, offset, *head, *last, -1, source.modified, Fate.COPY.value)

    def known_length(self, source: Source, position: Position) -> int:
        """How much of *source*, which holds what was read up to *position*, was read."""
        proof = self._proofs.get(source.identity)
        if proof is not None and self._is_end(source, position) and _is_unchanged(source, proof):
            return min(proof.length, position.offset)
        return position.offset

    def proven_length(self, source: Source) -> int:
        """How much of *source*, which is no copy, still is what another file held when it was one."""
        proof, earlier = self._proofs.get(source.identity), self._earlier.get(source.identity)
        if proof is None:
            return earlier.offset if earlier is not None and source.holds(earlier) else 0
        end = self._ends.get(source.identity)
        if not (self._still_holds(proof.original, proof) if end is None else self._is_end(source, end)):
            return 0
        length = proof.length if end is None else min(proof.length, end.offset)
        # A few bytes may be alike in any two files; a line that was not whole was not handed out.
        return _line_before(source, length) if self._still_holds(source, proof) else 0

    def is_settled(self, source: Source) -> bool:
        """Whether all that *source*, which is a copy, holds was read from its original."""
        return self._proofs[source.identity].is_settled

    def search(self, source: Source) -> Source | Position | Answer:
        """What *source* holds: the content of another source, of one that is gone, or something new."""
        for other in self._relatives(source):
            # What it held may be what this one holds.
            if (other.has_news or self._may_be_original(other, source)) and self._opened(other):
                self._intact(other)
        if self._must_wait(source):
            return Answer.LATER
        head = self._content(source).read_at(0, WINDOW)
        if not head:
            return Answer.NEW if source.content().has_ended else Answer.LATER
        original = self.original(source)
        if original in self._relatives(source) and self._is_copy(source, original, head):
            return original
        known = self._among_gone(source, head)
        if isinstance(known, Position) or not is_rotated(source.path):
            return known
        return self._among_known(source, head) or known

    def _relatives(self, source: Source) -> list[Source]:
        """The other files of the family that are read."""
        family = self._families.get(stem(source.path), {}).values()
        return [
            other
            for other in family
            if other is not source and other.identity not in self.unread and other.state is not FileState.COPY
        ]

    def _must_wait(self, source: Source) -> bool:
        """Whether *source* may be a copy of a plain file that is not decided, but will be before anything is read."""
        family = self._families.get(stem(source.path), {}).values()
        unread = [other for other in family if other.identity in self.unread and other is not source]
        return any(
            other.size and not other.packed and self._may_be_original(other, source) and self._opened(other)
            for other in unread
        )

    def _among_known(self, source: Source, head: bytes) -> Source | None:
        relatives = self._relatives(source)
        return next(
            (
                other
                for other in relatives
                if self._may_be_original(other, source) and self._is_copy(source, other, head)
            ),
            None,
        )

    def _is_copy(self, source: Source, other: Source, head: bytes) -> bool:
        """Whether *other* holds all that *source* does, which is remembered."""
        if not self._is_original(other, source, head):
            return False
        length, last = self._sample(source)
        parts = (digest(head), digest(last), source.size, source.modified, other.read_to >= length)
        self._proofs[source.identity] = Proof(other, length, *parts)
        self._ends.pop(source.identity, None)
        return True

    def _is_original(self, other: Source, source: Source, head: bytes) -> bool:
        if not self._opened(other):
            # It may be gone, but what was read of it is known.
            return other.offset > 0 and self._opened(source) and source.holds(other.saved())
        if self._read(other, 0, len(head)) != head:
            return False
        length, last = self._sample(source)
        return self._read(other, length - len(last), len(last)) == last

    def _may_be_original(self, other: Source, source: Source) -> bool:
        is_beside = other.path.removesuffix(other.packed) == source.path.removesuffix(source.packed)
        if (is_beside and other.packed != source.packed) or other is self.original(source):
            return True
        is_rotated_to = other.path == unrotated(source.path) != source.path
        if not are_near(other.path, source.path) or not (source.packed or is_rotated_to):
            return False
        # What was renamed may be like what is written now, but is older; what compresses keeps the time.
        return other.since < source.since or other.modified <= source.modified

    def _content(self, source: Source) -> Content:
        # Opening another file may have closed this one.
        if not self._opened(source):
            raise FileNotFoundError(source.path)
        return source.content()

    def _is_end(self, source: Source, position: Position) -> bool:
        """Whether *source* was a copy of what was read up to *position*."""
        if self._ends.get(source.identity) != position:
            return False
        # What had not been read when they were compared may have been replaced before it was.
        return self._proofs[source.identity].is_settled or (self._opened(source) and source.holds(position))

    def _still_holds(self, source: Source, proof: Proof) -> bool:
        window = min(proof.length, WINDOW)
        parts = [(0, proof.head), (proof.length - window, proof.last)]
        return all(digest(self._read(source, at, window) or b"") == part for at, part in parts)

    def _sample(self, source: Source) -> tuple[int, bytes]:
        """How long *source* is, and its last bytes."""
        content = self._content(source)
        length = content.length()
        return length, content.read_at(max(length - WINDOW, 0), WINDOW)

    def _read(self, other: Source, at: int, length: int) -> bytes | None:
        try:
            return other.content().read_at(at, length) if self._opened(other) else None
        except OSError:
            return None

    def _among_gone(self, source: Source, head: bytes) -> Position | Answer:
        content = self._content(source)
        best: Position | None = None
        later = False
        # From front to back, as what is compressed is best read.
        for position in self._gone.family(source.path):
            if self._is_end(source, position) and _is_unchanged(source, self._proofs[source.identity]):
                return position
            if not self._may_continue(source, position):
                continue
            if digest(head[: position.head_length]) != position.head:
                later = later or (len(head) < position.head_length and self._grows(source))
                continue
            if source.packed:
                last = content.read_at(position.offset - position.last_length, position.last_length)
                later = later or (len(last) < position.last_length and self._grows(source))
                best = position if digest(last) == position.last else best
            elif source.holds(position):
                best = position
        return Answer.LATER if later else best or Answer.NEW

    def _may_continue(self, source: Source, position: Position) -> bool:
        if source.packed or position.fate == Fate.VANISHED:
            return True
        # What was deleted may be made again, and begin alike; what was truncated may have been copied before.
        is_copied = is_rotated(source.path) and are_near(position.path, source.path)
        return is_copied and position.fate == Fate.REWRITTEN

    def _grows(self, source: Source) -> bool:
        return bool(source.packed) and not source.content().has_ended


def _is_unchanged(source: Source, proof: Proof) -> bool:
    return (source.size, source.modified) == (proof.size, proof.modified)


def _line_before(source: Source, offset: int) -> int:
    """Where the line begins that *offset* is in, if that is not too far away."""
    start = max(offset - PEEK_BYTES, 0)
    end = source.content().read_at(start, offset - start).rfind(b"\n") + 1
    return start + end if end or not start else offset
