"""
What the model test found of files that are not open: their inodes are given to others, and their content is elsewhere.

What a file system does when it gives an inode away is done here by writing something else to the file and renaming it.
"""

import bz2
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.tail.changes import Vanished, trouble
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import is_log, lines_of, read, tails
from tests.test_tricks import numbered
from tests.test_tricks_ends import Clock

tail_of = pytest.fixture(tails)


def write(path: Path, *lines: bytes) -> Path:
    """The file at *path*, which holds *lines* now."""
    path.write_bytes(b"".join(lines))
    return path


def close(tail: Tail, path: Path) -> None:
    """Another file is opened in place of the one at *path*, of a tail that may have one open."""
    write(path.with_name("z.jsonl"), b"0\n")
    read(tail)
    assert not next(source for source in tail.sources() if source.path == str(path)).is_open


def test_an_inode_that_a_copy_in_another_family_got(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A closed file that has another name and changed is compared before anything is taken for new."""
    tail = tail_of(tmp_path, max_open=1)
    log = write(tmp_path / "a.jsonl", *numbered(0, 5))
    old = write(tmp_path / "b.jsonl.1", *numbered(5, 10))
    read(tail)
    close(tail, old)

    write(tmp_path / "b.jsonl.1.bz2", bz2.compress(old.read_bytes()))
    shutil.copyfile(log, old)
    old.rename(tmp_path / "a.jsonl.1")
    write(log)

    assert [] == read(tail) + read(tail) + read(tail)


def test_an_inode_of_what_was_read_to_its_end(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Nothing was lost of a closed file that was read to its end, and nobody needs to be told of it."""
    tail = tail_of(tmp_path, max_open=1)
    old = write(tmp_path / "b.jsonl.1", *numbered(5, 10))
    read(tail)
    close(tail, old)
    write(old, *numbered(0, 5)).rename(tmp_path / "a.jsonl.1")

    happenings = tail.scan()
    assert Vanished(str(old), 105, 0) in happenings
    assert [""] == [*{trouble(each) for each in happenings}]
    assert numbered(0, 5) == lines_of(tail.read())


def test_an_inode_and_a_name_that_a_copy_got(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A closed file of which nothing was read is as good as new once it changed, under its own name, too."""
    tail = tail_of(tmp_path, max_open=1)
    log = write(tmp_path / "a.jsonl", *numbered(0, 5))
    old = write(tmp_path / "a.jsonl.1", *numbered(5, 10))
    tail.scan()
    chunk = tail.next_chunk()
    assert numbered(0, 5) == lines_of([chunk] if chunk else [])
    shutil.copyfile(log, old)

    assert [] == read(tail) + read(tail)


def test_a_truncated_log_that_was_closed_and_renamed(log: Log, tail_of: Callable[..., Tail]) -> None:
    """What was read of any file is compared before it is asked what the others hold: copies and their copies."""
    tail = tail_of(log.path.parent, max_open=1)
    log.append(*numbered(0, 5))
    old = log.rotate()
    log.append(*numbered(5, 10))
    assert numbered(0, 10) == read(tail)
    close(tail, log.path)

    shutil.copyfile(log.path, old)
    log.truncate()
    old.rename(log.path.with_name("agent.jsonl.3"))
    log.path.rename(log.path.with_name("agent.jsonl.2"))

    assert [] == read(tail) + read(tail)


def test_a_half_line_of_a_closed_file_that_is_gone(log: Log, tail_of: Callable[..., Tail]) -> None:
    """Nothing is waited for in a file that cannot be opened any more."""
    now = 0.0
    tail = tail_of(log.path.parent, max_open=1, clock=lambda: now)
    log.tear(b"half")
    read(tail)
    old = log.rotate()
    log.append(b"new")
    assert [b"new\n"] == read(tail)
    close(tail, old)
    old.unlink()
    tail.look([])
    now = 61.0

    assert [] == read(tail) + read(tail)


def test_no_line_is_asked_for_its_time_from_its_middle(log: Log) -> None:
    """Before anything is read ahead, what was read before it is compared."""
    asked: list[bytes] = []
    tail = Tail([log.path.parent], is_log, asked.append)
    log.append(b"one")
    log.path.with_name("b.jsonl").write_bytes(b"b\n")
    read(tail)
    log.path.write_bytes(b"other line\n")
    log.path.with_name("b.jsonl").write_bytes(b"b\nc\n")

    assert {b"other line\n", b"c\n"} == {*read(tail)}
    assert set(asked) <= {b"one", b"b", b"c", b"other line"}
    tail.close()


@pytest.mark.parametrize("fate", ["", "copy", "hidden"])
def test_a_compressed_file_that_got_a_saved_inode(tmp_path: Path, tail_of: Callable[..., Tail], fate: str) -> None:
    """After a restart, too, a compressed file is not the plain one that had its inode, even if it holds as much."""
    log = write(tmp_path / "a.jsonl", *numbered(0, 5))
    tail = tail_of(tmp_path)
    read(tail)
    packed = write(tmp_path / "b.jsonl.1.bz2", bz2.compress(b"".join(numbered(0, 10))))
    [position] = tail.positions()
    status = packed.stat()
    log.unlink()
    saved: Position = position._replace(device=status.st_dev, inode=status.st_ino, fate=fate)

    assert numbered(0, 10) == read(tail_of(tmp_path, positions=[saved]))


def test_an_inode_of_a_file_whose_last_line_is_given_up(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """That nobody will end a line is true of that file only, and not of the copy that has its inode now."""
    clock = Clock()
    tail = tail_of(tmp_path, max_open=1, clock=clock)
    log, other = write(tmp_path / "a.jsonl", b"5\n"), write(tmp_path / "b.jsonl", *numbered(0, 5))
    old = write(tmp_path / "a.jsonl.1", *numbered(5, 10), b"half")
    read(tail)
    close(tail, old)
    for _ in range(2):
        clock.now += 60
        tail.scan()

    shutil.copyfile(other, old)
    old.rename(tmp_path / "b.jsonl.1")
    log.unlink()
    tail.scan()

    assert [] == [piece for chunk in tail.read() for piece in chunk.pieces]
