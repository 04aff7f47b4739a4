"""A folder of logs in which an attacker writes: nothing outside of it is read, and nothing in it is the end."""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.tail.changes import Unreadable
from extractor.tail.discovery import MAX_DEPTH
from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from extractor.tail.waker import Waker
from tests.killing import Victim
from tests.reading import tool_call
from tests.servers import eventually
from tests.tailing import read, tails

tail_of = pytest.fixture(tails)

NAMES = [b"\xff.jsonl", b"new\nline.jsonl", b"\x1b[2J\x1b]0;title\x07.jsonl", b"\xc2\x9b31m.jsonl", b"%s{}.jsonl"]
"""Names of logs: not UTF-8, of two lines, two that drive a terminal, one that a format string would fill in."""

SECRET = b"secret\n"


@pytest.fixture
def victim(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """An extractor that follows an empty folder."""
    (tmp_path / "logs").mkdir()
    made = Victim(tmp_path / "logs", tmp_path / "state", free_ports(1)[0], tmp_path / "said")
    yield made
    made.close()


def log_and_secret(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a log in a folder of it, and a folder outside with a file of that name."""
    root, outside = tmp_path / "logs", tmp_path / "outside"
    for folder, content in ((root / "sub", b"1\n"), (outside, SECRET)):
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_bytes(content)
    return root, outside


def swap_file(root: Path, outside: Path) -> None:
    """Put a link to the file outside where the log was."""
    (root / "sub" / "a.jsonl").unlink()
    (root / "sub" / "a.jsonl").symlink_to(outside / "a.jsonl")


def swap_folder(root: Path, outside: Path) -> None:
    """Put a link to the folder outside where the folder of the log was."""
    (root / "sub").rename(root / "was")
    (root / "sub").symlink_to(outside)


@pytest.mark.parametrize("swap", [swap_file, swap_folder])
@pytest.mark.parametrize("hinted", [False, True], ids=["scan", "look"])
def test_what_becomes_a_link_at_any_moment_is_not_followed(
    swap: Callable[[Path, Path], None], hinted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before whichever question to the system a file or folder is replaced by a link, nothing outside is read."""
    asked = 1
    moment = 0
    while moment <= asked:
        root, outside = log_and_secret(tmp_path / str(moment))
        asked = 0

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                nonlocal asked
                asked += 1
                if asked == moment + 1:  # noqa: B023  # it is called within the turn
                    swap(root, outside)  # noqa: B023
                return real(*arguments, **options)

            return call

        tail = Tail([root], lambda name: ".jsonl" in name, lambda _: None)
        with monkeypatch.context() as patch:
            for name in ("stat", "lstat", "scandir", "open"):
                patch.setattr(os, name, counted(getattr(os, name)))
            seen = []
            for _ in range(3):
                if hinted:
                    tail.look([str(root / "sub" / "a.jsonl"), str(root / "sub"), str(root)])
                else:
                    tail.scan()
                seen += [piece for chunk in tail.read() for piece in chunk.pieces]
            tail.close()
        assert SECRET not in str(seen).encode()
        assert b"secret" not in str(seen).encode()
        moment += 1
    assert moment > 5, "it asks the system more often than that"


def test_links_are_followed_when_told(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """With --follow-symlinks what is behind a link is read once, however many links lead to it, and loops end."""
    root, outside = log_and_secret(tmp_path)
    (outside / "back").symlink_to(root)
    (root / "loop").symlink_to(root)
    for name in ("one", "two"):
        (root / name).symlink_to(outside)
    (root / "file.jsonl").symlink_to(outside / "a.jsonl")
    (root / "broken.jsonl").symlink_to(root / "nowhere")

    assert [b"1\n"] == read(tail_of(root))
    tail = tail_of(root, follow_symlinks=True)
    assert sorted([b"1\n", SECRET]) == sorted(read(tail))
    with (outside / "a.jsonl").open("ab") as file:
        file.write(b"more\n")
    tail.look([str(root / "two" / "a.jsonl")])
    assert [b"more\n"] == read(tail)
    assert [] == read(tail)


@pytest.mark.parametrize(("options", "lines"), [((), 1), (("--follow-symlinks",), 3)])
def test_replay_follows_links_when_told(options: tuple[str, ...], lines: int, tmp_path: Path) -> None:
    """`replay` has the same rule and the same option as `run`."""
    root, outside = tmp_path / "logs", tmp_path / "outside"
    for folder, number in ((root, 1), (outside, 2)):
        folder.mkdir()
        (folder / f"{number}.jsonl").write_bytes((tool_call() + b"\n") * number)
    (root / "link").symlink_to(outside)
    result = CliRunner().invoke(main, ["replay", str(root), "--format", "json", *options])

    assert lines == json.loads(result.stdout)["lines"]


def test_names_of_every_kind(victim: Victim) -> None:
    """Files and folders of any name are read once, their rejects kept, through restarts; none drives a terminal."""
    folder = os.fsencode(victim.logs) + b"/\xfe"
    Path(os.fsdecode(folder)).mkdir()
    for name in NAMES:
        for place in (os.fsencode(victim.logs), folder):
            with open(place + b"/" + name, "wb") as file:  # noqa: PTH123  # its name is no text
                file.write(tool_call() + b"\nnot json\n")
    expected = 2 * len(NAMES)
    for _ in range(2):
        victim.start()
        victim.ready()
        eventually(lambda: victim.value("extractor_events_total"), float(expected))
        eventually(lambda: victim.value('extractor_rejected_lines_total{reason="not_json"}'), float(expected))
        victim.stop()
    rejects = (victim.state_dir / "rejects.jsonl").read_bytes().splitlines()
    said = victim.said.read_bytes()

    assert expected == len([json.loads(entry) for entry in rejects])
    assert 5 == len({json.loads(entry)["file"].rpartition("/")[2] for entry in rejects})
    assert b"cannot save" not in said
    assert not any(byte in said for byte in b"\x1b\x07\x9b")
    assert not any(control in entry for entry in rejects for control in (b"\x1b", b"\xc2\x9b"))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_names_of_every_kind_are_replayed(jobs: str, tmp_path: Path) -> None:
    """What a replay says of a file is said, whatever its name, by any process, and drives no terminal."""
    for name in NAMES:
        path = os.fsencode(tmp_path) + b"/" + name + b".gz"
        with open(path, "wb") as file:  # noqa: PTH123  # its name is no text
            file.write(gzip.compress(tool_call() + b"\nnot json\n")[:-4])
    result = CliRunner().invoke(main, ["replay", str(tmp_path), "--jobs", jobs, "--format", "json"])

    assert 1 == result.exit_code
    assert len(NAMES) == json.loads(result.stdout)["events"] == result.stderr.count("breaks off")
    assert not any(control in result.stderr for control in "\x1b\x07\x9b")


def test_a_deep_tree_is_told_and_left(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """Folders in folders are listed and watched to a depth; that there is more is told once, and ends nothing."""
    deep, made = os.open(tmp_path, os.O_RDONLY), 0
    for made in range(1, 1500):
        os.mkdir("a", dir_fd=deep)
        below = os.open("a", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
        if made in (MAX_DEPTH, MAX_DEPTH + 1):
            os.close(os.open("in.jsonl", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
    os.close(deep)
    tail = tail_of(tmp_path)
    told = [happening for happening in tail.scan() if isinstance(happening, Unreadable)]

    assert ["more than 100 folders in one another"] == [
        happening.why.partition("] ")[2].split(":")[0] for happening in told
    ]
    assert 1 == len(tail.sources())
    assert [] == tail.scan()
    waker = Waker([tmp_path])
    assert "" == waker.problem
    waker.close()
    # Whoever cleans up is no wiser than os.walk: the path is longer than a path may be.
    (tmp_path / "a").rename(tmp_path / "gone")
    os.system(f"rm -rf '{tmp_path / 'gone'}'")


@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_a_name_that_is_no_text_is_looked_for_by_time(is_folder: bool, tmp_path: Path) -> None:
    """watchfiles gives up at a name that is not UTF-8: that is told, and everything is found by looking."""
    waker = Waker([tmp_path])
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))
    path.mkdir() if is_folder else path.touch()
    eventually(lambda: waker.wait(0.01) is not None and "looking by time only" in waker.problem, True)
    waker.close()
    again = Waker([tmp_path])
    assert isinstance(again.wait(0.01), frozenset)
    again.close()


def test_a_hard_link_is_a_file_of_the_folder(tmp_path: Path, tail_of: Callable[..., Tail]) -> None:
    """A hard link cannot be told from the file: it is read. The system decides who may make one."""
    root, outside = log_and_secret(tmp_path)
    os.link(outside / "a.jsonl", root / "hard.jsonl")

    assert sorted([b"1\n", SECRET]) == sorted(read(tail_of(root)))


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.ZstdCompressor().compress)], ids=["gzip", "zstd"]
)
def test_streams_of_nothing_are_damage(
    suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path, tail_of: Callable[..., Tail]
) -> None:
    """A file of empty compressed streams would be read for ever without a line: after a thousand of them it is left."""
    (tmp_path / f"a.jsonl{suffix}").write_bytes(
        pack(b"1\n") + pack(b"") * 900 + pack(b"2\n") + pack(b"") * 1100 + pack(b"3\n")
    )

    assert [b"1\n", b"2\n"] == read(tail_of(tmp_path))


def test_a_position_keeps_any_name() -> None:
    """What is saved of a file brings back its name; so does what an older version saved."""
    position = Position(os.fsdecode(b"/a/\xff\n.jsonl"), 1, 2, 3, 4, "head", 5, "last", 6, 7)
    old = Position("/a/b.jsonl", 1, 2, 3, 4, "head", 5, "last", 6, 7)

    assert position == Position.of_plain(position.plain())
    assert isinstance(position.plain()[0], bytes)
    assert old == Position.of_plain(list(old))
