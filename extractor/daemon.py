"""
Options in, a process that follows logs and serves their metrics until it is told to stop.

Builds the rooms and owns the loop, the clocks, the signals and the order of stopping. One thread reads and applies; the
server's thread renders under the same lock.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from extractor import __version__, activation, happenings, landing, report
from extractor.happenings import Happening
from extractor.intake import Intake
from extractor.keeper import Keeper
from extractor.notify import Notifier
from extractor.own_metrics import OwnText
from extractor.pace import Pace
from extractor.pipeline import Pipeline
from extractor.prices import Prices
from extractor.schemas import load
from extractor.scrape import Scrapes, SeriesText
from extractor.server import Pages, Server, listen, url
from extractor.sources import Source
from extractor.state import State
from extractor.stats import Stats
from extractor.waker import Waker

_FOLD_SECONDS = 0.05  # while reading without a pause; a line must be seen within 100 ms
_FOLD_SECONDS_AT_MOST = 0.4  # however long a fold takes; a line must be seen within 500 ms
_FOLD_SHARE = 4  # a fold that took long is followed by so many times as much reading
_QUIET_SECONDS = 30.0  # without a line, until time goes on for runs: what agents still hold back must not come too late
_DRAIN_SECONDS = 5.0  # for what was written before the signal; a long catch-up is cut short


@dataclass(frozen=True, slots=True)
class Options:
    """What `extractor run` was told; times in seconds."""

    logs: tuple[Path, ...]
    schemas: tuple[Path, ...] = ()
    listen_address: str = "127.0.0.1:9464"
    window: float = 300.0
    run_timeout: float = 3600.0
    run_linger: float = 5.0
    max_open_runs: int = 100_000
    prices: Path | None = None
    max_clock_skew: float = 300.0
    max_line_bytes: int = 1 << 20
    follow_symlinks: bool = False
    poll_interval: float = 5.0
    state_dir: Path | None = None
    checkpoint_interval: float = 5.0
    max_reject_bytes: int = 100 << 20


class Daemon:
    """Follows and serves; `run` returns after `stop`. *say* is told, once, what a person wants to know at the start."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._stats = Stats()
        self._notifier = Notifier(os.environ)
        catalog = load(options.schemas)
        self._state = State(
            catalog,
            window_seconds=options.window,
            run_timeout=options.run_timeout,
            run_linger=options.run_linger,
            max_open_runs=options.max_open_runs,
        )
        activated = activation.handed_over(os.environ)
        self._listener = activated or listen(options.listen_address)
        self._is_activated = activated is not None
        self._keeper = self._make_keeper()
        self._notifier.long_step("Restoring what was counted")
        positions = self._keeper.restore() if self._keeper else []
        self._pace = Pace(self._stats)
        self._pipeline = Pipeline(
            self._state,
            self._stats,
            latest=lambda: time.time() + options.max_clock_skew,
            on_reject=self._keeper.reject if self._keeper else lambda _: None,
            prices=Prices.load(options.prices),
        )
        if self._keeper:
            self._keeper.begin(self._pipeline)
        self._intake = Intake(
            catalog,
            options.logs,
            self._pipeline,
            self._lock,
            max_line_bytes=options.max_line_bytes,
            follow_symlinks=options.follow_symlinks,
            positions=positions,
            on_fold=self._after_fold,
            on_happening=self._tell,
        )
        self._waker = Waker(options.logs)
        self._to_catch_up: dict[Source, int] | None = None  # how far each file reached at the start; None before
        self._caught_up_to: float | None = None  # the time of the latest event in that; None before all was read
        self._ready = False
        self._events, self._quiet, self._looked = self._stats.events, 0.0, time.monotonic()
        self._scan_at = 0.0
        self._fold_at = 0.0
        self._folding_since = 0.0

    def run(self) -> None:
        """Follow and serve until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        own = OwnText(self._state, self._stats, self._lock, time.time, __version__)
        scrapes = Scrapes(SeriesText(self._state, self._lock), own)
        pages = Pages(metrics=scrapes, not_ready=self._not_ready, landing=self._landing)
        server = Server(self._listener, pages)
        server.start()
        where = url(self._listener)
        whose = "the socket handed over, " if self._is_activated else ""
        self._say(f"following {', '.join(str(path) for path in self._options.logs)}")
        self._say(f"serving {whose}{where}/metrics, and for people {where}/")
        try:
            self._follow()
        finally:
            self._waker.close()
            server.stop()
            self._notifier.close()

    def stop(self) -> None:
        """Make `run` return, after the last whole line."""
        self._stopping.set()
        self._waker.stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _follow(self) -> None:
        self._scan()
        self._to_catch_up = {source: source.size for source in self._intake.tail.sources()}
        self._intake.fold()  # how far behind it is must be known while the first of it is read
        self._read()
        while not self._stopping.is_set():
            hints = self._waker.wait(max(min(self._scan_at - time.monotonic(), self._notifier.pause()), 0.0))
            if time.monotonic() >= self._scan_at:
                self._scan()
            else:
                self._intake.look(hints)
            self._read()
        self._notifier.stopping()
        deadline = time.monotonic() + _DRAIN_SECONDS
        self._intake.scan()
        self._intake.read(go_on=lambda: self._may_drain(deadline))
        if self._keeper:
            self._notifier.long_step("Stopping: saving what was counted")
            self._keeper.finish(self._pipeline, self._intake.tail)

    def _scan(self) -> None:
        self._intake.scan()
        self._scan_at = time.monotonic() + self._options.poll_interval

    def _read(self) -> None:
        now = time.monotonic()
        # A process that was stopped for a while, with its machine perhaps, has not seen that nobody writes.
        self._quiet += min(now - self._looked, 2 * self._options.poll_interval)
        self._looked = now
        if self._stats.events != self._events or self._stats.bytes_behind:
            self._events, self._quiet = self._stats.events, 0.0
        with self._lock:
            self._state.idle = max(self._quiet - _QUIET_SECONDS, 0.0)
        self._fold_at = now + _FOLD_SECONDS
        self._intake.read(go_on=self._may_read, fold_now=self._fold_due)
        self._step()

    def _may_read(self) -> bool:
        self._step()
        # However much there is to read, new files must be found before they are renamed and deleted.
        return not self._stopping.is_set() and time.monotonic() < self._scan_at

    def _may_drain(self, deadline: float) -> bool:
        self._step()
        return time.monotonic() < deadline

    def _step(self) -> None:
        self._notifier.step(lambda: self._pace.words(catching_up=not self._ready))

    def _fold_due(self) -> bool:
        self._folding_since = time.monotonic()
        return self._folding_since >= self._fold_at

    def _after_fold(self) -> None:
        # With many series a fold takes long, however little was read; reading must come first all the same.
        now = time.monotonic()
        pause = _FOLD_SHARE * (now - self._folding_since)
        self._fold_at = now + min(max(pause, _FOLD_SECONDS), _FOLD_SECONDS_AT_MOST)
        if not self._ready and self._to_catch_up is not None:
            self._catch_up(self._to_catch_up)
        if self._keeper:
            self._keeper.tick(self._pipeline, self._intake.tail)
        else:
            self._stats.show(self._stats.unshown())

    def _catch_up(self, waiting: dict[Source, int]) -> None:
        """Ready once all that was there at the start is counted, and settled what it says of runs."""
        known = set(self._intake.tail.sources())
        waiting = {source: size for source, size in waiting.items() if source in known and not source.has_reached(size)}
        self._to_catch_up = waiting
        if not waiting and self._caught_up_to is None:
            self._caught_up_to = self._state.watermark
            self._scan_at = 0.0  # what is settled of runs is what was there when all files were looked at
        self._ready = self._caught_up_to is not None and self._state.read_to >= self._caught_up_to
        if self._ready:
            self._notifier.ready()

    def _tell(self, happening: Happening) -> None:
        text = happenings.trouble(happening)
        if text:
            self._say(text)

    def _make_keeper(self) -> Keeper | None:
        options = self._options
        if options.state_dir is None:
            self._say("no --state-dir: after a restart the logs are counted again from their first lines")
            return None
        return Keeper(
            options.state_dir,
            self._state,
            self._stats,
            self._say,
            self._lock,
            interval=options.checkpoint_interval,
            max_reject_bytes=options.max_reject_bytes,
        )

    def _not_ready(self) -> str:
        if self._ready:
            return ""
        return f"Catching up with the logs: {self._stats.bytes_behind} bytes to read."

    def _landing(self) -> str:
        with self._lock:
            figures = list(report.figures(self._state))
            own = list(self._own_rows())
        return landing.page(__version__, [str(path) for path in self._options.logs], figures, own)

    def _own_rows(self) -> Iterator[tuple[str, str]]:
        stats = self._stats
        yield "Lines read", f"{stats.lines_read:,}"
        yield "Lines rejected", f"{stats.rejects.total():,}"
        yield from ((f"… {reason}", f"{lines:,}") for reason, lines in stats.rejects.most_common() if lines)
        yield "Bytes behind", f"{stats.bytes_behind:,}"
        yield from ((f"Files {state}", f"{files:,}") for state, files in sorted(stats.files.items()))
        if self._waker.problem:
            yield "Watching", self._waker.problem
