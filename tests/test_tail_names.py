"""A file is the same file under any name, and is read to its end whatever becomes of its name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.tail.changes import Appeared, Forgotten, Happening, Renamed
from extractor.tail.discovery import Folders
from extractor.tail.line_buffer import Unfinished
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.tailing import lines_of, read, tails

tail_of = pytest.fixture(tails)


def test_a_rename_rotation_is_followed(log: Log, tail_of: Callable[..., Tail]) -> None:
    """The rest of the old file comes before the new one, late writes included, and nothing is read twice."""
    tail = tail_of(log.path.parent)
    log.append(b"1")
    assert [b"1\n"] == read(tail)

    log.append(b"2")
    old = log.rotate()
    log.append(b"4")
    with old.open("ab") as late:
        late.write(b"3\n")
    happenings = tail.look([str(log.path)])

    assert {Renamed(str(log.path), str(old)), Appeared(str(log.path), 0)} == set(happenings)
    assert [b"2\n", b"3\n", b"4\n"] == lines_of(tail.read())
    assert [] == read(tail)


def test_rotations_faster_than_the_look(log: Log, tail_of: Callable[..., Tail]) -> None:
    """Files that were rotated away before anyone looked at them are read in the order they were written."""
    tail = tail_of(log.path.parent)
    expected = []
    for number in range(5):
        expected.append(b"%d\n" % number)
        log.append(expected[-1])
        log.rotate()

    assert expected == read(tail)


def test_a_rename_while_a_folder_is_listed(
    log: Log, tail_of: Callable[..., Tail], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first listing after a restart does not have, because it was just renamed, is looked for once more."""
    tail = tail_of(log.path.parent)
    log.append(b"1")
    assert [b"1\n"] == read(tail)
    log.append(b"2")
    resumed = tail_of(log.path.parent, positions=tail.positions())
    walk, listed = Folders.walk, iter([False])
    monkeypatch.setattr(Folders, "walk", lambda *args: walk(*args) if next(listed, True) else [])

    assert [Appeared(str(log.path), 2)] == resumed.scan()
    assert [b"2\n"] == lines_of(resumed.read())


@pytest.mark.parametrize("where", ["app.jsonl.gone", "../outside"], ids=["no log's name", "out of the tree"])
@pytest.mark.parametrize("hinted", [True, False])
def test_a_renamed_file_is_read_to_its_end(log: Log, tail_of: Callable[..., Tail], where: str, hinted: bool) -> None:
    """A file whose new name is no log's, or out of sight, is read on through the open file; late writes too."""
    tail = tail_of(log.path.parent)
    log.append(b"1")
    tail.scan()

    moved = log.path.rename(log.path.parent / where)
    tail.look([str(log.path)] if hinted else [])
    assert [b"1\n"] == lines_of(tail.read())

    for late in (b"2\n", b"3\n"):
        with moved.open("ab") as file:
            file.write(late)
        assert [late] == read(tail)
    assert 1 == tail.states()["renamed"]


def test_a_deleted_file_is_read_to_its_end(log: Log, tail_of: Callable[..., Tail]) -> None:
    """What was unread when the name went is read; then the file is closed and forgotten, its half line told."""
    tail = tail_of(log.path.parent)
    log.append(b"1")
    tail.scan()
    log.append(b"2")
    log.tear(b"half")
    log.path.unlink()

    assert [] == tail.look([str(log.path)])
    assert {"active": 0, "renamed": 0, "copy": 0, "deleted": 1, "missing": 0, "unreadable": 0} == tail.states()
    assert [b"1\n", b"2\n"] == lines_of(tail.read())
    assert [] == tail.scan()
    chunk = tail.next_chunk()
    assert chunk is not None
    assert ([Unfinished(4, b"half")], [Forgotten(str(log.path), 0)]) == chunk[1:]
    assert [] == tail.sources()


def test_a_file_deleted_and_made_again_is_another(log: Log, tail_of: Callable[..., Tail]) -> None:
    """The open file keeps its inode from being given to the new one; both are read whole."""
    tail = tail_of(log.path.parent)
    for number in range(20):
        log.append(b"%d" % (2 * number))
        tail.look([str(log.path)])
        log.append(b"%d" % (2 * number + 1))
        log.path.unlink()
        log.append(b"99")
        tail.look([str(log.path)])
        assert [b"%d\n" % (2 * number), b"%d\n" % (2 * number + 1), b"99\n"] == lines_of(tail.read())
        log.path.unlink()
        tail.scan()
        tail.scan()


def test_two_names_of_one_file_are_one_file(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A hard link, and a root that lies in another root, do not count twice; nor do they seem renamed all the time."""
    log.append(b"1")
    os.link(log.path, log.path.with_name("b.jsonl"))
    tail = tail_of(log.path.parent, log.path)

    assert [b"1\n"] == read(tail)
    assert [] == tail.scan() + tail.look([str(log.path), str(log.path.with_name("b.jsonl"))])
    assert [] == lines_of(tail.read())


def test_a_folder_that_vanishes_and_returns(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A root that is away for long is not forgotten: back again, its files are read on."""
    root = tmp_path / "logs"
    root.mkdir()
    for number in range(4):
        (root / f"{number}.jsonl").write_bytes(b"%d\n" % number)
    tail = tail_of(root, max_open=2)
    assert 4 == len(read(tail))

    root.rename(tmp_path / "away")
    for _ in range(5):
        assert [] == read(tail)
    (tmp_path / "away").rename(root)
    with (root / "0.jsonl").open("ab") as file:
        file.write(b"new\n")

    assert [b"new\n"] == read(tail)
    assert 4 == tail.states()["active"]


def test_few_files_are_kept_open(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """However many files are written, no more than *max_open* are open; a half line survives the closing."""
    tail = tail_of(tmp_path, max_open=3)
    paths = [tmp_path / f"{number}.jsonl" for number in range(20)]
    for turn in range(3):
        for path in paths:
            with path.open("ab") as file:
                file.write(b"%d\n%dhalf" % (turn, turn))

        assert [b"%dhalf%d\n" % (turn - 1, turn) if turn else b"0\n"] * 20 == read(tail)
        assert 3 == sum(source.is_open for source in tail.sources())
        assert 0 == sum(source._cursor.pending for source in tail.sources() if not source.is_open)


def test_another_file_under_the_name_is_not_read_in_its_place(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Between the look and the opening a name may pass to another file; each is read from its own first byte."""
    tail = tail_of(tmp_path, max_open=1)
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_bytes(b"%s\n" % name.encode())
    tail.scan()

    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").rename(tmp_path / f"{name}.old.jsonl")
        (tmp_path / f"{name}.jsonl").write_bytes(b"x\ny\n")

    assert [b"a\n", b"b\n", b"x\n", b"x\n", b"y\n", b"y\n"] == sorted(lines_of(tail.read()) + read(tail))


def test_a_file_missed_once_is_not_forgotten(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A closed file that one scan does not find may only have been renamed meanwhile; the second one gives it up."""
    root, away = tmp_path / "logs", tmp_path / "away"
    root.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (root / name).write_bytes(b"1\n")
    tail = tail_of(root, max_open=1)
    read(tail)
    missed = next(Path(source.path) for source in tail.sources() if not source.is_open)

    missed.rename(away)
    assert [] == tail.scan()
    assert 1 == tail.states()["missing"]
    away.rename(missed)
    assert [] == read(tail)

    missed.rename(away)
    assert [Forgotten(str(missed), 0)] == tail.scan() + tail.scan()


def test_files_out_of_sight_are_let_go(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Of the files that were moved away at most half of *max_open* stay open, those that were used last."""
    root, away = tmp_path / "logs", tmp_path / "away"
    root.mkdir()
    away.mkdir()
    tail = tail_of(root, max_open=4)
    happenings: list[Happening] = []
    for number in range(4):
        path = root / f"{number}.jsonl"
        path.write_bytes(b"1\n")
        assert [b"1\n"] == read(tail)
        path.rename(away / path.name)
        happenings += tail.scan()

    assert [Forgotten(str(root / f"{number}.jsonl"), 0) for number in (0, 1)] == [
        happening for happening in happenings if isinstance(happening, Forgotten)
    ]
    assert 2 == len(tail.sources())
