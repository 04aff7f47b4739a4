"""What was counted and still stands is never counted again: torn lines taken back, NULs filled in place, logs cut."""

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from extractor.tail import holes
from extractor.tail.changes import Appeared, Happening, Rewritten, Truncated
from extractor.tail.line_buffer import Blob, Unfinished
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import lines_of, read, tails
from tests.test_tricks import numbered, restart

tail_of = pytest.fixture(tails)
__all__ = ["restart"]

Restart = Callable[..., Tail]
Make = Callable[..., Tail]


def happened_in(tail: Tail) -> list[Happening]:
    """What happens while everything is looked at and read, besides that files appear."""
    happened = tail.scan()
    happened += [each for chunk in tail.read() for each in chunk.happenings]
    return [each for each in happened + tail.scan() if not isinstance(each, Appeared)]


def in_place(path: Path) -> BinaryIO:
    """The file at *path*, to be written where its writer is."""
    path.touch()
    return path.open("r+b", buffering=0)


def test_a_torn_line_that_is_cut_off_again(log: Log, restart: Restart, tail_of: Make) -> None:
    """A writer that takes its half line back has lost nothing: the lines before it stand, and are not counted again."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 3000))
    log.tear(b'{"half":')
    assert numbered(0, 3000) == read(tail)

    os.truncate(log.path, 3000 * 21)
    tail = restart(tail, root)
    assert [] == happened_in(tail)
    log.append(*numbered(3000, 3002))

    assert numbered(3000, 3002) == read(tail)
    assert 0 == tail.bytes_behind()


def test_a_torn_line_that_is_written_anew(log: Log, restart: Restart, tail_of: Make) -> None:
    """Half a line may become another line than it began, with its beginning cut off or overwritten."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 100))
    log.tear(b"one way")
    assert numbered(0, 100) == read(tail)
    with in_place(log.path) as file:
        file.seek(100 * 21)
        file.write(b"another way\n")
    tail = restart(tail, root)

    assert [b"another way\n"] == read(tail)
    assert [] == read(tail)


def test_half_a_first_line_that_is_taken_back(log: Log, tail_of: Make) -> None:
    """As long as no line is whole, nothing was counted: whatever becomes of the half, nothing is told as lost."""
    tail = tail_of(log.path.parent)
    for half in (b"ha", b"half", b"h"):
        log.tear(half)
        assert [] == read(tail)
        log.truncate()
        assert [] == happened_in(tail)
    log.append(b"whole")

    assert [b"whole\n"] == read(tail)


def test_nuls_at_the_end_are_filled_in_place(log: Log, restart: Restart, tail_of: Make) -> None:
    """NULs behind the text are not a line and not yet text, also when they are cut off in the end."""
    root = log.path.parent
    tail = tail_of(root)
    with in_place(log.path) as file:
        file.write(b"".join(numbered(0, 3000)) + bytes(5000))
        assert numbered(0, 3000) == read(tail)
        assert 0 == tail.bytes_behind()
        file.seek(3000 * 21)
        for number in range(3000, 3200):
            (line,) = numbered(number, number + 1)
            file.write(line[:10])
            assert [] == read(tail)
            file.write(line[10:])
            if number == 3100:
                tail = restart(tail, root)
            assert [line] == read(tail)
        os.truncate(log.path, file.tell())

    assert [] == happened_in(tail)
    assert [] == read(restart(tail, root))


@pytest.mark.parametrize("nuls", [32, 5000, 3_000_000])
@pytest.mark.parametrize("before", [0, 3, 300])
def test_half_a_line_behind_a_hole(before: int, nuls: int, log: Log, restart: Restart, tail_of: Make) -> None:
    """It is a line once it is whole, also if reading begins anew before that."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, before))
    log.tear(bytes(nuls) + b"half")
    assert numbered(0, before) == read(tail)
    tail = restart(tail, root)
    assert [] == read(tail)
    tail = restart(tail, root)
    log.append(b" and half", b"next")

    assert [b"half and half\n", b"next\n"] == read(tail)
    assert [] == read(restart(tail, root))


@pytest.mark.parametrize("how", ["truncate", "write", "fallocate"])
def test_a_file_that_grows_by_nuls(how: str, log: Log, tail_of: Make) -> None:
    """A writer may grow its file by zeros and fill them, a page at a time, and be looked at in between."""
    tail = tail_of(log.path.parent)
    found = []
    size = at = 0
    with in_place(log.path) as file:
        for number, line in enumerate(numbered(0, 1000)):
            if at + len(line) > size:
                if how == "truncate":
                    os.truncate(log.path, size + 4096)
                elif how == "write":
                    os.pwrite(file.fileno(), bytes(4096), size)
                else:
                    os.posix_fallocate(file.fileno(), size, 4096)
                size += 4096
                found += read(tail)
            at += os.pwrite(file.fileno(), line, at)
            if number % 7 == 0:
                found += read(tail)
    found += read(tail)

    assert numbered(0, 1000) == found


def test_a_preallocated_file(log: Log, restart: Restart, tail_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines in front of gigabytes of NULs are read as they come; nothing is behind, and the NULs are not read."""
    root = log.path.parent
    tail = tail_of(root)
    found = []
    with in_place(log.path) as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 30)
        assert [] == read(tail)
        looked_at = bytes_read(monkeypatch)
        for number in range(2000):
            file.write(numbered(number, number + 1)[0])
            if number == 1000:
                tail = restart(tail, root)
            if number % 10 == 0:
                found += read(tail)
                assert 0 == tail.bytes_behind()
        found += read(tail)

    assert numbered(0, 2000) == found
    assert looked_at() < 200 * (1 << 18)


def bytes_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How much is read of files from now on."""
    real, total = os.pread, 0

    def pread(fd: int, length: int, at: int) -> bytes:
        nonlocal total
        data = real(fd, length, at)
        total += len(data)
        return data

    monkeypatch.setattr(os, "pread", pread)
    return lambda: total


def test_a_terabyte_of_nothing(log: Log, tail_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole costs nothing, in front of a line, at the end, and when the same file is looked at again."""
    root = log.path.parent
    log.append(b"1")
    os.truncate(log.path, 1 << 40)
    log.append(b"2")
    os.truncate(log.path, 1 << 41)
    looked_at = bytes_read(monkeypatch)
    tail = tail_of(root)

    assert [b"1\n", b"2\n"] == read(tail)
    assert [(1 << 40) + 2] == [source.offset for source in tail.sources()]
    for _ in range(100):
        os.utime(log.path)
        assert [] == read(tail)
    assert [] == read(tail_of(root, positions=tail.positions()))
    assert looked_at() < 300 * (1 << 18)


def test_zeros_that_were_written_are_not_read_at_every_look(
    log: Log, tail_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without holes NULs are read once, and then a little of them at a time."""
    monkeypatch.setattr(os, "lseek", lambda _, at, how: at if how == os.SEEK_DATA else log.path.stat().st_size)
    tail = tail_of(log.path.parent)
    log.tear(bytes(64 << 20))
    looked_at = bytes_read(monkeypatch)
    with in_place(log.path) as file:
        assert [] == read(tail)
        assert looked_at() >= 64 << 20
        for number in range(100):
            file.write(numbered(number, number + 1)[0])
            assert numbered(number, number + 1) == read(tail)

    assert looked_at() < 2 * (64 << 20)


def test_a_long_search_gives_way(log: Log, tail_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """While gigabytes of NULs are searched for text, the reading of other files goes on."""
    monkeypatch.setattr(os, "lseek", lambda _, at, how: at if how == os.SEEK_DATA else log.path.stat().st_size)
    log.tear(bytes(5 * holes.MOST_BYTES))
    log.append(b"", b"behind")
    log.path.with_name("b.jsonl").write_bytes(b"other\n")
    tail = tail_of(log.path.parent)
    tail.scan()
    chunks = list(tail.read())

    assert 5 <= len([chunk for chunk in chunks if not chunk.pieces])
    assert {b"other\n", b"behind\n"} <= set(lines_of(chunk for chunk in chunks if chunk.pieces))


def test_text_behind_a_gap_in_a_file_that_does_not_grow(
    log: Log, tail_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written far behind the text, within a preallocated file, is found at the latest after some looks."""
    monkeypatch.setattr(os, "lseek", lambda _, at, how: at if how == os.SEEK_DATA else log.path.stat().st_size)
    tail = tail_of(log.path.parent)
    log.append(b"1")
    log.tear(bytes(8 << 20))
    assert [b"1\n"] == read(tail)
    with in_place(log.path) as file:
        file.seek(5 << 20)
        file.write(b"2\n")
    found: list[bytes] = []
    looks = 0
    while not found and looks < 100:
        os.utime(log.path)
        found = read(tail)
        looks += 1

    assert [b"2\n"] == found


@pytest.mark.parametrize("size", [10, 1000], ids=["small", "large"])
def test_emptied_under_a_writer_that_does_not_append(size: int, log: Log, restart: Restart, tail_of: Make) -> None:
    """After `copytruncate` such a writer leaves a hole in front of its lines: these are read, and the copy once."""
    root = log.path.parent
    tail = tail_of(root)
    with log.path.open("wb", buffering=0) as file:
        file.write(b"".join(numbered(0, size)))
        assert numbered(0, size) == read(tail)
        file.write(b"".join(numbered(size, size + 5)))
        shutil.copyfile(log.path, root / "agent.1.jsonl")
        log.truncate()
        file.write(b"".join(numbered(5000, 5003)))
    tail = restart(tail, root)

    assert numbered(size, size + 5) + numbered(5000, 5003) == sorted(read(tail))
    assert [] == read(tail)
    assert size + 8 == len(read(tail_of(root)))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"\0\0\n", [b"\0\0\n"]),
        (b"\0" * 100 + b"\n", [b"\0" * 100 + b"\n"]),
        (b"1\n\0\0\0{}\n", [b"1\n", b"\0\0\0{}\n"]),
        (b'{"a":"' + b"\0" * 50 + b'"}\n', [b'{"a":"' + b"\0" * 50 + b'"}\n']),
        (b"half" + b"\0" * 50 + b"1\n", [b"half" + b"\0" * 50 + b"1\n"]),
        (b"1\n" + b"\0" * 50 + b"2\n" + b"\0" * 50 + b"3\n", [b"1\n", b"2\n", b"3\n"]),
    ],
    ids=["line", "long line", "few", "within", "in a torn line", "holes"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_nuls_that_are_content(content: bytes, lines: list[bytes], packed: bool, log: Log, tail_of: Make) -> None:
    """NULs within a line, or before a newline, are its own; 32 and more before a line are a hole in the file."""
    log.path.unlink()
    name = "agent.jsonl.gz" if packed else "agent.jsonl"
    log.path.with_name(name).write_bytes(gzip.compress(content) if packed else content)

    assert lines == read(tail_of(log.path.parent))


def test_a_log_that_is_padded_and_compressed(log: Log, tail_of: Make) -> None:
    """NULs at the end of what was compressed are no line either, and make no other log of it."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 3))
    log.tear(b"half" + bytes(5000))
    assert numbered(0, 3) == read(tail)
    log.path.with_name("agent.jsonl.1.gz").write_bytes(gzip.compress(log.path.read_bytes()))
    assert [] == read(tail)
    log.path.unlink()

    for _ in range(3):
        tail.scan()
        pieces = [piece for chunk in tail.read() for piece in chunk.pieces]
        if pieces:
            break
    assert [Unfinished(63, b"half")] == pieces
    assert [] == read(tail)
    fresh = tail_of(log.path.parent)
    fresh.scan()
    pieces = [piece for chunk in fresh.read() for piece in chunk.pieces]
    assert [Blob(b"".join(numbered(0, 3)), 0), Unfinished(63, b"half")] == pieces


@pytest.mark.parametrize("then", [0, 5, 500], ids=["only cut", "cut and a little", "cut and much"])
@pytest.mark.parametrize("lines", [(20, 5), (3000, 10), (3000, 2970)], ids=["some", "a few of many", "most"])
def test_a_log_that_is_cut(lines: tuple[int, int], then: int, log: Log, restart: Restart, tail_of: Make) -> None:
    """What is left of a log was counted; what is written behind it is read, from where it begins."""
    root = log.path.parent
    tail = tail_of(root)
    first, cut = lines
    log.append(*numbered(0, first))
    assert numbered(0, first) == read(tail)

    os.truncate(log.path, (first - cut) * 21)
    tail = restart(tail, root)
    if cut > 100:  # else it is seen even if it is not looked at before more is written
        told = happened_in(tail)
        assert [Truncated(str(log.path), 21 * first, told[0].lost, 21 * (first - cut))] == told
        assert not told[0].lost
    log.append(*numbered(5000, 5000 + then))

    assert numbered(5000, 5000 + then) == read(tail)
    assert [] == read(restart(tail, root))
    if then:
        assert "reading it from byte" not in str(happened_in(tail))


def test_a_line_that_is_taken_back(log: Log, restart: Restart, tail_of: Make) -> None:
    """A writer may take back lines that were counted, and write others: only these are counted in addition."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 100))
    read(tail)
    os.truncate(log.path, 98 * 21)
    log.append(*numbered(200, 210))
    tail = restart(tail, root)
    happenings = tail.scan()
    chunks = list(tail.read())
    happenings += [each for chunk in chunks for each in chunk.happenings]

    assert numbered(200, 210) == lines_of(chunks)
    kinds = [each for each in happenings if isinstance(each, Rewritten)]
    assert [(2100, 98 * 21)] == [(each.offset, each.kept) for each in kinds]


def test_a_cut_within_a_line_that_was_counted(log: Log, restart: Restart, tail_of: Make) -> None:
    """What is left of the line is no line; it is one again, and another, when something ends it."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 3000))
    read(tail)
    os.truncate(log.path, 1500 * 21 + 10)
    assert [] == read(tail)
    tail = restart(tail, root)
    log.append(b"x")

    assert [numbered(1500, 1501)[0][:10] + b"x\n"] == read(tail)


def test_what_an_older_version_saved_is_read_on(log: Log, tail_of: Make) -> None:
    """Positions were saved without what tells how much still stands: they are read on at the same offsets."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 1000))
    copy = Path(shutil.copyfile(log.path, log.path.with_name("agent.jsonl.1")))
    old = log.path.with_name("b.jsonl.2.gz")
    old.write_bytes(gzip.compress(b"".join(numbered(5000, 5500))))
    gone = log.path.with_name("c.jsonl")
    gone.write_bytes(b"".join(numbered(7000, 7100)))
    assert 1000 + 500 + 100 == len(read(tail))
    gone.rename(root.parent / "c.jsonl")
    saved = [list(position.plain()[:11]) for position in tail.positions()]
    assert [11] * 4 == [len(each) for each in saved]
    assert {"", "copy"} == {str(each[10]) for each in saved}

    log.append(*numbered(1000, 1003))
    (root.parent / "c.jsonl").rename(root / "elsewhere.jsonl")
    after = tail_of(root, positions=[Position.of_plain(each) for each in saved])
    assert numbered(1000, 1003) == read(after)
    log.truncate()
    log.append(b"new")
    assert [b"new\n"] == read(after)
    copy.unlink()
    assert [] == read(after) + read(after)
    again = tail_of(root, positions=[Position.of_plain(each.plain()) for each in after.positions()])
    assert [] == read(again)
