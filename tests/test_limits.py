"""Series exist before they are needed, and never more of them than were allowed."""

from pathlib import Path

from extractor.state import State
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


def test_unlimited_parts_merge_into_a_limited_state(tmp_path: Path) -> None:
    """Parts of a pass fold nothing; the state that they are merged into, in order, is that of one pass."""
    catalog, lines = write_pack(tmp_path, job_schema()), jobs(40)
    state = State(catalog)
    for part in (lines[:7], lines[7:20], lines[20:]):
        state.merge(read(part, catalog, limited=False))

    assert text(read(lines, catalog)) == text(state)
    assert 37 == state.overflow()["job_wait_seconds", "queue"]


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
