"""The files of rejects: what they may take, and that a rejected line is kept or counted as lost, never neither."""

import json
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from extractor.errors import CheckpointError
from extractor.events.reader import Reason, Reject
from extractor.ingest.pipeline import Rejected
from extractor.service.checkpoint import StateDirectory
from extractor.service.reject_entry import entry_of
from extractor.service.rejects import RejectFile
from tests.conftest import Log
from tests.reading import line
from tests.test_requeue import follow

assert follow  # a fixture

NAMES = ("rejects.jsonl.1", "rejects.jsonl")
FLOOD = 30_000


def rejected(number: int, length: int = 10) -> Rejected:
    """A line of its own: its offset is its number."""
    return Rejected("a.jsonl", number, Reject(Reason.NOT_JSON, "", "no"), b"x" * length)


def offsets(state_dir: Path) -> list[int]:
    """The offsets of what is kept, oldest first."""
    paths = [state_dir / name for name in NAMES if (state_dir / name).exists()]
    return [json.loads(text)["offset"] for path in paths for text in path.read_text().splitlines()]


def size(state_dir: Path) -> int:
    """The bytes of all files of rejects."""
    return sum(path.stat().st_size for path in state_dir.glob("rejects*"))


@pytest.mark.parametrize("most", [1, 1000, 100_000, 1_000_000])
def test_the_limit_is_a_limit(most: int, log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """All files together are within it; of a flood the newest are kept, and the others are counted as lost."""
    log.append(*(b"{%d" % number for number in range(FLOOD)))
    saved = follow(Path("schemas/agent"), max_reject_bytes=most)
    state_dir = tmp_path / "state"
    kept = offsets(state_dir)

    assert size(state_dir) <= most
    assert FLOOD == sum(saved["stats"]["rejects"].values()) == len(kept) + saved["stats"]["lost_rejects"]
    ends = [place for place, byte in enumerate(b"\n" + log.path.read_bytes()) if byte == ord("\n")]
    assert kept == (ends[:-1][-len(kept) :] if kept else [])
    assert len(kept) * 200 >= min(most, FLOOD * 150) // 4 - 200


def test_nothing_is_lost_below_the_limit(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """However many lines are rejected between two checkpoints: what there is room for is kept."""
    log.append(*(b"{%d" % number for number in range(FLOOD)))
    saved = follow(Path("schemas/agent"), max_reject_bytes=400 * FLOOD, checkpoint_interval=600.0)

    assert FLOOD == len(set(offsets(tmp_path / "state")))
    assert 0 == saved["stats"]["lost_rejects"]


@pytest.mark.parametrize("most", [5_000, 500])
def test_a_lower_limit(most: int, log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """A limit that was lowered between two starts holds at once; what it costs is counted as lost."""
    log.append(*(b"{%d" % number for number in range(100)))
    follow(Path("schemas/agent"), max_reject_bytes=50_000)
    saved = follow(Path("schemas/agent"), max_reject_bytes=most)

    assert size(tmp_path / "state") <= most
    assert 100 == len(offsets(tmp_path / "state")) + saved["stats"]["lost_rejects"]


@pytest.fixture
def rejects(tmp_path: Path) -> Iterator[RejectFile]:
    """Files of rejects without a limit to speak of."""
    directory = StateDirectory(tmp_path / "state")
    yield RejectFile(directory, 1 << 30)
    directory.close()


@contextmanager
def file_limit(number: int) -> Iterator[None]:
    """No file can become longer than so many bytes, which is what a full disk looks like in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("most", range(0, 400, 7))
def test_a_disk_that_is_full_within_a_line(most: int, rejects: RejectFile, tmp_path: Path) -> None:
    """Half an entry never stays: once there is room, each is written once, whole, and in order."""
    rejects.write(rejected(0))
    rejects.flush(1)
    whole = size(tmp_path / "state")
    for number in range(1, 4):
        rejects.write(rejected(number))
    with file_limit(whole + most):
        try:
            rejects.flush(1)
        except OSError:
            assert rejects.pending > 0
        else:
            assert rejects.pending == 0
    rejects.write(rejected(4))
    rejects.flush(1)

    assert list(range(5)) == offsets(tmp_path / "state")
    assert (5, 0) == (rejects.kept, rejects.losses())


def test_killed_within_an_entry(memory: Path) -> None:
    """What is left of an entry that was begun after the checkpoint is removed, wherever it breaks off."""
    directory = StateDirectory(memory / "state")
    path = memory / "state" / "rejects.jsonl"
    whole, begun = entry_of(rejected(0), 9), entry_of(rejected(1), 10)
    for end in range(len(begun) + 1):
        path.write_bytes(whole + begun[:end])
        again = RejectFile(directory)
        again.restore(9, 1)

        assert (whole, 1, 0) == (path.read_bytes(), again.kept, again.losses())
    directory.close()


def test_damaged_within_an_entry(memory: Path) -> None:
    """What is left of an entry that the checkpoint counts stays, for a person to see, once it says whose it is."""
    directory = StateDirectory(memory / "state")
    path = memory / "state" / "rejects.jsonl"
    whole, last = entry_of(rejected(0), 9), entry_of(rejected(1), 9)
    says = len(b'{"checkpoint": 9,')
    for end in range(len(last)):
        path.write_bytes(whole + last[:end])
        again = RejectFile(directory)
        again.restore(9, 2)

        assert path.read_bytes() == whole + (last[:end] if end >= says else b"")
        assert 2 == again.kept + again.losses()
    directory.close()


def test_what_waits_is_bounded(rejects: RejectFile, tmp_path: Path) -> None:
    """While nothing can be written some lines wait; beyond 4 MiB they are lost, and counted as such."""
    (tmp_path / "state").rename(tmp_path / "away")
    for number in range(9):
        rejects.write(rejected(number, length=1 << 20))
        with pytest.raises(CheckpointError, match="is not the directory that this process started with"):
            rejects.flush(1)
        assert rejects.pending <= 4
    (tmp_path / "away").rename(tmp_path / "state")
    rejects.flush(1)

    assert (9, 4) == (rejects.losses() + rejects.kept, rejects.kept)


def test_two_threads(rejects: RejectFile) -> None:
    """What one thread writes another can bring to disk meanwhile."""
    done = threading.Event()
    troubles: list[BaseException] = []

    def sync() -> None:
        while not done.is_set():
            try:
                rejects.sync()
            except BaseException as error:  # noqa: BLE001  # it belongs to the test
                troubles.append(error)

    thread = threading.Thread(target=sync)
    thread.start()
    for number in range(300):
        rejects.write(rejected(number))
        rejects.flush(1)
    done.set()
    thread.join()

    assert ([], 300) == (troubles, rejects.kept)


@pytest.mark.parametrize("change", [b"", b'{"mine": 1}', b"\n\n", b"?\n"])
def test_edited_while_it_runs(change: bytes, rejects: RejectFile, tmp_path: Path) -> None:
    """Who edits the file, empties it or deletes it meanwhile finds no entry damaged by what is written next."""
    path = tmp_path / "state" / "rejects.jsonl"
    rejects.write(rejected(0))
    rejects.flush(1)
    path.unlink()
    path.write_bytes(change)
    rejects.write(rejected(1))
    rejects.flush(1)
    *before, last = path.read_bytes().splitlines(keepends=True)
    assert change == b"".join(before).removesuffix(b"" if change.endswith(b"\n") else b"\n")
    assert 1 == json.loads(last)["offset"]

    path.write_bytes(b"")
    rejects.write(rejected(2))
    rejects.flush(1)
    assert [2] == offsets(tmp_path / "state")

    path.unlink()
    rejects.write(rejected(3))
    rejects.flush(1)
    assert [3] == offsets(tmp_path / "state")


def test_a_good_line_is_no_reject(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """Without rejects there is no file of them."""
    log.append(line("run.start"))
    follow(Path("schemas/agent"))

    assert not (tmp_path / "state" / "rejects.jsonl").exists()
