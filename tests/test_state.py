"""State is an algebra: however the lines are cut into states, and however these are merged, one pass comes out."""

import json
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from extractor.state.state import State
from tests.reading import (
    T0,
    Reader,
    default_catalog,
    line,
    llm_call,
    read,
    sampled,
    text,
)

# A failing example is short as it is; to make it shorter would take minutes, and then the time-out hides it.
QUICK = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))

NAMES = st.sampled_from([None, "", "a", "b", "unknown", "é"])
STATUS = st.sampled_from(["ok", "error", "timeout", "cancelled"])
MILLISECONDS = st.one_of(st.integers(0, 10**6), st.floats(1e-18, 1e6), st.sampled_from([0.1, 0.2, 1e16]))
COUNT = st.one_of(st.none(), st.integers(0, 2**53))
TIME = st.floats(0, 1500).map(lambda at: round(T0 + at, 3))
"""Some windows, less than a run's time-out."""

OWN_FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "run.start": {"agent_type": NAMES},
    "run.complete": {
        "status": STATUS,
        "stop_reason": st.sampled_from(["stop", "budget", "?"]),
        "duration_ms": MILLISECONDS,
    },
    "step": {"step": st.integers(1, 9), "type": NAMES},
    "llm.call": {
        "model": st.sampled_from(["m", "n"]),
        "status": STATUS,
        "duration_ms": MILLISECONDS,
        "input_tokens": COUNT,
        "output_tokens": COUNT,
        "cache_read_input_tokens": COUNT,
        "cost_usd": st.one_of(st.none(), st.just(0.0), st.floats(1e-18, 10)),
        "error_class": st.sampled_from([None, 429, "429", "TimeoutError", "?"]),
    },
    "tool.call": {"tool": st.sampled_from(["s", "t"]), "status": STATUS, "duration_ms": MILLISECONDS},
    "tool.error": {"error_class": st.sampled_from([500, "KeyError"]), "tool": NAMES},
    "cache.hit": {"cache": NAMES},
    "cache.miss": {"cache": NAMES},
    "loop.detected": {"tool": NAMES, "repeats": COUNT},
    "circuit.open": {"circuit": st.sampled_from(["c", "d"])},
    "circuit.half_open": {"circuit": st.sampled_from(["c", "d"])},
    "circuit.closed": {"circuit": st.sampled_from(["c", "d"])},
    "task.complete": {"status": st.sampled_from(["success", "failure", "timeout"]), "duration_ms": MILLISECONDS},
}


def events_at(time: st.SearchStrategy[float]) -> st.SearchStrategy[bytes]:
    """Valid lines of every event type of the default pack."""
    common: dict[str, st.SearchStrategy[Any]] = {"ts": time, "run_id": st.sampled_from(["r1", "r2", "r3"])}
    optional = {"agent": NAMES, "release": NAMES}
    return st.one_of(
        [
            st.fixed_dictionaries({"event": st.just(name)} | common | own, optional=optional).map(
                lambda event: json.dumps(event).encode()
            )
            for name, own in OWN_FIELDS.items()
        ]
    )


def apart(lines: list[bytes]) -> list[bytes]:
    """*lines* with a time of its own for each: at equal times the place in the files decides, which a cut changes."""
    events = [json.loads(item) for item in lines]
    return [
        json.dumps(event | {"ts": round(event["ts"] + number * 1e-6, 6)}).encode()
        for number, event in enumerate(events)
    ]


@st.composite
def cut_streams(draw: st.DrawFn, time: st.SearchStrategy[float] = TIME) -> tuple[list[bytes], list[list[bytes]]]:
    """Lines, and the same lines spread over up to four parts."""
    lines = apart(draw(st.lists(events_at(time), max_size=15)))
    edges = [0, *sorted(draw(st.lists(st.integers(0, len(lines)), max_size=3))), len(lines)]
    return lines, [lines[begin:end] for begin, end in pairwise(edges)]


def merged(states: list[State], order: list[int]) -> State:
    """One state made by merging, each time, one of *states* into another, as *order* says."""
    states = list(states)
    for place in order:
        if len(states) > 1:
            other = states.pop(place % len(states))
            states[place % len(states)].merge(other)
    while len(states) > 1:
        states[0].merge(states.pop())
    return states[0]


@settings(QUICK, max_examples=120)
@given(cut_streams(), st.lists(st.integers(0, 5), max_size=4))
def test_any_cut_and_any_grouping_gives_one_pass(
    stream: tuple[list[bytes], list[list[bytes]]], order: list[int]
) -> None:
    """The exposition of merged parts is, to the byte, that of one pass: series, and runs with all they added up."""
    lines, parts = stream
    whole = read(lines, limited=False)
    joined = merged([read(part, limited=False) for part in parts], order)
    for state in (whole, joined):
        state.limit()
        state.sweep(end=True)

    assert text(whole) == text(joined)
    assert text(whole, openmetrics=True) == text(joined, openmetrics=True)
    assert whole.watermark == joined.watermark
    assert whole.clamped == joined.clamped
    assert whole.open_runs() == joined.open_runs()


@settings(QUICK, max_examples=40)
@given(cut_streams())
def test_folding_often_changes_nothing(stream: tuple[list[bytes], list[list[bytes]]]) -> None:
    """When what was read becomes visible leaves no trace: live is what a replay says."""
    lines, parts = stream
    live = Reader(default_catalog())
    for part in parts:
        live.lines(part)

    assert without_run_totals(text(read(lines))) == without_run_totals(text(live.state))


def without_run_totals(exposition: str) -> str:
    """What does not depend on when a run was settled: live, an event that comes much too late adds nothing to it."""
    totals = (
        "agent_run_steps",
        "agent_run_tool_calls",
        "agent_run_tokens",
        "agent_run_cost_usd",
        "agent_runs_abandoned",
    )
    return "".join(row for row in exposition.splitlines(keepends=True) if not row.startswith(totals))


@settings(QUICK, max_examples=40)
@given(cut_streams())
def test_folding_often_changes_nothing_in_order(stream: tuple[list[bytes], list[list[bytes]]]) -> None:
    """With events in the order of time, not even what runs add up."""
    lines, parts = stream
    lines.sort(key=lambda line: float(json.loads(line)["ts"]))
    edges = [0, *accumulate(map(len, parts))]
    live = Reader(default_catalog())
    for begin, end in pairwise(edges):
        live.lines(lines[begin:end])

    assert text(read(lines)) == text(live.state)


def test_scrape_leaves_no_trace() -> None:
    """A state that was looked at while a run was open shows the series that it shows if nobody looked."""
    start, end = line("run.start", agent="a"), line("run.complete", 1, status="ok", stop_reason="stop", duration_ms=1)
    live = Reader(default_catalog())
    live.lines([start])
    text(live.state)
    live.lines([end])

    assert text(read([start, end])) == text(live.state)


SLOW = [line("run.start", agent_type="t"), *(line("step", 600 * step, step=step) for step in range(1, 13))]
"""A run that goes on for two hours, and is never silent for more than ten minutes."""


@pytest.mark.parametrize("cut", [0, 1, 6, 12])
def test_long_run_keeps_what_its_start_said(cut: int) -> None:
    """Only silence makes a run a new one: read at once, folded or merged, its start is what says its labels."""
    live = Reader(default_catalog())
    live.lines(SLOW[:cut])
    live.lines(SLOW[cut:])

    forth = merged([read(SLOW[:cut]), read(SLOW[cut:])], [])
    back = merged([read(SLOW[cut:]), read(SLOW[:cut])], [])

    expected = {("t",): 1.0}
    assert expected == sampled(live.state, "agent_active_count")
    assert expected == sampled(forth, "agent_active_count")
    assert expected == sampled(back, "agent_active_count")


def test_end_counts_however_it_was_folded() -> None:
    """An end is an end whether it was folded alone or in one step with what came after it."""
    end = line("run.complete", 0, status="ok", stop_reason="stop", duration_ms=1)
    lines = [end, line("step", 900, step=1), line("step", 4500, step=2)]
    live = Reader(default_catalog())
    for item in lines:
        live.lines([item])

    assert sampled(read(lines), "agent_runs_in_progress") == sampled(live.state, "agent_runs_in_progress")


@pytest.mark.parametrize(
    "lines",
    [
        [line("run.start", 0, agent="a"), line("step", 3700, step=1, run_id="other"), line("step", 3800, step=1)],
        [
            line("run.start", 0, agent="a"),
            line("run.complete", 1, status="ok", stop_reason="stop", duration_ms=1),
            line("step", 9000, step=1, run_id="other"),
            line("step", 8900, step=1),
        ],
    ],
    ids=["goes on after a long silence", "an event long after the end"],
)
def test_forgotten_run_does_not_tell_when_it_was_folded(lines: list[bytes]) -> None:
    """Folding after every line forgets runs sooner than folding once; what is shown must be the same."""
    live = Reader(default_catalog())
    for item in lines:
        live.lines([item])

    assert sampled(read(lines), "agent_runs_in_progress") == sampled(live.state, "agent_runs_in_progress")


@settings(QUICK, max_examples=40)
@given(st.lists(events_at(TIME), max_size=12))
def test_empty_state_is_the_unit(lines: list[bytes]) -> None:
    """Merging with an empty state, on either side, changes nothing."""
    left, right = State(default_catalog()), read(lines)
    left.merge(read(lines))
    right.merge(State(default_catalog()))

    assert text(read(lines)) == text(left)
    assert text(read(lines)) == text(right)


def test_merging_leaves_the_other_alone() -> None:
    """A state merged into another is still itself, whatever the other then counts."""
    one, two = State(default_catalog()), read([llm_call()])
    before = text(two)
    one.merge(two)
    one.merge(read([llm_call(agent="x"), llm_call()]))

    assert before == text(two)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_latest_event_wins(order: tuple[int, int, int]) -> None:
    """A state set holds the state with the latest event time, in whatever order the lines were read."""
    events = [
        line("circuit.open", 1, circuit="c"),
        line("circuit.half_open", 2, circuit="c"),
        line("circuit.closed", 3, circuit="c"),
    ]

    seen = sampled(read([events[place] for place in order]), "agent_circuit_state")

    assert {("c", "closed"): 1.0, ("c", "half_open"): 0.0, ("c", "open"): 0.0} == seen
