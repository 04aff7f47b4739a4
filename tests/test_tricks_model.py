"""
The real tail through crashes, truncations and compressions, against a model of what can still be read.

What is written is read, and read on after a crash from what was saved: never twice, in whatever file it stands, under
whatever name, and whatever was cut off or padded behind it. What is on the disk at the end was read, whatever became of
the file that it was written to. What was truncated or deleted before it was read may be missing, and nothing else.
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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from extractor.tail.fingerprint import WINDOW
from extractor.tail.line_buffer import HOLE
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.profiles import examples, patient
from tests.tailing import numbers

pytestmark = patient
NAMES = st.sampled_from(["app.jsonl", "sub/b.jsonl"])
ROTATED: dict[str, Callable[[Path, int], Path]] = {
    "app.jsonl.1": lambda path, number: path.with_name(f"{path.name}.{number}"),
    "app.1.jsonl": lambda path, number: path.with_name(f"{path.stem}.{number}{path.suffix}"),
    "app-1.jsonl": lambda path, number: path.with_name(f"{path.stem}-{number}{path.suffix}"),
    "old/app.jsonl.1": lambda path, number: path.parent / "old" / f"{path.name}.{number}",
    "old/app.1.jsonl": lambda path, number: path.parent / "old" / f"{path.stem}.{number}{path.suffix}",
}
"""How rotated files are called that are renamed again with each rotation, by what the first of them is called."""

DATED: dict[str, Callable[[Path, int], Path]] = {
    "app.jsonl-20261121": lambda path, day: path.with_name(f"{path.name}-{20261100 + day}"),
    "app-20261121.jsonl": lambda path, day: path.with_name(f"{path.stem}-{20261100 + day}{path.suffix}"),
    "app_2026-11-21T10-00.jsonl": lambda path, day: path.with_name(f"{path.stem}_2026-11-{day:02}T10-00{path.suffix}"),
}
"""The same for those that keep their names."""

MOST_CUT = 900
"""
Of how many bytes at the end of a log as many whole lines are cut off as there are.

What is before is compared as it was before the log was cut: docs/decisions/0012-copies-by-content.md says how far.
"""
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
        self.style = "app.jsonl.1"
        self.days = 0
        self.copied: dict[str, int] = {}
        self.rotated: list[Path] = []
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

    @initialize(style=st.sampled_from([*ROTATED, *DATED]))
    def name(self, style: str) -> None:
        """What rotated files are called in this folder."""
        self.style = style
        for folder in (self.root, self.root / "sub"):
            (folder / "old").mkdir()

    def logs(self) -> list[Path]:
        """What was rotated and not compressed, in the folder of any log."""
        being_packed = {plain for plain, *_ in self.packing}
        return sorted(path for path in self.rotated if path.exists() and path not in being_packed)

    def done(self, *paths: Path) -> None:
        """Something was done to *paths*, at a time of its own; they are hinted later."""
        self.touched |= {str(path) for path in paths}
        self.now += 1_000_000_000
        for path in paths:
            if path.exists():
                os.utime(path, ns=(self.now, self.now))

    def shift(self, name: str) -> Path:
        """Make room for a newly rotated file: rename those that were rotated before; where it is to be."""
        if self.style in DATED:
            self.days += 1
            self.rotated.append(DATED[self.style](self.root / name, self.days))
            return self.rotated[-1]
        chain = [ROTATED[self.style](self.root / name, 1)]
        while any(Path(f"{chain[-1]}{suffix}").exists() for suffix in ("", *PACKERS)):
            chain.append(ROTATED[self.style](self.root / name, len(chain) + 1))
        self.rotated = sorted({*self.rotated, *chain})
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

    def write(self, path: Path, data: bytes) -> None:
        """Write *data* where the text in the file ends, in place of NULs that are behind it."""
        path.touch()
        with path.open("r+b") as file:
            file.seek(text_length(path))
            file.write(data)
        self.done(path)

    @rule(name=NAMES, sizes=st.lists(st.sampled_from([1, 10, 30, 100, 2000]), min_size=1, max_size=4))
    def append(self, name: str, sizes: list[int]) -> None:
        """Write lines, one of which may be too long."""
        self.write(self.root / name, b"".join(self.line(size) for size in sizes))

    @rule(name=NAMES)
    def tear(self, name: str) -> None:
        """Write half a line; whatever is written next ends it."""
        self.write(self.root / name, self.line(5)[:-1])

    @rule(name=NAMES, size=st.sampled_from([1, HOLE, 5000, 200_000]), how=st.sampled_from(["truncate", "allocate"]))
    def pad(self, name: str, size: int, how: str) -> None:
        """Make the log longer by NULs, which are filled in place by what is written next."""
        path = self.root / name
        if path.exists():
            with path.open("r+b") as file:
                if how == "truncate":
                    file.truncate(path.stat().st_size + size)
                else:
                    os.posix_fallocate(file.fileno(), path.stat().st_size, size)
            self.done(path)

    @rule(name=NAMES)
    def write_behind(self, name: str) -> None:
        """Write behind the NULs, as whoever opens the log for appending does; fewer than a hole are content."""
        path = self.root / name
        if path.exists() and path.stat().st_size - text_length(path) >= HOLE:
            with path.open("ab") as file:
                file.write(self.line(1))
            self.done(path)

    @rule(name=NAMES)
    def trim(self, name: str) -> None:
        """Cut the NULs off."""
        path = self.root / name
        if path.exists():
            os.truncate(path, text_length(path))
            self.done(path)

    @rule(name=NAMES, lines=st.integers(0, 9), part=st.integers(0, 30))
    def cut(self, name: str, lines: int, part: int) -> None:
        """Cut off the line without an end and the last *lines* before it, or that one but for a *part*."""
        path = self.root / name
        if not path.exists() or name in self.copied:
            return  # of the log and its copy each would go on by itself, and be another log
        text = path.read_bytes()[: text_length(path)]
        whole = text.split(b"\n")[:-1]
        kept = sum(len(line) + 1 for line in whole[: max(len(whole) - lines, 0)])
        if len(text) - kept > MOST_CUT:
            kept = text.rfind(b"\n") + 1
        torn = text[kept : kept + part]
        os.truncate(path, kept + len(torn) if b":" in torn and b"\n" not in text[kept:] else kept)
        self.done(path)

    @rule(name=NAMES, where=st.sampled_from(["backup-{}.jsonl", "sub/{}.jsonl", "old/b.jsonl.bak.{}"]))
    def copy_aside(self, name: str, where: str) -> None:
        """Copy the log to any name, where it stays; both are looked at, as what is written makes itself heard."""
        path = self.root / name
        if path.exists() and text_length(path) >= 2 * WINDOW:
            self.copied[name] = self.copied.get(name, 0) + 1
            copy = self.root / where.format(self.written)
            shutil.copyfile(path, copy)
            self.done(copy)
            self.tail.look([str(path), str(copy)])

    @rule(data=st.data())
    def write_late(self, data: st.DataObject) -> None:
        """Write to a rotated file."""
        if paths := self.logs():
            self.write(data.draw(st.sampled_from(paths)), self.line(1))

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
        """Delete a rotated file, read or not, unless it has the rest of a line that was compressed without it."""
        if paths := [path for path in self.logs() if not any(has_torn(Path(f"{path}{suffix}")) for suffix in PACKERS)]:
            path = data.draw(st.sampled_from(paths))
            path.unlink()
            self.done(path)

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

    @rule()
    def look_and_read(self) -> None:
        """Look at everything, and read all of it."""
        self.scan()
        self.take_all()

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
        paths = [path for path in self.root.rglob("*.jsonl*") if path.is_file()]
        missing = {number for path in paths for number in on_disk(path)} - set(self.read)
        assert set() == missing
        self.tail.close()
        shutil.rmtree(self.root)


def on_disk(path: Path) -> list[int]:
    """The numbers of the whole lines in *path*."""
    lines = content_of(path).split(b"\n")[:-1]
    return [int(line.split(b":")[0].lstrip(b"\0")) for line in lines if b":" in line]


def has_torn(path: Path) -> bool:
    """Whether there is a file at *path* whose last line has no end."""
    return path.exists() and content_of(path)[-1:] not in (b"", b"\n")


def content_of(path: Path) -> bytes:
    """What is in *path*, unpacked."""
    unpack: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.decompress,
        ".bz2": bz2.decompress,
        ".xz": lzma.decompress,
        ".zst": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
    }
    return unpack.get(path.suffix, bytes)(path.read_bytes())


def text_length(path: Path) -> int:
    """How long the file is without the NULs at its end."""
    return len(path.read_bytes().rstrip(b"\0"))


class FewOpenMachine(TricksMachine):
    """The same with three files open at most."""

    max_open = 3


TestTricks = TricksMachine.TestCase
TestTricks.settings = examples(60, steps=25)
TestTricksFewOpen = FewOpenMachine.TestCase
TestTricksFewOpen.settings = examples(30, steps=25)
