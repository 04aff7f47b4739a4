"""
An extractor that is killed again and again, and a scraper that remembers the highest value of every counter.

Knows nothing of the package but its command line and its pages.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path
from random import Random

from tests.servers import DEADLINE, eventually, get

Samples = dict[str, float]
"""Values by name and labels, as they stand in the exposition."""


def counters(exposition: str) -> Samples:
    """What may never go down: counters, and the buckets, counts and sums of histograms and summaries."""
    kinds: dict[str, str] = {}
    found: Samples = {}
    for line in exposition.rstrip("\n").split("\n"):  # and at no other character that ends a line for Python
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif not line.startswith("#"):
            sample, _, value = line.rpartition(" ")
            name = sample.partition("{")[0]
            family = re.sub("_(bucket|count|sum)$", "", name)
            if kinds.get(name) == "counter" or (kinds.get(family) in {"histogram", "summary"} and family != name):
                found[sample] = float(value)
    return found


def series(metric: str, labels: dict[str, str]) -> str:
    """The name and labels of a sample as they stand in the exposition, where labels are sorted."""
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


class Scraper(threading.Thread):
    """
    Scrapes *url* again and again; *wrong* has what it must never see.

    *scrapes* counts what it got: the numbers, a 503, or nobody there.
    """

    def __init__(self, url: str, pause: float = 0.015) -> None:
        super().__init__(daemon=True)
        self.wrong: list[str] = []
        self.scrapes: Counter[str] = Counter()
        self.highest: Samples = {}
        self._url = url
        self._pause = pause
        self._done = threading.Event()

    def finish(self) -> None:
        """Stop scraping."""
        self._done.set()
        self.join()

    def run(self) -> None:
        """Scrape until told to stop."""
        while not self._done.wait(self._pause):
            try:
                exposition = self.fetch()
            except urllib.error.HTTPError as error:
                self.scrapes[str(error.code)] += 1
                if error.code != 503 or not error.headers["Retry-After"]:
                    self.wrong.append(f"{error.code} without Retry-After: {error.headers}")
            except (OSError, HTTPException) as error:  # killed before or while it answered
                self.scrapes[type(error).__name__] += 1
            else:
                self.take(exposition)

    def fetch(self) -> str:
        """A scrape as text."""
        return get(f"{self._url}/metrics")

    def take(self, exposition: str) -> None:
        """Compare a scrape with the earlier ones."""
        self.scrapes["200"] += 1
        now = {name: value for name, value in counters(exposition).items() if not name.startswith("process_")}
        self.wrong += [f"{name} is gone, was {was}" for name, was in self.highest.items() if name not in now]
        for name, value in now.items():
            if value < self.highest.get(name, value):
                self.wrong.append(f"{name} fell from {self.highest[name]} to {value}")
            self.highest[name] = max(value, self.highest.get(name, value))


@dataclass
class Victim:
    """An `extractor run` that is started and killed at will; everything it says is in *said*."""

    logs: Path
    state_dir: Path
    port: int
    said: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """What is run."""
        return [
            sys.executable, "-m", "extractor", "run", str(self.logs), "--state-dir", str(self.state_dir),
            "--web.listen-address", f"127.0.0.1:{self.port}", *self.options,
        ]  # fmt: skip

    def start(self) -> None:
        """Start it."""
        with self.said.open("ab") as output:
            self.process = subprocess.Popen(self.command(), stdout=output, stderr=subprocess.STDOUT)

    def ready(self) -> None:
        """Wait until it says that it has caught up."""
        eventually(self._look, "Ready.\n")

    def _look(self) -> str:
        assert self.process is not None
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said.read_text()[-4000:]}"
        return get(f"{self.url}/-/ready")

    def metrics(self) -> str:
        """A scrape."""
        return get(f"{self.url}/metrics")

    def value(self, sample: str) -> float | None:
        """The value of *sample* in a scrape; None if it has none."""
        found = re.search(rf"^{re.escape(sample)} (\S+)$", self.metrics(), re.MULTILINE)
        return float(found[1]) if found else None

    def kill(self) -> None:
        """End it at once; it must not have ended by itself."""
        assert -signal.SIGKILL == self.end(signal.SIGKILL), self.said.read_text()[-4000:]

    def stop(self) -> None:
        """End it as a service manager does."""
        assert 0 == self.end(signal.SIGTERM), self.said.read_text()[-4000:]

    def end(self, number: int) -> int:
        """The exit code after a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        """Leave nothing running."""
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)


def kill_loop(victim: Victim, random: Random, kills: int) -> Counter[str]:
    """Start *victim* and kill it, so many times; how often in which phase, and how often while it saved."""
    phases: Counter[str] = Counter()
    pause = threading.Event()
    for _ in range(kills):
        phase = random.choice(("start", "catch-up", "steady", "checkpoint"))
        victim.start()
        match phase:
            case "start":
                pause.wait(random.uniform(0, 0.6))
            case "catch-up":
                _until(lambda: _listens(victim.url))
                pause.wait(random.uniform(0, 0.05))
            case "steady":
                victim.ready()
                pause.wait(random.uniform(0, 0.4))
            case "checkpoint":
                victim.ready()
                before = _written(victim.state_dir)
                _until(partial(_differs, before, victim.state_dir))
                pause.wait(random.choice((0, 0.0005, 0.002)))
        victim.kill()
        phases[phase] += 1
        phases["half a checkpoint"] += (victim.state_dir / "checkpoint.new").exists()
    return phases


def _until(condition: Callable[[], bool]) -> None:
    # As closely as can be: what is waited for lasts a millisecond. Never is a moment to be killed in, too.
    deadline = time.monotonic() + 1
    while not condition() and time.monotonic() < deadline:
        os.sched_yield()


def _listens(url: str) -> bool:
    try:
        get(f"{url}/-/ready")
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


Written = list[tuple[str, int, int]]


def _differs(before: Written, folder: Path) -> bool:
    return before != _written(folder)


def _written(folder: Path) -> Written:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            if not entry.name.startswith("rejects"):
                found.append((entry.name, status.st_ino, status.st_size))
    return sorted(found)
