"""
Content that is no longer where it was in, what was lost of it out.

That can only be said once it was looked for: what was copied before it was truncated is not lost.

Knows nothing of how content is looked for.
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
    """What was lost since it was told last."""

    def __init__(self) -> None:
        self._losses: list[_Loss] = []
        self._heirs: dict[Position, Source] = {}

    def add(self, end: Position, unread: int | None, kind: Kind, kept: int = 0, path: str = "") -> None:
        """
        A file was read up to *end*, and *unread* bytes were seen after it.

        Now it is at *path*, if not where it was, and holds no more of that than the first *kept* bytes.
        """
        self._losses.append(_Loss(end, unread, kind, kept, path or end.path))

    def inherit(self, end: Position, heir: Source) -> None:
        """*heir* holds what was read up to *end*."""
        self._heirs[end] = heir

    def told(self) -> list[Truncated | Rewritten | Vanished]:
        """What was lost; a file that is found elsewhere did not vanish."""
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
    """How much of what was seen is not in *heir*, which has the rest of it."""
    if heir is None:
        return loss.unread
    return max((loss.unread or 0) - (heir.size - loss.end.offset), 0) if not heir.packed else 0
