"""Log files in, their lines fed into a pipeline."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from math import inf
from pathlib import Path
from typing import Any

from extractor.events.reader import time_of
from extractor.ingest.pipeline import FOLD_AFTER, Pipeline
from extractor.schema.model import Catalog, Pack
from extractor.service.journal import Journal, Range
from extractor.state.event_order import rank
from extractor.state.internal_errors import InternalErrors
from extractor.tail import changes
from extractor.tail.changes import Happening
from extractor.tail.file import Source
from extractor.tail.line_buffer import Piece, TooLong
from extractor.tail.position import Identity, Position
from extractor.tail.tailer import Chunk, Tail


class Intake:
    """
    Reads the logs below *roots* into *pipeline*, whose state is changed only while *lock* is held.

    *positions* say where to read on. *on_fold* is called between two chunks, when all that was read is in the state;
    *on_happening* is told what happens to files. *give_way* is called where others can look at the state. What is in
    work is in *journal*; *errors* is told what was contained.
    """

    def __init__(  # noqa: PLR0913  # the parts that it connects
        self,
        catalog: Catalog,
        roots: Iterable[Path],
        pipeline: Pipeline,
        lock: AbstractContextManager[Any],
        *,
        max_line_bytes: int,
        follow_symlinks: bool = False,
        positions: Iterable[Position] = (),
        on_fold: Callable[[], None] = lambda: None,
        on_happening: Callable[[Happening], None] = lambda _: None,
        give_way: Callable[[], None] = lambda: None,
        journal: Journal | None = None,
        errors: InternalErrors | None = None,
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._lock = lock
        kinds = dict.fromkeys((kind for kind, _ in changes.table()), 0)
        pipeline.stats.happenings.update(kinds)
        pipeline.stats.lost_bytes.update(kinds)
        self._on_fold = on_fold
        self._on_happening = on_happening
        self._give_way = give_way
        self._journal = journal
        self._errors = errors or InternalErrors(pipeline.stats)
        self._packs: dict[Identity, Pack] = {}
        self._ranks: dict[Identity, int] = {}
        self._scanned = -inf
        self.tail = Tail(
            tuple(roots),
            lambda name: self._catalog.pack_for(name) is not None,
            self._time_of,
            max_line_bytes=max_line_bytes,
            follow_symlinks=follow_symlinks,
            positions=positions,
            contain=self._contain,
        )

    def go_on(self, catalog: Catalog, pipeline: Pipeline) -> None:
        """Feed another *pipeline* from now on, of another *catalog*; everything read so far must have been folded."""
        packs = {pack.name: pack for pack in catalog.packs}
        self._packs = {file: packs[pack.name] for file, pack in self._packs.items() if pack.name in packs}
        self._catalog, self._pipeline = catalog, pipeline

    def scan(self) -> None:
        """Look at everything; all that was written up to now will then have been read."""
        scanned = self._pipeline.state.watermark
        if self._looked(self.tail.scan):
            self._scanned = scanned

    def look(self, hints: frozenset[str]) -> None:
        """Look at what may have changed."""
        self._looked(lambda: self.tail.look(hints))

    def read(self, *, go_on: Callable[[], bool] = lambda: True, fold_now: Callable[[], bool] = lambda: False) -> None:
        """Read all there is, folding when enough is pending or *fold_now* says so, until *go_on* says no."""
        pipeline = self._pipeline
        for chunk in self.tail.read():
            self._feed(chunk)
            self._count(chunk.happenings)
            if pipeline.pending >= FOLD_AFTER or fold_now():
                self.fold()
            self._give_way()
            if not go_on():
                break
        self.fold()

    def fold(self) -> None:
        """Apply everything read to the state."""
        self._fold(min(self._scanned, self.tail.oldest()))

    def _fold(self, read_to: float) -> None:
        self._pipeline.gather()
        self._give_way()
        with self._lock:
            self._pipeline.state.read_to = read_to
            self._pipeline.apply()
            stats = self._pipeline.stats
            stats.files = dict(self.tail.states())
            stats.bytes_behind = self.tail.bytes_behind()
        if self._journal:
            self._journal.clear()
        self._give_way()
        self._on_fold()

    def _looked(self, look: Callable[[], Iterable[Happening]]) -> bool:
        """Look at files; whether that went well. What was not seen is seen when everything is looked at next."""
        try:
            self._count(look())
        except Exception as error:  # noqa: BLE001  # no file, whatever it is called, ends the following of others
            self._errors.contain("tail", error)
            return False
        return True

    def _feed(self, chunk: Chunk) -> None:
        pipeline, source = self._pipeline, chunk.source
        doubtful = False
        if self._journal and chunk.pieces:
            read = Range(source.identity, chunk.pieces[0].offset, _end(chunk.pieces[-1]))
            doubtful = not pipeline.careful and self._journal.is_suspect(read)
            if doubtful:
                self._fold(-inf)  # the lines of this chunk are not counted yet, and may be the oldest
            self._journal.begin(read)
        pipeline.careful |= doubtful
        pipeline.feed(self._pack(source), source.path, chunk.pieces, self._rank(chunk))
        if doubtful:
            self.fold()
            pipeline.careful = False

    def _count(self, happened: Iterable[Happening]) -> None:
        for happening in happened:
            kind = type(happening).__name__.lower()
            self._pipeline.stats.note(kind, happening.lost or 0)
            self._on_happening(happening)

    def _rank(self, chunk: Chunk) -> int:
        """The rank of the file of *chunk* among all: what its first line says, which need not be in the chunk."""
        source = chunk.source
        if chunk.pieces and chunk.pieces[0].offset == 0:
            first = chunk.pieces[0]
            head = first.head if isinstance(first, TooLong) else first.data
            self._ranks[source.identity] = rank(head, self._time_of)
        elif source.identity not in self._ranks:
            self._ranks[source.identity] = rank(source.head(), self._time_of)
        return self._ranks[source.identity]

    def _pack(self, source: Source) -> Pack:
        # A file keeps its pack when it is renamed to what is no log's name.
        named = self._catalog.pack_for(source.name)
        if named is not None:
            self._packs[source.identity] = named
        return self._packs.get(source.identity, self._catalog.default_pack)

    def _time_of(self, line: bytes) -> float | None:
        # The order of reading is a hint, so the first pack that finds a time will do, and none if that fails.
        try:
            return next((time for pack in self._catalog.packs if (time := time_of(line, pack)) is not None), None)
        except Exception as error:  # noqa: BLE001  # the pipeline decides what becomes of the line
            self._contain(error, "the time of a line")
            return None

    def _contain(self, error: Exception, what: str) -> None:
        self._errors.contain("tail", error, what)


def _end(piece: Piece) -> int:
    """Where in its file *piece* ends."""
    return piece.offset + (piece.length if isinstance(piece, TooLong) else len(piece.data))
