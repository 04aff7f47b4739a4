"""Every log below the roots is read once, from its first byte on, and nothing else is touched."""

import os
import socket
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from extractor.tail.changes import Appeared, Truncated, Unreadable
from extractor.tail.line_buffer import Blob, TooLong
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import is_log, lines_of, read, tails

tail_of = pytest.fixture(tails)


def test_a_new_file_is_read_from_its_first_byte(log: Log, tail_of: Callable[..., Tail]) -> None:
    """What was written before the file was found counts; the blob says where it begins."""
    log.append(b"one", b"two")
    tail = tail_of(log.path.parent)

    assert [Appeared(str(log.path), 0)] == tail.scan()
    assert [[Blob(b"one\ntwo\n", 0)]] == [chunk.pieces for chunk in tail.read()]

    log.append(b"three")

    assert [] == tail.look([str(log.path)])
    assert [[Blob(b"three\n", 8)]] == [chunk.pieces for chunk in tail.read()]


def test_half_a_line_waits(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A partial line is not handed out, however often it is looked at, and is not behind."""
    tail = tail_of(log.path.parent)
    log.tear(b'{"half')

    assert [] == read(tail) + read(tail)
    assert 0 == tail.bytes_behind()

    log.tear(b'":1}\n')

    assert [b'{"half":1}\n'] == read(tail)


def test_roots_and_folders_may_appear_later(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Neither a folder nor a file needs to exist at the start; a scan finds them, or a hint of the folder."""
    tail = tail_of(tmp_path / "logs", tmp_path / "single")
    assert [] == tail.scan()

    (tmp_path / "logs" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "logs" / "deep" / "er" / "a.jsonl").write_bytes(b"1\n")
    tail.look([str(tmp_path / "logs" / "deep")])
    assert [b"1\n"] == lines_of(tail.read())

    (tmp_path / "single").write_bytes(b"2\n")
    assert [b"2\n"] == read(tail)


def test_a_hint_is_not_the_truth(log: Log, tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A hinted path that is outside, no log, behind a link or not there is nothing to read."""
    root = log.path.parent
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in (outside / "a.jsonl", root / "a.txt"):
        path.write_bytes(b"1\n")
    (root / "link").symlink_to(outside)
    tail = tail_of(root)
    tail.scan()

    hints = [outside / "a.jsonl", root / "a.txt", root / "link", root / "link" / "a.jsonl", root / "no.jsonl"]

    assert [] == tail.look(map(str, hints))
    assert [] == lines_of(tail.read())


def test_a_truncated_file_is_read_from_its_start(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A file smaller than what was read of it is read anew; the partial line that went with it is told."""
    tail = tail_of(log.path.parent)
    log.append(b"one", b"two")
    log.tear(b"half")
    read(tail)

    log.truncate()
    log.append(b"new")
    tail.look([str(log.path)])
    chunks = list(tail.read())

    assert [Truncated(str(log.path), 8, 4)] == [happening for chunk in chunks for happening in chunk.happenings]
    assert [b"new\n"] == lines_of(chunks)


def test_only_regular_files_are_opened(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A FIFO would block, a device or socket do worse; folders named like logs are folders, links are not followed."""
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "outside").write_bytes(b"1\n")
    root = tmp_path / "logs"
    root.mkdir()
    os.mkfifo(root / "fifo.jsonl")
    (root / "folder.jsonl").mkdir()
    (root / "folder.jsonl" / "in.jsonl").write_bytes(b"2\n")
    (root / "link.jsonl").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "broken.jsonl").symlink_to(root / "nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket.jsonl"))
        tail = tail_of(root, tmp_path / "fifo.jsonl")

        assert [b"2\n"] == read(tail)
        tail.look([str(path) for path in root.iterdir()])
        assert [] == lines_of(tail.read())
        assert [str(root / "folder.jsonl" / "in.jsonl")] == [source.path for source in tail.sources()]


def test_files_are_read_interleaved_by_event_time(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Chunk by chunk the file with the oldest next line is read, whatever the files are called."""
    for name, first in (("c", 0), ("a", 1), ("b", 2)):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(b"%03d\n" % time for time in range(first, 300, 3)))
    tail = tail_of(tmp_path)
    tail.scan()

    lines = lines_of(tail.read(max_bytes=4))

    assert [b"%03d\n" % time for time in range(300)] == lines


def test_of_events_at_one_time_the_older_file_comes_first(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A file and the one it was rotated to may meet at one time; the one that was written earlier is read first."""
    log.append(b"5", b"5")
    old = log.rotate()
    os.utime(old, (1, 1))
    log.append(b"5")
    tail = tail_of(log.path.parent)
    tail.scan()

    assert [str(old), str(log.path)] == [chunk.source.path for chunk in tail.read()]


def test_a_file_alone_is_not_asked_for_its_time(log: Log) -> None:
    """While only one file has something to read, no line is looked at for its time."""
    asked: list[bytes] = []

    def ask(line: bytes) -> None:
        asked.append(line)

    tail = Tail([log.path], is_log, ask)
    log.append(*[b"x"] * 100)
    tail.scan()

    assert 100 == len(lines_of(tail.read(max_bytes=16)))
    assert [] == asked
    tail.close()


def test_positions_resume(log: Log, tail_of: Callable[..., Tail]) -> None:
    """Another tail reads on where the chunks handed out had ended, also in a file that was renamed meanwhile."""
    log.append(b"1", b"2")
    log.tear(b"ha")
    tail = tail_of(log.path.parent)
    tail.scan()
    chunk = tail.next_chunk(max_bytes=3)
    assert chunk is not None
    positions = tail.positions()
    assert [(str(log.path), *chunk.source.identity, 2)] == [position[:4] for position in positions]

    log.tear(b"lf\n")
    moved = log.path.rename(log.path.with_suffix(".gone"))
    log.append(b"3")
    resumed = tail_of(log.path.parent, positions=positions)

    assert {Appeared(str(moved), 2), Appeared(str(log.path), 0)} == set(resumed.scan())
    assert [b"2\n", b"3\n", b"half\n"] == sorted(lines_of(resumed.read()))


def test_positions_of_files_not_seen_stay(log: Log, tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """What was saved of a file in a folder that is not there yet is saved again."""
    log.append(b"1")
    tail = tail_of(log.path.parent)
    read(tail)
    log.path.parent.rename(tmp_path / "away")

    resumed = tail_of(log.path.parent, positions=tail.positions())

    assert [] == read(resumed)
    assert tail.positions() == resumed.positions()


@pytest.mark.parametrize("size", [1, 2000])
def test_what_cannot_be_read_is_told_once_and_tried_again(
    size: int, unprivileged: Path, tail_of: Callable[..., Tail]
) -> None:
    """A file or folder without permission stops nothing, counts as unreadable, and is read once it may be."""
    root = unprivileged
    (root / "folder").mkdir()
    for path in (root / "a.jsonl", root / "folder" / "b.jsonl", root / "c.jsonl"):
        path.write_bytes(b"1\n")
    (root / "a.jsonl").write_bytes(size * b"2" + b"\n")
    (root / "a.jsonl").chmod(0)
    (root / "folder").chmod(0)
    tail = tail_of(root)

    happenings = tail.scan()
    assert {str(root / "a.jsonl"), str(root / "folder")} == {
        happening.path for happening in happenings if isinstance(happening, Unreadable)
    }
    assert [b"1\n"] == lines_of(tail.read())
    assert (0, inf) == (tail.bytes_behind(), tail.oldest())
    assert 2 == tail.states()["unreadable"]
    assert [] == tail.scan()

    (root / "a.jsonl").chmod(0o600)
    (root / "folder").chmod(0o700)
    assert sorted([b"1\n", size * b"2" + b"\n"]) == sorted(read(tail))
    assert 0 == tail.states()["unreadable"]


def test_an_overlong_line_is_one_piece(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A line over the limit is told with its place and length, and reading goes on behind it."""
    log.append(b"y" * 5000, b"1")
    tail = tail_of(log.path.parent, max_line_bytes=100)
    tail.scan()

    pieces = [piece for chunk in tail.read(max_bytes=512) for piece in chunk.pieces]

    assert [TooLong(0, 5001, b"y" * 100), Blob(b"1\n", 5001)] == pieces


def test_a_look_costs_what_was_hinted(
    tmp_path: Path, tail_of: Callable[..., Tail], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among ten thousand files a look at ten asks the system about ten, and opens no more than those."""
    for number in range(10_000):
        (tmp_path / f"{number}.jsonl").touch()
    tail = tail_of(tmp_path)
    assert 10_000 == len(tail.scan())
    active = [tmp_path / f"{number}.jsonl" for number in range(10)]
    for path in active:
        path.write_bytes(b"1\n")
    asked: list[str] = []

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(path: str, *rest: object, **options: object) -> object:
            asked.append(path)
            return real(path, *rest, **options)

        return call

    for name in ("stat", "lstat", "scandir", "open"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))

    tail.look(map(str, active))

    assert [b"1\n"] * 10 == lines_of(tail.read())
    assert {str(tmp_path)} == set(asked) - {str(path) for path in active} - {path.name for path in active}
    assert len(asked) <= 4 * len(active)
