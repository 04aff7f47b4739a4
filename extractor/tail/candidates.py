"""
Select the sources worth comparing with a given source.

Candidates begin with the same bytes. For content shorter than `WINDOW`, candidates have related names.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from extractor.tail.file import Source
from extractor.tail.position import Identity
from extractor.tail.rotated_names import are_near, is_rotation, origins, stem

MOST = 64
"""
Maximum number of files, with the same beginning or of the same family, that a file is compared with; latest first.
"""

_LOOKED_AT = 1000
"""Maximum number of files with the same beginning that are checked, without reading them, for being candidates."""


class Kin:
    """Index of the known sources by their first bytes and by name family; *at* returns the source at a path."""

    def __init__(self, at: Callable[[str], Source | None]) -> None:
        self._at = at
        self._families: dict[str, dict[Identity, Source]] = {}
        self._alike: dict[str, dict[Identity, Source]] = {}
        self._more: dict[Identity, bytes] = {}

    def add(self, source: Source) -> None:
        """Add *source*, or index it under its new name."""
        self._families.setdefault(stem(source.path), {})[source.identity] = source

    def discard(self, source: Source) -> None:
        """Remove *source* from its family, before it is dropped or renamed."""
        _take(self._families, stem(source.path), source)

    def note(self, source: Source, begin: str) -> None:
        """Set the digest of the first bytes of *source*; empty if the source is gone or too short."""
        if source.noted != begin:
            if source.noted:
                _take(self._alike, source.noted, source)
                self._more.pop(source.identity, None)
            if begin:
                self._alike.setdefault(begin, {})[source.identity] = source
            source.noted = begin

    def alike(self, source: Source, begin: str) -> list[Source]:
        """Return the sources that begin with *begin*, without those known to differ from *source* further on."""
        last = islice(reversed(self._alike.get(begin, {}).values()), _LOOKED_AT)
        return [other for other in last if other is not source and not self._differ(source, other)]

    def note_more(self, source: Source) -> None:
        """Store digests of the content of *source*, which is open, behind its beginning, unless they are stored."""
        if source.identity not in self._more:
            self._more[source.identity] = source.goes_on()

    def _differ(self, one: Source, other: Source) -> bool:
        pair = self._more.get(one.identity, b""), self._more.get(other.identity, b"")
        common = min(map(len, pair))
        return pair[0][:common] != pair[1][:common]

    def relatives(self, source: Source) -> Iterator[Source]:
        """Yield the sources whose names relate them to *source* by rotation."""
        direct = (self._at(origin) for origin in origins(source.path))
        family = islice(reversed(self._families.get(stem(source.path), {}).values()), MOST)
        for other in dict.fromkeys((*direct, *family)):
            if other is not None and other is not source:
                yield other


def may_be_original(other: Source, source: Source) -> bool:
    """Return whether *source*, by names and times, may be a copy of *other*."""
    is_beside = other.path.removesuffix(other.packed) == source.path.removesuffix(source.packed)
    if is_beside and other.packed != source.packed:
        return True
    if not are_near(other.path, source.path) or not (source.packed or is_rotation(source.path, other.path)):
        return False
    # A renamed file may begin like the current one, but is older; compression keeps the time.
    return other.since < source.since or other.modified <= source.modified


def _take(groups: dict[str, dict[Identity, Source]], key: str, source: Source) -> None:
    group = groups.get(key, {})
    group.pop(source.identity, None)
    if not group:
        groups.pop(key, None)
