"""Logs that are compressed: each line is counted once, from whatever file it can be read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.tail.changes import Appeared, Continued, Damaged, Duplicate, Forgotten, Happening
from extractor.tail.line_buffer import Blob, Unfinished
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import lines_of, read, tails
from tests.test_packed import PACK, suffixes
from tests.test_tricks import numbered

tail_of = pytest.fixture(tails)


def pack(path: Path, suffix: str, *, keep: bool = False) -> Path:
    """Compress the file at *path* as the program for *suffix* does."""
    target = Path(f"{path}{suffix}")
    target.write_bytes(PACK[suffix](path.read_bytes()))
    shutil.copystat(path, target)
    if not keep:
        path.unlink()
    return target


def resumed(tail_of: Callable[..., Tail], tail: Tail, root: Path) -> Tail:
    """Another tail that goes on with what was saved."""
    return tail_of(root, positions=[Position(*position) for position in tail.positions()])


@suffixes
def test_a_compressed_log_is_read_once(tmp_path: Path, tail_of: Callable[..., Tail], suffix: str) -> None:
    """A compressed file that was not seen before is read from its first byte, and not again after a restart."""
    path = tmp_path / "agent.jsonl.1"
    path.write_bytes(b"".join(numbered(0, 20_000)))
    pack(path, suffix)
    tail = tail_of(tmp_path)

    assert numbered(0, 20_000) == read(tail)
    assert [] == read(tail) + read(resumed(tail_of, tail, tmp_path))


@suffixes
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "instead"])
@pytest.mark.parametrize("unread", [0, 5], ids=["read", "half read"])
def test_compressed_while_down(log: Log, tail_of: Callable[..., Tail], suffix: str, beside: bool, unread: int) -> None:
    """Rotated and compressed while nobody looked, a log is read on at the offset, in the middle of its content."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 5000))
    read(tail)
    log.append(*numbered(5000, 5000 + unread))
    packed = pack(log.rotate(), suffix, keep=beside)
    log.append(b"new")

    after = resumed(tail_of, tail, root)
    lines = read(after)

    assert [*numbered(5000, 5000 + unread), b"new\n"] == sorted(lines)
    if beside:
        packed.with_suffix("").unlink()
    assert [] == read(after) + read(after) + read(resumed(tail_of, after, root))


@suffixes
def test_compressed_while_up(log: Log, tail_of: Callable[..., Tail], suffix: str) -> None:
    """A compressed copy that appears beside the plain file, and then instead of it, is never read again."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 1000))
    read(tail)
    old = log.rotate()
    packed = pack(old, suffix, keep=True)

    happenings = tail.scan()
    assert Duplicate(str(packed), str(old)) in happenings
    assert [] == lines_of(tail.read())
    assert [False] == [source.is_open for source in tail.sources() if source.packed]
    old.unlink()
    happenings = [happening for _ in range(3) for happening in tail.scan()]
    assert [Forgotten(str(old), 0), Continued(str(packed), str(old), 21000)] == happenings
    assert [] == lines_of(tail.read())
    packed.rename(packed.with_name(f"agent.jsonl.9{suffix}"))
    assert [] == read(tail)


@suffixes
def test_a_compressed_file_that_is_being_written(log: Log, tail_of: Callable[..., Tail], suffix: str) -> None:
    """A copy that is only half there is known as one, and waited for when the plain file goes before it is whole."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 5000))
    read(tail)
    log.append(*numbered(5000, 5005))
    old = log.rotate()
    data = PACK[suffix](old.read_bytes())
    packed = Path(f"{old}{suffix}")

    lines = []
    for part in (1, len(data) // 2, len(data)):
        packed.write_bytes(data[:part])
        lines += read(tail)
        if part == len(data) // 2:
            old.unlink()

    assert numbered(5000, 5005) == lines
    assert [] == read(tail) + read(tail)


@suffixes
def test_the_last_line_of_a_compressed_file(tmp_path: Path, tail_of: Callable[..., Tail], suffix: str) -> None:
    """Nothing will be added to a compressed file: its last line comes out as it is, at once."""
    path = tmp_path / "agent.jsonl.1"
    path.write_bytes(b"one\nhalf")
    pack(path, suffix)
    tail = tail_of(tmp_path)
    tail.scan()

    assert [Blob(b"one\n", 0), Unfinished(4, b"half")] == [piece for chunk in tail.read() for piece in chunk.pieces]
    assert [] == read(resumed(tail_of, tail, tmp_path))


@suffixes
def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path, tail_of: Callable[..., Tail], suffix: str) -> None:
    """What is before the damage is read, the damage is told once, and the other files are read."""
    path = tmp_path / f"agent.jsonl.1{suffix}"
    path.write_bytes(PACK[suffix](b"".join(numbered(0, 10))) + b"no compressed stream begins like this")
    (tmp_path / "agent.jsonl").write_bytes(b"new\n")
    tail = tail_of(tmp_path)
    happenings: list[Happening] = tail.scan()
    chunks = list(tail.read())
    happenings += [happening for chunk in chunks for happening in chunk.happenings] + tail.scan()

    assert [*numbered(0, 10), b"new\n"] == sorted(lines_of(chunks))
    damages = [happening for happening in happenings if isinstance(happening, Damaged)]
    assert [(str(path), 210)] == [(damage.path, damage.offset) for damage in damages]
    assert [] == read(tail)


def test_a_file_is_a_log_by_its_name_without_the_suffix(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """`*.jsonl` asks for `agent.jsonl.gz`, too; other compressed files are left alone."""
    for name in ("agent.jsonl.gz", "other.txt.gz"):
        (tmp_path / name).write_bytes(PACK[".gz"](name.encode() + b"\n"))
    tail = tail_of(tmp_path)

    assert [Appeared(str(tmp_path / "agent.jsonl.gz"), 0)] == tail.scan()
    assert [b"agent.jsonl.gz\n"] == lines_of(tail.read())
    assert ["agent.jsonl"] == [source.name for source in tail.sources()]
