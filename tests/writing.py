"""
Agents that write logs as badly as agents do, and what their logs add up to.

They tear lines, rotate by renaming and write on in the renamed file; some of what they write is no event. What is true
in the end is counted in the logs themselves, by `tests.count`.

Knows nothing of extractor.
"""

import bz2
import gzip
import json
import lzma
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

from bench.gen import START, lines
from tests.count import Truth, Words

MAX_LINE_BYTES = 4096
"""What the victim is told, so that a line can be too long without filling the disk."""

MARK = re.compile(rb"reject-(\d+)-")
"""In every line that is no event, and in no other: its number."""

_REJECTS: dict[str, bytes] = {
    "too_long": b'{"event":"step","note":"reject-%d-' + b"x" * MAX_LINE_BYTES + b'"}\n',
    "bad_encoding": b'{"event":"step","note":"reject-%d-\xff"}\n',
    "not_json": b'{"event":"step","note":"reject-%d-\n',
    "not_object": b'["reject-%d-"]\n',
    "no_event": b'{"ts":1767607200,"note":"reject-%d-"}\n',
    "unknown_event": b'{"event":"no.such","ts":1767607200,"note":"reject-%d-"}\n',
    "bad_time": b'{"event":"cache.hit","ts":"yesterday","run_id":"r","note":"reject-%d-"}\n',
    "invalid": b'{"event":"tool.call","ts":1767607200,"run_id":"r","tool":5,"note":"reject-%d-"}\n',
}
TIME = re.compile(rb'"ts":"([^"]+)"')
"""When a line says it was."""

_END = b'"event":"run.complete"'
_SEQ = re.compile(rb'"seq":\d+')

PACKERS: Mapping[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens a compressed log, by the suffix of its name."""


class File:
    """An open log: the part of a line that is still to come, and the lines that its writer has numbered."""

    def __init__(self, path: Path, writer: str) -> None:
        self.path = path
        self.file: BinaryIO = path.open("ab", buffering=0)
        self.writer = writer.encode()
        self.seq = 0
        self.held = b""

    def write(self, data: bytes, *, hold: int = 0) -> None:
        """Write what was held and *data*, but for its last *hold* bytes."""
        data = self.held + data
        self.held = data[len(data) - hold :]
        self.file.write(data[: len(data) - hold])


class Writer(threading.Thread):
    """
    Some agents at once, at about *rate* lines a second until `finish`: each in a file of its own below *folder*.

    Of the times that something is written, the part *rotation* is followed by a rotation.
    *rejects* has the reason of every line that is no event, by its number; *gaps* and *repeats* say how often a
    writer's `seq` left one out or gave one twice.
    """

    def __init__(self, folder: Path, seed: int, *, files: int = 4, rate: float = 2500, rotation: float = 0.1) -> None:
        super().__init__()
        self.rejects: dict[int, str] = {}
        self.lines = self.blank = self.gaps = self.repeats = self.rotations = 0
        self._rate = rate
        self._rotation = rotation
        self._random = Random(seed)
        self._events = lines(sys.maxsize, seed, START)
        self._done = threading.Event()
        self._open = [File(folder / f"agent-{i}.jsonl", f"writer-{i}") for i in range(files)]
        self._renamed: list[File] = []

    def finish(self) -> None:
        """Stop writing, once every line is whole."""
        self._done.set()
        self.join()

    def run(self) -> None:
        """Write until told to stop."""
        while not self._done.is_set():
            written = self.lines
            self._act()
            self._done.wait((self.lines - written) / self._rate)
        self._open[0].write(self._last())
        for each in chain(self._open, self._renamed):
            each.write(b"")
            each.file.close()

    def _last(self) -> bytes:
        """A line a minute later than all others: now every run that has ended is over for good, live and in history."""
        self.lines += 1
        line = next(each for each in self._events if _END not in each)  # the run of an end would not be over itself
        line = self._numbered(self._open[0], dice=100, line=line)
        time = TIME.search(line)
        assert time is not None
        later = datetime.fromisoformat(time[1].decode()) + timedelta(minutes=1)
        return line.replace(time[1], later.isoformat().encode(), 1)

    def _act(self) -> None:
        random = self._random
        place = random.randrange(len(self._open))
        log = self._open[place]
        data = b"".join(self._lines(log, random.choice((1, 3, 20, 150))))
        log.write(data, hold=random.randrange(1, 80) if random.random() < 0.3 else 0)
        if random.random() < self._rotation:
            self._open[place] = self._rotate(log)
        for old in list(self._renamed):
            if random.random() < 0.3:
                self._renamed.remove(old)
                old.write(b"".join(self._lines(old, random.randrange(3))))
                old.file.close()

    def _rotate(self, log: File) -> File:
        self.rotations += 1
        log.path.rename(log.path.with_name(f"{log.path.name}.{self.rotations}"))
        self._renamed.append(log)
        return File(log.path, f"{log.path.stem}-{self.rotations}")

    def _lines(self, log: File, count: int) -> Iterator[bytes]:
        for _ in range(count):
            self.lines += 1
            dice = self._random.randrange(400)
            if dice < 8:
                number, reason = len(self.rejects), self._random.choice(list(_REJECTS))
                self.rejects[number] = reason
                yield _REJECTS[reason] % number
            elif dice == 8:
                self.blank += 1
                yield b" \n"
            else:
                yield self._numbered(log, dice)

    def _numbered(self, log: File, dice: int, line: bytes = b"") -> bytes:
        log.seq += 1
        if dice in range(10, 30) and log.seq > 1:
            self.gaps += 1
            log.seq += 1
        elif dice in range(30, 50) and log.seq > 1:
            self.repeats += 1
            log.seq -= 1
        line = _SEQ.sub(b'"seq":%d' % log.seq, line or next(self._events), count=1)
        return b'{"writer":"%b",%b' % (log.writer, line[1:])


def written(*folders: Path) -> Iterator[bytes]:
    """Every line in the files of *folders*, compressed ones too, that is not blank and was not written as a reject."""
    for path in chain.from_iterable(sorted(folder.iterdir()) for folder in folders):
        with PACKERS.get(path.suffix, open)(path, "rb") as file:
            yield from (line for line in file if line.strip() and not MARK.search(line))


def truth(words: Words, *folders: Path) -> Truth:
    """What the events in all files of *folders* add up to."""
    counted = Truth(words)
    for line in written(*folders):
        counted.add(json.loads(line, parse_float=Fraction))
    counted.find_loops()
    return counted
