"""
Compute how many bytes of vanished, truncated or rewritten content were lost.

The result is known only after a search for copies: content that was copied before a truncation is not lost.
"""

from typing import NamedTuple

from extractor.tail.changes import Rewritten, Truncated, Vanished
from extractor.tail.file import Source
from extractor.tail.position import Position

Kind = type[Truncated] | type[Rewritten] | type[Vanished]


class _Loss(NamedTuple):
    end: Position
    unread: int | None
    kind: Kind
    kept: int
    path: str


class Losses:
    """Losses since the last report."""

    def __init__(self) -> None:
        self._losses: list[_Loss] = []
        self._heirs: dict[Position, Source] = {}

    def add(self, end: Position, unread: int | None, kind: Kind, kept: int = 0, path: str = "") -> None:
        """
        Add a loss of a file that was read up to *end*, with *unread* bytes found after it.

        The file is now at *path*, unless it has not moved, and holds only the first *kept* bytes.
        """
        self._losses.append(_Loss(end, unread, kind, kept, path or end.path))

    def inherit(self, end: Position, heir: Source) -> None:
        """Record that *heir* holds what was read up to *end*."""
        self._heirs[end] = heir

    def told(self) -> list[Truncated | Rewritten | Vanished]:
        """Return the losses; a file that is found elsewhere has not vanished."""
        told = []
        for loss in self._losses:
            heir = self._heirs.get(loss.end)
            if heir is None or loss.kind is not Vanished:
                kept = {"kept": loss.kept} if loss.kept else {}
                told.append(loss.kind(loss.path, loss.end.offset, _lost(loss, heir), **kept))
        self._losses.clear()
        self._heirs.clear()
        return told


def _lost(loss: _Loss, heir: Source | None) -> int | None:
    """Return how many of the unread bytes are not in *heir*, which holds the rest of them."""
    if heir is None:
        return loss.unread
    return max((loss.unread or 0) - (heir.size - loss.end.offset), 0) if not heir.packed else 0
