"""
Ways to rotate in, logs that the real `logrotate` has rotated out, and the agent that wrote them.

Knows nothing of extractor.
"""

import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple

from tests.reading import tool_call

LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
"""The program, which is not in the PATH of a plain user."""

TOOLS = ("search", "bash", "read", "write", "fetch")


class Way(NamedTuple):
    """What a configuration of `logrotate` says: each is one of its words, or empty for what it does without."""

    emptying: str
    compressing: str
    dating: str
    extension: str
    folder: str

    def __str__(self) -> str:
        return "-".join(word for word in self if word) or "plain"

    @property
    def is_copied(self) -> bool:
        """Whether the log is copied and emptied; else it is renamed."""
        return self.emptying == "copytruncate"


_EMPTYING, _COMPRESSING = ("create", "copytruncate"), ("", "compress", "delaycompress")
WAYS = [Way(*words) for words in product(_EMPTYING, _COMPRESSING, ("", "dateext"), ("", "extension"), ("", "olddir"))]
"""All of them."""

SPREAD = [
    Way("copytruncate", "compress", "", "extension", ""),
    Way("copytruncate", "", "dateext", "extension", "olddir"),
    Way("create", "compress", "dateext", "", "olddir"),
    Way("create", "delaycompress", "", "extension", ""),
]
"""A few of them, in which every word stands."""

_TICK = 0.1


class Rotation:
    """The log `app.jsonl` in a *folder* of its own, which is rotated in this *way*."""

    def __init__(self, folder: Path, way: Way) -> None:
        self.way = way
        self.folder = folder
        self.log = folder / "app.jsonl"
        folder.mkdir(parents=True)
        if way.folder:
            (folder / "old").mkdir()

    def block(self) -> str:
        """What the configuration of `logrotate` says of it."""
        way = self.way
        words = ["rotate 1000", "missingok", "ifempty", "nodateext", "nocompress"]
        words += ["copytruncate" if way.is_copied else "create 0644"]
        # A date within a second could not be told from the one before.
        words += ["dateext", "dateformat -%Y%m%d-%s"] if way.dating else []
        words += [f"extension {self.log.suffix}"] if way.extension else []
        words += ["compress"] if way.compressing else []
        words += [way.compressing] if way.compressing == "delaycompress" else []
        words += ["olddir old"] if way.folder else []
        return f'"{self.log}" {{\n' + "".join(f"    {word}\n" for word in words) + "}\n"


def rotate(rotations: Sequence[Rotation], beside: Path) -> None:
    """Run `logrotate` once for all *rotations*; what it must know is in files that begin with *beside*."""
    assert LOGROTATE
    config = beside.with_name(f"{beside.name}.conf")
    config.write_text("".join(rotation.block() for rotation in rotations))
    config.chmod(0o644)
    command = [LOGROTATE, "--force", "--state", str(beside.with_name(f"{beside.name}.status")), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    assert not done.returncode, f"logrotate ended with {done.returncode}"


def lines(first: int, last: int) -> list[bytes]:
    """Lines of tool calls, of which no two are alike; some are longer than others."""
    return [
        tool_call(number / 10, tool=TOOLS[number % 5], note="x" * (number * 37 % 300), agent="a", release="1") + b"\n"
        for number in range(first, last)
    ]


@dataclass
class Agent(threading.Thread):
    """
    Writes about *rate* lines a second to the log of *rotation* until `finish`, and counts them by tool.

    What it writes goes to the file that it has open, until it sees that another one has the name.
    """

    rotation: Rotation
    seed: int
    rate: float = 1500
    written: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._random = Random(self.seed)
        self._acting = threading.Lock()
        self._done = threading.Event()
        self._number = 0
        self._rotated = 0.0
        self._file = self._opened()

    def __hash__(self) -> int:
        return id(self)

    def finish(self) -> None:
        """Stop writing."""
        self._done.set()
        if self.is_alive():
            self.join()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is written meanwhile, and the log is opened anew afterwards."""
        with self._acting:
            yield
            self._follow()

    def rotate(self) -> None:
        """Rotate the log; what would be lost to any reader is not written meanwhile."""
        way, beside = self.rotation.way, self.rotation.folder.with_name("rotation")
        if way.dating:
            next_second(self._rotated)
        if way.is_copied or way.compressing == "compress":
            # What is written between copying and emptying, or while it is compressed, is in no file afterwards.
            with self.still():
                rotate([self.rotation], beside)
        else:
            with self._acting:  # nobody writes to what was renamed the last time but one: that is compressed now
                self._follow()
            rotate([self.rotation], beside)
        self._rotated = time.time()

    def run(self) -> None:
        """Write until told to stop."""
        while not self._done.is_set():
            count = self._random.choice((1, 2, 5, 40))
            with self._acting:
                self._write(count)
            self._done.wait(count / self.rate)
        self._file.close()

    def _write(self, count: int) -> None:
        if self._random.random() < 0.2:
            self._follow()
        data = b"".join(lines(self._number, self._number + count))
        cut = self._random.randrange(len(data)) if self._random.random() < 0.3 else 0
        for part in (data[:cut], data[cut:]):
            self._file.write(part)
        for number in range(self._number, self._number + count):
            self.written[TOOLS[number % 5]] += 1
        self._number += count

    def _follow(self) -> None:
        """Open the log anew if it was renamed."""
        try:
            is_renamed = self.rotation.log.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return
        if is_renamed:
            self._file.close()
            self._file = self._opened()

    def _opened(self) -> BinaryIO:
        return self.rotation.log.open("ab", buffering=0)


def next_second(since: float) -> None:
    """Wait until the clock shows another second than at *since*: what was rotated then has the date of that second."""
    pause = threading.Event()
    # The clock that `logrotate` reads goes in ticks, and so it may be late.
    while time.time() < int(since) + 1 + _TICK:
        pause.wait(0.02)
