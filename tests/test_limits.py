"""Series exist before they are needed, and never more of them than were allowed."""

from itertools import permutations
from math import inf
from pathlib import Path

import pytest

from extractor.state.state import State
from extractor.state.updates import Increment
from tests.reading import event_schema, line, read, sampled, text, tool_call, write_pack


def test_closed_label_sets_exist_at_0_from_the_start(tmp_path: Path) -> None:
    """Before the first event every series whose labels are all closed is there, at 0."""
    catalog = write_pack(tmp_path, job_schema())

    assert {("done",): 0.0, ("lost",): 0.0, ("unknown",): 0.0} == sampled(State(catalog), "jobs_total")
    assert {} == sampled(State(catalog), "jobs_by_queue_total")


def test_new_label_value_brings_its_siblings() -> None:
    """The first call of a tool brings the series of all statuses and errors, so that the first error is an increase."""
    state = read([tool_call(tool="t", agent="a", release="r")])

    calls = sampled(state, "agent_tool_calls_total")
    errors = sampled(state, "agent_tool_errors_total")
    assert {
        ("a", "t", "r", status): float(status == "ok") for status in ("ok", "error", "timeout", "cancelled")
    } == calls
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
            "job_wait_seconds": {
                "type": "histogram",
                **help_text,
                "labels": ["queue"],
                "value": "ms",
                "unit": "ms",
                "buckets": [1],
            },
            "job_wait_quantile_seconds": {
                "type": "summary",
                **help_text,
                "labels": ["queue"],
                "value": "ms",
                "unit": "ms",
            },
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


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_parts_are_folded_at_the_end(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Parts of a pass fold nothing; merged in any order and then limited, they are the whole that is limited."""
    catalog, lines = write_pack(tmp_path, job_schema()), jobs(40)
    parts = [lines[:7], lines[7:20], lines[20:]]
    whole, state = read(lines, catalog, limited=False), State(catalog, limited=False)
    for place in order:
        state.merge(read(parts[place], catalog, limited=False))
    whole.limit()
    state.limit()

    assert text(whole) == text(state)
    assert 4 == len(sampled(state, "job_wait_seconds_sum"))
    assert 37 == state.overflow()["job_wait_seconds", "queue"] == whole.overflow()["job_wait_seconds", "queue"]


def test_the_earliest_values_are_told_apart(tmp_path: Path) -> None:
    """It is event time that decides which values have a name of their own, not the order of reading."""
    state = State(write_pack(tmp_path, job_schema()), limited=False)
    for first, queue in ((7, "a"), (3, "z"), (5, "m"), (4, "n"), (9, "z"), (2, "a")):
        state.apply([Increment("jobs_by_queue_total", (queue, "done"), 2, 2, first)])
    state.limit()

    calls = sampled(state, "jobs_by_queue_total")
    assert {"a", "z", "n", "__other__"} == {queue for queue, _ in calls}
    assert {"a": 4.0, "z": 4.0, "n": 2.0, "__other__": 2.0} == {
        queue: value for (queue, outcome), value in calls.items() if outcome == "done"
    }
    assert {("jobs_by_queue_total", "queue"): 2} == state.overflow()


def test_limits_are_the_same_however_often_limited(tmp_path: Path) -> None:
    """A state that is limited counts on as one does that was limited from the start."""
    catalog = write_pack(tmp_path, job_schema())
    state = read(jobs(2), catalog, limited=False)
    state.limit()
    state.limit()
    state.merge(read(jobs(10), catalog, limited=False))

    assert {"q0", "q1", "q2", "__other__"} == {queue for queue, _ in sampled(state, "jobs_by_queue_total")}


def test_what_is_bounded_is_limited_early(tmp_path: Path) -> None:
    """More series than may be told apart are folded before the end: memory is bounded, and totals stay exact."""
    state = read(jobs(100), write_pack(tmp_path, job_schema()), limited=False)
    state.bound(99, inf)
    assert {4} == {len(family.series) for name, family in state.families.items() if name.startswith("job_wait")}

    assert 100.0 == sum(sampled(state, "jobs_by_queue_total").values())


def test_folded_parts_keep_their_count(tmp_path: Path) -> None:
    """What parts have folded themselves is added up when they are merged."""
    catalog = write_pack(tmp_path, job_schema())
    state = read(jobs(10), catalog)
    state.merge(read(jobs(10), catalog))

    assert 14 == state.overflow()["jobs_by_queue_total", "queue"]
    assert 20.0 == sum(sampled(state, "jobs_by_queue_total").values())


def test_a_written_other_is_no_overflow(tmp_path: Path) -> None:
    """An agent that writes `__other__` itself takes nobody's place, and is not counted as folded."""
    lines = [line("job", queue=queue, outcome="done", ms=1) for queue in ("__other__", "a", "b", "c")]
    state = read(lines, write_pack(tmp_path, job_schema()))

    assert {} == state.overflow()
    assert {"__other__", "a", "b", "c"} == {queue for queue, _ in sampled(state, "jobs_by_queue_total")}
