"""More of what the model test found: copies of copies, of what was not read, and of what only begins alike."""

import gzip
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.tail.line_buffer import Unfinished
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import lines_of, read, tails
from tests.test_tricks import numbered
from tests.test_tricks_found import copied

tail_of = pytest.fixture(tails)


def compressed(begun: bytes, rest: bytes) -> tuple[bytes, bytes]:
    """What `gzip` writes while it has read no more than what is *begun*, and then."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(begun) + packer.flush(zlib.Z_SYNC_FLUSH), packer.compress(rest) + packer.flush()


def test_half_a_compressed_copy_of_a_copy(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A copy whose original was truncated is decided before what it was compressed to: half a line comes out once."""
    now = 0.0
    tail = tail_of(log.path.parent, clock=lambda: now)
    log.tear(b"half")
    read(tail)
    copy = copied(log, "agent.jsonl.1")
    tail.scan()
    log.truncate()
    packed = copy.with_name(f"{copy.name}.gz")
    begun, rest = compressed(b"h", b"alf")
    packed.write_bytes(begun)
    read(tail)
    packed.write_bytes(begun + rest)

    pieces = []
    for _ in range(4):
        tail.scan()
        pieces += [piece for chunk in tail.read() for piece in chunk.pieces]
        now += 61
    assert [Unfinished(0, b"half")] == pieces


def test_what_compresses_keeps_the_time(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A compressed copy that is as old as its original, and was renamed, is known when both are seen at once."""
    plain = tmp_path / "agent.jsonl.1"
    plain.write_bytes(b"".join(numbered(0, 5)))
    packed = tmp_path / "agent.jsonl.2.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    shutil.copystat(plain, packed)

    assert numbered(0, 5) == read(tail_of(tmp_path))


def test_a_copy_stays_one_as_long_as_its_original_holds_it(log: Log, tail_of: Callable[..., Tail]) -> None:
    """Another file that began alike, and is gone, makes nothing new of a copy."""
    root = log.path.parent
    log.append(*numbered(0, 10))
    short = root / "agent.jsonl.3"
    short.write_bytes(b"".join(numbered(0, 2)))
    os.utime(short, (1, 1))
    packed = root / "agent.jsonl.1.gz"
    tail = tail_of(root)
    read(tail)
    packed.write_bytes(gzip.compress(log.path.read_bytes()))
    assert [] == read(tail)
    short.unlink()
    read(tail)
    read(tail)
    os.utime(packed)

    assert [] == read(tail) + read(tail)


def test_a_byte_that_is_alike(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A compressed file whose first byte is that of another log is not read on after that byte, but from its start."""
    log.append(b"1-new")
    begun, rest = compressed(b"1", b"-old\n")
    packed = log.path.with_name("agent.jsonl.1.gz")
    packed.write_bytes(begun)
    tail = tail_of(log.path.parent)
    tail.scan()
    packed.write_bytes(begun + rest)

    assert [b"1-new\n", b"1-old\n"] == sorted(read(tail) + read(tail))


def test_a_copy_whose_original_was_replaced_unread(log: Log, tail_of: Callable[..., Tail]) -> None:
    """Before a copy is saved it is compared again: its original may have got other content before it was read."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    tail.scan()
    copied(log, "agent.jsonl.1")
    tail.scan()
    log.truncate()
    log.append(*numbered(5, 15))
    chunk = tail.next_chunk()
    lines = lines_of([chunk] if chunk else [])

    assert numbered(0, 15) == sorted(lines + read(tail_of(log.path.parent, positions=tail.positions())))


def test_nothing_is_told_of_what_was_not_read(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A position before the first line says nothing of a file that is not found any more."""
    log.append(*numbered(0, 5))
    tail = tail_of(log.path.parent)
    tail.scan()
    log.path.unlink()

    assert [] == tail_of(log.path.parent, positions=tail.positions()).scan()
