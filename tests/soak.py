"""
Minutes in, a report out: the kill test, the model tests, the real logrotate, the fuzz targets, mutated lines and the
oracle, again and again, side by side, and beside them one service under everything at once: docs/soak.md is its report.

    python -m tests.soak 60

What fails is left in build/soak, with everything that was written and said.

Knows nothing of what is tested.
"""

# ruff: noqa: T201  # it says what it found

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from math import inf
from pathlib import Path

from tests import fuzz
from tests.logrotating import WAYS

BUILD = Path("build/soak")
KILLS = 200
"""In a round of the kill test; the logs of a round are a few hundred megabytes."""

MUTANTS = 20_000
"""In a round of mutated lines; the service and the commands read some of them one at a time."""

LOGS = 300
"""In a round of the oracle; some of them have thousands of lines."""

ROTATING = 30
"""Seconds that one way to rotate may take on a busy machine."""

GRACE = 5
"""Seconds that a round may go on past the end: to count what a last kill left takes a while."""

MODELS = sorted(
    f"{path}::{name}"
    for path in Path("tests").glob("test_*model*.py")
    for name in re.findall(r"^(Test\w+) = ", path.read_text(), re.MULTILINE)
)


FUZZING = 60
"""Seconds of one fuzz target at a time."""

_TARGETS = cycle(fuzz.TARGETS)


@dataclass
class Kind:
    """One kind of test: what is run with so many seconds left, and what came of it."""

    name: str
    command: Callable[[float], tuple[list[str], dict[str, str]]]
    turn: float = inf
    """Seconds after which a round is cut off."""
    rounds: int = 0
    failed: str = ""
    said: list[str] = field(default_factory=list)

    def soak(self, deadline: float) -> None:
        """Run again and again until *deadline* or the first failure."""
        while not self.failed and (left := deadline - time.monotonic()) > 0:
            words, environment = self.command(left)
            try:
                done = run(words, environment, seconds=min(left, self.turn) + GRACE)
            except subprocess.TimeoutExpired:
                # Hypothesis keeps what it has found on disk at once, and a round of seconds begins with that.
                words, environment = self.command(0)
                done = run(words, environment)
            self.rounds += 1
            self.said += re.findall(r"^survived \d.*", done.stdout, re.MULTILINE)
            settings = "".join(f"{name}={value} " for name, value in environment.items())
            print(f"{self.name}: {settings}{done.stdout.strip().splitlines()[-1]}", flush=True)
            if done.returncode:
                told = BUILD / f"{self.name}.txt"
                told.write_text(done.stdout)
                self.failed = f"FAILED: {settings}pytest {' '.join(words)}, see {told}"


def run(
    words: list[str], environment: dict[str, str], seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """What pytest says; it is cut off after so many *seconds*, and lets go of what it has started."""
    command = [sys.executable, "-m", "pytest", "--quiet", *words]
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            # Killed, it would leave an extractor running in the folder that the next round uses.
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    return subprocess.CompletedProcess(command, process.returncode, said)


def kills(left: float) -> tuple[list[str], dict[str, str]]:
    """A round of the kill test, with a seed of its own; a kill takes about a second."""
    number = max(10, min(KILLS, int(left)))
    environment = {"KILLS": str(number), "SEED": str(random.getrandbits(32))}
    return [f"--basetemp={BUILD}/kill", "-s", "tests/test_kill.py"], environment


def rotations(left: float) -> tuple[list[str], dict[str, str]]:
    """Some ways in which `logrotate` rotates, under load, with a seed of their own; each takes some seconds."""
    ways = random.sample(WAYS, max(1, min(len(WAYS), int(left / ROTATING))))
    environment = {"LOGROTATE": "4", "SEED": str(random.getrandbits(32))}
    tests = [f"tests/test_logrotate.py::test_under_load[{way}]" for way in ways]
    return [f"--basetemp={BUILD}/logrotate", *tests], environment


@dataclass
class Models:
    """Rounds of one model test after the other; Hypothesis draws its own seeds."""

    turns: Iterator[str] = field(default_factory=lambda: cycle(MODELS))
    now: str = ""

    def __call__(self, left: float) -> tuple[list[str], dict[str, str]]:
        """The next one; with no time *left*, the same again and quickly."""
        if left:
            self.now = next(self.turns)
        return [self.now], {"HYPOTHESIS_PROFILE": "soak"} if left else {}


def service(seconds: float) -> subprocess.Popen[str]:
    """The service under everything at once; it says itself how far it is."""
    words = [sys.executable, "-m", "pytest", "--quiet", "-s", f"--basetemp={BUILD}/service", "tests/test_soak.py"]
    settings = {"SOAK_SECONDS": str(seconds), "SOAK_REPORT": "docs/soak.md", "SEED": str(random.getrandbits(32))}
    return subprocess.Popen(words, env=os.environ | settings, text=True)


def fuzzing(left: float) -> tuple[list[str], dict[str, str]]:
    """A round of the next fuzz target, which goes on from what it has found."""
    seconds = max(1, min(FUZZING, int(left)))
    return ["-s", "tests/test_fuzz.py::test_search"], {"FUZZ": next(_TARGETS), "FUZZ_SECONDS": str(seconds)}


def mutants(left: float) -> tuple[list[str], dict[str, str]]:
    """Lines that nobody foresaw; a second is enough for a hundred."""
    environment = {"MUTANTS": str(max(1000, min(MUTANTS, int(left) * 100))), "SEED": str(random.getrandbits(32))}
    return [f"--basetemp={BUILD}/mutants", "tests/test_mutants.py"], environment


def oracle(left: float) -> tuple[list[str], dict[str, str]]:
    """Hard logs that nobody has counted yet, each counted by the oracle, too; one takes about a second."""
    environment = {"ORACLE_LOGS": str(max(1, min(LOGS, int(left)))), "SEED": str(random.getrandbits(32))}
    return [f"--basetemp={BUILD}/oracle", "-k", "not cases", "tests/test_oracle.py"], environment


def main() -> int:
    """Soak, and say what came of it; 1 if something failed."""
    parser = argparse.ArgumentParser(
        description="Kills, models, logrotate, fuzzing, mutants, the oracle and a service, for as long as you like."
    )
    parser.add_argument("minutes", type=float)
    seconds = 60 * parser.parse_args().minutes
    deadline = time.monotonic() + seconds
    BUILD.mkdir(parents=True, exist_ok=True)
    kinds = [
        Kind("kills", kills),
        Kind("models", Models(), turn=seconds / len(MODELS)),
        Kind("logrotate", rotations),
        Kind("fuzzing", fuzzing),
        Kind("mutants", mutants),
        Kind("oracle", oracle),
    ]
    served = service(seconds)
    threads = [threading.Thread(target=kind.soak, args=[deadline]) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.wait()

    print()
    survived = sum(int(said.split()[1]) for kind in kinds for said in kind.said)
    print(f"{survived:,} kills survived")
    for kind in kinds:
        print(f"{kind.name}: {kind.rounds} rounds, {kind.failed or 'nothing found'}")
    print(f"service: {'FAILED' if served.returncode else 'nothing found'}, see docs/soak.md")
    return int(any(kind.failed for kind in kinds) or served.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
