"""A file that a command writes is there whole or not at all, whoever else writes it and whatever ends the command."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from extractor.files.atomic import PREFIX, whole_file
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually
from tests.test_backfill_outputs import needs_promtool


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for what is written."""
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path / "out"


@contextmanager
def backfilling(out: Path, fifo: str, *words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A backfill that has begun to write, and waits for somebody to write into *fifo*."""
    path = out.with_name(fifo)
    os.mkfifo(path)
    before = set(out.iterdir())
    command = [sys.executable, "-m", "extractor", "replay", str(path), *map(str, words)]
    environment = os.environ | {"TMPDIR": str(out.with_name("tmp"))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        try:
            eventually(lambda: len(set(out.iterdir()) - before), 1)
            yield process
        finally:
            process.kill()


def feed(out: Path, fifo: str, *lines: bytes) -> None:
    """Give a backfill its log, to the end."""
    with out.with_name(fifo).open("wb") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def names(folder: Path) -> list[str]:
    """What is in *folder*."""
    return sorted(path.name for path in folder.iterdir())


def test_two_at_once_write_two_whole_documents(out: Path):
    """Each writes a file of its own, and the one that ends last is there, whole."""
    path = out / "history.om"
    with backfilling(out, "a", "--backfill", path) as first, backfilling(out, "b", "--backfill", path) as second:
        feed(out, "a", *(tool_call(at, tool="a") for at in range(200)))
        _, said = first.communicate(timeout=DEADLINE)
        assert 0 == first.returncode, said
        after_first = path.read_text()
        feed(out, "b", tool_call(tool="b"))
        _, said = second.communicate(timeout=DEADLINE)
        assert 0 == second.returncode, said

    for text, tool in ((after_first, "a"), (path.read_text(), "b")):
        assert text.startswith("# ")
        assert text.endswith("# EOF\n")
        assert "\0" not in text
        assert f'tool="{tool}"' in text
    assert ["history.om"] == names(out)


KINDS = [
    pytest.param("--backfill", id="document"),
    pytest.param("--backfill-blocks", id="blocks", marks=needs_promtool),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing_behind(number: int, code: int, kind: str, out: Path):
    """SIGTERM and Ctrl-C leave no temporary file or folder, neither beside the output nor in TMPDIR."""
    where = out / "history.om" if kind == "--backfill" else out
    with backfilling(out, "a", kind, where) as process:
        process.send_signal(number)
        said, errors = process.communicate(timeout=DEADLINE)

    assert (code, b"") == (process.returncode, said)
    assert b"Traceback" not in errors
    assert ([], []) == (names(out), names(out.with_name("tmp")))


@needs_promtool
def test_two_at_once_write_all_blocks(out: Path):
    """Both blocks are there, and nothing else."""
    with (
        backfilling(out, "a", "--backfill-blocks", out) as first,
        backfilling(out, "b", "--backfill-blocks", out) as second,
    ):
        for fifo, process in (("a", first), ("b", second)):
            feed(out, fifo, tool_call(tool=fifo))
            _, said = process.communicate(timeout=DEADLINE)
            assert 0 == process.returncode, said

    assert [True] * 4 == [(block / "meta.json").exists() for block in out.iterdir()]


def test_a_kill_leaves_what_disturbs_nobody(out: Path):
    """What kill -9 leaves behind has a name that no other run takes."""
    path = out / "history.om"
    with backfilling(out, "a", "--backfill", path) as process:
        process.kill()
        process.communicate(timeout=DEADLINE)
    [left] = names(out)
    with backfilling(out, "b", "--backfill", path) as process:
        feed(out, "b", tool_call())
        process.communicate(timeout=DEADLINE)

    assert left.startswith(PREFIX)
    assert sorted([left, "history.om"]) == names(out)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [0, 10, 1000])
def test_a_full_disk_is_one_line(most: int, kind: str, out: Path):
    """Where no file can become longer than so many bytes, it is said in one line, and nothing is left behind."""
    where = out / "history.om" if kind == "--backfill" else out
    (out.parent / "a.jsonl").write_bytes(b"".join(tool_call(at) + b"\n" for at in range(100)))
    command = [sys.executable, "-B", "-m", "extractor", "replay", str(out.parent / "a.jsonl"), kind, str(where)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        env=os.environ | {"TMPDIR": str(out.with_name("tmp"))},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("extractor: ")
    assert 1 == done.stderr.count("\n")
    assert ([], []) == (names(out), names(out.with_name("tmp")))


def test_a_long_name(out: Path):
    """The longest name that the system takes can be written."""
    path = out / ("x" * 255)
    with whole_file(path) as file:
        file.write(b"all")

    assert b"all" == path.read_bytes()
    assert [path.name] == names(out)


def test_a_link_stays_a_link(out: Path):
    """What a link leads to is written, on whatever disk it is."""
    (out / "disk").mkdir()
    (out / "history.om").symlink_to("disk/there.om")
    with backfilling(out / "disk", "b", "--backfill", out / "history.om") as process:
        feed(out / "disk", "b", tool_call())
        process.communicate(timeout=DEADLINE)

    assert (out / "history.om").is_symlink()
    assert (out / "disk" / "there.om").read_text().endswith("# EOF\n")


def test_the_mode_is_as_of_any_file(out: Path):
    """Who may read it is for the umask to say."""
    before = os.umask(0o027)
    try:
        with whole_file(out / "x"):
            pass
    finally:
        os.umask(before)

    assert 0o640 == (out / "x").stat().st_mode & 0o777


def test_an_error_leaves_the_file_of_before(out: Path):
    """What was there stays until the new one is whole."""
    path = out / "x"
    path.write_bytes(b"before")

    def broken_off() -> None:
        with whole_file(path) as file:
            file.write(b"a" * 100_000)
            assert b"before" == path.read_bytes()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()

    assert b"before" == path.read_bytes()
    assert ["x"] == names(out)
