"""
Positions that nothing is read at in, what was read of content that may come back out.

What was saved waits here until its file is found. A file that is deleted, truncated or not found leaves its position
here: whatever holds the same content later, moved across file systems, copied or compressed, is read on from there.

Knows nothing of how contents are compared.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice

from extractor.tail.fingerprint import WINDOW
from extractor.tail.position import NO_FILE, Fate, Found, Identity, Position
from extractor.tail.rotated_names import origins, packed_suffix, stem

KEPT = 1000
"""How many are remembered; of more, those that went first are forgotten."""

_MOST = 64
"""Of how many with one beginning, or of one family, a file is compared with."""


class Gone:
    """The saved *positions*, and those of the last *kept* files that are gone, by identity, beginning and name."""

    def __init__(self, positions: Iterable[Position] = (), kept: int = KEPT) -> None:
        self._kept = kept
        self._saved: dict[Identity, Position] = {}
        self._positions: dict[Position, None] = {}
        self._by_identity: dict[Identity, Position] = {}
        self._by_path: dict[str, Position] = {}
        self._alike: dict[str, dict[Position, None]] = {}
        for position in positions:
            if position.fate in ("", Fate.COPY):
                self._saved[position.identity] = position
            else:
                self.add(position)

    def is_saved(self, found: Found) -> bool:
        """Whether a position in the file that is *found* was saved, and the file was not found yet."""
        position = self._saved.get(found.identity)
        return position is not None and _may_be_of(position, found)

    def claim(self, found: Found) -> Position | None:
        """The position in the file that is *found*, as far as its identity says; it is no longer waited for."""
        position = self._saved.get(found.identity) or self._by_identity.get(found.identity)
        if position is None or not _may_be_of(position, found):
            return None
        self._saved.pop(found.identity, None)
        self.discard(position)
        return position

    def misses(self, seen: Container[Identity], is_away: Callable[[str], bool]) -> bool:
        """Whether there are saved positions in files that are not among those *seen*, and not away for a while."""
        return any(each not in seen and not is_away(position.path) for each, position in self._saved.items())

    def vanish(self, is_away: Callable[[str], bool]) -> list[Position]:
        """Give up what was saved and not found, unless it *is_away* only for a while."""
        missing = [position for position in self._saved.values() if not is_away(position.path)]
        for position in missing:
            del self._saved[position.identity]
        # A copy says nothing that its original does not say, and of what was not read there is nothing to say.
        gone = [position.given_up(Fate.VANISHED) for position in missing if position.offset and not position.fate]
        for position in gone:
            self.add(position)
        return gone

    def add(self, position: Position) -> None:
        """Remember *position*, if anything was read there."""
        if not position.offset:
            return
        self._positions[position] = None
        self._alike.setdefault(_key(position), {})[position] = None
        self._by_path[position.path] = position
        if position.identity != NO_FILE:
            self._by_identity[position.identity] = position
        while len(self._positions) > self._kept:
            self.discard(next(iter(self._positions)))

    def discard(self, position: Position) -> None:
        """Forget *position*: its content is there again."""
        if position not in self._positions:
            return
        del self._positions[position]
        alike = self._alike[_key(position)]
        del alike[position]
        if not alike:
            del self._alike[_key(position)]
        if self._by_path.get(position.path) == position:
            del self._by_path[position.path]
        if self._by_identity.get(position.identity) == position:
            del self._by_identity[position.identity]

    def alike(self, begin: str) -> list[Position]:
        """Those whose content has the beginning *begin*; what was read furthest comes last."""
        return sorted(self._last(begin.partition("+")[0]), key=lambda position: position.offset) if begin else []

    def short(self, path: str) -> list[Position]:
        """Those too short for that whose content the file at *path* may hold by its name; in the same order."""
        if not self._positions:
            return []
        direct = (self._by_path.get(origin) for origin in (path, *origins(path)))
        found = dict.fromkeys(each for each in direct if each is not None and each.head_length < WINDOW)
        found |= dict.fromkeys(self._last(stem(path)))
        return sorted(found, key=lambda position: position.offset)

    def family(self, path: str) -> bool:
        """Whether any of them may be of what the file at *path* holds by its name."""
        return bool(self.short(path)) or any(origin in self._by_path for origin in origins(path))

    def identities(self) -> Iterator[Identity]:
        """Those of files that may come back."""
        yield from self._saved
        yield from self._by_identity

    def positions(self) -> list[Position]:
        """All of them, those that went first first."""
        return [*self._positions, *self._saved.values()]

    def _last(self, key: str) -> Iterator[Position]:
        return islice(reversed(self._alike.get(key, {})), _MOST)


def _key(position: Position) -> str:
    """What is alike in all positions of one content: how it begins, or of what family it is if it is too short."""
    return position.head if position.head_length == WINDOW else stem(position.path)


def _may_be_of(position: Position, found: Found) -> bool:
    # A plain file and a compressed one are never the same file: the inode was given away.
    return packed_suffix(position.path) == packed_suffix(found.path)
