"""
Agents whose logs are rotated in every way that loses nothing: renamed, copied and emptied, then compressed.

Between their lines stand `pulse` events, which are not of the default pack. All lines say the time at which they are
written, by which files are read in the order of their lines even where a line has no time.

Knows nothing of extractor.
"""

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from tests.writing import PACKERS, TIME, File, Writer

PULSE = b'"event":"pulse"'
"""In every pulse, and in no other line."""

_EVERY = 40  # lines a pulse
_KEPT = 3  # compressed files that are not put away


class Rotator(Writer):
    """
    A `Writer` in *folder* whose files are rotated by *ways*, which counts how often.

    `put_away` moves compressed files into *archive*.
    """

    def __init__(self, folder: Path, archive: Path, seed: int, *, rate: float) -> None:
        super().__init__(folder, seed, rate=rate, rotation=0.015)
        self.ways: Counter[str] = Counter()
        self._events = _with_pulses(self._events)
        self._dice = Random(seed + 1)
        self._archive = archive
        self._acting = threading.Lock()
        self._rotated: list[tuple[Path, File | None]] = []
        self._packed: list[Path] = []

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is written meanwhile, and no line is torn."""
        with self._acting:
            for each in (*self._open, *self._renamed):
                each.write(b"")
            yield

    def put_away(self) -> None:
        """Move all but the last compressed files into the archive; all of them must have been read, and that saved."""
        for path in self._packed[:-_KEPT]:
            shutil.copy2(path, self._archive)
            path.unlink()
            self.ways["deleted"] += 1
        del self._packed[:-_KEPT]

    def _act(self) -> None:
        with self._acting:
            super()._act()
            if self._rotated and self._dice.random() < 0.03:
                self._pack()

    def _lines(self, log: File, count: int) -> Iterator[bytes]:
        # A line that is no event may have a time, too, and who follows the files believes it.
        for line in super()._lines(log, count):
            yield line.replace(b'"ts":1767607200', b'"ts":%.6f' % time.time())

    def _rotate(self, log: File) -> File:
        if self._dice.random() < 0.5:
            self.ways["renamed"] += 1
            new = super()._rotate(log)
            self._rotated.append((self._rotated_path(log), log))
            return new
        self.ways["copied and emptied"] += 1
        self.rotations += 1
        log.write(b"")  # of a line that is cut in two by this, no reader can know
        shutil.copyfile(log.path, self._rotated_path(log))
        os.truncate(log.path, 0)
        self._rotated.append((self._rotated_path(log), None))
        # docs/guarantees.md: the order of a log and its copy is not promised, so the numbers begin anew, too.
        log.writer, log.seq = f"{log.path.stem}-{self.rotations}".encode(), 0
        return log

    def _rotated_path(self, log: File) -> Path:
        return log.path.with_name(f"{log.path.name}.{self.rotations}")

    def _pack(self) -> None:
        """Compress a rotated file that nobody writes to any more, as `gzip` does."""
        place = next((i for i, (_, log) in enumerate(self._rotated) if log is None or log.file.closed), None)
        if place is None:
            return
        path, _ = self._rotated.pop(place)
        suffix = self._dice.choice(list(PACKERS))
        packed = path.with_name(path.name + suffix)
        with path.open("rb") as plain, PACKERS[suffix](packed, "wb") as file:
            shutil.copyfileobj(plain, file, 1 << 16)
        shutil.copystat(path, packed)
        path.unlink()
        self._packed.append(packed)
        self.ways[f"compressed to {suffix}"] += 1


def _with_pulses(events: Iterator[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(events):
        now = b'"ts":"%b"' % datetime.now(UTC).isoformat(timespec="microseconds").encode()
        yield TIME.sub(now, line, count=1)
        if number % _EVERY == 0:
            yield b'{%b,%b,"seq":0,"beat":"steady"}\n' % (PULSE, now)
