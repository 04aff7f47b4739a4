"""Read shards into a part: the work of one process of a replay."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, NamedTuple, Protocol

from extractor.cost.costs import Prices
from extractor.events.reader import time_of
from extractor.history.partial import Part
from extractor.history.shards import Extent, Shard, opened
from extractor.history.time_range import ALWAYS, Period, timer, within
from extractor.ingest.pipeline import FOLD_AFTER, Pipeline, Rejected, Steps
from extractor.schema.model import Catalog, Pack
from extractor.state.event_order import rank
from extractor.state.internal_errors import InternalErrors
from extractor.tail.compression import Packed, Plain
from extractor.tail.holes import text_length
from extractor.tail.line_buffer import MAX_LINE_BYTES, LineBuffer, Piece
from extractor.tail.rotated_names import plain_name
from extractor.tail.tailer import CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Reading:
    """How lines are read; *latest* is the latest event time allowed; times and durations are in seconds."""

    window: float
    run_timeout: float
    run_linger: float
    latest: float
    max_line_bytes: int = MAX_LINE_BYTES
    period: Period = ALWAYS
    prices: Prices | None = None


class Read(NamedTuple):
    """Amount read since the last report: bytes, as stored in the files, and lines."""

    bytes: int
    lines: int


class Watcher(Protocol):
    """Observer of every line that is read."""

    def begin(self) -> None:
        """Called when reading begins, or begins again."""

    def feed(self, pack: Pack, path: str, pieces: list[Piece]) -> None:
        """Called with lines of the file at *path*."""

    def folded(self) -> None:
        """Called when all rejects of the lines so far were reported."""


class Reader:
    """
    Read shards into `part`.

    *told* is called with the amount read, *on_reject* with every rejected line. With *steps* the events are added
    there, and not to the part. *careful* is as in `Pipeline`. A *watcher* is called with every line.
    """

    def __init__(  # noqa: PLR0913  # callbacks and options
        self,
        catalog: Catalog,
        reading: Reading,
        told: Callable[[Read], None],
        on_reject: Callable[[Rejected], None] = lambda _: None,
        *,
        steps: Steps | None = None,
        careful: bool = False,
        watcher: Watcher | None = None,
    ) -> None:
        self._watcher = watcher
        self._catalog = catalog
        self._reading = reading
        self._told = told
        self._times = {pack.name: timer(pack) for pack in catalog.packs}
        self.part = Part(catalog, window=reading.window, run_timeout=reading.run_timeout, run_linger=reading.run_linger)
        self._pipeline = Pipeline(
            self.part.state,
            self.part.stats,
            latest=lambda: reading.latest,
            on_reject=on_reject,
            steps=steps,
            prices=reading.prices,
            errors=InternalErrors(self.part.stats, lambda text, _: self.part.troubles.append(text)),
            careful=careful,
        )

    def read(self, shard: Shard) -> None:
        """Read all of *shard* into the part."""
        for extent in shard.extents:
            self._read(extent)
        self._fold()

    def read_stream(self, name: str, stream: BinaryIO) -> None:
        """Read *stream* to its end into the part."""
        lines = LineBuffer(self._reading.max_line_bytes)
        ranked: int | None = None
        while chunk := stream.read(CHUNK_BYTES):
            ranked = rank(chunk, partial(time_of, pack=self._catalog.default_pack)) if ranked is None else ranked
            self._feed(self._catalog.default_pack, name, lines.feed(chunk), 0, ranked)
        self._end(lines)
        self._fold()

    def _read(self, extent: Extent) -> None:
        pack = self._catalog.pack_for(plain_name(extent.path)) or self._catalog.default_pack
        lines = LineBuffer(self._reading.max_line_bytes, extent.start)
        with opened(extent.path, extent.identity) as fd:
            if extent.packed:
                self._unpack(extent, fd, pack, lines)
                return
            at = extent.start
            while at < extent.end and (chunk := os.pread(fd, min(CHUNK_BYTES, extent.end - at), at)):
                if not (length := text_length(chunk)):
                    text = min(Plain(fd).next_text(at), extent.end)
                    lines.pad(text - at)
                    self._told(Read(text - at, 0))
                    at = text
                    continue
                at += length
                self._feed(pack, extent.path, lines.feed(chunk[:length]), length, extent.rank)
        self._end(lines)

    def _unpack(self, extent: Extent, fd: int, pack: Pack, lines: LineBuffer) -> None:
        content = Packed(fd, extent.packed)
        at = told = 0
        while chunk := content.read_at(at, CHUNK_BYTES):
            at += len(chunk)
            self._feed(pack, extent.path, lines.feed(chunk), content.raw_at - told, extent.rank)
            told = content.raw_at
        if content.damage:
            self.part.troubles.append(f"{extent.path} is damaged after {at} bytes of its content: {content.damage}")
        elif not content.has_ended:
            self.part.troubles.append(f"{extent.path} breaks off after {at} bytes of its content")
        if content.has_ended and (last := lines.finish()) is not None:
            self._feed(pack, extent.path, [last], 0, extent.rank)
        self._end(lines)

    def _feed(self, pack: Pack, path: str, pieces: list[Piece], size: int, ranked: int) -> None:
        stats = self.part.stats
        before = self._pipeline.lines_read
        if self._watcher is not None:
            self._watcher.feed(pack, path, pieces)
        if not self._reading.period.is_always:
            pieces, outside, dropped = within(self._reading.period, pieces, self._times[pack.name])
            self.part.outside += outside
            stats.lines_read += outside
            stats.bytes_read += dropped
        self._pipeline.feed(pack, path, pieces, ranked)
        self._told(Read(size, self._pipeline.lines_read - before))
        if self._pipeline.pending >= FOLD_AFTER:
            self._fold()

    def _end(self, lines: LineBuffer) -> None:
        self.part.unfinished += lines.pending

    def _fold(self) -> None:
        self._pipeline.fold()
        if self._watcher is not None:
            self._watcher.folded()
