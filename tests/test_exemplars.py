"""Each counter and each bucket shows a recent event, within what OpenMetrics allows, whatever is in the log."""

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from extractor.exposition import text as exposition
from extractor.schema.load import load
from extractor.schema.model import Catalog
from extractor.state.exemplars import Exemplar, Exemplars
from extractor.state.state import State
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

Shown = dict[tuple[str, ...], tuple[dict[str, str], float, float]]

DONE: dict[str, Any] = {"status": "ok", "stop_reason": "completed", "duration_ms": 4000}


def shown(state: State, name: str) -> Shown:
    """The exemplars of the samples of this *name*, as a parser reads them: label values to labels, value and time."""
    return {
        tuple(sample.labels.values()): (sample.exemplar.labels, sample.exemplar.value, float(sample.exemplar.timestamp))
        for family in parse(text(state, openmetrics=True))
        for sample in family.samples
        if sample.name == name and sample.exemplar is not None
    }


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A pack with exemplars of its own choice."""
    help_text = {"help": "Jobs."}
    properties = {
        "ms": {"type": "number", "minimum": 0},
        "trace_id": {},
        "host": {"type": ["string", "null"], "maxLength": 200, "description": "Null: nobody knows."},
    }
    labels = {"trace_id": "trace_id", "host": "host", "run_id": "run_id"}
    metrics = {
        "jobs_total": {"type": "counter", **help_text},
        "jobs_size_total": {"type": "counter", **help_text, "value": "ms"},
        "jobs_quiet_total": {"type": "counter", **help_text, "exemplar": False},
        "jobs_traced_total": {"type": "counter", **help_text, "exemplar": labels},
        "job_seconds": {
            **help_text,
            "type": "histogram",
            "value": "ms",
            "unit": "ms",
            "buckets": [0.1, 1],
            "exemplar": {"trace_id": "trace_id"},
        },
    }
    return write_pack(tmp_path_factory.mktemp("jobs"), event_schema("job", properties, metrics, {"ms": 1}))


def job(at: float = 0, **fields: Any) -> bytes:
    """A line of the pack `jobs`."""
    return line("job", at, **({"ms": 1} | fields))


# Which event it is.


def test_latest_event_of_each_series_and_bucket() -> None:
    """Each bucket shows its own latest event, each counter the latest that it counted; time is that of the slot."""
    state = read(
        [
            tool_call(0, duration_ms=250, run_id="a"),
            tool_call(11, duration_ms=240, run_id="b"),
            tool_call(12, duration_ms=7000, run_id="c"),
            tool_call(25, duration_ms=7001, run_id="d", status="error"),
        ]
    )

    assert {
        ("0.25", "unknown", "search"): ({"run_id": "b"}, 0.24, T0 + 10),
        ("10.0", "unknown", "search"): ({"run_id": "d"}, 7.001, T0 + 20),
    } == shown(state, "agent_tool_call_duration_seconds_bucket")
    calls = shown(state, "agent_tool_calls_total")
    assert {"ok": ({"run_id": "c"}, 1.0, T0 + 10), "error": ({"run_id": "d"}, 1.0, T0 + 20)} == {
        status: exemplar for (_, _, status, _), exemplar in calls.items()
    }


def test_of_one_slot_the_greatest_value_is_shown() -> None:
    """Of the events of some seconds a histogram's bucket shows the slowest, a counter the dearest."""
    calls = [llm_call(1, cost_usd=cost, run_id=run) for run, cost in (("a", 0.5), ("b", 0.75), ("c", 0.25))]

    (dearest,) = shown(read(calls), "agent_cost_usd_total").values()

    assert ({"run_id": "b"}, 0.75, T0) == dearest


def test_what_adds_nothing_is_no_example(jobs: Catalog) -> None:
    """A later event that a counter did not rise by does not take the place of one that it did."""
    (exemplar,) = shown(read([job(0, run_id="a"), job(60, ms=0, run_id="b")], jobs), "jobs_size_total").values()

    assert ({"run_id": "a"}, 1.0, T0) == exemplar


def test_what_does_not_count_is_no_example() -> None:
    """A later event with the same labels, that a counter's `where` leaves out, is not shown by that counter."""
    state = read([tool_call(0, run_id="a", status="error"), tool_call(60, run_id="b")])

    assert [({"run_id": "a"}, 1.0, T0)] == list(shown(state, "agent_tool_errors_total").values())


def test_what_a_run_adds_up_shows_the_run() -> None:
    """The totals of a run, which are observed at its end, lead to that run; so does one that was given up."""
    state = read(
        [
            line("run.start", 0, run_id="lost"),
            line("run.start", 0, run_id="a"),
            llm_call(1, run_id="a", input_tokens=300, output_tokens=20),
            line("run.complete", 2, run_id="a", **DONE),
            line("run.start", 9000, run_id="later"),
        ]
    )

    (tokens,) = shown(state, "agent_run_tokens_bucket").values()
    (lost,) = shown(state, "agent_runs_abandoned_total").values()
    assert ({"run_id": "a"}, 320.0, T0) == tokens
    assert ({"run_id": "lost"}, 1.0, T0) == lost


def test_loop_shows_its_run() -> None:
    """A loop that the agent did not report leads to its run, open or over: the latest, then the greatest id."""
    again = {"args_hash": "x"}
    calls = [tool_call(at, run_id=run, **again) for run in "acb" for at in range(3)]

    open_runs = read([*calls, tool_call(3000, run_id="later")])
    over = read([*calls, *(line("run.complete", 4, run_id=run, **DONE) for run in "acb")])
    over.sweep(end=True)

    for state in (open_runs, over):
        assert [({"run_id": "c"}, 1.0, T0)] == list(shown(state, "agent_loop_detections_total").values())


EXEMPLARS = st.builds(
    Exemplar, st.sampled_from([0.0, 10.0]), st.sampled_from([1.0, 2.0]), st.tuples(st.sampled_from("ab"))
)


@given(st.lists(st.tuples(st.integers(0, 2), EXEMPLARS)), st.lists(st.tuples(st.integers(0, 2), EXEMPLARS)))
def test_merging_is_noting_all(one: list[tuple[int, Exemplar]], two: list[tuple[int, Exemplar]]) -> None:
    """In whatever order exemplars come, alone or merged, before or after they were saved, the same are kept."""
    left, right, every = Exemplars(), Exemplars(), Exemplars()
    for kept, notes in ((left, one), (right, two), (every, [*two, *one])):
        for note in notes:
            kept.note(*note)
    saved = Exemplars()
    saved.load(msgspec.msgpack.decode(msgspec.msgpack.encode(right.dump())))
    left.merge(saved)

    assert every == left


IDS = st.sampled_from(["", "a", "b", 'é"\\\n# {x="y"} 1', "a" * 118, "a" * 121])
TEXTS = st.one_of(st.none(), IDS)
ODD = st.sampled_from([7, 1, 1.0, True, ["a"], {"a": 1}])
JOBS = st.builds(
    job,
    st.integers(0, 30),
    ms=st.sampled_from([0, 50, 100, 500, 5000]),
    run_id=IDS,
    trace_id=st.one_of(TEXTS, ODD),
    host=TEXTS,
)


@settings(deadline=None, max_examples=100)
@given(lines=st.lists(JOBS, max_size=12), cut=st.integers(0, 12), back=st.booleans())
def test_any_cut_shows_the_same(jobs: Catalog, lines: list[bytes], cut: int, back: bool) -> None:
    """Events read at once, or in two parts in any order, show the same exemplars, and each is within the limits."""
    whole, joined = read(lines, jobs), Reader(jobs)
    parts = [lines[:cut], lines[cut:]]
    for part in parts[::-1] if back else parts:
        joined.lines(part)

    assert text(whole, openmetrics=True) == text(joined.state, openmetrics=True)
    families = exposition.StateCollector(whole, threading.Lock()).collect()
    for exemplar in (sample.exemplar for family in families for sample in family.samples if sample.exemplar):
        assert 0 < sum(len(label + value) for label, value in exemplar.labels.items()) <= 128


# What is shown of it.


@pytest.mark.parametrize("run", ["x" * 122, "é" * 122, '"' * 122])
def test_longest_run_that_fits(run: str) -> None:
    """128 characters, names and values together and before escaping, are shown; with one more there is no exemplar."""
    fits, longer = read([tool_call(run_id=run)]), read([tool_call(run_id=run + "x")])

    assert [{"run_id": run}] == [labels for labels, _, _ in shown(fits, "agent_tool_calls_total").values()]
    assert {} == shown(longer, "agent_tool_calls_total")


def test_run_that_does_not_fit_leaves_the_one_before() -> None:
    """An event that cannot be shown does not take the place of one that can."""
    state = read([tool_call(0, run_id="a"), tool_call(60, run_id="x" * 123)])

    assert [{"run_id": "a"}] == [labels for labels, _, _ in shown(state, "agent_tool_calls_total").values()]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"trace_id": "t", "host": "h"}, {"trace_id": "t", "host": "h", "run_id": "r"}),
        ({"host": None}, {"run_id": "r"}),
        ({"trace_id": "t", "host": ""}, {"trace_id": "t", "run_id": "r"}),
        ({"trace_id": 7, "host": "h"}, {"host": "h", "run_id": "r"}),
        ({"trace_id": ["t"]}, {"run_id": "r"}),
        ({"trace_id": "t" * 100, "host": "h" * 30}, {"trace_id": "t" * 100, "run_id": "r"}),
    ],
)
def test_labels_that_are_there_and_fit(jobs: Catalog, fields: dict[str, Any], expected: dict[str, str]) -> None:
    """Of the declared labels those are shown that are text, and, when they are too long together, the first ones."""
    state = read([job(run_id="r", **fields)], jobs)

    ((labels, _, _),) = shown(state, "jobs_traced_total").values()
    assert expected == labels


def test_switched_off(jobs: Catalog) -> None:
    """`false` means none; and a histogram whose label is not in the log has none either."""
    state = read([job()], jobs)

    assert {} == shown(state, "jobs_quiet_total") == shown(state, "job_seconds_bucket")
    assert shown(state, "jobs_total")


def test_trace_of_a_run() -> None:
    """In the default pack what is fed by the end of a run shows its trace too, if it is written."""
    state = read([line("run.complete", trace_id="0af7", **DONE)])

    ((labels, _, _),) = shown(state, "agent_run_duration_seconds_bucket").values()
    assert {"run_id": "run-1", "trace_id": "0af7"} == labels


def test_prometheus_text_has_none() -> None:
    """The older format knows no exemplars: nothing follows the numbers."""
    assert " # " not in text(read([tool_call(), llm_call(cost_usd=1)]))


def test_pack_without_runs(tmp_path: Path) -> None:
    """Where lines have no run there is nothing to show, unless the schema names something else; all is counted."""
    counter = {"type": "counter", "help": "Jobs."}
    metrics = {"jobs_total": counter, "jobs_traced_total": counter | {"exemplar": {"trace_id": "trace_id"}}}
    (tmp_path / "job.schema.json").write_text(json.dumps(event_schema("job", {"trace_id": {}}, metrics, {})))
    pack = {"name": "agent", "event": "/event", "time": "/ts", "files": ["*.jsonl"]}
    (tmp_path / "pack.json").write_text(json.dumps(pack))
    state = read([job(trace_id="t")], load((tmp_path,)))

    assert {} == shown(state, "jobs_total")
    assert {(): ({"trace_id": "t"}, 1.0, T0)} == shown(state, "jobs_traced_total")
    assert {(): 1.0} == sampled(state, "jobs_total")


# What survives.


def restored(state: State, catalog: Catalog) -> State:
    """*state* as it comes back after a restart, with the schemas of *catalog*."""
    other = State(catalog)
    assert [] == other.load(msgspec.msgpack.decode(msgspec.msgpack.encode(state.dump())))
    return other


def test_restart() -> None:
    """Exemplars are saved with the totals."""
    state = read([tool_call(), llm_call(cost_usd=1), line("run.complete", trace_id="0af7", **DONE)])

    assert text(state, openmetrics=True) == text(restored(state, default_catalog()), openmetrics=True)


def test_other_labels_after_a_restart(tmp_path: Path) -> None:
    """When the schema shows something else, the totals go on and the old exemplars are forgotten."""
    properties = {"host": {"type": "string", "maxLength": 9}}
    counter = {"type": "counter", "help": "Jobs."}
    before = write_pack(tmp_path / "a", event_schema("job", properties, {"jobs_total": counter}, {}))
    after = write_pack(
        tmp_path / "b",
        event_schema("job", properties, {"jobs_total": counter | {"exemplar": {"host": "host"}}}, {}),
    )

    state = restored(read([job()], before), after)

    assert "jobs_total 1.0\n" in text(state, openmetrics=True)
