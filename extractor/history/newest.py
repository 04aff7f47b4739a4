"""
Find the time of one of the last events of log files, without reading all of them.

The last lines of a plain file are checked, and the first lines of a compressed file, whose end is unavailable. A later
event may exist, but the returned time is that of an event that will be counted.
"""

import os
from collections.abc import Callable, Iterable
from math import inf

from extractor.errors import SourceError
from extractor.events.reader import Event, read_line
from extractor.history.reader import Reading
from extractor.history.shards import Extent, opened
from extractor.schema.model import Pack
from extractor.tail.compression import Packed
from extractor.tail.line_buffer import HOLE, NUL

_BYTES = 1 << 16
_LINES = 8


def late_time(extents: Iterable[Extent], pack_of: Callable[[str], Pack], reading: Reading) -> float:
    """Return the time of an event in *extents*, in seconds since the epoch; -inf if none was found."""
    return max((_time(extent, pack_of(extent.path), reading) for extent in extents), default=-inf)


def _time(extent: Extent, pack: Pack, reading: Reading) -> float:
    times = [-inf]
    for line in _lines(extent):
        if len(line) <= reading.max_line_bytes:
            text = line.lstrip(NUL) if line.startswith(NUL * HOLE) else line
            event = read_line(text.removesuffix(b"\r"), pack, reading.latest)
            if isinstance(event, Event) and reading.period.holds(event.time):
                times.append(event.time)
    return max(times)


def _lines(extent: Extent) -> list[bytes]:
    """Return some whole lines of *extent*."""
    start = max(extent.start, extent.end - _BYTES)
    try:
        with opened(extent.path, extent.identity) as fd:
            if extent.packed:
                return Packed(fd, extent.packed).read_at(0, _BYTES).split(b"\n")[:-1][:_LINES]
            lines = os.pread(fd, extent.end - start, start).split(b"\n")[:-1]
            return lines[-_LINES:] if start == extent.start else lines[1:][-_LINES:]
    except SourceError:
        return []  # reading the file reports the error
