"""
Read log files into their final state, in one pass from the first byte to the last.

The modules are those of following, so the same lines give the same series. The state is identical to the byte, however
the lines are cut into files and however many processes read them. The last line of a file counts only if it ends in a
newline, as when following.
"""

import glob
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from extractor.cost.costs import Prices
from extractor.errors import SourceError
from extractor.events.reader import time_of
from extractor.history.newest import late_time
from extractor.history.partial import Part
from extractor.history.reader import Read, Reader, Reading, Watcher
from extractor.history.shards import cut
from extractor.history.time_range import ALWAYS, Period
from extractor.history.workers import Progress, Workers
from extractor.ingest.pipeline import MergeError, Rejected, Steps
from extractor.schema.model import Catalog
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.changes import Happening, Unreadable, unmatched_text
from extractor.tail.file import FileState
from extractor.tail.rotated_names import plain_name
from extractor.tail.tailer import Tail

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `extractor replay`; times and durations in seconds."""

    paths: tuple[str, ...]
    window: float = 300.0
    run_timeout: float = 3600.0
    run_linger: float = 5.0
    prices: Path | None = None
    max_clock_skew: float = 300.0
    max_line_bytes: int = 1 << 20
    follow_symlinks: bool = False
    period: Period = ALWAYS
    jobs: int = 1


class Replayed(NamedTuple):
    """The result of a replay; *troubles* are messages for the user."""

    state: State
    stats: Stats
    unfinished: int = 0  # bytes after the last newline of the files, not counted
    outside: int = 0  # lines before --since or after --until, not counted
    troubles: tuple[str, ...] = ()


class Replay:
    """
    A replay of the files of *options*; *on_reject* is called with every rejected line.

    A *watcher* is called with every line. With more than one job neither is called, because the lines are in other
    processes.
    """

    def __init__(
        self,
        catalog: Catalog,
        options: Options,
        on_reject: Callable[[Rejected], None] = lambda _: None,
        watcher: Watcher | None = None,
    ) -> None:
        self._watcher = watcher
        self._catalog = catalog
        self._options = options
        self._on_reject = on_reject
        self._rejects_told = 0
        self._reading = Reading(
            window=options.window,
            run_timeout=options.run_timeout,
            run_linger=options.run_linger,
            prices=Prices.load(options.prices),
            latest=time.time() + options.max_clock_skew,
            max_line_bytes=options.max_line_bytes,
            period=options.period,
        )
        self._streams = [path for path in dict.fromkeys(options.paths) if path == STDIN or _is_stream(path)]
        roots = tuple(_found(path for path in options.paths if path not in self._streams))
        tail = Tail(
            roots,
            lambda name: catalog.pack_for(name) is not None,
            self._time_of,
            follow_symlinks=options.follow_symlinks,
        )
        happened = tail.scan()
        sources = [source for source in tail.sources() if source.state is FileState.ACTIVE]
        without = tail.without_logs()
        tail.close()
        self._troubles = _troubles(happened)
        self._troubles += [unmatched_text(root, files, catalog.patterns) for root, files in without.items() if files]
        self._shards = cut(sources, self._time_of, options.jobs, self._troubles.append)
        extents = [extent for shard in self._shards for extent in shard.extents]
        self.total_bytes = sum(extent.end - extent.start for extent in extents)

    def run(self, progress: Callable[[Read], None] = lambda _: None, steps: Steps | None = None) -> Replayed:
        """
        Read all input; *progress* is called with what was read since its last call.

        With *steps* the events are added there, the state stays empty, and there is only one job. If the counts cannot
        be merged, all input is read again with every batch tried first, and the line that caused it is rejected.
        """
        told = Read(0, 0)

        def tell(read: Read) -> None:
            nonlocal told
            told = Read(told.bytes + read.bytes, told.lines + read.lines)
            progress(read)

        try:
            return self._run(tell, steps, careful=bool(self._streams) and steps is None)
        except MergeError as error:
            if self._streams or steps is not None:
                raise
            progress(Read(-told.bytes, -told.lines))
            self._troubles.append(f"all was read twice, for what was counted could not be merged at first: {error}")
        return self._run(progress, steps, careful=True)

    def _run(self, progress: Callable[[Read], None], steps: Steps | None, *, careful: bool) -> Replayed:
        known, rejects = self._rejects_told, 0

        def on_reject(rejected: Rejected) -> None:
            nonlocal rejects
            rejects += 1
            if rejects > known:  # rejects of the first reading are not reported again
                self._rejects_told = rejects
                self._on_reject(rejected)

        if self._watcher is not None:
            self._watcher.begin()
        reader = Reader(
            self._catalog,
            self._reading,
            progress,
            on_reject=on_reject,
            steps=steps,
            careful=careful,
            watcher=self._watcher,
        )
        part = reader.part
        for path in self._streams:
            if path == STDIN:
                reader.read_stream("<stdin>", sys.stdin.buffer)
            else:
                with Path(path).open("rb") as stream:
                    reader.read_stream(path, stream)
        jobs = min(self._options.jobs, len(self._shards)) if steps is None else 1
        if jobs > 1:
            part = self._read_by(jobs, part, progress, careful=careful)
        else:
            for place, shard in enumerate(self._shards):
                reader.read(shard)
                (part if steps is None else steps).bound(self._floor(range(place + 1, len(self._shards))))
        part.state.limit()
        part.state.sweep(end=True)
        part.stats.number(*part.state.sequences.take())
        return Replayed(
            part.state, part.stats, part.unfinished, part.outside, (*self._troubles, *sorted(part.troubles))
        )

    def late_time(self) -> float:
        """Return the time of an event that will be read, as late as quickly available; -inf if there is none."""
        extents = [extent for shard in self._shards for extent in shard.extents]
        default = self._catalog.default_pack
        return late_time(extents, lambda path: self._catalog.pack_for(plain_name(path)) or default, self._reading)

    def _read_by(self, jobs: int, part: Part, progress: Callable[[Read], None], *, careful: bool) -> Part:
        """Read all shards with several processes; return *part* merged with their counts."""
        with Workers(partial(self._work, careful=careful), jobs, len(self._shards)) as workers:
            for dumped in workers.results(lambda size, lines: progress(Read(size, lines))):
                result = part.load(dumped)
                # Merge the smaller part into the larger one, which costs less.
                small, part = sorted((result, part), key=lambda each: each.state.held)
                part.merge(small)
                part.bound(self._floor(workers.open_items))
        return part

    def _work(self, places: Iterable[int], progress: Progress, *, careful: bool) -> bytes:
        """Read shards until the part is large; return it packed."""
        reader = Reader(self._catalog, self._reading, lambda read: progress(*read), careful=careful)
        for place in places:
            reader.read(self._shards[place])
            if reader.part.is_large:
                break
        return reader.part.dump()

    def _floor(self, places: Iterable[int]) -> float:
        """Return the earliest time of the shards at *places*; infinite if there is none."""
        return min((self._shards[place].time for place in places), default=float("inf"))

    def _time_of(self, line: bytes) -> float | None:
        # The time only affects the order of reading, so that of any pack suffices.
        return next((time for pack in self._catalog.packs if (time := time_of(line, pack)) is not None), None)


def _troubles(happened: Iterable[Happening]) -> list[str]:
    return [f"{item.path} cannot be read: {item.why}" for item in happened if isinstance(item, Unreadable)]


def _is_stream(path: str) -> bool:
    """Return whether *path* is a pipe, as from the shell's `<(zcat old.gz)`."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116  # `Path` has no equivalent without a race
    except OSError:
        return False


def _found(paths: Iterable[str]) -> Iterable[Path]:
    for path in paths:
        if Path(path).exists():
            yield Path(path)
            continue
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  # like the shell, absolute or relative
        if not matches:
            raise SourceError(f"{path}: no such file or folder", "give a log file, a folder of them, a pattern, or -")
        yield from map(Path, matches)
