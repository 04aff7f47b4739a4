"""
The real tail through crashes, truncations and compressions, against a model of what can still be read.

What is written is read, and read on after a crash from what was saved: never twice. What is on the disk at the end was
read, whatever became of the file that it was written to. What was truncated or deleted before it was read may be
missing, and nothing else.
"""

import bz2
import gzip
import lzma
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import zstandard
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from extractor.positions import Position
from extractor.tail import Tail
from tests.profiles import examples, patient
from tests.tailing import numbers

pytestmark = patient
NAMES = st.sampled_from(["app.jsonl", "sub/b.jsonl"])
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


class TricksMachine(RuleBasedStateMachine):
    """A folder whose logs are rotated in every way, a `Tail` that follows it and is killed now and then."""

    max_open = 256

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        (self.root / "sub").mkdir()
        self.written = 0
        self.now = 1_000_000_000_000_000_000
        self.clock = 0.0
        self.touched: set[str] = set()
        self.packing: list[tuple[Path, Path, bytes]] = []
        self.read: list[int] = []
        self.saved: tuple[list[Position], list[int]] = ([], [])
        self.tail = self.start([])

    def start(self, positions: list[Position]) -> Tail:
        """Begin to follow the folder."""
        return Tail(
            [self.root],
            lambda name: ".jsonl" in name,
            lambda line: float(line.split(b":")[0]) if line[:1].isdigit() and b":" in line else None,
            max_line_bytes=60,
            max_open=self.max_open,
            positions=positions,
            clock=lambda: self.clock,
        )

    def logs(self) -> list[Path]:
        """What was rotated and not compressed, in the folder of any log."""
        return sorted(
            path
            for path in self.root.rglob("*.jsonl.*")
            if path.suffix not in PACKERS and path not in {plain for plain, *_ in self.packing}
        )

    def done(self, *paths: Path) -> None:
        """Something was done to *paths*, at a time of its own; they are hinted later."""
        self.touched |= {str(path) for path in paths}
        self.now += 1_000_000_000
        for path in paths:
            if path.exists():
                os.utime(path, ns=(self.now, self.now))

    def shift(self, name: str) -> Path:
        """Make room for a newly rotated file: rename those that were rotated before; where it is to be."""
        chain = [self.root / f"{name}.1"]
        while any(Path(f"{chain[-1]}{suffix}").exists() for suffix in ("", *PACKERS)):
            chain.append(self.root / f"{name}.{len(chain) + 1}")
        for old, new in reversed(list(pairwise(chain))):
            for suffix in ("", *PACKERS):
                if Path(f"{old}{suffix}").exists():
                    modified = Path(f"{old}{suffix}").stat().st_mtime_ns
                    Path(f"{old}{suffix}").rename(f"{new}{suffix}")
                    os.utime(f"{new}{suffix}", ns=(modified, modified))
                    self.touched |= {f"{old}{suffix}", f"{new}{suffix}"}
        return chain[0]

    def line(self, size: int) -> bytes:
        """A line of about *size* bytes that no other line is like."""
        self.written += 1
        return b"%d:" % self.written + (b"%d," % self.written * size)[:size] + b"\n"

    @rule(name=NAMES, sizes=st.lists(st.sampled_from([1, 10, 30, 100, 2000]), min_size=1, max_size=4))
    def append(self, name: str, sizes: list[int]) -> None:
        """Write lines, one of which may be too long."""
        with (self.root / name).open("ab") as file:
            file.writelines(self.line(size) for size in sizes)
        self.done(self.root / name)

    @rule(name=NAMES)
    def tear(self, name: str) -> None:
        """Write half a line; whatever is written next ends it."""
        with (self.root / name).open("ab") as file:
            file.write(self.line(5)[:-1])
        self.done(self.root / name)

    @rule(data=st.data())
    def write_late(self, data: st.DataObject) -> None:
        """Write to a rotated file."""
        if paths := self.logs():
            path = data.draw(st.sampled_from(paths))
            with path.open("ab") as file:
                file.write(self.line(1))
            self.done(path)

    @precondition(lambda self: not self.packing)
    @rule(name=NAMES, times=st.integers(1, 3))
    def rotate(self, name: str, times: int) -> None:
        """Rename the log, once or several times before anyone looks, and begin a new one."""
        for _ in range(times):
            if (self.root / name).exists():
                new = self.shift(name)
                (self.root / name).rename(new)
                self.touched |= {str(self.root / name), str(new)}
            self.append(name, [1])

    @precondition(lambda self: not self.packing)
    @rule(name=NAMES, then=st.sampled_from(["nothing", "smaller", "equal", "larger"]), looks=st.sampled_from("sl- "))
    def copy_truncate(self, name: str, then: str, looks: str) -> None:
        """Copy the log, look or not, and truncate it; then it may grow beyond what it was before anyone looks again."""
        path = self.root / name
        if not path.exists() or not path.stat().st_size:
            return
        size = path.stat().st_size
        copy = self.shift(name)
        shutil.copyfile(path, copy)
        self.done(copy)
        if looks == "s":
            self.scan()
        elif looks == "l":
            self.look_everywhere()
            self.take_all()
        os.truncate(path, 0)
        self.done(path)
        if then == "smaller":
            self.append(name, [1])
        while then in ("equal", "larger") and path.stat().st_size < size - 100:
            self.append(name, [30])
        if then == "equal" and (rest := size - path.stat().st_size):
            with path.open("ab") as file:
                file.write((b"%d;" % self.written * rest)[: rest - 1] + b"\n")  # unlike any other line
        while then == "larger" and path.stat().st_size <= size:
            self.append(name, [30])
        self.done(path)

    @rule(data=st.data(), suffix=st.sampled_from(sorted(PACKERS)), half=st.booleans())
    def start_packing(self, data: st.DataObject, suffix: str, half: bool) -> None:
        """Begin to compress a rotated file: half of what it is compressed to, or all of it, stands beside it."""
        if paths := self.logs():
            path = data.draw(st.sampled_from(paths))
            packed = PACKERS[suffix](path.read_bytes())
            target = Path(f"{path}{suffix}")
            if not any(Path(f"{path}{other}").exists() for other in PACKERS):
                target.write_bytes(packed[: len(packed) // 2] if half else packed)
                self.packing.append((path, target, packed))
                self.done(target)

    @precondition(lambda self: self.packing)
    @rule(keep=st.booleans())
    def finish_packing(self, keep: bool) -> None:
        """Write the rest, and delete the plain file or keep it."""
        plain, target, packed = self.packing.pop()
        with target.open("ab") as file:
            file.write(packed[target.stat().st_size :])
        if not keep:
            plain.unlink()
        self.done(plain, target)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete a rotated file, read or not, unless what it was compressed to has less: see docs/decisions/0005."""
        if paths := [path for path in self.logs() if not self.has_shorter(path)]:
            path = data.draw(st.sampled_from(paths))
            path.unlink()
            self.done(path)

    def has_shorter(self, path: Path) -> bool:
        """Whether the file at *path* was compressed, and then written to."""
        packed = (Path(f"{path}{suffix}") for suffix in PACKERS)
        return any(each.exists() and set(on_disk(path)) - set(on_disk(each)) for each in packed)

    @rule()
    def scan(self) -> None:
        """Look at everything."""
        self.tail.scan()

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """Look at some of what was touched; the rest is hinted later, or never."""
        if self.touched:
            hints = data.draw(st.frozensets(st.sampled_from(sorted(self.touched))))
            self.tail.look(hints)
            self.touched -= hints

    def look_everywhere(self) -> None:
        """Look at all that was touched."""
        self.tail.look(self.touched)
        self.touched.clear()

    @rule(chunks=st.integers(1, 5), max_bytes=st.sampled_from([7, 50, 1000, 5000]))
    def read_some(self, chunks: int, max_bytes: int) -> None:
        """Read a little, cut anywhere."""
        for _ in range(chunks):
            self.take(max_bytes)

    @rule()
    def take_all(self) -> None:
        """Read all that was seen."""
        while self.take(1000):
            pass

    def take(self, max_bytes: int) -> bool:
        """Read one chunk and note the numbers of its lines."""
        chunk = self.tail.next_chunk(max_bytes)
        self.read += numbers(chunk)
        return chunk is not None

    @rule()
    def wait(self) -> None:
        """Let a minute pass."""
        self.clock += 61.0

    @rule()
    def save(self) -> None:
        """Save where to read on, together with what was read."""
        self.saved = (self.tail.positions(), list(self.read))

    @rule()
    def crash(self) -> None:
        """Lose everything since that was saved last, and begin again."""
        positions, self.read = self.saved[0], list(self.saved[1])
        self.tail.close()
        self.tail = self.start([Position(*position) for position in positions])
        self.tail.scan()

    @invariant()
    def nothing_is_read_twice(self) -> None:
        """No line comes out again, from whatever file."""
        assert len(self.read) == len(set(self.read))

    def teardown(self) -> None:
        """Whatever is on the disk at the end was read."""
        while self.packing:
            self.finish_packing(keep=True)
        for _ in range(4):
            self.scan()
            self.take_all()
            self.wait()
        self.nothing_is_read_twice()
        missing = {number for path in self.root.rglob("*.jsonl*") for number in on_disk(path)} - set(self.read)
        assert set() == missing
        self.tail.close()
        shutil.rmtree(self.root)


def on_disk(path: Path) -> list[int]:
    """The numbers of the whole lines in *path*."""
    data = path.read_bytes()
    unpack: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.decompress,
        ".bz2": bz2.decompress,
        ".xz": lzma.decompress,
        ".zst": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
    }
    lines = unpack.get(path.suffix, bytes)(data).split(b"\n")[:-1]
    return [int(line.split(b":")[0]) for line in lines if b":" in line]


class FewOpenMachine(TricksMachine):
    """The same with three files open at most."""

    max_open = 3


TestTricks = TricksMachine.TestCase
TestTricks.settings = examples(60, steps=25)
TestTricksFewOpen = FewOpenMachine.TestCase
TestTricksFewOpen.settings = examples(30, steps=25)
