"""Events that are written, and trouble that comes, while another event is being written by the same thread."""

import gc
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from extractor import emit
from tests.interrupting import at_each_point

ROOT = Path(__file__).parent.parent


class Logs:
    """A new log each time, and what became of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._kept: list[emit.Log] = []  # what is raised while an object is deleted is ignored by Python

    def new(self) -> tuple[emit.Log, Path]:
        """A log in a directory of its own that is not there yet."""
        path = self._folder / str(next(self._numbers)) / "agent.jsonl"
        self._kept.append(emit.Log(path))
        return self._kept[-1], path


def read(path: Path) -> list[dict]:
    """The lines of the log at *path*, after those of the files that it was renamed to."""
    files = sorted(path.parent.iterdir(), key=lambda file: (file == path, file.name))
    return [json.loads(line) for file in files for line in file.read_bytes().split(b"\n") if line.strip()]


def numbers(lines: list[dict]) -> dict[str, list[int]]:
    """The numbers of each writer, in the order of its lines."""
    found: dict[str, list[int]] = {}
    for line in lines:
        found.setdefault(line["writer"], []).append(line["seq"])
    return found


def descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def logs(tmp_path):
    """New logs, when the descriptors of earlier tests are closed."""
    gc.collect()
    return Logs(tmp_path)


def first(log: emit.Log, path: Path) -> None:
    """The log has never been open."""


def again(log: emit.Log, path: Path) -> None:
    """The log is open."""
    log.event("before")


def renamed(log: emit.Log, path: Path) -> None:
    """The log is open, and was rotated."""
    log.event("before")
    path.rename(path.with_suffix(".1"))


def torn(log: emit.Log, path: Path) -> None:
    """The log is open, and another process was killed in the middle of an empty line."""
    log.event("before")
    with path.open("ab") as file:
        file.write(b" ")


STATES = pytest.mark.parametrize("state", [first, again, renamed, torn])


@STATES
@pytest.mark.parametrize("handler", ["events", "rename", "close"])
def test_a_handler_that_writes_at_any_point(handler, state, logs):
    """All lines are there, once and whole; each writer counts without a gap or a repeat; no descriptor is left open."""
    open_before = descriptors()

    def run(interrupted):
        log, path = logs.new()
        state(log, path)

        def handle(*_):
            if handler == "rename" and path.exists():
                path.rename(path.with_suffix(".2"))
            log.event("within")
            log.event("within")
            if handler == "close":
                log.close()

        interrupted(lambda: log.event("work"), handle)
        log.event("after")
        log.close()

        lines = [line for line in read(path) if line["event"] != "before"]
        events = Counter(line["event"] for line in lines)

        assert {"work": 1, "after": 1} == {event: events[event] for event in ("work", "after")}
        assert events["within"] in {0, 2}
        assert all(list(range(1, len(seqs) + 1)) == seqs for seqs in numbers(read(path)).values())
        assert 0 == log.dropped
        assert open_before == descriptors()

    assert 15 < at_each_point(run)


class TaskTimeout(Exception):  # noqa: N818 - named as agents name it
    """A time limit that an agent has set itself."""


@STATES
@pytest.mark.parametrize("error", [TimeoutError, KeyboardInterrupt])
def test_a_handler_that_raises_at_any_point(error, state, logs):
    """What it raises reaches the agent; the line is there or counted, no other is lost, no descriptor is left open."""
    open_before = descriptors()

    def run(interrupted):
        log, path = logs.new()
        state(log, path)
        handled = []

        def handle(number, frame):
            handled.append(number)
            raise error

        reached = False
        try:
            interrupted(lambda: log.event("work", value=object(), run_id="r"), handle)
        except error:
            reached = True
        log.event("after")
        log.close()

        lines = read(path)
        events = Counter(line["event"] for line in lines)
        [seqs] = numbers(lines).values()

        assert bool(handled) == reached
        assert 1 == events["after"]
        assert 1 <= events["work"] + log.dropped
        assert 1 >= events["work"]
        assert sorted(set(seqs)) == seqs
        assert open_before == descriptors()

    assert 15 < at_each_point(run)


def test_a_handler_that_forks_at_any_point(logs):
    """A line that has its number is its parent's; parent and child are different writers, without gaps or repeats."""

    def run(interrupted):
        log, path = logs.new()
        children = []

        def handle(*_):
            children.append(os.fork())

        try:
            interrupted(lambda: log.event("work"), handle)
            log.event("after")
        finally:
            if children == [0]:
                os._exit(log.dropped > 1)
        for child in children:
            assert (child, 0) == os.waitpid(child, 0)
        lines = read(path)

        assert 1 + len(children) >= sum(line["event"] == "work" for line in lines) >= 1
        assert 1 + len(children) == sum(line["event"] == "after" for line in lines)
        assert all(list(range(1, len(seqs) + 1)) == seqs for seqs in numbers(lines).values())

    assert 15 < at_each_point(run)


def test_what_a_call_makes_of_a_handler_that_raises(logs):
    """Within tools, model calls and hashes, too, a time limit reaches the agent and is not taken for bad values."""

    class Usage:
        @property
        def input_tokens(self) -> int:
            return 5

    def run(interrupted):
        log, _ = logs.new()
        handled = []

        def handle(*_):
            handled.append(True)
            raise TaskTimeout

        def work():
            with log.run() as run, run.tool("search", args={"a": {1, 2}}), run.llm("large") as call:
                call.usage = Usage()

        reached = False
        try:
            interrupted(work, handle)
        except TaskTimeout:
            reached = True
        log.close()

        assert bool(handled) == reached

    assert 100 < at_each_point(run)


SIGNALLED = """
import os, signal, sys
from extractor import emit
path = sys.argv[1]
log = emit.Log(path)
handled = []
def handle(*_):
    handled.append(1)
    log.event("within", number=len(handled))
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
number = 0
while len(handled) < 2000:
    number += 1
    log.event("work", number=number)
    if number % 100 == 0:
        os.rename(path, f"{path}.{number:09}")
signal.setitimer(signal.ITIMER_REAL, 0)
log.close()
print(number, len(handled), log.dropped, len(os.listdir("/proc/self/fd")))
"""


def test_signals_while_the_log_is_rotated(tmp_path):
    """Two thousand real signals, whose handler writes: every line is there once, in its order, and all is closed."""
    command = [sys.executable, "-c", SIGNALLED, tmp_path / "agent.jsonl"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    work, within, dropped, open_files = map(int, done.stdout.split())

    lines = read(tmp_path / "agent.jsonl")
    found = Counter((line["event"], line["number"]) for line in lines)

    assert {("work", n + 1) for n in range(work)} | {("within", n + 1) for n in range(within)} == set(found)
    assert {1} == set(found.values())
    assert all(list(range(1, len(seqs) + 1)) == seqs for seqs in numbers(lines).values())
    assert 1 < len(numbers(lines))
    assert 0 == dropped
    assert 4 >= open_files  # the three of every process, and the directory that lists them


LIMITED = """
import signal, sys
from extractor import emit
log = emit.Log(sys.argv[1])
raised = reached = 0
def handle(*_):
    global raised
    raised += 1
    raise TimeoutError
signal.signal(signal.SIGALRM, handle)
while raised < 1000:
    try:
        signal.setitimer(signal.ITIMER_REAL, 3e-5)
        while not raised > reached:
            log.event("work", values={1, 2}, nothing=float("nan"))
    except TimeoutError:
        reached += 1
print(raised, reached)
"""


def test_a_time_limit_reaches_the_agent(tmp_path):
    """A thousand real time limits that pass while lines are written: not one of the exceptions is lost in the log."""
    command = [sys.executable, "-c", LIMITED, tmp_path / "agent.jsonl"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert "1000 1000\n" == done.stdout

    [seqs] = numbers(read(tmp_path / "agent.jsonl")).values()

    assert sorted(set(seqs)) == seqs


ENDING = """
import sys, threading
from extractor import emit
log = emit.Log(sys.argv[1])
class Session:
    def __del__(self):
        log.event("closed")
        print(log.dropped)
session = Session()
thread = threading.Thread(target=log._writer._lock.acquire)
thread.start()
thread.join()
"""


def test_the_interpreter_ends_while_a_thread_writes(tmp_path):
    """An event of an object that is deleted at the very end does not wait for a thread that will never go on."""
    command = [sys.executable, "-c", ENDING, tmp_path / "agent.jsonl"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)

    assert "1\n" == done.stdout
    assert "lost a line" in done.stderr
