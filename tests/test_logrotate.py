"""
Logs that the real `logrotate` rotates are counted once: in every way that it knows, up, down and in a replay.

`LOGROTATE` in the environment makes it try all ways under load, for so many rounds each, and `SEED` otherwise:
`make soak`.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from extractor.tail.position import Position
from extractor.tail.tailer import Tail
from tests.killing import Victim
from tests.logrotating import LOGROTATE, SPREAD, TOOLS, WAYS, Agent, Rotation, Way, lines, next_second, rotate
from tests.reading import default_catalog
from tests.servers import DEADLINE, eventually
from tests.tailing import read

ROUNDS = int(os.environ.get("LOGROTATE", "3"))
SEED = int(os.environ.get("SEED", "1"))
TRIED = WAYS if "LOGROTATE" in os.environ else SPREAD

pytestmark = [
    pytest.mark.skipif(not LOGROTATE, reason="logrotate is not installed"),
    pytest.mark.timeout(120 + 10 * ROUNDS),
]


def following(folder: Path, positions: list[Position]) -> Tail:
    """A tail of the logs of the default pack in *folder*."""
    catalog = default_catalog()
    return Tail(
        [folder],
        lambda name: catalog.pack_for(name) is not None,
        lambda line: json.loads(line)["ts"],
        positions=[Position(*position) for position in positions],
    )


class Followed:
    """A log that is rotated, what was written to it, and what was read of it while it was followed, or between."""

    def __init__(self, folder: Path, way: Way, size: int, *, is_up: bool) -> None:
        self.rotation = Rotation(folder, way)
        self.written: list[bytes] = []
        self.read: list[bytes] = []
        self._size = size
        self._is_up = is_up
        self._tail = following(folder, [])

    def write(self) -> None:
        """Write some lines."""
        new = lines(len(self.written), len(self.written) + self._size)
        self.written += new
        with self.rotation.log.open("ab") as file:
            file.writelines(new)

    def look(self) -> None:
        """Read all there is, with the same tail if it is up, else with another one."""
        if not self._is_up:
            positions = self._tail.positions()
            self._tail.close()
            self._tail = following(self.rotation.folder, positions)
        self.read += read(self._tail)

    def end(self) -> list[bytes]:
        """What another tail reads that has never seen these files."""
        self._tail.close()
        again = following(self.rotation.folder, [])
        found = read(again)
        again.close()
        return found


@pytest.mark.parametrize("size", [1, 60], ids=["a line", "many lines"])
def test_every_way_to_rotate(size: int, tmp_path: Path) -> None:
    """However it is rotated, read before or after, once or twice before anyone looks, each line comes out once."""
    logs = {
        f"{way} {'up' if is_up else 'down'}": Followed(tmp_path / f"{way}-{is_up}", way, size, is_up=is_up)
        for way in WAYS
        for is_up in (True, False)
    }
    for step in range(5):
        for log in logs.values():
            log.write()
            if step % 2:
                log.look()
                log.write()
        rotate([log.rotation for log in logs.values()], tmp_path / "rotation")
        rotated = time.time()
        for log in logs.values():
            if step != 2:
                log.look()
        next_second(rotated)
    for log in logs.values():
        log.write()
        log.look()

    replayed = {name: log.end() for name, log in logs.items()}
    assert [] == [name for name, log in logs.items() if sorted(log.written) != sorted(log.read)]
    assert [] == [name for name, log in logs.items() if sorted(log.written) != sorted(replayed[name])]


@pytest.mark.parametrize("way", TRIED, ids=str)
def test_under_load(way: Way, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> None:
    """While an agent writes, the log is rotated, and the extractor killed, stopped and started: totals are exact."""
    random = Random(f"{SEED} {way}")
    rotation = Rotation(tmp_path / "logs", way)
    options = ("--checkpoint-interval", "0.05")
    victim = Victim(rotation.folder, tmp_path / "state", free_ports(1)[0], tmp_path / "said", options)
    agent = Agent(rotation, SEED)
    agent.start()
    try:
        for _ in range(ROUNDS):
            victim.start()
            for act in random.sample((agent.rotate, victim.ready, agent.rotate), 3):
                act()
            if random.random() < 0.7:
                victim.kill()
            else:
                victim.stop()
            agent.rotate()
        agent.finish()
        victim.start()
        victim.ready()
        eventually(lambda: victim.value("extractor_events_total"), float(agent.written.total()))
        served = {tool: victim.value(series(tool)) for tool in TOOLS}
        rejected = victim.value('extractor_rejected_lines_total{reason="not_json"}')
        victim.stop()
    finally:
        agent.finish()
        victim.close()

    assert {tool: float(agent.written[tool]) for tool in TOOLS} == served
    assert not rejected
    assert agent.written == replayed(rotation.folder)


def series(tool: str) -> str:
    """The sample that counts the calls of *tool*."""
    return f'agent_tool_calls_total{{agent="a",release="1",status="ok",tool="{tool}"}}'


def replayed(folder: Path) -> Counter[str]:
    """The calls of each tool that a replay of *folder* finds."""
    command = [sys.executable, "-m", "extractor", "replay", str(folder), "--format", "prometheus"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=4 * DEADLINE).stdout
    return Counter({tool: round(float(text.partition(f"{series(tool)} ")[2].partition("\n")[0])) for tool in TOOLS})
