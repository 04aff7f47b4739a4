"""A log that cannot be written: the agent goes on, losses are counted, and once it can be written it is."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from extractor import emit
from tests.conftest import Log

ROOT = Path(__file__).parent.parent
IS_ROOT = os.geteuid() == 0


def read(path: Path) -> list[dict]:
    """The lines of the log at *path* that are events; not the torn ones, nor what is glued to one and written again."""
    events = []
    for line in path.read_bytes().split(b"\n"):
        with suppress(ValueError):
            events.append(json.loads(line))
    return events


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
from extractor.appender import Appender
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
