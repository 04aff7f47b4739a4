"""A file is what its bytes are, not what it is called: what stands in two files is counted once, under any name."""

import gzip
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.tail.changes import Appeared, Continued, Duplicate, trouble
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.conftest import Log
from tests.killing import Victim
from tests.reading import tool_call
from tests.servers import eventually
from tests.tailing import is_log, lines_of, read, tails
from tests.test_tricks import numbered, restart

tail_of = pytest.fixture(tails)
__all__ = ["restart"]

Restart = Callable[..., Tail]
Make = Callable[..., Tail]

HEADER = b"".join(b'{"config":%d,"text":"%b"}\n' % (number, b"x" * 50) for number in range(30))
"""What many logs may begin with: some lines, and more than a KiB of them."""

NAMES = [
    "agent.jsonl.1",
    "agent.1.jsonl",
    "agent-1.jsonl",
    "agent-20261127.jsonl",
    "agent_2026-11-27T10-00-00.000.jsonl",
    "agent.jsonl-20261127-1795000000",
    "old/agent.jsonl.1",
    "old/agent.1.jsonl",
]
"""What `logrotate`, and what agents themselves, call a log that was rotated."""

OTHERS = ["backup.jsonl", "a.jsonl", "elsewhere/z.jsonl", "0-copy-of-agent.jsonl"]
"""What nothing but its content says that it is a copy."""


def write(path: Path, content: bytes) -> Path:
    """The file at *path*, which holds *content*, compressed if its name says so."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("size", [10, 1000], ids=["small", "large"])
@pytest.mark.parametrize("name", [f"{name}{suffix}" for name in NAMES for suffix in ("", ".gz")])
def test_copied_and_emptied(name: str, size: int, log: Log, restart: Restart, tail_of: Make) -> None:
    """Under whatever name a log was rotated, and compressed: its lines count once, and the log from its start."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, size))
    assert numbered(0, size) == read(tail)

    log.append(*numbered(size, size + 5))
    write(root / name, log.path.read_bytes())
    log.truncate()
    log.append(*numbered(5000, 5010))
    tail = restart(tail, root)

    assert numbered(size, size + 5) + numbered(5000, 5010) == sorted(read(tail))
    assert [] == read(tail) + read(restart(tail, root))
    assert size + 15 == len(read(tail_of(root)))


@pytest.mark.parametrize("size", [10, 1000], ids=["small", "large"])
@pytest.mark.parametrize("name", NAMES)
def test_renamed_and_compressed(name: str, size: int, log: Log, restart: Restart, tail_of: Make) -> None:
    """The same when the log is renamed, goes on for a while, and is compressed, beside itself or in its place."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, size))
    assert numbered(0, size) == read(tail)

    (root / name).parent.mkdir(exist_ok=True)
    old = log.path.rename(root / name)
    with old.open("ab") as late:
        late.writelines(numbered(size, size + 5))
    log.append(*numbered(5000, 5010))
    tail = restart(tail, root)
    found = read(tail)
    packed = write(Path(f"{old}.gz"), old.read_bytes())
    found += read(tail)
    old.unlink()
    tail = restart(tail, root)
    found += read(tail) + read(tail) + read(tail)
    packed.rename(root / "whatever.jsonl.gz")
    found += read(tail) + read(restart(tail, root))

    assert numbered(size, size + 5) + numbered(5000, 5010) == sorted(found)
    assert size + 15 == len(read(tail_of(root)))


@pytest.mark.parametrize("name", [f"{name}{suffix}" for name in OTHERS for suffix in ("", ".gz")])
def test_a_copy_under_any_name(name: str, log: Log, restart: Restart, tail_of: Make) -> None:
    """Of two files with the same bytes, at least a KiB of them, one is read; which is told, as nobody may expect it."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 1000))
    copy = write(root / name, log.path.read_bytes())
    tail = restart(tail, root)
    happenings = tail.scan()

    told = [each for each in happenings if isinstance(each, Duplicate)]
    assert 1 == len(told)
    assert {str(copy), str(log.path)} == {told[0].path, told[0].of}
    assert f"{told[0].path}: has the same lines as {told[0].of}; they are counted once" == trouble(told[0])
    assert numbered(0, 1000) == lines_of(tail.read())
    log.append(*numbered(1000, 1010))
    tail = restart(tail, root)
    assert numbered(1000, 1010) == read(tail)
    log.path.unlink()
    assert [] == read(tail) + read(tail) + read(restart(tail, root))


def test_a_copy_that_rotation_made_is_told_nobody(log: Log, tail_of: Make) -> None:
    """What `logrotate` copies and `gzip` compresses is as it should be."""
    root = log.path.parent
    log.append(*numbered(0, 1000))
    tail = tail_of(root)
    read(tail)
    for name in NAMES[:3]:
        write(root / name, log.path.read_bytes())
        write(root / f"{name}.gz", log.path.read_bytes())
    happenings = tail.scan()

    assert [""] * 6 == [trouble(each) for each in happenings]
    assert 6 == sum(isinstance(each, Duplicate) for each in happenings)


@pytest.mark.parametrize("names", [("worker-1.jsonl", "worker-2.jsonl"), ("a/agent.jsonl", "b/agent.jsonl")])
def test_two_small_logs_of_two_workers(names: tuple[str, str], tmp_path: Path, restart: Restart, tail_of: Make) -> None:
    """Less than a KiB that is alike says nothing: such files are one only if one is named as rotated from the other."""
    tail = tail_of(tmp_path)
    paths = [write(tmp_path / name, b"".join(numbered(0, 3))) for name in names]
    assert sorted(numbered(0, 3) * 2) == sorted(read(tail))
    tail = restart(tail, tmp_path)
    for path in paths:
        with path.open("ab") as file:
            file.write(b"3\n")

    assert [b"3\n"] * 2 == read(tail)
    assert 8 == len(read(tail_of(tmp_path)))


def test_two_logs_that_are_written_alike(tmp_path: Path, restart: Restart, tail_of: Make) -> None:
    """What `tee` writes into two files at once is one log; what comes of them first is of no matter."""
    tail = tail_of(tmp_path)
    paths = [write(tmp_path / name, HEADER) for name in ("one.jsonl", "two.jsonl")]
    found = read(tail)
    for number in range(20):
        for path in paths if number % 3 else reversed(paths):
            with path.open("ab") as file:
                file.write(b"%d\n" % number)
            if number % 2:
                found += read(tail)
        if number == 10:
            tail = restart(tail, tmp_path)
        found += read(tail)

    assert HEADER + b"".join(b"%d\n" % number for number in range(20)) == b"".join(found)


def test_the_same_header(tmp_path: Path, restart: Restart, tail_of: Make) -> None:
    """Logs that begin with the same lines are one only until they differ: then each of them counts in full."""
    tail = tail_of(tmp_path)
    paths = [write(tmp_path / f"{number}.jsonl", HEADER) for number in range(3)]
    found = read(tail)
    for number, path in enumerate(paths):
        with path.open("ab") as file:
            file.write(b"%d\n" % number)
        tail = restart(tail, tmp_path)
        found += read(tail)

    assert Counter(HEADER.splitlines(keepends=True) * 3 + [b"0\n", b"1\n", b"2\n"]) == Counter(found)
    assert Counter(read(tail_of(tmp_path))) == Counter(found)


LINES = st.integers(0, 1)
"""So few, that two logs often go on alike."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["one.jsonl", "two.jsonl", "three.jsonl"]), LINES),
        st.sampled_from(["look", "look", "restart", "copy", "compress"]),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(STEPS)
def test_following_logs_that_share_a_beginning_equals_history(steps: list[tuple[str, int] | str]) -> None:
    """However logs go on alike and part, and whenever they are looked at: what was counted is what a replay counts."""
    with TemporaryDirectory() as name:
        root = Path(name)
        tail = Tail([root], is_log, lambda _: None)
        found: list[bytes] = []
        for number, step in enumerate([*steps, "look", "look"]):
            if isinstance(step, tuple):
                path = root / step[0]
                with path.open("ab") as file:
                    file.write((b"" if path.stat().st_size else HEADER) + b"%d\n" % step[1])
            elif step == "restart":
                found += lines_of(tail.read())  # else what it has seen, and what is copied meanwhile, is another matter
                positions = [Position(*position) for position in tail.positions()]
                tail.close()
                tail = Tail([root], is_log, lambda _: None, positions=positions)
                found += read(tail)
            elif step in ("copy", "compress") and (root / "one.jsonl").exists():
                suffix = ".gz" if step == "compress" else ""
                write(root / f"{number}.jsonl{suffix}", (root / "one.jsonl").read_bytes())
            else:
                found += read(tail)
        tail.close()
        again = Tail([root], is_log, lambda _: None)
        expected = read(again)
        again.close()

    assert Counter(expected) == Counter(found)


def test_logs_that_are_alike_but_for_one_line(tmp_path: Path, tail_of: Make) -> None:
    """All of two contents is compared: lines without times may be alike nearly everywhere."""
    lines = [b'{"tick":1}\n'] * 10_000
    for number in range(3):
        write(tmp_path / f"{number}.jsonl", b"".join([*lines[:3333], b'{"tick":%d}\n' % number, *lines[3334:]]))

    assert 30_000 == len(read(tail_of(tmp_path)))


@pytest.mark.parametrize("kept", [900, 999, 1000], ids=["by much", "by a line", "not"])
def test_a_copy_that_was_cut_short(kept: int, log: Log, restart: Restart, tail_of: Make) -> None:
    """What was counted between the copying and the emptying is not in the copy: nothing more is counted of that."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 1000))
    assert numbered(0, 1000) == read(tail)
    copy = write(root / "agent.1.jsonl", b"".join(numbered(0, kept)))
    log.truncate()
    log.append(b"new")
    tail = restart(tail, root)

    assert [b"new\n"] == read(tail) + read(tail)
    with copy.open("ab") as late:
        late.write(b"late\n")
    assert [b"late\n"] == read(tail) + read(restart(tail, root))


@pytest.mark.parametrize("name", ["agent.jsonl", "restored.jsonl", "agent.jsonl.7.gz"])
def test_a_log_that_is_deleted_and_restored(name: str, log: Log, restart: Restart, tail_of: Make) -> None:
    """What was counted is known when it comes back, under whatever name, and read on where it ended."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 1000))
    read(tail)
    content = log.path.read_bytes()
    log.path.unlink()
    tail = restart(tail, root)
    assert [] == read(tail) + read(tail)
    write(root / name, content + b"more\n")

    assert [b"more\n"] == read(tail)


@pytest.mark.parametrize("name", ["agent.jsonl", "backup.jsonl", "backup.jsonl.gz"])
def test_an_older_state_of_a_log_that_is_deleted(name: str, log: Log, restart: Restart, tail_of: Make) -> None:
    """A backup that holds less than was counted, or the log without its last lines, is not counted again."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 1000))
    read(tail)
    log.path.unlink()
    tail = restart(tail, root)
    assert [] == read(tail) + read(tail)
    write(root / name, b"".join(numbered(0, 700)))

    assert [] == read(tail)


def test_a_log_that_is_made_again_with_the_same_header(log: Log, restart: Restart, tail_of: Make) -> None:
    """What a deleted log had, too, is counted anew in the next one, as soon as that has more than was in it."""
    root = log.path.parent
    tail = tail_of(root)
    log.tear(HEADER)
    log.append(*numbered(0, 1000))
    read(tail)
    log.path.unlink()
    tail = restart(tail, root)
    assert [] == read(tail) + read(tail)
    log.tear(HEADER)
    log.append(*numbered(5000, 5100))

    assert HEADER.splitlines(keepends=True) + numbered(5000, 5100) == read(tail)


@pytest.mark.parametrize("name", ["agent.jsonl.1", "agent.1.jsonl", "agent-20261127.jsonl.gz"])
def test_a_single_file_that_is_copied_and_emptied(name: str, log: Log, restart: Restart, tail_of: Make) -> None:
    """Of a root that is a file, what was unread is read from its copy; a log beside it with such a name is not ours."""
    root = log.path.parent
    other = log.path.with_name("agent-2.jsonl")
    other.write_bytes(b"".join(numbered(900, 950)))
    tail = tail_of(log.path)
    log.append(*numbered(0, 1000))
    assert numbered(0, 1000) == read(tail)
    write(log.path.with_name("agent.7.jsonl"), b"".join(numbered(7000, 7100)))
    log.append(*numbered(1000, 1003))
    write(root / name, log.path.read_bytes())
    log.truncate()
    log.append(b"new")
    tail = restart(tail, log.path)

    assert [*numbered(1000, 1003), b"new\n"] == sorted(read(tail) + read(tail))


def test_a_log_that_is_emptied_and_copied_before_anyone_looks(log: Log, tail_of: Make) -> None:
    """What was counted of a log says nothing of what it holds now, nor of a copy of that."""
    tail = tail_of(log.path.parent)
    log.append(b"1")
    assert [b"1\n"] == read(tail)
    log.truncate()
    log.tear(bytes(5000))
    log.append(b"2")
    log.path.with_name("other.jsonl").write_bytes(log.path.read_bytes())

    assert [b"2\n"] == read(tail) + read(tail)


def test_a_small_log_that_grew_was_copied_and_emptied(log: Log, tail_of: Make) -> None:
    """Who hears of the copy only, looks at the log, too, which was too small before to be known by its content."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 3))
    assert numbered(0, 3) == read(tail)
    log.append(*numbered(3, 100))
    copy = write(log.path.with_name("agent.1.jsonl"), log.path.read_bytes())
    log.truncate()

    tail.look([str(copy)])
    assert numbered(3, 100) == lines_of(tail.read()) + read(tail)


def test_a_log_that_is_read_while_it_is_small_and_copied_when_it_is_large(log: Log, tail_of: Make) -> None:
    """What was counted of a log until there was enough of it to be compared is not counted again in its copy."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 3))
    assert numbered(0, 3) == read(tail)
    log.append(*numbered(3, 100))
    write(log.path.with_name("other.jsonl"), log.path.read_bytes())

    assert numbered(3, 100) == read(tail)


def test_a_log_that_is_emptied_and_grows_while_its_copies_wait(log: Log, tail_of: Make) -> None:
    """Before a copy is taken for new, its original is looked at: it may hold something else by now, and more."""
    tail = tail_of(log.path.parent)
    log.append(*numbered(0, 100))
    tail.scan()
    chunk = tail.next_chunk(500)
    found = lines_of([chunk] if chunk else [])
    for name in ("agent.1.jsonl", "other.jsonl"):
        write(log.path.with_name(name), log.path.read_bytes())
        tail.scan()
    log.truncate()
    log.append(*numbered(5000, 5200))

    assert numbered(0, 100) + numbered(5000, 5200) == sorted(found + lines_of(tail.read()) + read(tail))


@pytest.mark.parametrize("name", ["agent.{}.jsonl", "agent-{}.jsonl", "agent.jsonl.{}"])
def test_a_small_log_that_is_copied_emptied_and_renamed(name: str, log: Log, restart: Restart, tail_of: Make) -> None:
    """A log is known by the name that it had when it was counted, though it and its copy were renamed meanwhile."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 3))
    assert numbered(0, 3) == read(tail)
    write(root / name.format(2), log.path.read_bytes())
    log.truncate()
    log.path.rename(root / name.format(1))
    log.append(b"new")

    assert [b"new\n"] == read(restart(tail, root))


def test_what_is_written_to_a_copy_while_its_original_stands(log: Log, restart: Restart, tail_of: Make) -> None:
    """The one that holds more is read on; the other one is a log of its own as soon as it goes on otherwise."""
    root = log.path.parent
    tail = tail_of(root)
    log.append(*numbered(0, 100))
    assert numbered(0, 100) == read(tail)
    copy = write(root / "agent.1.jsonl", log.path.read_bytes())
    assert [] == read(tail)
    with copy.open("ab") as file:
        file.write(b"late\n")
    tail = restart(tail, root)
    happenings = [each for each in tail.scan() if not isinstance(each, Appeared)]

    assert Continued(str(copy), str(log.path), 2100) in happenings
    assert [b"late\n"] == lines_of(tail.read())
    log.truncate()
    log.append(b"new")
    assert [b"new\n"] == read(tail) + read(restart(tail, root))


def test_a_copy_of_a_file_that_cannot_be_opened_again(log: Log, tail_of: Make) -> None:
    """With one file open at most, contents are compared as with many."""
    root = log.path.parent
    tail = tail_of(root, max_open=1)
    log.append(*numbered(0, 1000))
    for name in OTHERS[:2]:
        write(root / name, log.path.read_bytes())
    assert numbered(0, 1000) == read(tail)
    log.path.rename(root.parent / "away")
    assert [] == read(tail) + read(tail) + read(tail)


def test_many_logs_with_one_beginning(tmp_path: Path, tail_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """To know that a thousand logs with the same header differ costs a bounded number of looks for each."""
    for number in range(1000):
        write(tmp_path / f"{number}.jsonl", HEADER + b"%d\n" % number)
    opened = 0
    real = os.open

    def counted(*words: object, **options: object) -> int:
        nonlocal opened
        opened += 1
        return real(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", counted)
    tail = tail_of(tmp_path)

    assert 1000 * 31 == len(read(tail))
    assert opened <= 1000 * 70


def test_two_logs_that_are_one_are_told(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> None:
    """The log says that two logs are one, and it is counted; a restart counts and reports nothing again."""
    logs = tmp_path / "logs"
    logs.mkdir()
    content = b"".join(tool_call(at) + b"\n" for at in range(100))
    for name in ("one.jsonl", "two.jsonl"):
        (logs / name).write_bytes(content)
    victim = Victim(logs, tmp_path / "state", free_ports(1)[0], tmp_path / "said")
    try:
        victim.start()
        victim.ready()
        eventually(lambda: victim.value("extractor_events_total"), 100.0)
        eventually(lambda: victim.value('extractor_file_changes_total{kind="duplicate"}'), 1.0)
        victim.stop()
        victim.start()
        victim.ready()
        eventually(lambda: victim.value("extractor_events_total"), 100.0)
        eventually(lambda: victim.value('extractor_file_changes_total{kind="duplicate"}'), 1.0)
        victim.stop()
    finally:
        victim.close()

    assert 1 == victim.said.read_text().count("has the same lines as")
