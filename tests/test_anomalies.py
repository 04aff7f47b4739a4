"""Runs that are not as they ought to be are counted once each, however the log is cut and whatever was read first."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.state.state import State
from tests.reading import Reader, default_catalog, line, read, tool_call

LATE = 100  # seconds after an end: longer than any linger


def start(at: float = 0, **fields: object) -> bytes:
    """The start of a run."""
    return line("run.start", at, **{"agent": "a", "release": "1"} | fields)


def end(at: float, **fields: object) -> bytes:
    """The end of a run."""
    given = {"status": "ok", "stop_reason": "end_turn", "duration_ms": 5, "agent": "a", "release": "1"}
    return line("run.complete", at, **given | fields)


def odd(state: State) -> dict[str, int]:
    """How many runs are counted, by kind, without those of which there is none."""
    return {kind: runs for each in state.accounts.values() for kind, runs in each.anomalies.runs.items() if runs}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([start(0), tool_call(1), end(2)], {}),
        ([end(2)], {"no_start": 1}),
        ([tool_call(1)], {}),
        ([end(2), start(0)], {}),
        ([start(0), end(2), end(3), end(4)], {"second_end": 1}),
        ([start(0), end(2), tool_call(3)], {}),
        ([start(0), end(2), tool_call(LATE), tool_call(LATE + 1)], {"after_end": 1}),
        ([end(2), end(LATE), end(2, run_id="run-2")], {"no_start": 2, "second_end": 1, "after_end": 1}),
    ],
)
def test_each_kind_is_counted_once_for_a_run(lines: list[bytes], expected: dict[str, int]) -> None:
    """A start that was never seen, ends beyond the first, and events long after the end; an open run is none."""
    state = read(lines)
    state.sweep(end=True)

    assert expected == odd(state)


def test_a_run_that_is_given_up_without_a_start() -> None:
    """Whether a run began is known when it is given up, too."""
    state = read([tool_call(0), start(0, run_id="run-2"), start(4000, run_id="run-3")])

    assert {"no_start": 1} == odd(state)


def test_what_comes_after_a_restart_is_counted_once() -> None:
    """What was counted is saved with the run, and so is what it takes to count the rest."""
    before = Reader(default_catalog())
    before.lines([end(0), tool_call(LATE, run_id="run-2")])
    after = Reader(default_catalog())
    after.state.load(before.state.dump())

    after.lines([end(LATE), tool_call(LATE + 1)])

    assert {"no_start": 1, "second_end": 1, "after_end": 1} == odd(after.state)


EVENTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from((start, end, tool_call)), st.sampled_from((0, 1, 99)))
)


@given(events=EVENTS, cuts=st.sets(st.integers(0, 8)))
def test_live_equals_one_pass(events: Sequence[tuple[str, type, int]], cuts: set[int]) -> None:
    """Settled as the log grows, the same runs are counted as in one pass."""
    now, lines = 0, []
    for run, make, pause in events:
        now += pause
        lines.append(make(now, run_id=run))
    live = Reader(default_catalog())
    for place, item in enumerate(lines):
        live.lines([item])
        if place in cuts:
            loaded = Reader(default_catalog())
            loaded.state.load(live.state.dump())
            live = loaded
    live.state.sweep(end=True)
    once = read(lines)
    once.sweep(end=True)

    assert odd(once) == odd(live.state)
