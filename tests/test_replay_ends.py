"""How a replay ends before its time, as real processes: Ctrl-C, a worker that is killed, a reader that goes away."""

import gzip
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from bench.gen import lines
from extractor.errors import SourceError, WorkerError
from extractor.history.workers import Progress, Workers
from extractor.ingest.pipeline import MergeError
from tests.conftest import Log
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually

JOBS = 2


def replaying(*words: object, **options: object) -> subprocess.Popen[bytes]:
    """`extractor replay` in a session of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "extractor", "replay", *map(str, words)]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True} | options
    return subprocess.Popen(command, **settings)  # type: ignore[call-overload]


def children(process: int) -> list[int]:
    """The processes that *process* has started and that are still there."""
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def is_there(process: int) -> bool:
    """Whether *process* runs; one that has ended and is not yet buried does not."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two compressed logs, each of more lines than anyone reads in the time of a test."""
    folder = tmp_path_factory.mktemp("endless")
    for name in ("a", "b"):
        with gzip.open(folder / f"{name}.jsonl.gz", "wb", 9) as file:
            file.write(b"%b\n" % name.encode())  # what is the same from its first byte on is one log
            for _ in range(400):
                file.write(b"{\n" * 1_000_000)
    return folder


@pytest.fixture
def busy(endless: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A replay with two workers that have begun to read; whatever is left of it is killed in the end."""
    with replaying(endless, "--jobs", JOBS) as process:
        eventually(lambda: len(children(process.pid)), JOBS)
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_ctrl_c_ends_all(busy: subprocess.Popen[bytes]) -> None:
    """Ctrl-C reaches every process of the terminal; the answer is one line, 130, and nothing that runs on."""
    workers = children(busy.pid)
    os.killpg(busy.pid, signal.SIGINT)

    assert (b"", b"extractor: interrupted\n") == busy.communicate(timeout=DEADLINE)
    assert 130 == busy.returncode
    assert [] == [worker for worker in workers if is_there(worker)]


def test_workers_leave_ctrl_c_to_the_replay(busy: subprocess.Popen[bytes]) -> None:
    """Only one process answers Ctrl-C: a worker that did, too, would say so on the same terminal."""
    eventually(lambda: [ignores(worker, signal.SIGINT) for worker in children(busy.pid)], [True] * JOBS)


def ignores(process: int, number: int) -> bool:
    """Whether *process* ignores the signal of this *number*."""
    found = re.search(r"^SigIgn:\s+(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    assert found
    return bool(int(found[1], 16) & 1 << number - 1)


def test_ctrl_c_ends_one_process(endless: Path) -> None:
    """The same without workers."""
    process = replaying(endless, "--jobs", 1, stderr=subprocess.PIPE)
    eventually(lambda: ".jsonl.gz" in " ".join(opened_by(process.pid)), expected=True)
    process.send_signal(signal.SIGINT)

    assert (b"", b"extractor: interrupted\n") == process.communicate(timeout=DEADLINE)
    assert 130 == process.returncode


def test_ctrl_c_at_the_very_start() -> None:
    """Ctrl-C while the program is still being loaded ends it, too, and without a traceback."""
    command = [sys.executable, "-X", "importtime", "-m", "extractor", "replay", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.split()[-1:] == [b"click.core"])
        process.send_signal(signal.SIGINT)

        assert b"Traceback" not in process.stderr.read()
        assert -signal.SIGINT == process.wait(DEADLINE)


@pytest.mark.parametrize("command", ["replay", "report"])
def test_what_could_not_be_read_is_an_exit_code(tmp_path: Path, command: str) -> None:
    """Of logs that could be read only in part the rest is printed, what is missing is named, and the exit code is 1."""
    (tmp_path / "whole.jsonl").write_bytes(b"".join(lines(200, seed=1)))
    packed = gzip.compress(b"".join(lines(2000, seed=2)))
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    arguments = [sys.executable, "-m", "extractor", command, str(tmp_path)]

    done = subprocess.run(arguments, capture_output=True, text=True, timeout=DEADLINE, check=False)

    assert 1 == done.returncode
    assert "cut.jsonl.gz breaks off" in done.stderr
    assert "Success rate" in done.stdout


def opened_by(process: int) -> list[str]:
    """The names of the files that *process* has open."""
    found = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return found


def test_killed_worker_is_one_error(busy: subprocess.Popen[bytes]) -> None:
    """A worker that the system kills, as it does when memory is short, ends the replay at once, with the reason."""
    workers = children(busy.pid)
    os.kill(workers[0], signal.SIGKILL)
    out, error = busy.communicate(timeout=DEADLINE)

    assert (1, b"") == (busy.returncode, out)
    assert re.fullmatch(rb"extractor: a process of the replay was killed by signal 9; .+\n", error)
    assert [] == [worker for worker in workers if is_there(worker)]


def test_workers_do_not_outlive_the_replay(busy: subprocess.Popen[bytes]) -> None:
    """When the replay itself is killed its workers end by themselves, and say nothing."""
    workers = children(busy.pid)
    busy.kill()

    assert (b"", b"") == busy.communicate(timeout=DEADLINE)  # their ends of both pipes are closed, too
    eventually(lambda: [worker for worker in workers if is_there(worker)], [])


@pytest.mark.parametrize("form", ["table", "prometheus", "json"])
def test_reader_that_goes_away(log: Log, form: str) -> None:
    """`extractor replay … | head -1` ends without a word."""
    log.append(*(tool_call(at, tool=str(at)) for at in range(100)))
    process = replaying(log.path, "--format", form)
    assert process.stdout
    process.stdout.close()

    assert process.stderr
    assert b"" == process.stderr.read()
    assert 1 == process.wait(DEADLINE)
    process.stderr.close()


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_is_for_terminals(tmp_path: Path, jobs: int) -> None:
    """On a terminal a bar says how far it is; what is printed is the same, and a pipe gets nothing else."""
    lines = b"".join(tool_call(at) + b"\n" for at in range(50_000))
    for name in "ab":
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines))
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", 0) as terminal:
        process = replaying(tmp_path, "--jobs", jobs, stderr=theirs)
        os.close(theirs)
        seen = b"".join(iter(lambda: told_by(terminal), b""))
        out, _ = process.communicate(timeout=DEADLINE)
    with replaying(tmp_path, "--jobs", jobs) as silent:
        expected, error = silent.communicate(timeout=DEADLINE)

    assert (b"", expected) == (error, out)
    assert b"Reading" in seen
    assert re.search(rb"\d of \d+ MB", seen)
    assert b"100%" in seen


def told_by(terminal: object) -> bytes:
    """What is said on *terminal* next; nothing once nobody has it open any more."""
    try:
        return terminal.read(65536)  # type: ignore[attr-defined]
    except OSError:
        return b""


def test_results_are_larger_than_a_pipe() -> None:
    """Every result arrives whole, whatever its size; an item is open until the result that contains it is returned."""

    def work(items: Iterable[int], progress: Progress) -> bytes:
        item = next(iter(items), None)
        progress(1, 2)
        return b"" if item is None else bytes([item]) * (20 << 20)

    told: list[tuple[int, int]] = []
    found = {}
    with Workers(work, 2, 3) as workers:
        for result in workers.results(lambda *read: told.append(read)):
            assert result[0] not in workers.open_items
            found[result[0]] = len(result)

    assert dict.fromkeys(range(3), 20 << 20) == found
    assert sum(size for size, _ in told) * 2 == sum(lines for _, lines in told)
    assert 3 <= sum(size for size, _ in told)


def test_a_worker_that_is_killed_while_others_work() -> None:
    """The error names the signal that killed the process, not the one that ended the others."""

    def work(items: Iterable[int], _progress: Progress) -> bytes:
        for item in items:
            if item:
                signal.pause()
            os.kill(os.getpid(), signal.SIGKILL)
        return b""

    with Workers(work, 2, 2) as workers:
        with pytest.raises(WorkerError, match="was killed by signal 9; nothing was counted"):
            list(workers.results(lambda *_: None))

        assert {0, 1} == workers.open_items


def test_a_worker_that_fails_otherwise() -> None:
    """What nobody has foreseen is one error, too, and no traceback of another process."""

    def work(_items: Iterable[int], _progress: Progress) -> bytes:
        raise MemoryError

    with Workers(work, 2, 5) as workers, pytest.raises(SourceError, match="a process of the replay failed: MemoryErr"):
        list(workers.results(lambda *_: None))


def test_what_cannot_be_merged_is_the_same_error_as_in_one_process() -> None:
    """The replay answers it by reading everything once more, line by line."""

    def work(_items: Iterable[int], _progress: Progress) -> bytes:
        raise MergeError("no room")

    with Workers(work, 2, 5) as workers, pytest.raises(MergeError, match="no room"):
        list(workers.results(lambda *_: None))


def test_a_terminated_worker_says_nothing(busy: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all processes, as a service manager sends it, ends all of them, and nobody prints a traceback."""
    workers_of_it = children(busy.pid)
    os.killpg(busy.pid, signal.SIGTERM)

    assert (b"", b"") == busy.communicate(timeout=DEADLINE)
    assert -signal.SIGTERM == busy.returncode
    eventually(lambda: [worker for worker in workers_of_it if is_there(worker)], [])
