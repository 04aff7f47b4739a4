"""What an event adds to which metric is what its schema declares."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from extractor.schema.model import Catalog
from tests.reading import event_schema, line, read, sampled, write_pack

HELP = {"help": "Help."}


def one_metric(
    folder: Path, metric: dict[str, Any], properties: Mapping[str, Any], example: Mapping[str, Any]
) -> Catalog:
    """A pack of one event `e` that feeds one metric, named after its type."""
    names = {"counter": "x_total", "gauge": "x", "histogram": "x_seconds", "summary": "x_seconds", "stateset": "x"}
    labels = metric.get("labels", [])
    sources = labels.values() if isinstance(labels, Mapping) else labels
    declared = [name for name in sources if isinstance(name, str) and "maxLength" in properties.get(name, {})]
    keywords = {"x-labels": {name: {"limit": 9} for name in declared}} if declared else {}
    schema = event_schema("e", properties, {names[metric["type"]]: HELP | metric}, example, **keywords)
    return write_pack(folder, schema)


NUMBER = {"type": ["number", "null"], "minimum": 0, "description": "Null when unknown."}
WORD = {"type": ["string", "null"], "maxLength": 9}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a", "a"),
        ("", "unknown"),
        (None, "unknown"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (429.0, "429"),
        (" ", " "),
    ],
)
def test_label_text(raw: object, text: str, tmp_path: Path) -> None:
    """Text stays as it is; null and empty are `unknown`; JSON's words and integers are written as JSON does."""
    schema = {"type": ["string", "integer", "boolean", "null"], "maxLength": 9}
    catalog = one_metric(tmp_path, {"type": "counter", "labels": ["p"]}, {"p": schema}, {"p": "a"})

    assert {(text,): 1.0} == sampled(read([line("e", p=raw)], catalog), "x_total")


def test_absent_label_is_unknown(tmp_path: Path) -> None:
    """A line without the property is counted under `unknown`."""
    catalog = one_metric(tmp_path, {"type": "counter", "labels": ["p"]}, {"p": WORD}, {"p": "a"})

    assert {("unknown",): 1.0} == sampled(read([line("e")], catalog), "x_total")


def test_counter_counts_events(tmp_path: Path) -> None:
    """Without a value a counter rises by 1 for each event."""
    catalog = one_metric(tmp_path, {"type": "counter"}, {}, {})

    assert {(): 3.0} == sampled(read([line("e", at) for at in range(3)], catalog), "x_total")


def test_counter_adds_its_value(tmp_path: Path) -> None:
    """With a value it rises by that; where the value is absent or null it does not rise."""
    catalog = one_metric(tmp_path, {"type": "counter", "value": "n"}, {"n": NUMBER}, {"n": 1})
    lines = [line("e", n=1.5), line("e", n=None), line("e"), line("e", n=2)]

    assert {(): 3.5} == sampled(read(lines, catalog), "x_total")


def test_values_told_apart_by_a_label(tmp_path: Path) -> None:
    """Several properties feed one counter, each under its own value of a label; all are there at 0."""
    value = {"label": "kind", "from": {"in": "a", "out": "b", "none": "c"}}
    properties = {"a": NUMBER, "b": NUMBER, "c": NUMBER, "who": WORD}
    catalog = one_metric(tmp_path, {"type": "counter", "labels": ["who"], "value": value}, properties, {"a": 1})
    lines = [line("e", who="x", a=1, b=2), line("e", who="x", b=3)]

    assert {("x", "in"): 1.0, ("x", "out"): 5.0, ("x", "none"): 0.0} == sampled(read(lines, catalog), "x_total")


def test_latest_gauge_wins(tmp_path: Path) -> None:
    """A gauge has the value of the latest event that has one, not of the last line."""
    catalog = one_metric(tmp_path, {"type": "gauge", "value": "n"}, {"n": NUMBER}, {"n": 1})
    lines = [line("e", 5, n=50), line("e", 9), line("e", 7, n=70), line("e", 6, n=60)]

    assert {(): 70.0} == sampled(read(lines, catalog), "x")


def test_histogram_counts_are_exact(tmp_path: Path) -> None:
    """A value on a bound is within it; units are converted; what lies above the last bound is in +Inf alone."""
    metric = {"type": "histogram", "value": "ms", "unit": "ms", "buckets": [0.001, 0.1, 1]}
    catalog = one_metric(tmp_path, metric, {"ms": NUMBER}, {"ms": 1})
    state = read([line("e", ms=ms) for ms in (0, 1, 1.001, 100, 1000, 1000.5, 1e7, None)], catalog)

    assert {("0.001",): 2.0, ("0.1",): 4.0, ("1.0",): 5.0, ("+Inf",): 7.0} == sampled(state, "x_seconds_bucket")
    assert {(): 7.0} == sampled(state, "x_seconds_count")
    assert {(): 10002.102501} == sampled(state, "x_seconds_sum")


@pytest.mark.parametrize("bound", [1.001, 0.07, 0.57, 1.1, 2.3, 4.35, 8.7, 16.1, 1.005])
def test_value_on_a_bound_is_within_it_whatever_the_float(bound: float, tmp_path: Path) -> None:
    """1001 ms are 1.001 s, although 1.001 * 1000 is less than 1001 as floats."""
    metric = {"type": "histogram", "value": "ms", "unit": "ms", "buckets": [bound]}
    catalog = one_metric(tmp_path, metric, {"ms": NUMBER}, {"ms": 1})
    milliseconds = round(bound * 1000)

    state = read([line("e", ms=milliseconds), line("e", ms=milliseconds + 1)], catalog)

    assert [1.0, 2.0] == list(sampled(state, "x_seconds_bucket").values())


def test_many_values_count_like_few(tmp_path: Path) -> None:
    """Where counting in bulk begins nothing changes: each of 64 values is in the bucket that it is in alone."""
    metric = {"type": "histogram", "value": "ms", "unit": "ms", "buckets": [0.01, 0.02, 0.0305, 0.06]}
    catalog = one_metric(tmp_path, metric, {"ms": NUMBER}, {"ms": 1})
    state = read([line("e", ms=number) for number in range(64)], catalog)

    assert [11.0, 21.0, 31.0, 61.0, 64.0] == list(sampled(state, "x_seconds_bucket").values())
    assert {(): sum(range(64)) / 1000} == sampled(state, "x_seconds_sum")


@pytest.mark.parametrize(("unit", "written"), [("s", 1.5), ("ms", 1500), ("us", 1.5e6), ("ns", 1_500_000_000)])
def test_units(unit: str, written: float, tmp_path: Path) -> None:
    """Whatever unit the agent writes, the metric is in seconds."""
    metric = {"type": "histogram", "value": "t", "unit": unit, "buckets": [1.4, 1.5, 1.6]}
    state = read([line("e", t=written)], one_metric(tmp_path, metric, {"t": NUMBER}, {"t": 1}))

    assert [0.0, 1.0, 1.0, 1.0] == list(sampled(state, "x_seconds_bucket").values())
    assert {(): 1.5} == sampled(state, "x_seconds_sum")


def test_summary_slides(tmp_path: Path) -> None:
    """Quantiles are those of the last five minutes of event time; sum and count never slide."""
    metric = {"type": "summary", "value": "ms", "unit": "ms", "quantiles": [0.5, 1]}
    catalog = one_metric(tmp_path, metric, {"ms": NUMBER}, {"ms": 1})
    early, late = [line("e", at, ms=9000) for at in range(3)], [line("e", 400 + at, ms=1000) for at in range(3)]
    state = read([*early, *late], catalog)

    assert {("0.5",): 1.0, ("1.0",): 1.0} == pytest.approx(sampled(state, "x_seconds"), rel=0.01)
    assert {(): 6.0} == sampled(state, "x_seconds_count")
    assert {(): 30.0} == sampled(state, "x_seconds_sum")


def test_silent_summary_is_nan(tmp_path: Path) -> None:
    """A series without a value for a window while others write has no quantile, and keeps its sum."""
    metric = {"type": "summary", "value": "ms", "unit": "ms", "labels": ["who"], "quantiles": [0.5]}
    catalog = one_metric(tmp_path, metric, {"ms": NUMBER, "who": WORD}, {"ms": 1})
    state = read([line("e", 0, who="quiet", ms=1000), line("e", 400, who="busy", ms=2000)], catalog)
    quantiles = sampled(state, "x_seconds")

    assert {("quiet", "0.5"): float("nan"), ("busy", "0.5"): 2.0} == pytest.approx(quantiles, rel=0.01, nan_ok=True)
    assert {("quiet",): 1.0, ("busy",): 2.0} == sampled(state, "x_seconds_sum")


@pytest.mark.parametrize(
    ("condition", "counted"),
    [
        (True, [0, 1, 1.0, 5, 9]),
        ({"const": 1}, [1, 1.0]),
        ({"const": 0}, [0]),
        ({"enum": [0, 5]}, [0, 5]),
        ({"enum": [None, 5]}, [None, "absent", 5]),
        ({"minimum": 1}, [1, 1.0, 5, 9]),
        ({"exclusiveMinimum": 1}, [5, 9]),
        ({"maximum": 1}, [0, 1, 1.0]),
        ({"minimum": 1, "maximum": 5}, [1, 1.0, 5]),
    ],
)
def test_where_numbers(condition: object, counted: list[object], tmp_path: Path) -> None:
    """Only events whose property fits are counted; null and absent fit only where null is listed."""
    example = {"n": next(value for value in counted if isinstance(value, int))}
    catalog = one_metric(tmp_path, {"type": "counter", "where": {"n": condition}}, {"n": NUMBER}, example)
    given = [0, 1, 1.0, 5, 9, None, "absent"]

    lines = [line("e", 0, **({} if value == "absent" else {"n": value})) for value in given]

    assert {(): float(len(counted))} == sampled(read(lines, catalog), "x_total")


@pytest.mark.parametrize(
    ("schema", "condition", "values"),
    [
        ({"enum": ["a", "b", "c"]}, {"enum": ["a", "b"]}, [("a", 1), ("b", 1), ("c", 0)]),
        ({"type": ["boolean", "null"]}, {"const": True}, [(True, 1), (False, 0), (None, 0)]),
        ({"type": ["boolean", "null"]}, True, [(True, 1), (False, 1), (None, 0)]),
        ({"enum": [0, 1, True, "1"]}, {"const": 1}, [(0, 0), (1, 1), (True, 0), ("1", 0)]),
    ],
)
def test_where_closed(schema: object, condition: object, values: list[tuple[object, int]], tmp_path: Path) -> None:
    """A condition on a closed property compares as JSON does: true is not 1, and 1 is not "1"."""
    example = {"p": next(value for value, counts in values if counts)}
    catalog = one_metric(tmp_path, {"type": "counter", "where": {"p": condition}}, {"p": schema}, example)

    for value, counts in values:
        assert {(): float(counts)} == sampled(read([line("e", p=value)], catalog), "x_total")


def test_condition_and_label_on_one_property(tmp_path: Path) -> None:
    """What a condition keeps out still brings the series into being, at 0, so that the first one is an increase."""
    metric = {"type": "counter", "labels": ["who"], "where": {"bad": {"const": True}}}
    catalog = one_metric(tmp_path, metric, {"who": WORD, "bad": {"type": "boolean"}}, {"who": "a", "bad": True})

    assert {("x",): 0.0} == sampled(read([line("e", who="x", bad=False)], catalog), "x_total")


def test_nested_values(tmp_path: Path) -> None:
    """A JSON Pointer leads to labels and values inside a line; what is not there is unknown, or no value."""
    inner = {"type": "object", "properties": {"model": WORD, "a/b": NUMBER}}
    metric = {"type": "counter", "labels": {"model": "/use/model", "fixed": {"const": "k"}}, "value": "/use/a~1b"}
    schema = event_schema(
        "e",
        {"use": inner},
        {"x_total": HELP | metric},
        {"use": {"a/b": 1}},
        **{"x-labels": {"/use/model": {"limit": 5}}},
    )
    lines = [line("e", use={"model": "m", "a/b": 2}), line("e", use={"a/b": 3}), line("e")]

    state = read(lines, write_pack(tmp_path, schema))

    assert {("m", "k"): 2.0, ("unknown", "k"): 3.0} == sampled(state, "x_total")
