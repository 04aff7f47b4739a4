"""A log that cannot be written: the agent goes on, losses are counted, and once it can be written it is."""

import gc
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from extractor import emit
from tests.conftest import Log

ROOT = Path(__file__).parent.parent
IS_ROOT = os.geteuid() == 0
Cure = Callable[[], object]


def read(path: Path) -> list[dict]:
    """The lines of the log at *path* that are events; not the torn ones, nor what is glued to one and written again."""
    events = []
    for line in path.read_bytes().split(b"\n"):
        with suppress(ValueError):
            events.append(json.loads(line))
    return events


def descriptors() -> int:
    """How many files this process has open."""
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# Each makes trouble in an empty folder, and returns where the log is to be and what ends the trouble.


def no_search(folder: Path) -> tuple[Path, Cure]:
    """The directory may not be searched."""
    (folder / "logs").mkdir(mode=0)
    return folder / "logs/agent.jsonl", lambda: (folder / "logs").chmod(0o700)


def no_writing(folder: Path) -> tuple[Path, Cure]:
    """The file may not be written."""
    (folder / "agent.jsonl").touch(mode=0o444)
    return folder / "agent.jsonl", lambda: (folder / "agent.jsonl").chmod(0o644)


def file_in_the_way(folder: Path) -> tuple[Path, Cure]:
    """What should be a directory is a file."""
    (folder / "logs").touch()
    return folder / "logs/deep/agent.jsonl", (folder / "logs").unlink


def loop_of_links(folder: Path) -> tuple[Path, Cure]:
    """The path is a link to itself."""
    (folder / "agent.jsonl").symlink_to("agent.jsonl")
    return folder / "agent.jsonl", (folder / "agent.jsonl").unlink


def no_folder_to_be_in(folder: Path) -> tuple[Path, Cure]:
    """The path is relative, and the working directory is gone."""
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")
    (folder / "gone").rmdir()
    return Path("agent.jsonl"), lambda: os.chdir(folder)


def pipe_without_reader(folder: Path) -> tuple[Path, Cure]:
    """The path is a pipe that nobody reads."""
    os.mkfifo(folder / "agent.jsonl")
    return folder / "agent.jsonl", (folder / "agent.jsonl").unlink


@pytest.fixture
def home() -> Iterator[None]:
    """The working directory is what it was before."""
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.mark.parametrize(
    "trouble", [no_search, no_writing, file_in_the_way, loop_of_links, no_folder_to_be_in, pipe_without_reader]
)
def test_trouble_comes_and_goes(trouble, unprivileged, home, caplog):
    """No call raises, each lost line is counted, the first one is reported; after the trouble lines are there again."""
    path, cure = trouble(unprivileged)
    log = emit.Log(path)
    log.event("lost")
    with log.run():
        pass

    assert 3 == log.dropped
    assert 1 == len(caplog.records)
    assert repr(os.fspath(path)) in caplog.text

    cure()
    log.event("written")

    assert [("written", 4)] == [(line["event"], line["seq"]) for line in read(path)]
    assert 3 == log.dropped


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800", "a/" * 3000 + "b", "/dev/full", "/proc/self/comm/x"])
def test_no_name_makes_an_agent_fail(name, tmp_path, caplog):
    """What can never be a file is a log that loses every line, and says so once."""
    log = emit.Log(tmp_path / name)
    log.event("lost")
    with log.run():
        pass
    log.close()

    assert 3 == log.dropped
    assert 1 == len(caplog.records)


@pytest.mark.parametrize("name", [b"\xff.jsonl", "\udcff.jsonl", "ü\u2028\n.jsonl"])
def test_a_name_need_not_be_text(name, tmp_path):
    """Names of any bytes are names, as text or as bytes."""
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))  # noqa: PTH118 - pathlib has no bytes
    log = emit.Log(path)
    log.event("written")

    assert ["written"] == [line["event"] for line in read(Path(os.fsdecode(path)))]
    assert 0 == log.dropped


def test_a_path_of_another_type_is_an_error_at_once():
    """A mistake that no environment can make is raised where it is made, and not in the middle of a run."""
    for path in (None, 5):
        with pytest.raises(TypeError):
            emit.Log(path)  # type: ignore[arg-type]


def test_a_relative_path_stays_where_it_was(tmp_path, home):
    """An agent that changes its working directory later goes on with its log."""
    os.chdir(tmp_path)
    log = emit.Log("agent.jsonl")
    os.chdir("/")
    log.event("written")

    assert 1 == len(read(tmp_path / "agent.jsonl"))


def test_a_directory_that_comes_later(tmp_path):
    """A path is a directory when it has become one, and stays one when that is removed."""
    log = emit.Log(tmp_path / "logs")
    (tmp_path / "logs").mkdir()
    log.event("written")
    [path] = (tmp_path / "logs").iterdir()
    path.unlink()
    path.parent.rmdir()
    log.event("written")

    assert [2] == [line["seq"] for line in read(path)]


@pytest.mark.parametrize("agent", ["x" * 300, "ü" * 300, "\ud800/..", 7, object()])
def test_any_agent_gives_a_name(agent, tmp_path):
    """In a directory, the file is named after the agent as far as names go."""
    log = emit.Log(tmp_path, agent=agent)
    log.event("written")

    assert 1 == len(list(tmp_path.iterdir()))
    assert 0 == log.dropped


def test_no_descriptors_are_left(tmp_path, caplog):
    """Where the agent has opened all that it may, lines are lost, and none once it has closed one."""
    log = emit.Log(tmp_path / "agent.jsonl")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 10, limits[1]))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with suppress(OSError):
            while True:
                stack.enter_context(Path(os.devnull).open())
        log.event("lost")
    log.event("written")

    assert 1 == log.dropped
    assert [2] == [line["seq"] for line in read(tmp_path / "agent.jsonl")]


def test_logs_that_are_forgotten_are_closed(tmp_path):
    """An agent that makes a log for every request does not run out of descriptors."""
    before = descriptors()
    for _ in range(100):
        emit.Log(tmp_path / "agent.jsonl").event("written")

    assert before == descriptors()


class Raising(logging.Handler):
    """A handler that an agent has made for its own warnings, and made wrong."""

    def emit(self, record: logging.LogRecord) -> None:
        """Fail."""
        raise RuntimeError


def test_a_report_that_fails_is_no_trouble(tmp_path):
    """The handlers of `logging` are the agent's: what they raise does not reach it through its log."""
    handler = Raising()
    logging.getLogger("extractor.emit").addHandler(handler)
    try:
        log = emit.Log(tmp_path / "a\0b")
        log.event("lost")
    finally:
        logging.getLogger("extractor.emit").removeHandler(handler)

    assert 1 == log.dropped


# More than one process, and a disk that is full or a kill in the middle of a line.

WRITER = """
import sys
from extractor import emit
log = emit.Log(sys.argv[1])
number = 0
for order in sys.stdin:
    for _ in range(int(order)):
        number += 1
        log.event("work", text="x" * (number % 7 * 40))
    print(log.dropped, flush=True)
"""


class Agent:
    """A process that writes so many lines when it is told to."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, path],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.dropped = 0

    def start(self, lines: int) -> None:
        """Have it write."""
        assert self.process.stdin
        self.process.stdin.write(f"{lines}\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        """Wait until it has."""
        assert self.process.stdout
        self.dropped = int(self.process.stdout.readline())

    def end(self) -> None:
        """Let it end by itself."""
        self.process.communicate()
        assert 0 == self.process.returncode


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for 256 KiB."""
    if not IS_ROOT:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(ballast: Path) -> None:
    """Leave no room on a disk."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_full_disk_and_many_processes(small_disk):
    """A line that one process could not write costs the others none: each is there whole and once, or counted."""
    path = small_disk / "agent.jsonl"
    agents = [Agent(path) for _ in range(3)]

    def work(*agents: Agent) -> None:
        for agent in agents:
            agent.start(40)
        for agent in agents:
            agent.finish()

    for torn_by in [*agents, *agents]:
        work(*agents)
        fill(small_disk / "ballast")
        work(torn_by)
        (small_disk / "ballast").unlink()
    work(*agents)
    for agent in agents:
        agent.end()

    lines = path.read_bytes().split(b"\n")
    torn = [line for line in lines if line and not line.endswith(b"}")]
    seqs: dict[int, list[int]] = {agent.process.pid: [] for agent in agents}
    for line in read(path):
        seqs[int(line["writer"].split("-")[0])].append(line["seq"])

    assert b"" == lines[-1]
    assert 0 < len(torn) <= 6
    for agent in agents:
        mine = seqs[agent.process.pid]
        assert agent.dropped > 0
        assert sorted(set(mine)) == mine
        assert list(range(321, 361)) == mine[-40:]
        # A line that only lacked its line break was counted, and is there.
        assert 360 <= len(mine) + agent.dropped <= 362


VICTIM = """
import sys
from pathlib import Path
from extractor.emit.appender import Appender
appender = Appender(Path(sys.argv[1]), "")
line = b"x" * 3_000_000 + b"\\n"
while True: appender.append(line)
"""


def test_killed_in_the_middle_of_a_line(tmp_path):
    """Processes are killed in lines of 3 MB until three are torn; no line of another process is lost with them."""
    path = tmp_path / "agent.jsonl"
    log = emit.Log(path)
    other = Agent(path)
    torn = rounds = 0
    while torn < 3:
        rounds += 1
        assert rounds < 100, "no line was ever torn"
        log.event("short", round=rounds)
        size = path.stat().st_size
        victim = subprocess.Popen([sys.executable, "-c", VICTIM, path], cwd=ROOT)
        while path.stat().st_size == size:
            assert victim.poll() is None
        other.start(20)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        other.finish()
        torn += any(0 < len(line) % 3_000_000 for line in path.read_bytes().split(b"\n") if line.startswith(b"x"))
        log.event("short", round=rounds)
        other.start(1)
        other.finish()

        lines = read(path)

        assert [rounds, rounds] == [line["round"] for line in lines if line["event"] == "short"]
        assert 21 == sum(line["event"] == "work" for line in lines)

        Log(path).truncate()
    other.end()

    assert 0 == log.dropped
    assert 0 == other.dropped
