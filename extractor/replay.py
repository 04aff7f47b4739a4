"""
Log files in, their final state out: one pass from the first byte to the last.

The same rooms as when following, so the same lines give the same series. The last line of a file counts only if it
ends in a newline, as it would when following.

Knows nothing of terminals or HTTP.
"""

import glob
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from extractor.catalog import Catalog
from extractor.errors import SourceError
from extractor.intake import Intake
from extractor.lines import LineBuffer
from extractor.pipeline import FOLD_AFTER, Pipeline, Rejected
from extractor.state import State
from extractor.stats import Stats

STDIN = "-"
_CHUNK = 1 << 17


@dataclass(frozen=True, slots=True)
class Options:
    """What `extractor replay` was told; times in seconds."""

    paths: tuple[str, ...]
    window: float = 300.0
    run_timeout: float = 3600.0
    max_clock_skew: float = 300.0
    max_line_bytes: int = 1 << 20


class Replayed(NamedTuple):
    """What a replay found."""

    state: State
    stats: Stats
    unfinished: int  # bytes after the last newline of the files, not counted


class Replay:
    """A replay of the files of *options*; *on_reject* is told of every line that is no event."""

    def __init__(
        self, catalog: Catalog, options: Options, on_reject: Callable[[Rejected], None] = lambda _: None
    ) -> None:
        self._catalog = catalog
        self._options = options
        self.state = State(catalog, window_seconds=options.window, run_timeout=options.run_timeout)
        self.stats = Stats()
        self._pipeline = Pipeline(
            self.state, self.stats, latest=lambda: time.time() + options.max_clock_skew, on_reject=on_reject
        )
        roots = tuple(_found(path for path in options.paths if path != STDIN))
        self._intake = Intake(catalog, roots, self._pipeline, threading.Lock(), max_line_bytes=options.max_line_bytes)
        self._intake.scan()
        self.total_bytes = self._intake.tail.bytes_behind()

    def run(self, progress: Callable[[int], None] = lambda _: None) -> Replayed:
        """Read everything; *progress* is told how many bytes have been read so far."""

        def go_on() -> bool:
            progress(self.stats.bytes_read)
            return True

        unfinished = self._read_stdin() if STDIN in self._options.paths else 0
        self._intake.read(go_on=go_on)
        unfinished += sum(source.pending + source.behind for source in self._intake.tail.sources())
        return Replayed(self.state, self.stats, unfinished)

    def _read_stdin(self) -> int:
        lines = LineBuffer(self._options.max_line_bytes)
        while chunk := sys.stdin.buffer.read(_CHUNK):
            self._pipeline.feed(self._catalog.default_pack, "<stdin>", lines.feed(chunk))
            if self._pipeline.pending >= FOLD_AFTER:
                self._pipeline.fold()
        self._pipeline.fold()
        return lines.pending


def _found(paths: Iterable[str]) -> Iterable[Path]:
    for path in paths:
        if Path(path).exists():
            yield Path(path)
            continue
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  # as the shell does, absolute or not
        if not matches:
            raise SourceError(f"{path}: no such file or folder", "give a log file, a folder of them, a pattern, or -")
        yield from map(Path, matches)
