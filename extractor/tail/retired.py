"""
Store positions without a file, whose content may return.

Saved positions wait here until their files are found. A file that is deleted, truncated or not found leaves its
position here. A file that later holds the same content, because it was moved across file systems, copied or compressed,
resumes there.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice

from extractor.tail.fingerprint import WINDOW
from extractor.tail.position import NO_FILE, Fate, Found, Identity, Position
from extractor.tail.rotated_names import origins, packed_suffix, stem

KEPT = 1000
"""Maximum number of positions of gone files; the oldest are dropped first."""

_MOST = 64
"""Maximum number of positions, with the same beginning or of the same family, that a file is compared with."""


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
        """Return whether a saved position in the file *found* still waits for it."""
        position = self._saved.get(found.identity)
        return position is not None and _may_be_of(position, found)

    def claim(self, found: Found) -> Position | None:
        """Remove and return the position with the identity of *found*; None if there is none."""
        position = self._saved.get(found.identity) or self._by_identity.get(found.identity)
        if position is None or not _may_be_of(position, found):
            return None
        self._saved.pop(found.identity, None)
        self.discard(position)
        return position

    def misses(self, seen: Container[Identity], is_away: Callable[[str], bool]) -> bool:
        """Return whether a saved position has no file among those *seen*, and its path is not temporarily away."""
        return any(each not in seen and not is_away(position.path) for each, position in self._saved.items())

    def vanish(self, is_away: Callable[[str], bool]) -> list[Position]:
        """Retire the saved positions that were not found, unless their path *is_away*; return those that were lost."""
        missing = [position for position in self._saved.values() if not is_away(position.path)]
        for position in missing:
            del self._saved[position.identity]
        # The original covers its copies, and a file that was not read loses nothing.
        gone = [position.given_up(Fate.VANISHED) for position in missing if position.offset and not position.fate]
        for position in gone:
            self.add(position)
        return gone

    def add(self, position: Position) -> None:
        """Store *position*, if anything was read before it."""
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
        """Drop *position*, whose content was found."""
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
        """Return the positions whose content has the beginning *begin*, by ascending offset."""
        return sorted(self._last(begin.partition("+")[0]), key=lambda position: position.offset) if begin else []

    def short(self, path: str) -> list[Position]:
        """Return the positions too short for a match that *path* may continue by its name, by ascending offset."""
        if not self._positions:
            return []
        direct = (self._by_path.get(origin) for origin in (path, *origins(path)))
        found = dict.fromkeys(each for each in direct if each is not None and each.head_length < WINDOW)
        found |= dict.fromkeys(self._last(stem(path)))
        return sorted(found, key=lambda position: position.offset)

    def family(self, path: str) -> bool:
        """Return whether any position may, by name, be in content that the file at *path* holds."""
        return bool(self.short(path)) or any(origin in self._by_path for origin in origins(path))

    def identities(self) -> Iterator[Identity]:
        """Yield the identities of files that may return."""
        yield from self._saved
        yield from self._by_identity

    def positions(self) -> list[Position]:
        """Return all positions, in the order in which they were added."""
        return [*self._positions, *self._saved.values()]

    def _last(self, key: str) -> Iterator[Position]:
        return islice(reversed(self._alike.get(key, {})), _MOST)


def _key(position: Position) -> str:
    """Return the key shared by all positions in one content: its beginning, or its family if it is too short."""
    return position.head if position.head_length == WINDOW else stem(position.path)


def _may_be_of(position: Position, found: Found) -> bool:
    # A plain file and a compressed one are never the same file: the inode was reused.
    return packed_suffix(position.path) == packed_suffix(found.path)
