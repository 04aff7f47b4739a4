"""A log in, what the program says of it out: started as a user starts it, and read as a user reads it."""

import heapq
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

from tests.killing import Victim
from tests.oracle.count import Count
from tests.oracle.lines import Line
from tests.oracle.logs import PRICES, Log
from tests.oracle.options import SECOND

WINDOWS = {"45s": 45, "1m": 60, "10m": 600, "30m": 1800, "1d": 86400}
"""Lengths of which a thirtieth is a number that a double can be."""


def write(folder: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """*files* below *folder*, and the price file beside; the folder of logs."""
    logs = folder / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    for name, data in files:
        path = logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "prices.toml").write_text(PRICES)
    return logs


def words(log: Log, folder: Path) -> list[str]:
    """The options that every command gets."""
    return ["--prices", str(folder / "prices.toml"), *log.words]


def output(*command: object, codes: tuple[int, ...] = (0,)) -> str:
    """What `extractor` prints; it must end with one of *codes*, and without a word of trouble."""
    done = subprocess.run(
        [sys.executable, "-m", "extractor", *map(str, command)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in codes, f"exit code {done.returncode}: {done.stderr[-4000:]}"
    assert not done.stderr, done.stderr[-4000:]
    return done.stdout


def replay(log: Log, logs: Path, how: str, jobs: int) -> str:
    """What `extractor replay` prints in the format *how*."""
    return output("replay", logs, "--format", how, "--jobs", jobs, *words(log, logs.parent))


def report(log: Log, logs: Path, window: str, until: int | None) -> dict[str, Any]:
    """What `extractor report` prints as JSON; a broken objective is none of our business."""
    end = [] if until is None else ["--until", f"{until // SECOND}.{until % SECOND:06}"]
    options = ["--format", "json", "--window", window, *end, *words(log, logs.parent)]
    return json.loads(output("report", logs, *options, codes=(0, 3)))


@contextmanager
def following(log: Log, folder: Path, port: int) -> Iterator[Victim]:
    """An `extractor run` that can be killed and started again, of an empty folder of logs."""
    victim = Victim(
        write(folder, []), folder / "state", port, folder / "said.txt",
        ("--checkpoint-interval", "0.05", "--poll-interval", "0.05", *words(log, folder)),
    )  # fmt: skip
    victim.logs.mkdir()
    try:
        yield victim
    finally:
        victim.close()


Appends = list[tuple[str, bytes]]
"""What is appended to which file, one after the other."""


def pieces(files: Mapping[str, bytes], counted: Count, draw: Random, number: int) -> list[Appends]:
    """*files* in so many steps, all in the order of time; a step ends anywhere, in the middle of a line, too."""
    timed = [_timed(name, data, lines) for (name, data), lines in zip(files.items(), counted.lines, strict=True)]
    left: Appends = [(name, part) for _, name, part in heapq.merge(*timed, key=itemgetter(0))]
    found: list[Appends] = []
    for _ in range(number - 1):
        at = draw.randrange(len(left))
        name, part = left[at]
        byte = draw.randrange(len(part) + 1)
        found.insert(0, [(name, part[byte:]), *left[at + 1 :]])
        left[at:] = [(name, part[:byte])]
    return [left, *found]


def _timed(name: str, data: bytes, lines: Sequence[Line]) -> list[tuple[int, str, bytes]]:
    # Each line with the latest time in its file so far: what is no event was written when the one before it was.
    found, latest = [], 0
    for line, following in zip(lines, [*(line.offset for line in lines[1:]), len(data)], strict=True):
        latest = max(latest, line.time)
        found.append((latest, name, data[line.offset : following]))
    return found


def append(logs: Path, piece: Iterable[tuple[str, bytes]]) -> None:
    """Append each part to its file."""
    for name, data in piece:
        path = logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:  # closed, and so written, before the next
            file.write(data)
