"""Schema files: what is right loads into the catalog, and what is wrong is told with its place and what to write."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from extractor.errors import SchemaError
from extractor.schema.load import default_pack, load
from extractor.schema.model import Catalog, EventType, Kind, Label, Violation

SCHEMAS = Path("tests/schemas").resolve()
WRONG = sorted(path for path in SCHEMAS.glob("*.bad*") if path.suffix != ".err")
"""Files, and folders of them."""

ENVELOPE = {"event": "job.done", "ts": 1763712902, "run_id": "r1"}

Load = Callable[[Path], Catalog]


@pytest.fixture
def load_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a copy of a schema file or a folder as `events/`, so that the paths in messages are the same everywhere."""
    monkeypatch.chdir(tmp_path)

    def load_copy(path: Path) -> Catalog:
        if path.is_dir():
            shutil.copytree(path, "events")
        else:
            Path("events").mkdir()
            shutil.copy(path, "events/job.done.schema.json")
        return load([Path("events")])

    return load_copy


def job_done(catalog: Catalog) -> EventType:
    """The event type that every file in tests/schemas describes."""
    return catalog.packs[-1].events["job.done"]


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.name.split(".")[0])
def test_wrong_schema_is_told(path: Path, load_copy: Load) -> None:
    """A wrong file is refused with its place, what is wrong and what to write: exactly the text beside it."""
    with pytest.raises(SchemaError) as raised:
        load_copy(path)

    assert path.with_name(path.name.split(".")[0] + ".bad.err").read_text() == f"{raised.value}\n"


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    """Every error of every file is reported, in order, and none that only follows from another one."""
    good = json.loads((SCHEMAS / "format_asserted.good.json").read_text())
    wrong = json.loads(json.dumps(good).replace("job.done", "job.lost"))
    wrong["required"].remove("ts")
    wrong["examples"] += [{"event": "job.lost"}, {"event": "job.lost", "ts": 1, "run_id": 2}]
    wrong["x-metrics"] = {
        "jobs_lost_total": {"type": "counter", "help": "Lost.", "labels": ["quue"]},
        "jobs_lost_seconds": {"type": "histogram", "help": "Lost.", "value": "queue", "buckets": [1]},
        "jobs_gone_total": {"type": "counter", "help": "Gone.", "labels": ["queue"]},
    }
    misspelt = json.loads(json.dumps(good).replace("job.done", "job.odd"))
    misspelt["x-metrics"]["jobs_total"]["lables"] = misspelt["x-metrics"]["jobs_total"].pop("labels")
    misspelt["x-metrics"]["jobs_total"]["hlep"] = "Odd."
    misspelt["propertys"] = {}
    pack = {
        "name": "jobs", "event": "/event", "time": "/ts", "run": "/run_id", "files": ["jobs-*.jsonl"],
        "report": [{"title": "Lost", "metric": "jobs_lost_total"}, {"title": "None", "metric": "jobs_none_total"}],
        "release": "version",
    }  # fmt: skip
    (tmp_path / "pack.json").write_text(json.dumps(pack))
    for schema in (good, wrong, misspelt):
        name = schema["examples"][0]["event"]
        (tmp_path / f"{name}.schema.json").write_text(json.dumps(schema))
    with pytest.raises(SchemaError) as raised:
        load([tmp_path])

    messages = [str(each).removeprefix(f"{tmp_path}/") for each in (raised.value, *raised.value.others)]
    assert [
        ("job.lost.schema.json#/required", "a line may be without its time"),
        ("job.lost.schema.json#/examples/1", "the example is not valid"),
        ("job.lost.schema.json#/examples/2/run_id", "the example is not valid"),
        ("job.lost.schema.json#/x-metrics/jobs_lost_total/labels/0", "there is no property 'quue'"),
        ("job.lost.schema.json#/x-metrics/jobs_lost_seconds/value", "'queue' is not a number"),
        ("job.odd.schema.json#/x-metrics/jobs_total/lables", "unknown keyword 'lables'"),
        ("job.odd.schema.json#/x-metrics/jobs_total/hlep", "unknown keyword 'hlep'"),
        ("job.odd.schema.json#/propertys", "unknown keyword 'propertys'"),
        ("pack.json#/report/1/metric", "there is no metric 'jobs_none_total'"),
    ] == [tuple(re.split(": | \\(", each)[:2]) for each in messages]  # fmt: skip


def test_a_wrong_pack_file_hides_no_error_of_its_events(tmp_path: Path) -> None:
    """Where pack.json is wrong, its event files are checked for all that does not depend on it."""
    schema = json.loads((SCHEMAS / "format_asserted.good.json").read_text())
    schema["examples"].append({"event": "other"})
    (tmp_path / "job.done.schema.json").write_text(json.dumps(schema))
    (tmp_path / "pack.json").write_text('{"name": "jobs", "event": "/event", "time": "/ts", "fils": []}')
    with pytest.raises(SchemaError) as raised:
        load([tmp_path])

    places = [str(each).removeprefix(f"{tmp_path}/").split(":")[0] for each in (raised.value, *raised.value.others)]
    assert ["pack.json#", "pack.json#/fils", "job.done.schema.json#/examples/1"] == places


def test_half_a_surrogate_pair_in_a_key_is_told(tmp_path: Path) -> None:
    """The place of a key that is no text is that key."""
    (tmp_path / "pack.json").write_text('{"name": "jobs", "\\udc00": 1}')
    with pytest.raises(SchemaError, match=r"pack\.json#/\udc00: the text has half of a surrogate pair"):
        load([tmp_path])


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.good.json")), ids=lambda path: path.name.split(".")[0])
def test_right_schema_loads(path: Path, load_copy: Load) -> None:
    """A right file loads, and its metrics are in the catalog."""
    catalog = load_copy(path)

    assert json.loads(path.read_text())["x-metrics"].keys() <= catalog.metrics.keys()


def test_every_type_is_read(load_copy: Load) -> None:
    """Each type of metric keeps what is particular to it, with the defaults filled in."""
    metrics = load_copy(SCHEMAS / "every_type.good.json").metrics

    jobs = metrics["jobs_total"]
    assert (("queue", "user"), (("fast", "slow", "unknown"), None), (0, 10), 300) == (
        jobs.label_names,
        jobs.label_values,
        jobs.label_limits,
        jobs.limit,
    )
    assert "open" == metrics["jobs_open"].run
    assert ((0.1, 1.0, 10.0), 1000, 10_000) == (
        metrics["job_wait_seconds"].bounds,
        metrics["job_wait_seconds"].per_unit,
        metrics["job_wait_seconds"].limit,
    )
    assert (0.5, 0.99) == metrics["job_wait_quantile_seconds"].quantiles
    assert ("done",) == metrics["job_state"].states


def test_nested_lines_are_reached_by_pointer(load_copy: Load) -> None:
    """Labels, values and conditions reach into a line by JSON Pointer, decoded."""
    catalog = load_copy(SCHEMAS / "nested_lines.good.json")
    (feed,) = job_done(catalog).feeds

    assert (Label("model", ("usage", "model"), values=("small", "large")),) == feed.labels
    assert (("input", ("usage", "input")), ("other", ("usage", "a/b"))) == feed.value.fields
    assert ("usage", "input") == feed.where[0].pointer
    assert (("small", "large"), ("input", "other")) == catalog.metrics["job_tokens_total"].label_values


def test_text_is_closed_by_its_values(load_copy: Load) -> None:
    """A label with x-labels values can only be a target, the other, or unknown where the property may be absent."""
    catalog = load_copy(SCHEMAS / "closed_text.good.json")
    error, retried, source = job_done(catalog).feeds[0].labels

    assert ("not_found", "timeout", "internal", "unknown") == error.values
    assert error.mapping is not None
    assert ("not_found", "not_found") == (error.mapping["404"], error.mapping["not_found"])
    assert ("false", "true", "unknown") == retried.values
    assert Label("source", const="queue", values=("queue",)) == source


def test_one_file_adds_an_event(tmp_path: Path) -> None:
    """One JSON file in an otherwise empty folder adds an event type with a counter, a histogram and a summary."""
    own = {
        "type": "object",
        "required": ["event", "ts", "run_id", "pages", "duration_ms"],
        "properties": {
            "event": {"const": "page.printed"},
            "ts": {"type": ["string", "number"]},
            "run_id": {"type": "string"},
            "pages": {"type": "integer", "minimum": 0},
            "duration_ms": {"type": "number", "minimum": 0},
        },
        "examples": [{"event": "page.printed", "ts": 1763712902, "run_id": "r1", "pages": 3, "duration_ms": 812}],
        "x-metrics": {
            "agent_pages_total": {"type": "counter", "help": "Pages printed.", "value": "pages"},
            "agent_print_seconds": {
                "type": "histogram",
                "help": "Time to print.",
                "value": "duration_ms",
                "unit": "ms",
                "buckets": [0.1, 1, 10],
            },
            "agent_print_quantile_seconds": {
                "type": "summary",
                "help": "Time to print over the sliding window.",
                "value": "duration_ms",
                "unit": "ms",
            },
        },
    }
    (tmp_path / "page.printed.schema.json").write_text(json.dumps(own))
    before, after = load(), load([tmp_path])

    added = [metric.kind for name, metric in after.metrics.items() if name not in before.metrics]
    assert [Kind.COUNTER, Kind.HISTOGRAM, Kind.SUMMARY] == added
    assert {*before.packs[0].events, "page.printed"} == after.packs[0].events.keys()


def test_file_of_a_known_name_replaces_the_event(tmp_path: Path) -> None:
    """A folder without pack.json replaces the event type of the same name and leaves the others."""
    schema = json.loads((default_pack() / "step.schema.json").read_text())
    schema["description"] = "Another step."
    (tmp_path / "step.schema.json").write_text(json.dumps(schema))
    before, after = load(), load([tmp_path])

    assert "Another step." == after.packs[0].events["step"].description
    assert before.packs[0].events.keys() == after.packs[0].events.keys()


def test_pack_of_another_name_is_tried_first(tmp_path: Path) -> None:
    """A folder with a pack.json of another name is a pack of its own, tried before the default pack."""
    (tmp_path / "job.done.schema.json").write_text((SCHEMAS / "format_asserted.good.json").read_text())
    pack = {"name": "jobs", "event": "/event", "time": "/ts", "files": ["jobs-*.jsonl"]}
    (tmp_path / "pack.json").write_text(json.dumps(pack))
    jobs, agent = load([tmp_path]).packs

    assert (("jobs", "agent"), ("jobs-*.jsonl",), None) == ((jobs.name, agent.name), jobs.patterns, jobs.run)
    assert ["job.done"] == list(jobs.events)


def test_pack_of_the_same_name_replaces_the_default(tmp_path: Path) -> None:
    """A folder with a pack.json named as the default pack is used instead of it."""
    (tmp_path / "job.done.schema.json").write_text((SCHEMAS / "format_asserted.good.json").read_text())
    pack = {"name": "agent", "event": "/event", "time": "/ts", "files": ["*.jsonl"]}
    (tmp_path / "pack.json").write_text(json.dumps(pack))
    (replaced,) = load([tmp_path]).packs

    assert ["job.done"] == list(replaced.events)


def test_closed_in_all_is_the_union_and_open_in_one_is_open(tmp_path: Path) -> None:
    """A label of a metric fed by two event types is closed only if both close it; then it has the values of both."""
    first = json.loads((SCHEMAS / "format_asserted.good.json").read_text())
    second = json.loads(
        json.dumps(first).replace("job.done", "job.lost").replace('["fast", "slow"]', '["slow", "lost"]')
    )
    second["examples"][0]["queue"] = "lost"
    (tmp_path / "job.done.schema.json").write_text(json.dumps(first))
    (tmp_path / "job.lost.schema.json").write_text(json.dumps(second))

    assert (("fast", "slow", "unknown", "lost"),) == load([tmp_path]).metrics["jobs_total"].label_values

    second["properties"]["queue"] = {"type": "string", "maxLength": 64}
    second["x-labels"] = {"queue": {"limit": 7}}
    (tmp_path / "job.lost.schema.json").write_text(json.dumps(second))
    jobs = load([tmp_path]).metrics["jobs_total"]

    assert ((None,), (7,)) == (jobs.label_values, jobs.label_limits)


@pytest.mark.parametrize(
    ("wrong", "violation"),
    [
        ({}, None),
        ({"wait_ms": True}, Violation("/wait_ms", 'true is not of type "number"')),
        ({"wait_ms": -1}, Violation("/wait_ms", "-1 is less than the minimum of 0")),
        ({"wait_ms": float("inf")}, Violation("/wait_ms", "is not a number that can be held")),
        ({"wait_ms": 10**5000}, Violation("/wait_ms", "is not a number that can be held")),
        ({"wait_ms": None}, Violation("/wait_ms", 'null is not of type "number"')),
        ({"at": "yesterday"}, Violation("/at", '"yesterday" is not a "date-time"')),
        ({"at": "2026-11-21T08:15:02+01:00"}, None),
    ],
)
def test_violation_says_where_and_what(wrong: dict[str, Any], violation: Violation | None, load_copy: Load) -> None:
    """A line is judged by JSON Schema with formats asserted; the reason has a JSON Pointer and is short."""
    event = job_done(load_copy(SCHEMAS / "format_asserted.good.json"))

    assert violation == event.violation(ENVELOPE | wrong)


def test_violation_is_short(load_copy: Load) -> None:
    """However long a value is, what is said of it fits on a line, with what is wrong at its end."""
    violation = job_done(load_copy(SCHEMAS / "format_asserted.good.json")).violation(ENVELOPE | {"user": ["x" * 5000]})

    assert violation is not None
    assert (201, '"] is not of type "string"') == (len(violation.message), violation.message[-26:])


@pytest.mark.parametrize("line", [[], None, 1, {}, {1: 2}, {"event": object()}, ENVELOPE | {"user": "\ud800" * 65}])
def test_violation_never_raises(line: object, load_copy: Load) -> None:
    """Whatever is asked about, even what no JSON can hold, is answered with a violation."""
    event = job_done(load_copy(SCHEMAS / "format_asserted.good.json"))

    assert isinstance(event.violation(line), Violation)


def test_examples_of_the_default_pack_are_told_apart_and_timed() -> None:
    """Every example of the default pack is valid, is of its event type alone, and has a time with an offset."""
    (pack,) = load().packs

    for event in pack.events.values():
        for example in event.schema["examples"]:  # type: ignore[attr-defined]  # proved at load: a list
            assert [event.name] == [other.name for other in pack.events.values() if other.violation(example) is None]
            assert datetime.fromisoformat(example["ts"]).tzinfo is not None


def test_error_classes_are_the_same_in_all_events() -> None:
    """The three event types that have an error_class read it with one dictionary."""
    (pack,) = load().packs
    texts = [event.schema.get("x-labels", {}).get("error_class") for event in pack.events.values()]  # type: ignore[attr-defined]
    first, *others = [text for text in texts if text is not None]

    assert [first, first] == others


@pytest.mark.parametrize(
    ("metric", "label", "values"),
    [
        (
            "agent_tool_errors_total",
            "error_class",
            """
            user_input auth not_found rate_limited timeout retryable external_permanent internal context_length
            content_filter cancelled unknown
            """,
        ),
        (
            "agent_runs_total",
            "stop_reason",
            "completed max_steps max_tokens tool_error step_error budget timeout cancelled loop other",
        ),
        ("agent_runs_total", "status", "ok error timeout cancelled"),
        ("agent_token_usage_total", "token_type", "input output cache_read cache_creation"),
    ],
)
def test_closed_sets_of_the_default_pack(metric: str, label: str, values: str) -> None:
    """What the default pack promises as a closed set is exactly that."""
    family = load().metrics[metric]

    assert tuple(values.split()) == family.label_values[family.label_names.index(label)]


def test_circuit_has_three_states() -> None:
    """A state set has the states of all event types that feed it."""
    assert ("closed", "half_open", "open") == load().metrics["agent_circuit_state"].states


def test_documented_event_loads(tmp_path: Path) -> None:
    """The file that docs/schemas.md tells users to write is right, and adds its three metrics."""
    page = (SCHEMAS.parent.parent / "docs" / "schemas.md").read_text()
    (tmp_path / "page.printed.schema.json").write_text(page.split("```json\n")[1].split("```")[0])

    assert 3 == len(load([tmp_path]).metrics.keys() - load().metrics.keys())
