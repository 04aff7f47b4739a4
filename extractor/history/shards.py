"""
Log files in, shards out: pieces of work of about the same size, in about the order of their events.

A plain file is cut where lines end, so that shards can be read in any order and by anyone; many small files are one
shard. A compressed file can only be read from its beginning, and so is never cut. NULs at the end of a plain file are
in no shard.

Knows nothing of processes or metrics.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

from extractor.errors import SourceError
from extractor.state.event_order import rank
from extractor.tail.compression import Packed, Plain
from extractor.tail.cursor import PEEK_BYTES
from extractor.tail.file import Source
from extractor.tail.holes import NUL, text_end
from extractor.tail.open_file import OPEN_FLAGS
from extractor.tail.position import Found, Identity

SHARD_BYTES = 32 << 20
"""Of log in a shard: a tenth of a second or more of work, against which handing it out costs nothing."""

_LEAST_BYTES = 4 << 20
_SHARDS_EACH = 6  # for each process at least, if they are not too small: so that all end at about the same time
_RATIO = 8  # of what was compressed, to its size; logs are much alike
_BLOCK = 1 << 16
_NEWLINE = b"\n"

TimeOf = Callable[[bytes], float | None]


class Extent(NamedTuple):
    """
    Whole lines of one file, from *start* on and before *end*; of a compressed one, all there is.

    *time* is the event time of the first of them, minus infinity if it has none; *rank* is that of the file.
    """

    path: str
    identity: Identity
    packed: str
    start: int
    end: int
    time: float
    rank: int = 0


class Shard(NamedTuple):
    """Extents that are read one after the other; *weight* is their size in bytes of content, about."""

    extents: tuple[Extent, ...]
    weight: int

    @property
    def time(self) -> float:
        """The earliest time of an extent."""
        return min(extent.time for extent in self.extents)


@contextmanager
def opened(path: str, identity: Identity) -> Iterator[int]:
    """
    The descriptor of the file *identity* that was seen at *path*, also if it was renamed in its folder since.

    Raises `SourceError` if it cannot be opened.
    """
    fd = _open(path, identity)
    try:
        yield fd
    finally:
        os.close(fd)


def cut(
    sources: Iterable[Source],
    time_of: TimeOf,
    jobs: int,
    trouble: Callable[[str], None],
    most: int = SHARD_BYTES,
) -> list[Shard]:
    """
    The shards of *sources* for *jobs* processes, each of at most *most* bytes, about; the longest-lasting first.

    *trouble* is told of files that cannot be read, in words.
    """
    chosen = [source for source in sources if source.size > source.offset]
    total = sum(_weight(source) for source in chosen)
    size = max(min(most, total // (jobs * _SHARDS_EACH)), min(most, _LEAST_BYTES))
    large: list[Shard] = []
    extents: list[tuple[Extent, int]] = []
    for source in chosen:
        try:
            found = list(_extents(source, size, time_of))
        except SourceError as error:
            trouble(str(error))
            continue
        for extent in found:
            weight = _weight(source) if extent.packed else extent.end - extent.start
            if extent.packed and weight > size:  # whoever got it last would keep all others waiting
                large.append(Shard((extent,), weight))
            else:
                extents.append((extent, weight))
    extents.sort(key=lambda item: (item[0].time, item[0].path, item[0].start))
    return [*sorted(large, key=lambda shard: -shard.weight), *_grouped(extents, size)]


def _weight(source: Source) -> int:
    return (source.size - source.offset) * (_RATIO if source.packed else 1)


def _grouped(extents: Iterable[tuple[Extent, int]], size: int) -> Iterator[Shard]:
    group: list[Extent] = []
    filled = 0
    for extent, weight in extents:
        group.append(extent)
        filled += weight
        if filled >= size:
            yield Shard(tuple(group), filled)
            group, filled = [], 0
    if group:
        yield Shard(tuple(group), filled)


def _extents(source: Source, size: int, time_of: TimeOf) -> Iterator[Extent]:
    with opened(source.path, source.identity) as fd:
        if source.packed:
            head = Packed(fd, source.packed).read_at(0, PEEK_BYTES)
            time = _time(head, time_of)
            yield Extent(source.path, source.identity, source.packed, 0, source.size, time, rank(head, time_of))
            return
        start, last = source.offset, text_end(fd, source.size)
        rank_here = rank(os.pread(fd, PEEK_BYTES, 0), time_of)
        while start < last:
            # A rest that is not worth a shard of its own goes along.
            end = _line_end(fd, start + size, last) if start + size + size // 2 < last else last
            text = Plain(fd).next_text(start) if os.pread(fd, 1, start) == NUL else start
            time = _time(os.pread(fd, PEEK_BYTES, text), time_of)
            yield Extent(source.path, source.identity, "", start, end, time, rank_here)
            start = end


def _line_end(fd: int, at: int, size: int) -> int:
    """Where the line ends in which the byte before *at* lies; at most *size*."""
    at -= 1
    while at < size:
        block = os.pread(fd, _BLOCK, at)
        found = block.find(_NEWLINE)
        if found >= 0:
            return min(at + found + 1, size)
        if not block:
            break
        at = Plain(fd).next_text(at) if block.startswith(NUL) and not block.strip(NUL) else at + len(block)
    return size


def _time(head: bytes, time_of: TimeOf) -> float:
    line = head[: max(head.find(_NEWLINE), 0)]
    time = time_of(line) if line else None
    return -inf if time is None else time


def _open(path: str, identity: Identity) -> int:
    for candidate in _candidates(path, identity):
        try:
            fd = os.open(candidate, OPEN_FLAGS)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}", "check who may read it") from error
        if Found.of(candidate, os.fstat(fd)).identity == identity:
            return fd
        os.close(fd)
    raise SourceError(f"{path} was taken away while it was to be read", "try again")


def _candidates(path: str, identity: Identity) -> Iterator[str]:
    yield path
    folder = os.path.dirname(path)  # noqa: PTH120  # paths are text here
    with os.scandir(folder) as entries:
        yield from [entry.path for entry in entries if entry.inode() == identity.inode]
