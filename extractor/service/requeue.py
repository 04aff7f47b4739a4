"""
Kept rejects in; those that are valid now are counted, after a schema or a clock has been fixed.

Each line is validated again with the current schemas and clock. A valid line is counted once, as if it had been read
now, and removed; an invalid one stays with its current reason; an unreadable entry stays unchanged. State and rejects
change in one atomic step, by saving a checkpoint; afterwards no checkpoint from before it is left.
"""

from collections.abc import Callable
from math import inf
from typing import BinaryIO, NamedTuple

from extractor.cost.costs import Prices
from extractor.errors import CheckpointError
from extractor.events.reader import Reason
from extractor.files.atomic import copy, reason
from extractor.ingest.pipeline import FOLD_AFTER, Pipeline, Rejected
from extractor.schema.model import Catalog
from extractor.service.checkpoint import StateDirectory, number_of
from extractor.service.reject_entry import Entry, Line, Unreadable, entry_of, read_entry
from extractor.service.rejects import RejectFile
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.line_buffer import Blob
from extractor.tail.rotated_names import plain_name

_NAMED = 20  # unreadable lines


class Requeued(NamedTuple):
    """How many kept lines are counted now, how many stay rejected, and how many cannot be read and stay, too."""

    counted: int
    kept: int
    unreadable: int


def requeue(
    catalog: Catalog,
    directory: StateDirectory,
    say: Callable[[str], None],
    *,
    latest: float = inf,
    prices: Prices | None = None,
) -> Requeued:
    """
    Judge again the rejects kept in *directory*, by *catalog*; *say* is told what a person should know.

    A time after *latest*, in seconds since the epoch, stays rejected. Raises `CheckpointError` if there is no state to
    count into, or if the directory refuses; then nothing has changed.
    """
    value, notes = directory.load()
    for note in notes:
        say(note)
    if value is None:
        raise CheckpointError(f"{directory.path} holds no state", "use the --state-dir of an extractor that has run")
    state = State(catalog, window_seconds=value["state"]["window_seconds"], **value.get("runs", {}))
    for note in state.load(value["state"]):
        say(note)
    state.read_to = -inf  # nothing is settled: there may be lines in the logs that were not read yet
    stats = Stats()
    stats.load(value["stats"])
    number = number_of(value) + 1
    rejects = RejectFile(directory)
    try:
        rejects.restore(number - 1, value["rejects"])
        stats.lost_rejects += rejects.losses()
        judge = _Judge(catalog, state, number, latest=latest, prices=prices)
        with rejects.replacement(number) as kept:
            requeued = judge.all(rejects, kept)
        for trouble in judge.troubles:
            say(f"{directory.path}/{trouble}")
        if requeued.unreadable > len(judge.troubles):
            say(f"and {requeued.unreadable - len(judge.troubles):,} more unreadable lines")
        stats.events += requeued.counted
        stats.requeued += requeued.counted
        entries = requeued.kept + requeued.unreadable
        value |= {"number": number, "state": state.dump(), "stats": stats.dump(), "rejects": entries}
        directory.save(value)
        rejects.restore(number, entries)
    except OSError as error:
        raise CheckpointError(
            f"cannot requeue in {directory.path}: {reason(error)}", "fix this and try again"
        ) from error
    return requeued


class _Judge:
    """Judges entries into *state*; *number* is that of the checkpoint that will count them. *troubles* names lines."""

    def __init__(self, catalog: Catalog, state: State, number: int, *, latest: float, prices: Prices | None) -> None:
        self.troubles: list[str] = []
        self._catalog = catalog
        self._number = number
        self._again: list[Rejected] = []
        self._stats = Stats()
        self._pipeline = Pipeline(state, self._stats, lambda: latest, self._again.append, prices=prices, numbered=False)
        self._kept = self._unreadable = 0

    def all(self, rejects: RejectFile, kept: BinaryIO) -> Requeued:
        """Judge all of *rejects*; what stays is written to *kept*."""
        for name, file, line in rejects.lines():
            if line.is_blank:
                continue
            try:
                if self._stays(read_entry(line)):
                    self._kept += 1
                    self._keep(line, file, kept)
            except Unreadable as why:
                self._unreadable += 1
                self._keep(line, file, kept)
                if len(self.troubles) < _NAMED:
                    self.troubles.append(f"{name}:{line.number}: {why}; left unchanged")
            if self._pipeline.pending >= FOLD_AFTER:
                self._pipeline.fold()
                self._write(kept)
        self._pipeline.fold()
        self._write(kept)
        return Requeued(self._stats.events, self._kept, self._unreadable)

    def _stays(self, entry: Entry) -> bool:
        """Judge *entry*, unless there is nothing to judge."""
        if entry.reason == Reason.TOO_LONG or not entry.line.strip():  # of what is too long only the beginning is kept
            return True
        pack = self._catalog.pack_for(plain_name(entry.file)) or self._catalog.default_pack
        try:
            self._pipeline.feed(pack, entry.file, [Blob(entry.line + b"\n", entry.offset)])
        except Exception as error:  # one line, however odd, must not block the others
            raise Unreadable(f"it cannot be processed: {error!r}") from error
        return False

    def _keep(self, line: Line, file: BinaryIO, kept: BinaryIO) -> None:
        """Keep *line* as it is, after those before it."""
        self._pipeline.gather()
        self._write(kept)
        copy(file, (line.start, line.end), kept)
        if not line.is_ended:
            kept.write(b"\n")

    def _write(self, kept: BinaryIO) -> None:
        """Write what the pipeline rejected again."""
        self._kept += len(self._again)
        kept.writelines(entry_of(rejected, self._number) for rejected in self._again)
        self._again.clear()
