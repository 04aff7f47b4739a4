"""A clock that is wrong for a while: what was counted meanwhile stays, and the windows come back with the clock."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pytest

from extractor.state.series import Summary
from tests.conftest import Log
from tests.killing import Victim
from tests.reading import default_catalog, tool_call
from tests.reading import read as state_of
from tests.servers import DEADLINE, eventually

HOURS = 7200.0
SAVED = "extractor_checkpoint_timestamp_seconds"
MEDIAN = 'agent_tool_call_duration_quantile_seconds{quantile="0.5",release="unknown",tool="search"}'
CALLS = 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"}'


@dataclass
class Skewed(Victim):
    """An extractor on a host whose clock a test sets."""

    clock: Path = Path()

    def command(self) -> list[str]:
        """What is run."""
        python, _, _, *rest = super().command()
        return [python, "-m", "tests.skewed", str(self.clock), *rest]

    def set_clock(self, seconds: float) -> None:
        """The clock is so many seconds ahead from now on."""
        beside = self.clock.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.replace(self.clock)


@pytest.fixture
def victim(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Skewed]:
    """An extractor that is stopped in the end."""
    options = ("--checkpoint-interval", "0.1", "--poll-interval", "0.2")
    made = Skewed(
        log.path.parent, tmp_path / "state", free_ports(1)[0], tmp_path / "said.txt", options, tmp_path / "clock"
    )
    made.set_clock(0)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        assert 0 == made.process.wait(DEADLINE)


def call(ahead: float, milliseconds: float) -> bytes:
    """A call as an agent writes it whose clock is so many seconds ahead."""
    at = datetime.fromtimestamp(time.time() + ahead, UTC).isoformat()
    return json.dumps(json.loads(tool_call(duration_ms=milliseconds)) | {"ts": at}).encode()


def test_windows_come_back_with_the_clock(victim: Skewed, log: Log):
    """Two hours ahead, one event, back again: quantiles are of now, also after a restart, and the log says so once."""
    victim.set_clock(HOURS)
    victim.start()
    victim.ready()
    log.append(call(HOURS, 1000))
    eventually(lambda: victim.value(CALLS), 1.0)
    victim.set_clock(0)
    log.append(call(0, 10))

    eventually(lambda: victim.value(CALLS), 2.0)
    eventually(lambda: round(victim.value(MEDIAN) or 0, 3), 0.01)
    eventually(lambda: 0 < (victim.value(SAVED) or 0) < time.time() + HOURS / 2, expected=True)
    assert victim.process is not None
    victim.process.kill()
    victim.process.wait(DEADLINE)
    victim.start()
    victim.ready()
    log.append(call(0, 20), call(0, 20))
    eventually(lambda: victim.value(CALLS), 4.0)
    eventually(lambda: round(victim.value(MEDIAN) or 0, 2), 0.02)
    assert 1 == victim.said.read_text().count("the clock was ahead")


def test_an_event_from_the_future_waits_for_its_time():
    """While windows are before it, it is in none; when they get there, it is."""
    state = state_of([tool_call(0, duration_ms=10), tool_call(HOURS, duration_ms=1000)], default_catalog())
    (series,) = state.families["agent_tool_call_duration_quantile_seconds"].series.values()
    assert isinstance(series, Summary)
    latest = state.watermark

    assert state.hold(latest - HOURS, 300)
    assert not state.hold(latest - HOURS, 300)
    assert [] == series.window.counts(state.newest_slot)  # what was in it before is not known any more
    state.advance(latest)
    assert 1 == len(series.window.counts(state.newest_slot))


def test_a_clock_that_is_right_changes_nothing():
    """Up to the accepted skew, windows end at the latest event."""
    state = state_of([tool_call(0)], default_catalog())

    assert not state.hold(state.watermark - 300, 300)
    assert not state.hold(inf, 300)
