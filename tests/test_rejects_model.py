"""
The real files of rejects and checkpoints, against a model of what must be kept.

Hypothesis rejects lines, saves, kills, damages, copies, unmounts and edits in any order. Whatever was done, each
rejected line is kept once or counted as lost, once, and the files never hold more than they may.
"""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from extractor.errors import CheckpointError
from extractor.events.reader import Reason, Reject
from extractor.ingest.pipeline import Rejected
from extractor.service.checkpoint import StateDirectory, number_of
from extractor.service.reject_entry import entry_of
from extractor.service.rejects import RejectFile
from tests.profiles import examples, patient

pytestmark = patient
SHARED = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
NAMES = ("rejects.jsonl.1", "rejects.jsonl")


def rejected(number: int, length: int) -> Rejected:
    """A line of its own: its offset is its number."""
    return Rejected("a.jsonl", number, Reject(Reason.NOT_JSON, "", 'it is not "JSON"'), b"\xc3\xa9x" * length)


class RejectsMachine(RuleBasedStateMachine):
    """An extractor that reads nothing but bad lines, one after the other; `read` says how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(dir=SHARED))
        self.path = self.top / "state"
        self.number, self.read, self.lost, self.most = 1, 0, 0, 1500
        self.start()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.directory.close()
        shutil.rmtree(self.top)

    def start(self) -> None:
        """Go on from what is in the directory."""
        self.directory = StateDirectory(self.path)
        self.rejects = RejectFile(self.directory, self.most)
        value, _ = self.directory.load()
        if value is None:
            self.rejects.clear()
            self.number, self.read, self.lost = 1, 0, 0
        else:
            self.number, self.read, self.lost = number_of(value) + 1, value["read"], value["lost"]
            self.rejects.restore(number_of(value), value["rejects"])
        self.count()

    def count(self) -> None:
        """Note what was lost."""
        self.lost += self.rejects.losses()

    @rule(lengths=st.lists(st.integers(0, 60) | st.just(600), max_size=12))
    def reject(self, lengths: list[int]) -> None:
        """Reject some lines."""
        for length in lengths:
            self.rejects.write(rejected(self.read, length))
            self.read += 1

    @rule()
    def flush(self) -> None:
        """Write them."""
        self.rejects.flush(self.number)
        self.count()

    @rule(is_refused=st.booleans())
    def save(self, *, is_refused: bool) -> None:
        """Save a checkpoint, unless the disk refuses it after all."""
        self.rejects.check(self.number)
        self.rejects.flush(self.number)
        self.count()
        value = {"number": self.number, "read": self.read, "lost": self.lost, "rejects": self.rejects.kept}
        self.number += 1
        self.rejects.sync()
        if not is_refused:
            self.directory.save(value)

    @rule(
        written=st.integers(0, 200),
        damaged=st.sets(st.sampled_from(["checkpoint", "checkpoint.previous"])),
        is_copied=st.booleans(),
        most=st.sampled_from([700, 1500, 1500, 6000]),
    )
    def kill(self, written: int, damaged: set[str], most: int, *, is_copied: bool) -> None:
        """End in the middle of writing an entry, and start again, perhaps on a copy or from an older checkpoint."""
        self.directory.close()
        path = self.path / "rejects.jsonl"
        if not path.exists() or path.read_bytes()[-1:] in {b"", b"\n"}:
            with path.open("ab") as file:
                file.write(entry_of(rejected(self.read, 5), self.number)[:written])
        for name in damaged:
            if (self.path / name).exists():
                (self.path / name).write_bytes(b"")
        if is_copied:
            shutil.copytree(self.path, self.top / "copy")
            shutil.rmtree(self.path)
            (self.top / "copy").rename(self.path)
        self.most = most
        self.start()

    @rule(place=st.integers(0, 30), kind=st.sampled_from(["remove", "reverse", "crlf", "blank", "keys", "unended"]))
    def edit(self, place: int, kind: str) -> None:
        """Stop after a checkpoint, and let a person edit the newer file; the editor makes another file of it."""
        self.save(is_refused=False)
        self.directory.close()
        path = self.path / "rejects.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        match kind:
            case "remove":
                del lines[place : place + 2]
            case "reverse":
                lines.reverse()
            case "crlf":
                lines = [line + "\r" for line in lines]
            case "blank":
                lines.insert(place, "")
            case "keys":
                lines = [json.dumps(json.loads(line), sort_keys=True) for line in lines if line.strip()]
        (self.path / "edited").write_text("".join(line + "\n" for line in lines)[: -1 if kind == "unended" else None])
        (self.path / "edited").rename(path)
        self.start()

    @rule(is_empty=st.booleans())
    def unmount(self, *, is_empty: bool) -> None:
        """Something else is at the path for a while, or nothing is: nothing is written there, and nothing lost."""
        with self.away():
            if is_empty:
                self.path.mkdir()
            self.rejects.write(rejected(self.read, 1))
            self.read += 1
            for act in (lambda: self.rejects.flush(self.number), lambda: self.rejects.check(self.number)):
                try:
                    act()
                except CheckpointError as error:
                    assert "is not the directory that this process started with" in str(error)  # noqa: PT017
                else:
                    raise AssertionError
            if is_empty:
                self.path.rmdir()

    @contextmanager
    def away(self):
        """The directory has another name."""
        self.path.rename(self.top / "away")
        yield
        (self.top / "away").rename(self.path)

    @precondition(lambda self: not self.rejects.pending)
    @rule(is_made=st.booleans())
    def delete(self, *, is_made: bool) -> None:
        """The directory is deleted, and what was in it is lost."""
        shutil.rmtree(self.path)
        if is_made:
            self.path.mkdir()
        self.save(is_refused=False)

    @invariant()
    def each_is_kept_once_or_lost(self) -> None:
        """And no file has more than it may."""
        paths = [self.path / name for name in NAMES if (self.path / name).exists()]
        lines = [line for path in paths for line in path.read_text().splitlines() if line.strip()]
        numbers = [json.loads(line)["offset"] for line in lines]
        assert len(numbers) == len(set(numbers))
        assert set(numbers) <= set(range(self.read))
        assert self.read == len(numbers) + self.lost + self.rejects.pending
        assert sum(path.stat().st_size for path in paths) <= self.most
        assert {"checkpoint.new", "rejects.jsonl.cut"}.isdisjoint(path.name for path in self.path.iterdir())


RejectsMachine.TestCase.settings = examples(150, steps=25)
TestRejects = RejectsMachine.TestCase
