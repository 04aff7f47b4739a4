"""How lines end, and what is in them: nothing is changed, nothing is guessed, and what never ends is told."""

import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.tail.changes import GivenUp
from extractor.tail.line_buffer import Blob, Piece, TooLong, Unfinished
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import lines_of, read, tails

tail_of = pytest.fixture(tails)


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def pieces_of(tail: Tail) -> list[Piece]:
    """Look everywhere and read everything."""
    tail.scan()
    return [piece for chunk in tail.read() for piece in chunk.pieces]


def test_half_a_line_waits_for_an_hour(log: Log, tail_of: Callable[..., Tail]) -> None:
    """As long as a log has its name, half a line in it is waited for."""
    clock = Clock()
    tail = tail_of(log.path.parent, clock=clock)
    log.tear(b'{"half')
    for _ in range(60):
        assert [] == pieces_of(tail)
        clock.now += 60
    log.tear(b'":1}\n')

    assert [Blob(b'{"half":1}\n', 0)] == pieces_of(tail)


@pytest.mark.parametrize("max_open", [256, 1], ids=["open", "closed"])
def test_the_last_line_of_a_rotated_file(log: Log, tail_of: Callable[..., Tail], max_open: int) -> None:
    """Half a line in a file that was rotated away comes out as it is after a minute; what comes later is dropped."""
    clock = Clock()
    tail = tail_of(log.path.parent, clock=clock, max_open=max_open)
    log.append(b"1")
    log.tear(b"half")
    assert [Blob(b"1\n", 0)] == pieces_of(tail)
    old = log.rotate()
    log.append(b"2")
    assert [Blob(b"2\n", 0)] == pieces_of(tail)
    clock.now += 59
    assert [] == pieces_of(tail)

    clock.now += 1
    tail.scan()
    chunks = list(tail.read())
    assert [Unfinished(2, b"half")] == [piece for chunk in chunks for piece in chunk.pieces]
    assert [GivenUp(str(old), 2)] == [happening for chunk in chunks for happening in chunk.happenings]

    for late in (b"late", b" end\n3\n"):
        with old.open("ab") as file:
            file.write(late)
        clock.now += 100
        if late == b"late":
            assert [] == pieces_of(tail)
    resumed = tail_of(log.path.parent, positions=tail.positions())
    assert [Blob(b"3\n", 15)] == pieces_of(resumed)


def test_a_rotated_file_that_is_written_to_is_waited_for(log: Log, tail_of: Callable[..., Tail]) -> None:
    """The minute begins anew with every change, and a line that is ended in it is a line."""
    clock = Clock()
    tail = tail_of(log.path.parent, clock=clock)
    log.tear(b"half")
    old = log.rotate()
    for _ in range(5):
        assert [] == pieces_of(tail)
        clock.now += 59
        with old.open("ab") as file:
            file.write(b"+")
    with old.open("ab") as file:
        file.write(b"\n")

    assert [Blob(b"half+++++\n", 0)] == pieces_of(tail)


def test_a_rotated_file_whose_name_nobody_took_is_waited_for(log: Log, tail_of: Callable[..., Tail]) -> None:
    """As long as there is no newer log, whoever wrote the last line may still be at it."""
    clock = Clock()
    tail = tail_of(log.path.parent, clock=clock)
    log.tear(b"half")
    read(tail)
    log.path.rename(log.path.with_suffix(".jsonl.1"))
    for _ in range(5):
        clock.now += 100
        assert [] == pieces_of(tail)

    log.path.touch()
    assert [] == pieces_of(tail)
    clock.now += 100

    assert [Unfinished(0, b"half")] == pieces_of(tail)


@pytest.mark.parametrize("max_bytes", [1, 2, 3, 7, 131072])
def test_bytes_come_out_as_they_are(log: Log, tail_of: Callable[..., Tail], max_bytes: int) -> None:
    """A byte order mark, carriage returns, NUL bytes and characters that are cut in two are handed out as written."""
    content = "\ufeff{}\r\n\n\r\n日本語😀\n".encode() + b"\0\0\n\xff\xfe\n" + "ä".encode()[:1] + b"\n"
    log.tear(content)
    tail = tail_of(log.path.parent)
    tail.scan()

    blobs = [piece for chunk in tail.read(max_bytes) for piece in chunk.pieces if isinstance(piece, Blob)]

    assert content == b"".join(blob.data for blob in blobs)
    assert all(content[blob.offset :].startswith(blob.data) for blob in blobs)


def test_half_a_character_at_the_end_of_what_is_there(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A character of which only half was written when the file was read is whole when it comes out."""
    tail = tail_of(log.path.parent)
    first, rest = "😀".encode()[:2], "😀".encode()[2:]
    log.tear(first)
    assert [] == read(tail)
    log.tear(rest + b"\n")

    assert ["😀\n".encode()] == read(tail)


def test_a_line_of_a_gigabyte(log: Log, tail_of: Callable[..., Tail]) -> None:
    """It is one piece with its length and its head, and takes a few megabytes at most while it is read."""
    length = 1 << 30
    os.truncate(log.path, length)
    log.append(b"", b"next")
    tail = tail_of(log.path.parent)
    tail.scan()
    tracemalloc.start()
    try:
        pieces = [piece for chunk in tail.read() for piece in chunk.pieces]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [TooLong(0, length + 1, b"\0" * 200), Blob(b"next\n", length + 1)] == pieces
    assert peak < 8 << 20


def test_time_that_goes_back(log: Log, tail_of: Callable[..., Tail], monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back changes nothing: it is not asked, and when a file was written is only compared."""
    monkeypatch.setattr(time, "time", None)
    tail = tail_of(log.path.parent)
    expected = []
    for number, modified in enumerate((2e9, 1e9, 1.0, 0.0, 3e9)):
        expected.append(b"%d\n" % number)
        log.append(expected[-1])
        os.utime(log.path, (modified, modified))
        assert expected[-1:] == read(tail)


def test_polling_finds_every_change(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Where nobody says what changed, as on a network file system, scans alone find all of it."""
    tail = tail_of(tmp_path)
    log = Log(tmp_path / "agent.jsonl")
    expected = []
    for number in range(30):
        expected.append(b"%d\n" % number)
        log.append(expected[-1])
        if number % 3 == 0:
            assert expected == read(tail)
            expected.clear()
        if number % 4 == 0:
            log.rotate()
        if number % 7 == 0:
            (tmp_path / f"{number}").mkdir()
            log = Log(tmp_path / f"{number}" / "agent.jsonl")

    assert expected == read(tail)


@pytest.mark.parametrize("name", ["stat", "lstat", "fstat", "open", "pread", "scandir"])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError(116, "Stale file handle")], ids=str)
def test_no_error_of_the_file_system_ends_the_tail(
    log: Log, tail_of: Callable[..., Tail], monkeypatch: pytest.MonkeyPatch, name: str, error: OSError
) -> None:
    """Whatever call fails, the tail goes on, and reads everything once the call works again."""
    tail = tail_of(log.path.parent)
    log.append(b"1")
    tail.scan()
    real = getattr(os, name)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(os, name, fail)
    first = read(tail)
    tail.look([str(log.path), str(log.path.parent)])
    first += lines_of(tail.read())
    tail.positions()
    tail.states()
    monkeypatch.setattr(os, name, real)
    log.append(b"2")

    assert [b"1\n", b"2\n"] == first + read(tail)
