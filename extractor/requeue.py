"""
Kept rejects in, those that are events now counted: for after a schema was mended.

Each is judged again by the schemas of today. What passes is counted once, as if it had been read now, and leaves the
file; what does not stays, with its reason of today. Counts and file change in one atomic step.

Knows nothing of directories of logs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from extractor.catalog import Catalog
from extractor.checkpoint import StateDirectory
from extractor.errors import CheckpointError
from extractor.events import Reason
from extractor.lines import Blob
from extractor.pipeline import Pipeline, Rejected
from extractor.rejects import RejectFile, entry_of, line_of
from extractor.state import State
from extractor.stats import Stats


class Requeued(NamedTuple):
    """How many kept lines are counted now, and how many stay rejected."""

    counted: int
    kept: int


def requeue(catalog: Catalog, directory: StateDirectory, say: Callable[[str], None]) -> Requeued:
    """
    Judge again the rejects kept in *directory*, by *catalog*; *say* is told what a person should know.

    Raises `CheckpointError` if there is no state to count them into.
    """
    value, notes = directory.load()
    for note in notes:
        say(note)
    if value is None:
        raise CheckpointError(f"{directory.path} holds no state", "give the --state-dir of an extractor that has run")
    state = State(catalog, window_seconds=value["state"]["window_seconds"])
    for note in state.load(value["state"]):
        say(note)
    rejects = RejectFile(directory.path, 0)
    rejects.restore(value["rejects"])
    kept, counted = _judged(catalog, state, rejects)
    stats = Stats()
    stats.load(value["stats"])
    stats.events += counted
    stats.requeued += counted
    value |= {"state": state.dump(), "stats": stats.dump(), "rejects": rejects.replace(kept)}
    directory.save(value)
    rejects.restore(value["rejects"])
    return Requeued(counted, len(kept))


def _judged(catalog: Catalog, state: State, rejects: RejectFile) -> tuple[list[bytes], int]:
    again: list[Rejected] = []
    pipeline = Pipeline(state, Stats(), on_reject=again.append, numbered=False)
    kept: list[bytes] = []
    for entry, raw in rejects.entries():
        if not _is_whole(entry):
            kept.append(raw)
            continue
        pack = catalog.pack_for(Path(entry["file"]).name) or catalog.default_pack
        pipeline.feed(pack, entry["file"], [Blob(line_of(entry) + b"\n", entry["offset"])])
    pipeline.fold()
    return [*kept, *map(entry_of, again)], pipeline.stats.events


def _is_whole(entry: dict[str, Any]) -> bool:
    # Of a line that was too long only the beginning is kept.
    return str(entry["reason"]) != Reason.TOO_LONG
