"""
Saves series, runs, offsets, counts and rejects in the state directory, as one value.

`restore` returns all of it as of one moment, so that reading from there counts nothing twice and skips nothing. Saving
runs in a thread; reading is held up only while the value is assembled.
"""

import gc
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from extractor.errors import CheckpointError
from extractor.files.atomic import reason
from extractor.ingest.pipeline import Rejected
from extractor.service.checkpoint import StateDirectory, number_of
from extractor.service.log import Log
from extractor.service.rejects import RejectFile
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.position import Position
from extractor.tail.tailer import Tail

_NOTHING = (-1, -1)
_OF_RUNS = ("run_timeout", "run_linger", "max_open_runs")  # what requeue must know to count as `run` does
_CHECKPOINT, _REJECTS, _LOST = "checkpoint", "rejects", "lost rejects"


class Keeper:
    """
    Keeps *state* and *stats* in *directory*, at most every *interval* seconds.

    *log* is told what a person should know. *lock* is held while the value is put together, because
    a scrape, too, moves what is in a sliding window. `restore` comes first, before anything is read.
    """

    def __init__(  # noqa: PLR0913  # what is kept, and how
        self,
        directory: Path,
        state: State,
        stats: Stats,
        log: Log,
        lock: AbstractContextManager[Any],
        *,
        interval: float,
        max_reject_bytes: int,
    ) -> None:
        self._directory = StateDirectory(directory)
        self._state = state
        self._stats = stats
        self._log = log
        self._lock = lock
        self._interval = interval
        self._rejects = RejectFile(self._directory, max_reject_bytes)
        self._number = 1  # of the next checkpoint
        self._saver = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self._saving: Future[None] | None = None
        self._began = time.monotonic()
        self._failing = False
        self._saved = _NOTHING
        self._noted = stats.unshown()

    def restore(self) -> list[Position]:
        """Take over what was saved last; where to read on in each file."""
        value, notes = self._directory.load()
        for note in notes:
            self._log.warning(note)
        if value is None:
            if notes:
                self._log.warning("no usable checkpoint: reading the logs again from their first lines")
            self._restore_rejects(None)
            return []
        packs = {pack.name for pack in self._state.catalog.packs}
        if not packs & set(value["packs"]):
            raise CheckpointError(
                f"the state in {self._directory.path} belongs to other packs: {', '.join(value['packs'])}",
                "use the same --schemas as before, or another --state-dir",
            )
        for note in self._state.load(value["state"]):
            self._log.warning(note)
        self._stats.load(value["stats"])
        self._stats.saved_at, self._stats.heard_at = value["time"], value["heard_at"]
        if value.get("sequences"):  # they stood apart once
            self._state.sequences.load(value["sequences"])
        self._restore_rejects(value)
        return [Position.of_plain(position) for position in value["positions"]]

    def _restore_rejects(self, value: dict[str, Any] | None) -> None:
        try:
            if value is None:
                self._rejects.clear()
            else:
                self._number = number_of(value) + 1
                self._rejects.restore(number_of(value), value["rejects"])
        except OSError as error:
            raise CheckpointError(
                f"cannot use the rejected lines in {self._directory.path}: {reason(error)}",
                "move it away, or use another --state-dir",
            ) from error
        if lost := self._count_losses():
            self._log.warning(f"{lost:,} rejected lines are missing from {self._directory.path}")

    def reject(self, rejected: Rejected) -> None:
        """Keep a rejected line."""
        self._rejects.write(rejected)

    def flush(self) -> None:
        """Write the rejected lines where a person can read them."""
        if not self._rejects.pending:
            return
        where = self._directory.path
        try:
            self._rejects.flush(self._number)
        except (OSError, CheckpointError) as error:
            self._log.trouble(_REJECTS, f"cannot write rejected lines to {where}: {reason(error)}", "error")
            self._count_losses()
            return
        self._log.over(_REJECTS, f"rejected lines are written again to {where}")
        if self._count_losses():
            text = "the oldest rejected lines are deleted: they exceed --max-reject-bytes"
            self._log.trouble(_LOST, text)

    def _count_losses(self) -> int:
        lost = self._rejects.losses()
        self._stats.lost_rejects += lost
        return lost

    def tick(self, tail: Tail) -> None:
        """Between two chunks, everything folded: save if it is time to and the last save has ended."""
        self.flush()
        if self._saving is not None:
            if not self._saving.done():
                return
            self._ended()
        if time.monotonic() >= self._began + self._interval:
            self._save(tail)

    def go_on(self, state: State, tail: Tail, interval: float) -> None:
        """Keep *state* from now on, at most every *interval* seconds; save it, and wait for that."""
        self._wait()
        self._state, self._interval, self._saved = state, interval, _NOTHING
        self.save(tail)

    def go_back(self, state: State) -> list[Position]:
        """Take over into *state*, which is empty, what was saved last, and keep that from now on; as `restore`."""
        self._wait()
        self._state, self._saved = state, _NOTHING
        return self.restore()

    def close(self) -> None:
        """Release the directory."""
        self._saver.shutdown()
        self._directory.close()

    def save(self, tail: Tail) -> None:
        """Save now, and wait for it."""
        self.flush()
        self._wait()
        self._save(tail)
        self._wait()

    def _save(self, tail: Tail) -> None:
        self._began = time.monotonic()
        noted = self._stats.unshown()
        seen = (self._stats.bytes_read, self._stats.happenings.total() + noted["happenings"].total())
        if seen == self._saved and not self._failing and self._directory.has_checkpoint():
            self._stats.saved_at = time.time()  # what is on disk is what there is
            return
        try:
            self._rejects.check(self._number)
        except (OSError, CheckpointError) as error:
            self._failed(error)
            return
        self.flush()
        self._rejects.give_up()  # what the disk refuses is not in the checkpoint, and its line is not read again
        self._count_losses()
        gc.disable()  # until it is written: a search for garbage in all of it would hold up reading as long again
        try:
            value = self._dump(tail)
        except BaseException:
            gc.enable()
            raise
        self._noted = noted
        self._saved = seen
        self._saving = self._saver.submit(self._write, value)

    def _dump(self, tail: Tail) -> dict[str, Any]:
        with self._lock:
            began = time.monotonic()
            dumped = self._state.dump()
        value: dict[str, Any] = {
            "time": time.time(),
            "packs": [pack.name for pack in self._state.catalog.packs],
            "state": dumped,
            "runs": {name: getattr(self._state, name) for name in _OF_RUNS},
            "stats": self._stats.dump(),
            "heard_at": self._stats.heard_at,
            "number": self._number,
            "rejects": self._rejects.kept,
            "positions": [each.plain() for each in tail.positions()],
        }
        value["stats"]["saves"] += 1  # this one
        self._number += 1  # what is rejected from now on is in the next one
        self._stats.stall = time.monotonic() - began
        return value

    def _wait(self) -> None:
        if self._saving is not None:
            self._saving.exception()
            self._ended()

    def _write(self, value: dict[str, Any]) -> None:
        saved_at = value["time"]
        try:
            self._rejects.sync()
            self._directory.save(value)
        finally:
            value.clear()
            gc.enable()
        self._stats.saved_at = saved_at

    def _ended(self) -> None:
        assert self._saving is not None
        saving, self._saving = self._saving, None
        error = saving.exception()
        if error is not None:
            self._failed(error)
            return
        self._stats.saves += 1
        self._stats.show(self._noted)
        self._failing = False
        self._log.over(_CHECKPOINT, f"checkpoints are saved again to {self._directory.path}")

    def _failed(self, error: BaseException) -> None:
        self._stats.failed_saves += 1
        self._saved = _NOTHING
        self._failing = True
        where = self._directory.path
        text = f"cannot save a checkpoint to {where}: {reason(error)}; still following the logs"
        self._log.trouble(_CHECKPOINT, text, "error", directory=str(where))
