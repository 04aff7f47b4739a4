"""
Options in, a process that follows logs and serves their metrics until it is told to stop.

Builds the rooms and owns the loop, the clocks, the signals and the order of stopping. One thread reads and applies; the
server's thread renders under the same lock.
"""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from extractor import __version__, happenings, objectives
from extractor.happenings import Happening
from extractor.intake import Intake
from extractor.keeper import Keeper
from extractor.overview import Overview
from extractor.own_metrics import OwnText
from extractor.page import POLICY
from extractor.pipeline import Pipeline, Rejected
from extractor.prices import Prices
from extractor.schemas import load
from extractor.scrape import Scrapes, SeriesText
from extractor.server import Pages, Server, listen, url
from extractor.sources import Source
from extractor.state import State
from extractor.stats import Stats
from extractor.vitals import Moment
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
    poll_interval: float = 5.0
    state_dir: Path | None = None
    checkpoint_interval: float = 5.0
    max_reject_bytes: int = 100 << 20
    objectives: Path | None = None
    disable_page: bool = False


class Daemon:
    """Follows and serves; `run` returns after `stop`. *say* is told, once, what a person wants to know at the start."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._stats = Stats()
        catalog = load(options.schemas)
        self._state = State(
            catalog,
            window_seconds=options.window,
            run_timeout=options.run_timeout,
            run_linger=options.run_linger,
            max_open_runs=options.max_open_runs,
        )
        self._listener = listen(options.listen_address)
        self._keeper = self._make_keeper()
        positions = self._keeper.restore() if self._keeper else []
        self._overview = None if options.disable_page else self._make_overview()
        self._pipeline = Pipeline(
            self._state,
            self._stats,
            latest=lambda: time.time() + options.max_clock_skew,
            on_reject=self._reject,
            prices=Prices.load(options.prices),
            listener=self._overview.trends if self._overview else None,
        )
        if self._keeper:
            self._keeper.begin(self._pipeline)
        self._intake = Intake(
            catalog,
            options.logs,
            self._pipeline,
            self._lock,
            max_line_bytes=options.max_line_bytes,
            positions=positions,
            on_fold=self._after_fold,
            on_happening=self._tell,
        )
        self._waker = Waker(options.logs)
        self._to_catch_up: dict[Source, int] | None = None  # how far each file reached at the start; None before
        self._events, self._quiet, self._looked = self._stats.events, 0.0, time.monotonic()
        self._fold_at = 0.0
        self._folding_since = 0.0

    def run(self) -> None:
        """Follow and serve until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        own = OwnText(self._state, self._stats, self._lock, time.time, __version__)
        scrapes = Scrapes(SeriesText(self._state, self._lock), own)
        page = self._overview.page if self._overview else None
        pages = Pages(metrics=scrapes, not_ready=self._not_ready, page=page, policy=POLICY)
        server = Server(self._listener, pages)
        server.start()
        where = url(self._listener)
        self._say(f"following {', '.join(str(path) for path in self._options.logs)}")
        self._say(f"serving {where}/metrics" + (f", and for people {where}/" if page else ""))
        try:
            self._follow()
        finally:
            self._waker.close()
            server.stop()

    def stop(self) -> None:
        """Make `run` return, after the last whole line."""
        self._stopping.set()
        self._waker.stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _follow(self) -> None:
        scanned = time.monotonic()
        self._intake.scan()
        self._to_catch_up = {source: source.size for source in self._intake.tail.sources()}
        self._read()
        while not self._stopping.is_set():
            left = scanned + self._options.poll_interval - time.monotonic()
            hints = self._waker.wait(max(left, 0.0))
            if time.monotonic() >= scanned + self._options.poll_interval:
                scanned = time.monotonic()
                self._intake.scan()
            else:
                self._intake.look(hints)
            self._read()
        deadline = time.monotonic() + _DRAIN_SECONDS
        self._intake.scan()
        self._intake.read(go_on=lambda: time.monotonic() < deadline)
        if self._keeper:
            self._keeper.finish(self._pipeline, self._intake.tail)

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
        self._intake.read(go_on=lambda: not self._stopping.is_set(), fold_now=self._fold_due)

    def _fold_due(self) -> bool:
        self._folding_since = time.monotonic()
        return self._folding_since >= self._fold_at

    def _after_fold(self) -> None:
        # With many series a fold takes long, however little was read; reading must come first all the same.
        now = time.monotonic()
        pause = _FOLD_SHARE * (now - self._folding_since)
        self._fold_at = now + min(max(pause, _FOLD_SECONDS), _FOLD_SECONDS_AT_MOST)
        if self._to_catch_up:
            known = set(self._intake.tail.sources())
            self._to_catch_up = {
                source: size
                for source, size in self._to_catch_up.items()
                if source in known and not source.has_reached(size)
            }
        if self._overview:
            self._overview.folded(self._intake.tail.sources)
        if self._keeper:
            self._keeper.tick(self._pipeline, self._intake.tail)
        else:
            self._stats.show(self._stats.unshown())

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
        if self._to_catch_up == {}:
            return ""
        return f"Catching up with the logs: {self._stats.bytes_behind} bytes to read."

    def _reject(self, rejected: Rejected) -> None:
        if self._keeper:
            self._keeper.reject(rejected)
        if self._overview:
            self._overview.reject(rejected)

    def _make_overview(self) -> Overview:
        options, started = self._options, time.time()
        return Overview(
            self._state,
            self._stats,
            self._lock,
            objectives.load(options.objectives) if options.objectives else objectives.Objectives(),
            lambda: Moment(self._not_ready(), self._waker.problem, time.time(), started),
            version=__version__,
            followed=[str(path) for path in options.logs],
            keeps=options.state_dir is not None,
        )
