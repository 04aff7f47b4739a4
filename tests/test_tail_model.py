"""
The real tail on real files, against a model of what must have been read.

Hypothesis appends, tears, takes half a line back, preallocates, fills in place, rotates, moves, deletes and looks in
any order; the test alone says when. Whatever was done, every whole line of a file that was ever seen must come out
once, in the order of the file, and no other line at all. Truncation of whole lines is left out: what it destroys before
it was read, nobody can read.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from extractor.tail.line_buffer import HOLE
from extractor.tail.position import Identity
from extractor.tail.tailer import Tail
from tests.profiles import examples, patient
from tests.tailing import numbers

pytestmark = patient
MAX_LINE_BYTES = 40
NAMES = st.sampled_from(["app.jsonl", "b.jsonl", "sub/c.jsonl"])
TORN = st.binary(max_size=50).map(lambda junk: junk.replace(b"\n", b"").replace(b":", b""))


@dataclass
class File:
    """
    What the model knows of one file: where it is, what was written to it, and whether the tail ever saw it.

    Its text ends at *end*, and its last line begins at *start*; NULs may follow.
    """

    path: Path | None
    identity: Identity
    whole: list[int] = field(default_factory=list)
    torn: int | None = None
    start: int = 0
    end: int = 0
    seen: bool = False


class TailMachine(RuleBasedStateMachine):
    """A folder that agents write to, a `Tail` that follows it, and the lines that came out."""

    max_open = 256
    places: tuple[str, ...] = ("logs/{}.gone", "logs/sub/{}.jsonl", "away/{}.jsonl")

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp())
        self.root, self.away = self.top / "logs", self.top / "away"
        (self.root / "sub").mkdir(parents=True)
        self.away.mkdir()
        self.files: list[File] = []
        self.touched: set[str] = set()
        self.numbers = self.moves = 0
        self.read: list[int] = []
        self.tail = self.start()

    def start(self, **options: Any) -> Tail:
        """Begin to follow the folder."""
        return Tail(
            [self.root],
            lambda name: ".jsonl" in name,
            lambda line: float(line.split(b":")[0]) if b":" in line else None,
            max_line_bytes=MAX_LINE_BYTES,
            max_open=self.max_open,
            **options,
        )

    def at(self, path: Path) -> File | None:
        """The file at *path*, if there is one."""
        return next((file for file in self.files if file.path == path), None)

    def write(self, file: File, line: bytes, *, end: bool, behind: bool = False) -> None:
        """
        Continue the torn line of *file*, or begin one with a number of its own, where its text ends.

        With *behind* that is behind the NULs, if there are any.
        """
        assert file.path is not None
        if behind:
            file.end = file.path.stat().st_size
        if file.torn is None:
            file.torn, file.start = self.numbers, file.end
            line = b"%d:" % self.numbers + line
            self.numbers += 1
        with file.path.open("r+b") as opened:
            opened.seek(file.end)
            file.end += opened.write(line + b"\n" * end)
        if end:
            file.whole.append(file.torn)
            file.torn = None
        self.touched.add(str(file.path))

    def move(self, file: File, path: Path) -> None:
        """Rename *file*, which is hinted later."""
        assert file.path is not None
        self.touched |= {str(file.path), str(path)}
        file.path = file.path.rename(path)

    @rule(name=NAMES, torn=TORN, end=st.booleans())
    def append(self, name: str, torn: bytes, end: bool) -> None:
        """Write a line, or a part of one, making the file if there is none."""
        path = self.root / name
        file = self.at(path)
        if file is None:
            path.touch()
            status = path.stat()
            file = File(path, Identity(status.st_dev, status.st_ino))
            self.files.append(file)
        self.write(file, torn, end=end)

    def any_log(self, data: st.DataObject, *, torn: bool = False) -> File | None:
        """A file that has a name, wherever it is, and half a line if that is asked for."""
        files = [file for file in self.files if file.path is not None and (file.torn is not None or not torn)]
        return data.draw(st.sampled_from(files)) if files else None

    @rule(
        data=st.data(),
        size=st.sampled_from([1, HOLE, 5000]),
        how=st.sampled_from(["truncate", "allocate", "write"]),
    )
    def pad(self, data: st.DataObject, size: int, how: str) -> None:
        """Make a file longer by NULs, which are filled in place by what is written next."""
        if (file := self.any_log(data)) is not None:
            assert file.path is not None
            with file.path.open("r+b") as opened:
                before = file.path.stat().st_size
                if how == "truncate":
                    opened.truncate(before + size)
                elif how == "allocate":
                    os.posix_fallocate(opened.fileno(), before, size)
                else:
                    opened.seek(before)
                    opened.write(bytes(size))
            self.touched.add(str(file.path))

    @rule(data=st.data(), torn=TORN)
    def write_behind(self, data: st.DataObject, torn: bytes) -> None:
        """Write behind the NULs, as whoever opens a file for appending does; fewer than a hole are content."""
        file = self.any_log(data)
        if file is not None and file.path is not None and file.path.stat().st_size - file.end >= HOLE:
            self.write(file, torn, end=True, behind=True)

    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        """Cut the NULs off."""
        if (file := self.any_log(data)) is not None:
            assert file.path is not None
            os.truncate(file.path, file.end)
            self.touched.add(str(file.path))

    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        """Cut off a line that has no end yet, or a part of it."""
        file = self.any_log(data, torn=True)
        if file is None:
            return
        assert file.path is not None
        assert file.torn is not None
        least = file.start + len(b"%d:" % file.torn)
        file.end = data.draw(st.sampled_from([file.start, *range(least, file.end)]))
        if file.end == file.start:
            file.torn = None
        os.truncate(file.path, file.end)
        self.touched.add(str(file.path))

    @rule(data=st.data(), torn=TORN)
    def write_late(self, data: st.DataObject, torn: bytes) -> None:
        """Write to any file that has a name, wherever it is."""
        if (file := self.any_log(data)) is not None:
            self.write(file, torn, end=True)

    @rule(name=NAMES, times=st.integers(1, 3))
    def rotate(self, name: str, times: int) -> None:
        """Rename the file and all those rotated before it, and begin it anew; several times before anyone looks."""
        for _ in range(times):
            chain = [self.root / name]
            while self.at(chain[-1]) is not None:
                chain.append(self.root / f"{name}.{len(chain)}")
            for old, new in reversed(list(pairwise(chain))):
                file = self.at(old)
                assert file is not None
                self.move(file, new)
            self.append(name, b"", end=True)

    @rule(name=NAMES, data=st.data())
    def move_off(self, name: str, data: st.DataObject) -> None:
        """To a name that is no log's, out of the tree, or into another folder of it."""
        file = self.at(self.root / name)
        if file is not None:
            self.moves += 1
            self.move(file, self.top / data.draw(st.sampled_from(self.places)).format(self.moves))

    @precondition(lambda self: self.max_open > 2)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete any file, read or not."""
        files = [file for file in self.files if file.path is not None]
        if files:
            file = data.draw(st.sampled_from(files))
            assert file.path is not None
            file.path.unlink()
            self.touched.add(str(file.path))
            file.path = None

    @rule()
    def scan(self) -> None:
        """Look at everything."""
        self.tail.scan()
        self.note_seen()

    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """Look at some of what was touched; the rest is hinted later, or never."""
        hints = data.draw(st.frozensets(st.sampled_from(sorted(self.touched)))) if self.touched else frozenset()
        self.tail.look(hints)
        self.touched -= hints
        self.note_seen()

    def note_seen(self) -> None:
        """Remember which files the tail knows by now: of those nothing may be lost."""
        known = {source.identity for source in self.tail.sources()}
        for file in self.files:
            file.seen = file.seen or (file.path is not None and file.identity in known)

    @rule(chunks=st.integers(1, 5), max_bytes=st.integers(1, 100))
    def read_some(self, chunks: int, max_bytes: int) -> None:
        """Read a little, cut anywhere."""
        for _ in range(chunks):
            self.take(max_bytes)

    @rule()
    def look_and_read(self) -> None:
        """Look at everything, and read all of it."""
        self.scan()
        while self.take(1000):
            pass

    def take(self, max_bytes: int) -> bool:
        """Read one chunk and note the numbers of its lines."""
        chunk = self.tail.next_chunk(max_bytes)
        self.note_seen()  # it looks at folders by itself when a file does not hold what it held
        self.read += numbers(chunk)
        return chunk is not None

    @invariant()
    def nothing_is_read_twice(self) -> None:
        """No line comes out again, under any name."""
        assert len(set(self.read)) == len(self.read)

    def teardown(self) -> None:
        """Let everything be read: of each file that was ever known came what was written to it, in its order."""
        for _ in range(3):
            self.scan()
            while self.take(1000):
                pass
        for file in self.files:
            mine = set(file.whole)
            assert (file.whole if file.seen else []) == [number for number in self.read if number in mine]
        assert 0 == self.tail.bytes_behind()
        self.tail.close()
        shutil.rmtree(self.top)


class FewOpenMachine(TailMachine):
    """With two files open at most and a new tail now and then: what stays in the tree is still read once."""

    max_open = 2
    places = ("logs/{}.gone", "logs/sub/{}.jsonl")

    @rule()
    def restart(self) -> None:
        """Read on with another tail, from the saved positions."""
        positions = self.tail.positions()
        self.tail.close()
        self.tail = self.start(positions=positions)


TestTail = TailMachine.TestCase
TestTail.settings = examples(50, steps=30)
TestFewOpen = FewOpenMachine.TestCase
TestFewOpen.settings = examples(50, steps=30)
