"""State is an algebra: however the lines are cut into states, and however these are merged, one pass comes out."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.state import State
from tests.reading import (
    T0,
    Reader,
    default_catalog,
    event_schema,
    line,
    llm_call,
    read,
    sampled,
    text,
    tool_call,
    write_pack,
)

NAMES = st.sampled_from([None, "", "a", "b", "unknown", "é"])
STATUS = st.sampled_from(["ok", "error", "timeout", "cancelled"])
MILLISECONDS = st.one_of(st.integers(0, 10**6), st.floats(0, 1e6), st.sampled_from([0.1, 0.2, 1e16]))
COUNT = st.one_of(st.none(), st.integers(0, 2**53))
TIME = st.floats(0, 1500).map(lambda at: round(T0 + at, 3))
"""Some windows, less than a run's time-out."""

OWN_FIELDS = {
    "run.start": {"agent_type": NAMES},
    "run.complete": {"status": STATUS, "stop_reason": st.sampled_from(["stop", "budget", "?"]), "duration_ms": MILLISECONDS},
    "step": {"step": st.integers(1, 9), "type": NAMES},
    "llm.call": {
        "model": st.sampled_from(["m", "n"]),
        "status": STATUS,
        "duration_ms": MILLISECONDS,
        "input_tokens": COUNT,
        "output_tokens": COUNT,
        "cache_read_input_tokens": COUNT,
        "cost_usd": st.one_of(st.none(), st.floats(0, 10)),
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
    common = {"ts": time, "run_id": st.sampled_from(["r1", "r2", "r3"])}
    optional = {"agent": NAMES, "release": NAMES}
    return st.one_of(
        [
            st.fixed_dictionaries({"event": st.just(name)} | common | own, optional=optional).map(
                lambda event: json.dumps(event).encode()
            )
            for name, own in OWN_FIELDS.items()
        ]
    )


@st.composite
def cut_streams(draw: st.DrawFn, time: st.SearchStrategy[float] = TIME) -> tuple[list[bytes], list[list[bytes]]]:
    """Lines, and the same lines spread over up to four parts."""
    lines = draw(st.lists(events_at(time), max_size=25))
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


@pytest.mark.parametrize("limited", [True, False])
@settings(max_examples=60, deadline=None)
@given(cut_streams(), st.lists(st.integers(0, 5), max_size=4))
def test_any_cut_and_any_grouping_gives_one_pass(
    limited: bool, stream: tuple[list[bytes], list[list[bytes]]], order: list[int]
) -> None:
    """Below the label limits the exposition of merged parts is, to the byte, that of one pass."""
    lines, parts = stream
    whole = read(lines, limited=limited)

    joined = merged([read(part, limited=limited) for part in parts], order)

    assert text(whole) == text(joined)
    assert whole.watermark == joined.watermark
    assert whole.clamped == joined.clamped
    assert whole.open_runs() == joined.open_runs()


@settings(max_examples=40, deadline=None)
@given(cut_streams())
def test_folding_often_changes_nothing(stream: tuple[list[bytes], list[list[bytes]]]) -> None:
    """When what was read becomes visible leaves no trace: live is what a replay says."""
    lines, parts = stream
    live = Reader(default_catalog())
    for part in parts:
        live.lines(part)

    assert text(read(lines)) == text(live.state)


def test_scrape_leaves_no_trace() -> None:
    """A state that was looked at while a run was open shows the series that it shows if nobody looked."""
    start, end = line("run.start", agent="a"), line("run.complete", 1, status="ok", stop_reason="stop", duration_ms=1)
    live = Reader(default_catalog())
    live.lines([start])
    text(live.state)
    live.lines([end])

    assert text(read([start, end])) == text(live.state)


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


@settings(max_examples=40, deadline=None)
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
    events = [line("circuit.open", 1, circuit="c"), line("circuit.half_open", 2, circuit="c"), line("circuit.closed", 3, circuit="c")]

    seen = sampled(read([events[place] for place in order]), "agent_circuit_state")

    assert {("c", "closed"): 1.0, ("c", "half_open"): 0.0, ("c", "open"): 0.0} == seen


def test_closed_label_sets_exist_at_0_from_the_start(tmp_path: Path) -> None:
    """Before the first event every series whose labels are all closed is there, at 0."""
    catalog = write_pack(tmp_path, job_schema())

    assert {("done",): 0.0, ("lost",): 0.0, ("unknown",): 0.0} == sampled(State(catalog), "jobs_total")
    assert {} == sampled(State(catalog), "jobs_by_queue_total")


def test_new_label_value_brings_its_siblings() -> None:
    """The first call of a tool brings the series of all its statuses and errors, so that the first error is an increase."""
    state = read([tool_call(tool="t", agent="a", release="r")])

    calls = sampled(state, "agent_tool_calls_total")
    errors = sampled(state, "agent_tool_errors_total")
    assert {("a", "t", "r", status): float(status == "ok") for status in ("ok", "error", "timeout", "cancelled")} == calls
    assert {0.0} == set(errors.values())
    assert {
        "user_input", "auth", "not_found", "rate_limited", "timeout", "retryable", "external_permanent", "internal",
        "context_length", "content_filter", "cancelled", "unknown",
    } == {error_class for _, error_class, _ in errors}  # fmt: skip


def job_schema(limit: int = 3, series: int = 10_000) -> dict[str, object]:
    """An event with one open label, `queue`, of which *limit* values are told apart, and a closed one."""
    help_text = {"help": "Jobs."}
    return event_schema(
        "job",
        {
            "queue": {"type": "string", "maxLength": 9},
            "outcome": {"enum": ["done", "lost"]},
            "ms": {"type": "number", "minimum": 0},
        },
        {
            "jobs_total": {"type": "counter", **help_text, "labels": ["outcome"]},
            "jobs_by_queue_total": {"type": "counter", **help_text, "labels": ["queue", "outcome"], "limit": series},
            "job_wait_seconds": {"type": "histogram", **help_text, "labels": ["queue"], "value": "ms", "unit": "ms",
                                 "buckets": [1]},
            "job_wait_quantile_seconds": {"type": "summary", **help_text, "labels": ["queue"], "value": "ms", "unit": "ms"},
        },
        {"queue": "q", "outcome": "done", "ms": 1},
        **{"x-labels": {"queue": {"limit": limit}}},
    )


def jobs(count: int) -> list[bytes]:
    """As many jobs, each with a queue of its own, each a second long."""
    return [line("job", number / 1000, queue=f"q{number}", outcome="done", ms=1000) for number in range(count)]


def test_past_the_limit_values_are_folded(tmp_path: Path) -> None:
    """The first values are told apart, all others are one; totals stay exact, and what was folded is counted."""
    state = read(jobs(100), write_pack(tmp_path, job_schema()))

    calls = sampled(state, "jobs_by_queue_total")
    assert {"q0", "q1", "q2", "__other__"} == {queue for queue, _ in calls}
    assert 97.0 == calls["__other__", "done"]
    assert 100.0 == sum(calls.values())
    assert {("q0",): 1.0, ("q1",): 1.0, ("q2",): 1.0, ("__other__",): 97.0} == sampled(state, "job_wait_seconds_sum")
    assert 97.0 == sampled(state, "job_wait_quantile_seconds_count")[("__other__",)]
    assert 97 == state.overflow()["jobs_by_queue_total", "queue"]
    assert 97 == state.overflow()["job_wait_seconds", "queue"]


def test_past_the_series_limit_values_are_folded(tmp_path: Path) -> None:
    """A metric with all the series it may have folds its open labels, and counts that apart."""
    state = read(jobs(100), write_pack(tmp_path, job_schema(limit=1000, series=9)))

    calls = sampled(state, "jobs_by_queue_total")
    assert 100.0 == sum(calls.values())
    assert len(calls) <= 9 + 3
    assert calls["__other__", "done"] == state.overflow()["jobs_by_queue_total", ""]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Ten times as many values of a label are not one series more."""
    catalog = write_pack(tmp_path, job_schema())
    few, many = read(jobs(100), catalog), read(jobs(1000), catalog)

    assert [len(family.series) for family in few.families.values()] == [
        len(family.series) for family in many.families.values()
    ]


def test_unlimited_parts_merge_into_a_limited_state(tmp_path: Path) -> None:
    """Parts of a pass fold nothing; the state that they are merged into, in order, is that of one pass."""
    catalog, lines = write_pack(tmp_path, job_schema()), jobs(40)
    state = State(catalog)
    for part in (lines[:7], lines[7:20], lines[20:]):
        state.merge(read(part, catalog, limited=False))

    assert text(read(lines, catalog)) == text(state)
    assert 37 == state.overflow()["job_wait_seconds", "queue"]


def test_a_written_other_is_no_overflow(tmp_path: Path) -> None:
    """An agent that writes `__other__` itself takes nobody's place, and is not counted as folded."""
    lines = [line("job", queue=queue, outcome="done", ms=1) for queue in ("__other__", "a", "b", "c")]
    state = read(lines, write_pack(tmp_path, job_schema()))

    assert {} == state.overflow()
    assert {"__other__", "a", "b", "c"} == {queue for queue, _ in sampled(state, "jobs_by_queue_total")}
