"""While nobody writes time goes on for runs, and a restart does not take that back."""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from extractor.service.idle import QUIET_SECONDS, Silence
from extractor.state.stats import Stats
from tests.conftest import Log
from tests.killing import Victim
from tests.reading import line
from tests.servers import eventually

LONGEST = 10.0
RUNS = "agent_run_steps_count"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now


def silence(stats: Stats, clock: Clock) -> Silence:
    """A silence for which both clocks are *clock*."""
    return Silence(stats, LONGEST, clock, clock)


def passes(one: Silence, clock: Clock, seconds: float) -> float:
    """What is said after so many *seconds* with a look at each."""
    for _ in range(int(seconds)):
        clock.now += 1
        one.look()
    return one.look()


def test_time_goes_on_after_a_while() -> None:
    """Silence counts from half a minute on, and an event or something to read ends it."""
    stats, clock = Stats(), Clock()
    one = silence(stats, clock)

    assert 0.0 == passes(one, clock, QUIET_SECONDS)
    assert 5.0 == passes(one, clock, 5)
    stats.events += 1
    one.hear()
    assert 0.0 == passes(one, clock, QUIET_SECONDS)
    assert 5.0 == passes(one, clock, 5)
    stats.bytes_behind = 1
    assert 0.0 == one.look()


def test_a_process_that_was_stopped_heard_nothing() -> None:
    """Time in which nobody looked counts but for a few seconds."""
    clock = Clock()
    one = silence(Stats(), clock)
    passes(one, clock, QUIET_SECONDS)
    clock.now += 3600

    assert LONGEST == one.look()


def test_a_restart_goes_on_with_it() -> None:
    """What was heard last, and when, is known again: time has gone on as far as without the restart, or further."""
    stats, clock = Stats(), Clock()
    one = silence(stats, clock)
    stats.events += 1
    one.hear()
    before = passes(one, clock, QUIET_SECONDS + 60)
    again = Stats(events=stats.events, heard_at=stats.heard_at)

    assert before <= silence(again, clock).look()


class Hasty(Victim):
    """One for which a twentieth of a second is a long silence."""

    def command(self) -> list[str]:
        """What is run."""
        program = (
            "import extractor.service.idle as s; s.QUIET_SECONDS = 0.05; from extractor.__main__ import main; main()"
        )
        return [sys.executable, "-c", program, *super().command()[3:]]


@pytest.mark.parametrize("kill", [True, False])
def test_what_was_settled_in_silence_stays(
    log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]], kill: bool
) -> None:
    """A run that was observed because nobody wrote is observed after a restart, too, before anything is shown."""
    [port] = free_ports(1)
    options = ("--checkpoint-interval", "0.05", "--poll-interval", "0.05", "--quantile-window", "1")
    hasty = Hasty(log.path.parent, tmp_path / "state", port, tmp_path / "said", (*options, "--run-linger", "0"))
    series = f'{RUNS}{{agent="a",release="1"}}'
    log.append(
        line("run.complete", status="ok", stop_reason="end_turn", duration_ms=5, agent="a", release="1"),
    )
    with closing(hasty) as one:
        one.start()
        eventually(lambda: one.value("extractor_checkpoints_total"), 1.0)
        eventually(lambda: one.value(series), 1.0)
        if kill:
            one.kill()
        else:
            one.stop()
        one.start()
        one.ready()

        assert 1.0 == one.value(series)
