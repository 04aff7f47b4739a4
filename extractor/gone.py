"""
Positions of files that are gone in, what was read of content that may come back out.

A file that is deleted, truncated or not found leaves its position here. Whatever holds the same content later, moved
across file systems, copied or compressed, is read on from there.

Knows nothing of how contents are compared.
"""

from collections.abc import Iterable

from extractor.positions import NO_FILE, Identity, Position
from extractor.rotation import stem

KEPT = 1000
"""How many are remembered; of more, those that went first are forgotten."""


class Gone:
    """The positions of the last *kept* files that are gone, by identity and by family."""

    def __init__(self, positions: Iterable[Position] = (), kept: int = KEPT) -> None:
        self._kept = kept
        self._positions: dict[Position, None] = {}
        self._by_identity: dict[Identity, Position] = {}
        self._families: dict[str, dict[Position, None]] = {}
        for position in positions:
            self.add(position)

    def add(self, position: Position) -> None:
        """Remember *position*, if anything was read there."""
        if not position.offset:
            return
        self._positions[position] = None
        self._families.setdefault(stem(position.path), {})[position] = None
        if position.identity != NO_FILE:
            self._by_identity[position.identity] = position
        while len(self._positions) > self._kept:
            self.discard(next(iter(self._positions)))

    def discard(self, position: Position) -> None:
        """Forget *position*: its content is there again."""
        if position not in self._positions:
            return
        del self._positions[position]
        family = self._families[stem(position.path)]
        del family[position]
        if not family:
            del self._families[stem(position.path)]
        if self._by_identity.get(position.identity) == position:
            del self._by_identity[position.identity]

    def pop(self, identity: Identity) -> Position | None:
        """The position in the file of this *identity*, which is there again."""
        position = self._by_identity.get(identity)
        if position is not None:
            self.discard(position)
        return position

    def family(self, path: str) -> list[Position]:
        """Those whose content the file at *path* may hold, going by its name; what was read furthest comes last."""
        return sorted(self._families.get(stem(path), ()), key=lambda position: position.offset)

    def identities(self) -> Iterable[Identity]:
        """Those files that may come back."""
        return self._by_identity.keys()

    def positions(self) -> list[Position]:
        """All of them, those that went first first."""
        return list(self._positions)
