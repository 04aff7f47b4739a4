"""What the model test found on the way, by name; and that what can happen to a file is documented."""

import bz2
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.tail.changes import Truncated, table
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import lines_of, read, tails
from tests.test_tricks import numbered

tail_of = pytest.fixture(tails)


def copied(log: Log, name: str) -> Path:
    """A copy of the log beside it."""
    return Path(shutil.copyfile(log.path, log.path.with_name(name)))


def test_a_copy_of_what_was_not_read_yet(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A log that is seen, copied and truncated before a byte of it was read is read from the copy."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    tail.scan()
    copied(log, "agent.jsonl.1")
    tail.scan()
    log.truncate()

    assert numbered(0, 5) == read(tail)
    assert [] == read(tail)


def test_a_truncation_that_is_seen_after_its_copy(log: Log, tail_of: Callable[..., Tail]) -> None:
    """When copy and truncation are found at once, the log is looked at before the copy is taken for new."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    assert numbered(0, 5) == read(tail)
    copied(log, "agent.jsonl.1")
    log.truncate()

    assert [] == read(tail) + read(tail)


def test_a_truncated_log_that_was_then_renamed(log: Log, tail_of: Callable[..., Tail]) -> None:
    """Copied, truncated, and renamed before anyone looks: the copy is known although the log has another name."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    assert numbered(0, 5) == read(tail)
    copied(log, "agent.jsonl.2")
    log.truncate()
    log.path.rename(log.path.with_name("agent.jsonl.1"))
    log.append(b"new")

    assert [b"new\n"] == read(tail)
    assert [] == read(tail)


def test_a_second_copy_before_the_first_was_seen(log: Log, tail_of: Callable[..., Tail]) -> None:
    """What a log holds after it was truncated may be copied in its turn before the truncation is seen."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    assert numbered(0, 5) == read(tail)
    copied(log, "agent.jsonl.2")
    log.truncate()
    log.append(*numbered(5, 10))
    copied(log, "agent.jsonl.1")

    assert numbered(5, 10) == read(tail)
    log.truncate()
    assert [] == read(tail) + read(tail)


def test_a_log_that_was_replaced_before_it_was_read(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A copy is compared again with what was really read: before that, its original may have got other content."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    tail.scan()
    copied(log, "agent.jsonl.2")
    tail.scan()
    log.truncate()
    log.append(*numbered(5, 10))
    lines = lines_of([chunk] if (chunk := tail.next_chunk(50)) else [])
    copied(log, "agent.jsonl.1")
    log.truncate()
    lines += lines_of([chunk] if (chunk := tail.next_chunk(50)) else [])

    assert numbered(0, 10) == sorted(lines + read(tail))


def test_late_writes_to_a_copy(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A copy that grows by itself is read from where it was a copy, also after its original was truncated."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    read(tail)
    copy = copied(log, "agent.jsonl.1")
    assert [] == read(tail)
    log.truncate()
    with copy.open("ab") as file:
        file.writelines(numbered(5, 7))

    assert numbered(5, 7) == read(tail)


def test_a_copy_that_was_cut_short_and_a_restart(log: Log, tail_of: Callable[..., Tail]) -> None:
    """What is known of a copy that has less than was read of its original survives a restart."""
    log.append(*numbered(0, 100))
    tail = tail_of(log.path.parent)
    read(tail)
    copied(log, "agent.jsonl.1")
    read(tail)
    log.append(*numbered(100, 110))
    read(tail)
    log.truncate()

    assert [] == read(tail_of(log.path.parent, positions=tail.positions()))


def test_a_compressed_copy_of_what_was_not_open(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A file that was closed, compressed and deleted between two looks is continued by what it was compressed to."""
    root = log.path.parent
    tail = tail_of(root, max_open=1)
    log.append(*numbered(0, 5))
    read(tail)
    old = log.rotate()
    log.append(b"new")
    read(tail)
    assert not next(source for source in tail.sources() if source.path == str(old)).is_open
    with old.open("ab") as file:
        file.write(b"late\n")
    old.with_name(f"{old.name}.bz2").write_bytes(bz2.compress(old.read_bytes()))
    old.unlink()

    tail.look([str(old)])
    assert [b"late\n"] == lines_of(tail.read()) + read(tail) + read(tail) + read(tail)


def test_a_copy_that_got_the_inode_of_an_unread_file(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A saved position before the first line says nothing of what the file that has the inode now holds."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    read(tail)
    status = copied(log, "agent.jsonl.1").stat()
    unread = Position(str(log.path.with_name("b.jsonl")), status.st_dev, status.st_ino, 0, 0, "", 0, "", -1, 0)

    assert [] == read(tail_of(log.path.parent, positions=[*tail.positions(), unread]))


def test_a_compressed_file_that_got_the_inode_of_a_plain_one(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A plain file and a compressed one are never the same file, whatever their inodes say."""
    tail = tail_of(tmp_path, max_open=1)
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(b"".join(numbered(0, 5)))
    read(tail)
    closed = next(Path(source.path) for source in tail.sources() if not source.is_open)

    closed.write_bytes(bz2.compress(b"".join(numbered(5, 10))))  # what the file system does when it gives it away
    closed.rename(tmp_path / "c.jsonl.1.bz2")

    assert numbered(5, 10) == read(tail)


def test_a_truncation_before_anything_was_read(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A log that was seen and truncated before a byte of it was read had as many bytes as were seen; they are lost."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    tail.scan()
    log.truncate()
    log.append(b"new")

    happenings = tail.look([str(log.path)])
    chunks = list(tail.read())
    happenings += [happening for chunk in chunks for happening in chunk.happenings]
    assert [Truncated(str(log.path), 0, 105)] == happenings
    assert [b"new\n"] == lines_of(chunks)


def test_a_copy_that_is_hinted_before_the_truncation(log: Log, tail_of: Callable[..., Tail]) -> None:
    """Who hears of a copy first looks at the log, of which nothing was said yet, before taking the copy for new."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    read(tail)
    copy = copied(log, "agent.jsonl.1")
    log.truncate()

    tail.look([str(copy)])
    assert [] == lines_of(tail.read()) + read(tail)


@pytest.mark.parametrize("size", [20, 500, None], ids=["begun", "half", "whole"])
def test_a_compressed_file_that_is_hinted_first(tmp_path: Path, tail_of: Callable[..., Tail], size: int | None) -> None:
    """Who hears of a compressed file first also looks for the plain one beside it."""
    plain = tmp_path / "agent.jsonl.1"
    plain.write_bytes(b"".join(numbered(0, 300)))
    packed = tmp_path / "agent.jsonl.1.gz"
    data = gzip.compress(plain.read_bytes())
    packed.write_bytes(data[:size])
    tail = tail_of(tmp_path)

    tail.look([str(packed)])
    lines = lines_of(tail.read())
    packed.write_bytes(data)

    assert numbered(0, 300) == lines + read(tail)


def test_a_copy_whose_original_is_deleted_unread(log: Log, tail_of: Callable[..., Tail]) -> None:
    """As long as its original was not read, a copy is saved as unread: a crash may leave only the copy."""
    root = log.path.parent
    log.append(*numbered(0, 5))
    old = log.rotate()
    packed = old.with_name(f"{old.name}.bz2")
    packed.write_bytes(bz2.compress(old.read_bytes()))
    os.utime(packed, (1, 1))
    tail = tail_of(root)
    tail.scan()
    old.unlink()
    packed.rename(root / "agent.jsonl.7.bz2")
    tail.scan()

    assert numbered(0, 5) == read(tail_of(root, positions=tail.positions()))


def test_every_kind_of_happening_is_documented() -> None:
    """Each kind has a row in docs/guarantees.md, and no other kind has one."""
    text = Path("docs/guarantees.md").read_text()
    rows = text.split("| kind | meaning | lost |")[1].splitlines()[2:]

    assert [kind for kind, _ in table()] == [row.split("`")[1] for row in rows if row.startswith("| `")]
