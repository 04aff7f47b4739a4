"""
Cut log files into shards: units of work of similar size, approximately in the order of their events.

A plain file is cut at line ends, so that shards can be read in any order and by any process; many small files are one
shard. A compressed file can only be read from its beginning, and is never cut. NULs at the end of a plain file are in
no shard.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

from extractor.errors import SourceError
from extractor.state.event_order import HEAD_BYTES, rank
from extractor.tail.compression import Packed, Plain
from extractor.tail.cursor import PEEK_BYTES
from extractor.tail.file import Source
from extractor.tail.holes import NUL, text_end
from extractor.tail.open_file import OPEN_FLAGS
from extractor.tail.position import Found, Identity

SHARD_BYTES = 32 << 20
"""Bytes of log per shard: at least a tenth of a second of work, far more than the cost of handing it out."""

_LEAST_BYTES = 4 << 20
_SHARDS_EACH = 6  # minimum per process, unless too small, so that all processes end at about the same time
_RATIO = 8  # of content to compressed size, which is similar for all logs
_BLOCK = 1 << 16
_NEWLINE = b"\n"

TimeOf = Callable[[bytes], float | None]


class Extent(NamedTuple):
    """
    Whole lines of one file, from *start* to before *end*; of a compressed file, all of it.

    *time* is the event time of the first line, -inf if it has none; *rank* is that of the file.
    """

    path: str
    identity: Identity
    packed: str
    start: int
    end: int
    time: float
    rank: int = 0


class Shard(NamedTuple):
    """Extents that are read in order; *weight* is their approximate size in bytes of content."""

    extents: tuple[Extent, ...]
    weight: int

    @property
    def time(self) -> float:
        """The earliest time of its extents."""
        return min(extent.time for extent in self.extents)


@contextmanager
def opened(path: str, identity: Identity) -> Iterator[int]:
    """
    Yield a descriptor of the file *identity* found at *path*, even if it was since renamed within its folder.

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
    Return the shards of *sources* for *jobs* processes, of about *most* bytes at most; the slowest first.

    *trouble* is called with a message for each file that cannot be read.
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
            if extent.packed and weight > size:  # read early, or one process would finish long after the others
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
            head = Packed(fd, source.packed).read_at(0, HEAD_BYTES)
            time = _time(head, time_of)
            yield Extent(source.path, source.identity, source.packed, 0, source.size, time, rank(head, time_of))
            return
        start, last = source.offset, text_end(fd, source.size)
        rank_here = rank(os.pread(fd, HEAD_BYTES, 0), time_of)
        while start < last:
            # A remainder too small for a shard is included.
            end = _line_end(fd, start + size, last) if start + size + size // 2 < last else last
            text = Plain(fd).next_text(start) if os.pread(fd, 1, start) == NUL else start
            time = _time(os.pread(fd, PEEK_BYTES, text), time_of)
            yield Extent(source.path, source.identity, "", start, end, time, rank_here)
            start = end


def _line_end(fd: int, at: int, size: int) -> int:
    """Return the end of the line that contains the byte before *at*; at most *size*."""
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
