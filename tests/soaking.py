"""
Seconds in, the story of a service out: full load, and everything that can happen to it at the same time.

In the first two fifths it is killed again and again; the rest is one life, in which memory and open files must not
grow. Lives consist of chapters: reloads, a spell without a disk, and a moment in which nobody writes and the counts
must be true. Which disk troubles there are depends on what may be done here: root fills a small disk up, others make
the directory read-only, and both put something else in its place.

Knows nothing of the package but its command line, its signals and its pages.
"""

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.killing import Victim, kill_loop
from tests.reading import event_schema
from tests.rotating import Rotator
from tests.servers import eventually
from tests.test_reload import TOTAL, reload
from tests.test_state_trouble import FAILURES, IS_ROOT, SAVED, full, mount, moved, read_only, replaced
from tests.watching import OPENMETRICS, Leaver, Meter, Onlooker, SlowWatcher, Visitor, Watcher
from tests.writing import MAX_LINE_BYTES

PASSING = "pulse_marks_total"
"""The metric that comes and goes with reloads; all others must be exact."""

MOST_LINES = 5_000_000
"""An independent count keeps every duration, so that a long soak writes more slowly."""

KILLING = 0.4  # the part of the time in which it is killed
_HALF = "half a checkpoint left by a kill"
_OPTIONS = ("--checkpoint-interval", "0.2", "--max-line-bytes", str(MAX_LINE_BYTES))


def declare(folder: Path, *metrics: str) -> None:
    """Write the schema of an event that the default pack does not have, with these counters."""
    declared = dict.fromkeys(metrics, TOTAL)
    schema = event_schema("pulse", {"beat": {"enum": ["steady"]}}, declared, {"beat": "steady"})
    folder.mkdir(exist_ok=True)
    (folder / "pulse.schema.json").write_text(json.dumps(schema | {"required": ["event", "ts", "beat"]}))


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of its own on *folder*, where that may be made; whether it is one."""
    folder.mkdir()
    try:
        if not IS_ROOT:
            raise PermissionError
        mount("-t", "tmpfs", "-o", "size=96m,mode=0700", "none", folder)
    except (OSError, subprocess.CalledProcessError):
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", folder], check=True)


@dataclass
class Soak:
    """The service in *folder* for *seconds*, on *port*; all that happens to it is drawn from *seed*."""

    folder: Path
    port: int
    seconds: float
    seed: int
    say: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)
    """How often what was done: kills, in which phase, reloads by kind, spells by kind, quiet moments."""
    wrong: list[str] = field(default_factory=list)
    """What was not true in a quiet moment."""
    served: str = ""
    served_again: str = ""
    lived: float = 0.0
    """When the long life began, in seconds since the start."""
    took: float = 0.0

    def __post_init__(self) -> None:
        self.logs, self.archive, self.disk = (self.folder / name for name in ("logs", "archive", "disk"))
        self.pack, self.state_dir = self.folder / "pack", self.disk / "state"
        for folder in (self.logs, self.archive):
            folder.mkdir()
        self._random = Random(self.seed)
        self._pause = threading.Event()
        options = (*_OPTIONS, "--schemas", str(self.pack))
        self.victim = Victim(self.logs, self.state_dir, self.port, self.folder / "said", options)
        self.rate = min(2500, MOST_LINES / self.seconds)
        self.writer = Rotator(self.logs, self.archive, self.seed, rate=self.rate)
        self.meter = Meter(self._pid)
        self.onlooker = Onlooker(self.victim.url, self.folder / "chromium")
        self.watchers = [
            self._watcher(Watcher, 0.1),
            self._watcher(Watcher, 0.5, Accept=OPENMETRICS),
            self._watcher(Watcher, 0.5, **{"Accept-Encoding": "gzip"}),
            self._watcher(SlowWatcher, 0.2),
            self._watcher(Leaver, 0.3),
            self._watcher(Visitor, 1.0),
            self._watcher(Visitor, 3.0),
        ]

    def run(self) -> None:
        """All of it."""
        declare(self.pack, "pulses_total")
        self._began = self._told = time.monotonic()
        threads: list[Rotator | Meter | Onlooker | Watcher] = [self.writer, self.meter, self.onlooker, *self.watchers]
        with small_disk(self.disk) as is_small:
            self._troubles = [replaced, moved, *([full] if is_small else [] if IS_ROOT else [read_only])]
            for thread in threads:
                thread.start()
            try:
                self._live()
                self._end()
            finally:
                for each in threads:
                    each.finish()
                self.victim.close()
                self.rejects = {path.name: path.read_bytes() for path in self.state_dir.glob("rejects.jsonl*")}

    def _live(self) -> None:
        while self._elapsed() < KILLING * self.seconds:
            self._kill_often()
            self._start()
            self._chapter(min(60, self.seconds / 12))
            if self._random.random() < 0.5:
                self.victim.kill()
                self.done["kills under load"] += 1
            else:
                self._spell(killed=True)
        self._start()
        self.lived = self._elapsed()
        while self._elapsed() < self.seconds:
            self._chapter(min(60, self.seconds / 5))

    def _end(self) -> None:
        declare(self.pack, "pulses_total")
        reload(self.victim)
        self.writer.finish()
        eventually(lambda: self.victim.value("extractor_read_lines_total"), float(self.writer.lines))
        self.took = self._elapsed()
        self.victim.kill()
        self.done["kills at the end"] += 1
        self._start()
        self.served = self.victim.metrics()
        self.victim.stop()
        self._start()
        self.served_again = self.victim.metrics()
        self.meter.finish()
        self.victim.stop()

    def _kill_often(self) -> None:
        for phase, kills in kill_loop(self.victim, self._random, max(3, min(20, int(self.seconds / 60)))).items():
            self.done[_HALF if phase == "half a checkpoint" else f"kills: {phase}"] += kills
        self._tell()

    def _start(self) -> None:
        self.victim.start()
        self.victim.ready()

    def _chapter(self, seconds: float) -> None:
        """Everything but a kill, in any order, spread over *seconds*."""
        acts = [self._reload_as_it_is, self._reload_changed, self._reload_broken, self._spell, self._quiet]
        self._random.shuffle(acts)
        end = time.monotonic() + seconds
        for left in range(len(acts), 0, -1):
            self._wait(max(0, end - time.monotonic()) / (left + 1))
            acts.pop()()
        self._wait(end - time.monotonic())

    def _reload_as_it_is(self) -> None:
        reload(self.victim)
        self.done["reloads: unchanged"] += 1

    def _reload_changed(self) -> None:
        declare(self.pack, "pulses_total", PASSING)
        reload(self.victim)
        self._wait(0.5)
        declare(self.pack, "pulses_total")
        reload(self.victim)
        self.done["reloads: a metric more, then less"] += 2

    def _reload_broken(self) -> None:
        declare(self.pack, "pulses_totl")
        reload(self.victim, successful=False)
        declare(self.pack, "pulses_total")
        self.done["reloads: broken"] += 1

    def _spell(self, *, killed: bool = False) -> None:
        """No checkpoint can be saved for a while."""
        trouble = self._random.choice(self._troubles)
        failures = self.victim.value(FAILURES) or 0.0
        with trouble(self.state_dir):
            eventually(lambda: (self.victim.value(FAILURES) or 0.0) > failures, expected=True)
            self._wait(1)
            if killed:
                self.victim.kill()
                self.done["kills while the disk was away"] += 1
        self.done[f"spells: {trouble.__name__}"] += 1
        if not killed:
            self._saved()

    def _quiet(self) -> None:
        """Nobody writes: everything must be counted now, once. What is saved then may be deleted."""
        with self.writer.still():
            writer, value = self.writer, self.victim.value
            eventually(lambda: value("extractor_read_lines_total"), float(writer.lines))
            served = self.victim.metrics()
            self._saved()
            self.writer.put_away()
            self.done["quiet moments"] += 1
            expected = {
                "extractor_events_total": writer.lines - writer.blank - len(writer.rejects),
                "extractor_blank_lines_total": writer.blank,
                "extractor_behind_bytes": 0,
            }
            limits = {  # a gap counts when its time has passed
                "extractor_sequence_gaps_total": writer.gaps,
                "extractor_sequence_repeats_total": writer.repeats,
            }
        for name, number in expected.items():
            if (shown := value_in(served, name)) != number:
                self._report(f"{name} is not {number}, but {shown}")
        for name, most in limits.items():
            if not 0 <= (shown := value_in(served, name) or 0) <= most:
                self._report(f"{name} is not at most {most}, but {shown}")

    def _report(self, text: str) -> None:
        self.wrong.append(f"{self._elapsed():.0f} s: {text}")
        self.say(self.wrong[-1])

    def _saved(self) -> None:
        """Wait for a checkpoint that has what is read now."""
        now = time.time()
        eventually(lambda: (self.victim.value(SAVED) or 0.0) > now, expected=True)

    def _watcher(self, kind: type[Watcher], pause: float, **asks: str) -> Watcher:
        return kind(self.victim.url, pause, passing=PASSING, life=self._pid, asks=asks)

    def _pid(self) -> int:
        return self.victim.process.pid if self.victim.process else os.getppid()

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _wait(self, seconds: float) -> None:
        self._tell()
        self._pause.wait(max(0, seconds))

    def _tell(self) -> None:
        """Say once a minute how far it is."""
        if time.monotonic() < self._told + 60 or not self.meter.uses:
            return
        self._told = time.monotonic()
        kills, reloads, spells = (self.number(kind) for kind in ("kills", "reloads", "spells"))
        use, scrapes = self.meter.uses[-1], sum(each.scrapes["200"] for each in self.watchers)
        self.say(
            f"{self._elapsed() / 60:.0f} min: {self.writer.lines:,} lines, {self.writer.rotations} rotations, {kills} "
            f"kills, {reloads} reloads, {spells} spells without a disk, {scrapes:,} answers, "
            f"{use.rss / 1e6:.0f} MB, {use.files} files open; {len(self.wrong)} wrong"
        )

    def number(self, kind: str) -> int:
        """How often something of a *kind* was done."""
        return sum(times for name, times in self.done.items() if name.startswith(kind))


def value_in(exposition: str, name: str) -> float | None:
    """The value of a sample without labels; None if it is not there."""
    rows = (line.split(" ") for line in exposition.splitlines())
    return next((float(row[1]) for row in rows if row[0] == name), None)
