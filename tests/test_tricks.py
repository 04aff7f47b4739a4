"""What is truncated, rewritten, copied and made again: nothing is counted twice, and what is lost is told."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.tail.changes import Appeared, Continued, Duplicate, Rewritten, Truncated, Vanished
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import lines_of, read, tails

tail_of = pytest.fixture(tails)
Restart = Callable[[Tail], Tail]


@pytest.fixture(params=["up", "down"])
def restart(request: pytest.FixtureRequest, tail_of: Callable[..., Tail]) -> Callable[..., Tail]:
    """Go on with the same tail, or with another one that knows only what was saved."""

    def go_on(tail: Tail, *roots: Path) -> Tail:
        if request.param == "up":
            return tail
        return tail_of(*roots, positions=[Position(*position) for position in tail.positions()])

    return go_on


def numbered(first: int, last: int, width: int = 20) -> list[bytes]:
    """Lines that are all different and of one length."""
    return [b"%0*d\n" % (width, number) for number in range(first, last)]


@pytest.mark.parametrize("new", [3, 10, 30], ids=["smaller", "equal", "larger"])
def test_copytruncate(log: Log, restart: Callable[..., Tail], tail_of: Callable[..., Tail], new: int) -> None:
    """Whatever size the log has when it is looked at again, the copy is read on and the log from its start."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 10))
    assert numbered(0, 10) == read(tail)

    log.append(*numbered(10, 12))
    shutil.copyfile(log.path, root / "agent.jsonl.1")
    log.truncate()
    log.append(*numbered(100, 100 + new - (2 if new == 10 else 0)), *(numbered(200, 202) if new == 10 else ()))
    os.utime(log.path, (2e9, 2e9))
    tail = restart(tail, root)

    expected = numbered(10, 12) + numbered(100, 100 + new - (2 if new == 10 else 0))
    assert expected + (numbered(200, 202) if new == 10 else []) == sorted(read(tail))
    assert [] == read(tail)


@pytest.mark.parametrize("new", [3, 10, 30], ids=["smaller", "equal", "larger"])
def test_truncation_without_a_copy_is_told(
    log: Log, restart: Callable[..., Tail], tail_of: Callable[..., Tail], new: int
) -> None:
    """A log that holds something else is read from its start; what was seen of it and not read is told as lost."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 10))
    read(tail)
    log.tear(b"half")
    read(tail)

    log.truncate()
    log.append(*numbered(100, 100 + new))
    os.utime(log.path, (2e9, 2e9))
    resumed = restart(tail, root)
    happenings = list(resumed.scan())
    chunks = list(resumed.read())
    happenings += [happening for chunk in chunks for happening in chunk.happenings]

    kind = Truncated if new == 3 or (new == 10 and resumed is tail) else Rewritten
    lost = 4 if resumed is tail else None
    assert [kind(str(log.path), 210, lost)] == [each for each in happenings if not isinstance(each, Appeared)]
    assert numbered(100, 100 + new) == lines_of(chunks)


def test_a_copy_is_not_read_while_its_original_is_there(log: Log, tail_of: Callable[..., Tail]) -> None:
    """What `logrotate` copies is read from the original; only once that is truncated, the rest comes from the copy."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 100))
    assert numbered(0, 100) == read(tail)

    log.append(*numbered(100, 105))
    copy = shutil.copyfile(log.path, log.path.parent / "agent.jsonl-20261121")
    assert [Duplicate(str(copy), str(log.path))] == tail.look([str(copy)])
    assert 1 == tail.states()["copy"]
    assert [] == lines_of(tail.read())

    log.truncate()
    log.append(b"new")
    happenings = tail.look([str(log.path)])
    chunks = list(tail.read())

    assert [*numbered(100, 105), b"new\n"] == sorted(lines_of(chunks))
    happenings += [happening for chunk in chunks for happening in chunk.happenings] + tail.scan()
    assert [Continued(str(copy), str(log.path), 2100), Truncated(str(log.path), 2100, 0)] == happenings


def test_a_log_emptied_while_it_waits_comes_after_its_copy(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A writer's lines are read in their order, though the log was due with a line that is in its copy by now."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 100))
    assert numbered(0, 100) == read(tail)

    log.append(*numbered(100, 105))
    tail.look([str(log.path)])
    tail.oldest()
    copy = shutil.copyfile(log.path, log.path.parent / "agent.jsonl.1")
    log.truncate()
    log.append(*numbered(200, 203))
    tail.look([str(log.path), str(copy)])

    assert numbered(100, 105) + numbered(200, 203) == lines_of(tail.read())


def test_a_copy_in_progress_is_a_copy(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A copy that is seen before all of it is there is not taken for a new file."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 100))
    read(tail)
    copy = log.path.parent / "agent.jsonl.1"

    for size in (0, 1, 500, 1024, 2000, 2100):
        copy.write_bytes(log.path.read_bytes()[:size])
        assert [] == read(tail)
    log.truncate()

    assert [] == read(tail)
    assert 2 == tail.states()["active"]


def test_a_copy_that_was_cut_short_is_not_read_again(log: Log, tail_of: Callable[..., Tail]) -> None:
    """What was written between the copying and the truncating, and read, is not in the copy: nothing is left there."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 100))
    read(tail)
    shutil.copyfile(log.path, log.path.parent / "agent.jsonl.1")
    log.append(*numbered(100, 110))
    assert numbered(100, 110) == read(tail)

    log.truncate()

    assert [] == read(tail) + read(tail)


def test_the_same_first_lines_again(log: Log, restart: Callable[..., Tail], tail_of: Callable[..., Tail]) -> None:
    """A log that is truncated and begins with the same lines again is read from its start, unless nothing differs."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 200))
    read(tail)

    log.truncate()
    log.append(*numbered(0, 150), *numbered(1000, 1100))
    tail = restart(tail, log.path.parent)

    assert numbered(0, 150) + numbered(1000, 1100) == read(tail)


def test_files_that_begin_alike(tmp_path: Path, restart: Callable[..., Tail], tail_of: Callable[..., Tail]) -> None:
    """A hundred files with the same first kilobytes are a hundred files, and each is read on where it was."""
    paths = [tmp_path / f"{number}.jsonl" for number in range(90)]
    paths += [tmp_path / f"0.jsonl.{number}" for number in range(10)]
    same = b"".join(numbered(0, 300))
    for number, path in enumerate(paths):
        path.write_bytes(same + b"%d\n" % number)
    tail = tail_of(tmp_path)
    assert 100 * 301 == len(read(tail))

    for path in paths:
        with path.open("ab") as file:
            file.write(b"more\n")
    tail = restart(tail, tmp_path)

    assert [b"more\n"] * 100 == read(tail)


def test_an_inode_that_is_used_again(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A file that got the inode of one that was read is another file: it is read from its start."""
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_bytes(b"".join(numbered(0, 10)))
    tail = tail_of(tmp_path)
    read(tail)
    old.unlink()
    new.write_bytes(b"".join(numbered(100, 150)))
    inode = new.stat().st_ino

    resumed = tail_of(tmp_path, positions=[position._replace(inode=inode) for position in tail.positions()])

    assert [Vanished(str(old), 210, None), Appeared(str(new), 0)] == sorted(resumed.scan(), key=str, reverse=True)
    assert numbered(100, 150) == lines_of(resumed.read())


def test_an_inode_that_is_used_again_while_nobody_looks(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A file that was not open, and whose inode holds another content now, is read from its start."""
    tail = tail_of(tmp_path, max_open=1)
    paths = [tmp_path / f"{number}.jsonl" for number in range(2)]
    for path in paths:
        path.write_bytes(b"".join(numbered(0, 10)))
    read(tail)
    closed = next(Path(source.path) for source in tail.sources() if not source.is_open)

    with closed.open("r+b") as file:  # what the file system does when it gives the inode away
        file.write(b"".join(numbered(100, 120)))

    assert numbered(100, 120) == read(tail)


def test_rotations_while_down(log: Log, tail_of: Callable[..., Tail]) -> None:
    """However often the log was rotated meanwhile, it is read on where it was, and what came after it is read."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 10))
    read(tail)

    expected = []
    for number in range(10, 60, 10):
        expected += numbered(number, number + 10)
        log.append(*numbered(number, number + 10))
        log.rotate()
    resumed = tail_of(log.path.parent, positions=tail.positions())

    assert expected == read(resumed)


@pytest.mark.parametrize("name", ["agent.jsonl", "agent.jsonl.1", "archive/agent.jsonl"])
def test_a_file_moved_to_another_disk_while_down(log: Log, tail_of: Callable[..., Tail], name: str) -> None:
    """What is put in its place with another inode, or somewhere else, is known by its content and read on."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 10))
    read(tail)

    log.append(*numbered(10, 12))
    copy = shutil.copyfile(log.path, root / "copy")
    log.path.unlink()
    (root / "archive").mkdir()
    copy.rename(root / name)
    resumed = tail_of(root, positions=tail.positions())

    assert [Continued(str(root / name), str(log.path), 210)] == resumed.scan()
    assert numbered(10, 12) == lines_of(resumed.read())


def test_a_file_that_vanished_while_down_is_told(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A file that was there when the position was saved, and is not there now, may have had more: that is told once."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 10))
    read(tail)
    log.path.unlink()
    resumed = tail_of(log.path.parent, positions=tail.positions())

    assert [Vanished(str(log.path), 210, None)] == resumed.scan()
    assert [] == tail_of(log.path.parent, positions=resumed.positions()).scan()


def test_what_is_remembered_of_gone_files_is_bounded(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Of files that were deleted the last thousand are remembered."""
    tail = tail_of(tmp_path)
    for start in range(0, 1500, 100):
        paths = [tmp_path / f"{number}.jsonl" for number in range(start, start + 100)]
        for path in paths:
            path.write_bytes(b"1\n")
        read(tail)
        for path in paths:
            path.unlink()
        read(tail)
        read(tail)

    assert 1000 == len(tail.positions())
    expected = {str(tmp_path / f"{number}.jsonl") for number in range(500, 1500)}
    assert expected == {position.path for position in tail.positions()}


def test_a_single_file_is_followed_through_rotations(
    log: Log, restart: Callable[..., Tail], tail_of: Callable[..., Tail]
) -> None:
    """Of a root that is a file, what it is rotated to faster than we look is read, and what lay beside it is not."""
    old = log.path.with_name("agent.jsonl.7")
    old.write_bytes(b"".join(numbered(900, 910)))
    os.utime(old, (1e9, 1e9))
    log.path.with_name("other.jsonl").write_bytes(b"".join(numbered(800, 810)))
    tail = tail_of(log.path)
    log.append(*numbered(0, 10))
    assert numbered(0, 10) == read(tail)

    expected = []
    for number in range(10, 40, 10):
        expected += numbered(number, number + 10)
        log.append(*numbered(number, number + 10))
        log.rotate()
    log.append(*numbered(40, 50))
    tail = restart(tail, log.path)

    assert expected + numbered(40, 50) == read(tail)
    assert expected[:0] == read(tail)
