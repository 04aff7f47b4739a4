"""
Options in, a process out that follows logs and serves their metrics until it is stopped.

Builds the parts and owns the loop, the clocks, the signals and the order of shutdown. One thread reads and updates the
state; the server's thread renders it under the same lock.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from extractor.cost.costs import Prices
from extractor.ingest.pipeline import MergeError, Pipeline, Rejected
from extractor.schema.load import load
from extractor.schema.model import Catalog
from extractor.service.endpoints import Serving
from extractor.service.file_messages import Telling
from extractor.service.follower import Intake
from extractor.service.idle import Silence
from extractor.service.journal import Journal
from extractor.service.log import Log
from extractor.service.options import Options
from extractor.service.pace import Pace
from extractor.service.persistence import Keeper
from extractor.service.readiness import Readiness
from extractor.service.reload import Reloading, taken_over
from extractor.service.systemd import Notifier
from extractor.state.internal_errors import InternalErrors
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.state.updates import Listener
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from extractor.tail.waker import Waker

_FOLD_SECONDS = 0.05  # while reading without a pause; a line must be seen within 100 ms
_FOLD_SECONDS_AT_MOST = 0.4  # however long a fold takes; a line must be seen within 500 ms
_FOLD_SHARE = 4  # a fold that took long is followed by so many times as much reading
_DRAIN_SECONDS = 5.0  # for what was written before the signal; a long catch-up is cut short
_PAUSE_SECONDS = 0.1  # after a failure nobody foresaw; doubled with each one that follows at once, up to:
_PAUSE_SECONDS_AT_MOST = 30.0


class Daemon:
    """
    Follows and serves; `run` returns after `stop`. *log* is told what a person should know.

    *reread* is what was told, read again: for a reload. It may raise `ExtractorError`.
    """

    def __init__(self, options: Options, log: Log, reread: Callable[[], Options] | None = None) -> None:
        self._options = options
        self._log = log
        self._telling = Telling(log)
        self._reread = reread or (lambda: options)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._stats = Stats()
        self._errors = InternalErrors(self._stats, self._report)
        self._notifier = Notifier(os.environ)
        self._catalog, self._prices = load(options.schemas), Prices.load(options.prices)
        self._state = _empty(self._catalog, options)
        self._serving = Serving(
            options,
            self._stats,
            self._lock,
            log,
            self._errors,
            not_ready=self._not_ready,
            problem=lambda: self._waker.problem,
        )
        self._keeper = self._make_keeper()
        self._journal = Journal(options.state_dir) if options.state_dir else None
        self._notifier.long_step("Restoring the saved state")
        positions = self._keeper.restore() if self._keeper else []
        self._pace = Pace(self._stats)
        self._begin(positions)
        self._waker = Waker(options.logs)
        self._reloading = Reloading(self._reload, log, self._stats, self._errors, self._notifier.reloading)
        self._scan_at = 0.0
        self._in_terminal = sys.stderr.isatty()
        self._fold_at = 0.0
        self._folding_since = 0.0
        self._failures = 0

    def _begin(self, positions: list[Position], *, careful: bool = False) -> None:
        """Read on at *positions*, into the state as it is."""
        options = self._options
        view = self._serving.view(self._state, options)
        self._serving.show(view, anew=careful)
        self._pipeline = self._make_pipeline(self._state, self._prices, view.listener, careful=careful)
        self._readiness = Readiness()
        self._silence = Silence(self._stats, longest=2 * options.poll_interval)
        self._intake = Intake(
            self._catalog,
            options.logs,
            self._pipeline,
            self._lock,
            max_line_bytes=options.max_line_bytes,
            follow_symlinks=options.follow_symlinks,
            positions=positions,
            on_fold=self._after_fold,
            on_happening=self._telling.happening,
            give_way=self._give_way,
            journal=self._journal,
            errors=self._errors,
        )

    def run(self) -> None:
        """Follow and serve until stopped."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)
        silence = self._log.relay()
        self._log.info(f"following {', '.join(str(path) for path in self._options.logs)}")
        self._serving.start()
        try:
            self._follow()
        finally:
            self._waker.close()
            self._serving.stop()
            silence()
            self._notifier.close()

    def stop(self) -> None:
        """Make `run` return, after the last whole line."""
        self._stopping.set()
        self._waker.stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        if self._in_terminal and not sys.stderr.isatty():
            self.stop()  # it was closed
        self._reloading.ask()
        self._waker.wake()

    def _follow(self) -> None:
        self._attempt(self._catch_up)
        while not self._stopping.is_set():
            hints = self._waker.wait(max(min(self._scan_at - time.monotonic(), self._notifier.pause()), 0.0))
            self._attempt(lambda: self._look(hints))  # noqa: B023  # done before the next ones come
        self._notifier.stopping()
        deadline = time.monotonic() + _DRAIN_SECONDS
        self._attempt(lambda: self._drain(deadline))
        if self._keeper:
            self._notifier.long_step("Stopping: saving the state")
            if not self._failures:  # what is left of a failure is not to be saved
                self._saved(self._keeper.save)
            self._keeper.close()
        if self._journal:
            self._journal.close()

    def _catch_up(self) -> None:
        self._scan()
        self._readiness.begin(self._intake.tail.sources())
        self._intake.fold()  # how far behind it is must be known while the first of it is read
        self._go_on()

    def _look(self, hints: frozenset[str]) -> None:
        if time.monotonic() >= self._scan_at:
            self._scan()
        else:
            self._intake.look(hints)
        self._go_on()

    def _drain(self, deadline: float) -> None:
        self._intake.scan()
        self._intake.read(go_on=lambda: self._may_drain(deadline))

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do *step*; if it fails as nobody foresaw, go on from what was saved last."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  # nothing in a log ends the process
            self._errors.contain("merge" if isinstance(error, MergeError) else "follow", error.__cause__ or error)
            self._failures += 1
        else:
            self._failures = 0
        while self._failures and not self._stopping.is_set() and not self._went_back():
            pass

    def _went_back(self) -> bool:
        """Go on from what was saved last, after a pause; whether that could be done."""
        pause = min(_PAUSE_SECONDS * 2 ** min(self._failures, 16), _PAUSE_SECONDS_AT_MOST)
        if self._failures > 1 and self._stopping.wait(pause):
            return False
        try:
            self._log.error("resuming from the last saved state; /metrics answers 503 until it has caught up")
            self._intake.tail.close()
            self._state = _empty(self._catalog, self._options)
            of_process = self._stats.begin_anew()
            positions = self._keeper.go_back(self._state) if self._keeper else []
            self._stats.keep(of_process)
            self._begin(positions, careful=True)
            self._catch_up()
        except Exception as error:  # noqa: BLE001  # as in `_attempt`
            self._errors.contain("follow", error.__cause__ or error)
            self._failures += 1
            return False
        return True

    def _go_on(self) -> None:
        self._read()
        while self._reloading.asked and not self._stopping.is_set():
            self._reloading.run()
            self._read()

    def _scan(self) -> None:
        self._intake.scan()
        self._telling.scanned(self._intake.tail.sources(), self._waker.problem)
        self._telling.roots(self._intake.tail.without_logs, self._catalog.patterns)
        self._scan_at = time.monotonic() + self._options.poll_interval

    def _read(self) -> None:
        with self._lock:
            self._state.idle = self._silence.look()
            now = time.time()
            ahead = self._state.watermark - now
            came_back = self._pipeline.hold(now, self._options.max_clock_skew)
        if came_back:
            self._log.warning(
                f"the clock was ahead: the latest event is {ahead:,.0f} s in the future; windows and run timeouts "
                f"are back at the current time, and the events enter the windows when their time is reached"
            )
        self._fold_at = time.monotonic() + _FOLD_SECONDS
        self._intake.read(go_on=self._may_read, fold_now=self._fold_due)
        self._step()

    def _give_way(self) -> None:
        if self._stopping.is_set():
            return
        began = time.monotonic()
        self._serving.give_way()
        self._folding_since += time.monotonic() - began  # that time was not the fold's

    def _may_read(self) -> bool:
        self._step()
        if self._stopping.is_set() or self._reloading.asked:
            return False
        # However much there is to read, new files must be found before they are renamed and deleted.
        return time.monotonic() < self._scan_at

    def _may_drain(self, deadline: float) -> bool:
        self._step()
        return time.monotonic() < deadline

    def _step(self) -> None:
        self._notifier.step(lambda: self._pace.words(catching_up=not self._readiness.is_ready))

    def _fold_due(self) -> bool:
        self._folding_since = time.monotonic()
        return self._folding_since >= self._fold_at

    def _after_fold(self) -> None:
        # With many series a fold takes long, however little was read; reading must come first all the same.
        now = time.monotonic()
        pause = _FOLD_SHARE * (now - self._folding_since)
        self._fold_at = now + min(max(pause, _FOLD_SECONDS), _FOLD_SECONDS_AT_MOST)
        self._silence.hear()
        if self._readiness.folded(self._intake.tail.sources, self._state):
            self._scan_at = 0.0
        if self._readiness.is_ready:
            self._notifier.ready()
            self._pipeline.careful = False
            if self._journal:
                self._journal.suspects.clear()
        self._serving.folded(self._intake.tail.sources)
        if self._keeper:
            self._saved(self._keeper.tick)
        else:
            self._stats.show(self._stats.unshown())

    def _saved(self, save: Callable[[Tail], None]) -> None:
        """Save what was counted; if that fails, it is tried again, and reading goes on."""
        try:
            save(self._intake.tail)
        except Exception as error:  # noqa: BLE001  # whatever it is
            self._stats.failed_saves += 1
            self._errors.contain("checkpoint", error)

    def _reload(self) -> Callable[[], list[str]]:
        """Read what the files say now, for the next line; between two chunks, when all that was read is folded."""
        options, left = self._options.reloaded(self._reread())
        self._serving.check()
        catalog, prices = load(options.schemas), Prices.load(options.prices)
        state = _empty(catalog, options)
        notes = [f"{key} has changed; restart to apply it" for key in left]
        notes += taken_over(self._state, self._lock, state)
        view = self._serving.view(state, options)
        pipeline = self._make_pipeline(state, prices, view.listener)

        def apply() -> list[str]:
            self._options, self._state, self._pipeline = options, state, pipeline
            self._catalog, self._prices = catalog, prices
            self._log.set(level=options.log_level, form=options.log_format)
            self._intake.go_on(catalog, pipeline)
            if self._keeper:
                self._keeper.go_on(state, self._intake.tail, options.checkpoint_interval)
            self._serving.show(view)  # what was seen in a scrape is never taken back: it is saved first
            self._scan()
            return notes

        return apply

    def _make_pipeline(
        self, state: State, prices: Prices, listener: Listener | None, *, careful: bool = False
    ) -> Pipeline:
        return Pipeline(
            state,
            self._stats,
            latest=self._latest,
            on_reject=self._reject,
            prices=prices,
            listener=listener,
            errors=self._errors,
            careful=careful,
        )

    def _latest(self) -> float:
        return time.time() + self._options.max_clock_skew

    def _make_keeper(self) -> Keeper | None:
        options = self._options
        if options.state_dir is None:
            self._log.info("no --state-dir: after a restart, logs are read again from their first lines")
            return None
        return Keeper(
            options.state_dir,
            self._state,
            self._stats,
            self._log,
            self._lock,
            interval=options.checkpoint_interval,
            max_reject_bytes=options.max_reject_bytes,
        )

    def _not_ready(self) -> str:
        if self._readiness.is_ready:
            return ""
        return f"Catching up with the logs: {self._stats.bytes_behind} bytes to read."

    def _report(self, text: str, lines: list[str]) -> None:
        self._log.error(text)
        for line in lines:
            self._log.error(line)

    def _reject(self, rejected: Rejected) -> None:
        if self._keeper:
            self._keeper.reject(rejected)
        self._serving.reject(rejected)


def _empty(catalog: Catalog, options: Options) -> State:
    return State(
        catalog,
        window_seconds=options.window,
        run_timeout=options.run_timeout,
        run_linger=options.run_linger,
        max_open_runs=options.max_open_runs,
    )
