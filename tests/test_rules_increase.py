"""
How the rules count, searched at random: a log, its extractor and its scrapes in, what promtool makes of them out.

The truth is simple: an event is seen at the first good scrape after it.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.report.rules.recordings import RECORDINGS, UNPRICED
from tests.profiles import examples, patient

MINUTES = 150
WINDOW = 60
GAP = 5
RULE = next({"record": each.name, "expr": each.expr} for each in RECORDINGS if each.name == UNPRICED)

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


@dataclass
class History:
    """By minute: the process that answered a scrape, 0 for none; and how many events had happened, 0 for no series."""

    process: list[int]
    events: list[int]

    def seen(self, since: int, until: int) -> int:
        """The events first seen by a scrape after *since*, up to *until*; what the first scrape of all found is not."""
        scraped = [minute for minute in range(until + 1) if self.process[minute]]
        before = [minute for minute in scraped if minute <= since] or scraped[:1]
        return self.events[scraped[-1]] - self.events[before[-1]]

    def values(self) -> tuple[str, str]:
        """The samples of the start time of the process and of the counter, in promtool's words."""
        counted = [events if process else 0 for process, events in zip(self.process, self.events, strict=True)]
        start, counter = (" ".join(str(value or "_") for value in values) for values in (self.process, counted))
        return start, counter


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A log that may be older than the first scrape, and an extractor that is stopped, or not reached, at times."""
    minutes = st.integers(0, MINUTES - 1)
    times = draw(st.lists(st.integers(-100, MINUTES - 1), min_size=1, max_size=30))
    process = [1] * MINUTES
    process[: draw(st.integers(0, 90))] = []
    process = [0] * (MINUTES - len(process)) + process
    for begin, length, restarted in draw(st.lists(st.tuples(minutes, st.integers(1, 80), st.booleans()), max_size=3)):
        for minute in range(begin, MINUTES):
            process[minute] *= minute >= begin + length
            process[minute] += restarted and process[minute] > 0
    return History(process, [sum(time <= minute for time in times) for minute in range(MINUTES)])


def recorded(history: History, times: list[int]) -> dict[int, float | None]:
    """What promtool evaluates the rule to at each of *times*, by minute; None for nothing."""
    start, counter = history.values()
    labels = 'job="extractor",instance="a"'
    series = {
        f"process_start_time_seconds{{{labels}}}": start,
        f'extractor_unpriced_calls_total{{{labels},model="m"}}': counter,
    }
    wrong = [{"labels": "{}", "value": -1}]
    group = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": UNPRICED, "eval_time": f"{time}m", "exp_samples": wrong} for time in times],
    }
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.json").write_text(json.dumps({"groups": [{"name": "all", "rules": [RULE]}]}))
        (folder / "t.json").write_text(
            json.dumps({"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [group]})
        )
        command = ["promtool", "test", "rules", str(folder / "t.json")]
        output = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        ).stdout
    answers = [line.split("got:")[1].split() for line in output.splitlines() if "got:" in line]
    assert len(times) == len(answers), output
    return {time: None if words == ["nil"] else float(words[-1]) for time, words in zip(times, answers, strict=True)}


@patient
@examples(40, steps=1)
@given(histories(), st.sets(st.integers(1, MINUTES - 1), min_size=20, max_size=40))
def test_an_increase_is_what_was_seen(history: History, times: set[int]):
    """
    An increase is never more than what was first seen within the window, and the gap that is bridged.

    It is exactly that if the same process was scraped throughout the window.
    """
    for time, value in recorded(history, sorted(times)).items():
        if value is None:
            recent = range(max(time - GAP + 1, 0), time + 1)
            assert not any(history.process[minute] and history.events[minute] for minute in recent)
            continue
        assert 0 <= value <= history.seen(time - WINDOW - GAP, time)
        if time >= WINDOW and len(set(history.process[time - WINDOW : time + 1])) == 1 and history.process[time]:
            assert history.seen(time - WINDOW, time) == value
