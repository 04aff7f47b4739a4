"""
Sources in, those out that are worth comparing with one: what begins alike, and of what is short what is named alike.

Knows nothing of what becomes of them.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from extractor.tail.file import Source
from extractor.tail.position import Identity
from extractor.tail.rotated_names import are_near, is_rotation, origins, stem

MOST = 64
"""With how many files of one beginning, or of one family, a file is compared: those that came last."""

_LOOKED_AT = 1000
"""Of how many files of one beginning it is asked, without reading them, whether they are worth it."""


class Kin:
    """The sources that are known, by what they begin with and by family; *at* is the one at a path."""

    def __init__(self, at: Callable[[str], Source | None]) -> None:
        self._at = at
        self._families: dict[str, dict[Identity, Source]] = {}
        self._alike: dict[str, dict[Identity, Source]] = {}
        self._more: dict[Identity, bytes] = {}

    def add(self, source: Source) -> None:
        """*source* is known now, or has another name."""
        self._families.setdefault(stem(source.path), {})[source.identity] = source

    def discard(self, source: Source) -> None:
        """*source* is gone, or about to change its name."""
        _take(self._families, stem(source.path), source)

    def note(self, source: Source, begin: str) -> None:
        """This stands for the first bytes of *source* now; empty if it is gone, or there are too few of them."""
        if source.noted != begin:
            if source.noted:
                _take(self._alike, source.noted, source)
                self._more.pop(source.identity, None)
            if begin:
                self._alike.setdefault(begin, {})[source.identity] = source
            source.noted = begin

    def alike(self, source: Source, begin: str) -> list[Source]:
        """Those that begin with *begin* as *source* does, if it is not known yet that they go on otherwise."""
        last = islice(reversed(self._alike.get(begin, {}).values()), _LOOKED_AT)
        return [other for other in last if other is not source and not self._differ(source, other)]

    def note_more(self, source: Source) -> None:
        """Look at how *source*, which is open, goes on behind its beginning, unless that is known."""
        if source.identity not in self._more:
            self._more[source.identity] = source.goes_on()

    def _differ(self, one: Source, other: Source) -> bool:
        pair = self._more.get(one.identity, b""), self._more.get(other.identity, b"")
        common = min(map(len, pair))
        return pair[0][:common] != pair[1][:common]

    def relatives(self, source: Source) -> Iterator[Source]:
        """Those in whose place *source* may have come, or in its, going by their names."""
        direct = (self._at(origin) for origin in origins(source.path))
        family = islice(reversed(self._families.get(stem(source.path), {}).values()), MOST)
        for other in dict.fromkeys((*direct, *family)):
            if other is not None and other is not source:
                yield other


def may_be_original(other: Source, source: Source) -> bool:
    """Whether *source*, going by names and times, may be a copy of *other*."""
    is_beside = other.path.removesuffix(other.packed) == source.path.removesuffix(source.packed)
    if is_beside and other.packed != source.packed:
        return True
    if not are_near(other.path, source.path) or not (source.packed or is_rotation(source.path, other.path)):
        return False
    # What was renamed may be like what is written now, but is older; what compresses keeps the time.
    return other.since < source.since or other.modified <= source.modified


def _take(groups: dict[str, dict[Identity, Source]], key: str, source: Source) -> None:
    group = groups.get(key, {})
    group.pop(source.identity, None)
    if not group:
        groups.pop(key, None)
