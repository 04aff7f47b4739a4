"""The verdict on a line, and what becomes of the state, never depend on the path that read it."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extractor.ingest.fastpath import FastPath
from extractor.schema.model import Catalog
from tests.reading import T0, Reader, default_catalog, event_schema, line, llm_call, text, tool_call, write_pack

Outcome = tuple[str, list[object], int, int, int]


def outcome(blobs: list[bytes], catalog: Catalog) -> tuple[Outcome, int]:
    """What all of the reading can be seen by; and how many lines took the exact path."""
    reader = Reader(catalog, latest=lambda: T0 + 10_000)
    for blob in blobs:
        reader.blob(blob)
    rejects: list[object] = [
        (item.offset, item.reject.reason, item.reject.pointer, item.line) for item in reader.rejected
    ]
    stats = reader.stats
    counts = (stats.lines_read, stats.blank_lines, stats.events)
    return (text(reader.state, openmetrics=True), rejects, *counts), stats.exact_lines


def assert_same(blobs: list[bytes], catalog: Catalog) -> int:
    """Read *blobs* with and without the fast path; the number of lines that the fast path did not accept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FastPath, "decode", lambda *_: None)
        patch.setattr(FastPath, "decode_line", lambda *_: None)
        exact, _ = outcome(blobs, catalog)
    fast, exact_lines = outcome(blobs, catalog)

    assert exact == fast
    return exact_lines


class Kind(NamedTuple):
    """A property: its schema, a valid value, and what it may be used for."""

    schema: dict[str, Any]
    example: object
    label: bool = False
    number: bool = False


WHY = {"description": "Null when nobody knows."}
KINDS = [
    Kind({"type": "string", "maxLength": 5}, "ab", label=True),
    Kind({"type": ["string", "null"], "minLength": 1, "maxLength": 3}, "ab", label=True),
    Kind({"type": ["integer", "string"], "maxLength": 4}, 429, label=True),
    Kind({"type": "string", "maxLength": 5, "pattern": "^a"}, "ab", label=True),
    Kind({"type": "string", "maxLength": 40, "format": "date-time"}, "2026-01-01T00:00:00Z", label=True),
    Kind({"enum": ["x", "y", ""]}, "x", label=True),
    Kind({"enum": ["x", None]}, "x", label=True),
    Kind({"const": "k"}, "k", label=True),
    Kind({"type": "boolean"}, True, label=True),
    Kind({"type": ["boolean", "null"]}, True, label=True),
    Kind({"type": "integer", "minimum": 0, "maximum": 10}, 2, number=True),
    Kind({"type": ["integer", "null"], "minimum": 0} | WHY, 2, number=True),
    Kind({"type": "integer", "minimum": 0, "multipleOf": 2}, 2, number=True),
    Kind({"type": "integer", "exclusiveMinimum": 0}, 2, number=True),
    Kind({"type": "number", "minimum": 0}, 2, number=True),
    Kind({"type": ["number", "null"], "minimum": 0.5} | WHY, 2, number=True),
    Kind({"type": ["integer", "number"], "exclusiveMinimum": 0}, 2, number=True),
    Kind({"type": "array", "items": {"type": "integer"}}, [1]),
    Kind({"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}, {"x": 1}),
    Kind({"type": "null"}, None),
    Kind({"description": "Anything."}, 1),
]


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, object]:
    """An event with a few properties and a metric of each type."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    named = {f"p{place}": kind for place, kind in enumerate(kinds)}
    labels = [name for name, kind in named.items() if kind.label and draw(st.booleans())]
    numbers = [name for name, kind in named.items() if kind.number]
    where = {
        name: draw(st.sampled_from([True, {"const": kind.example}] + ([{"minimum": 1}] if kind.number else [])))
        for name, kind in named.items()
        if (kind.label or kind.number) and draw(st.integers(0, 3)) == 0
    }
    shared = {"help": "Help.", "labels": labels} | ({"where": where} if where else {})
    metrics: dict[str, object] = {"events_total": {"type": "counter", **shared}}
    if numbers:
        value = {"value": draw(st.sampled_from(numbers))}
        metrics["amount_total"] = {"type": "counter", **shared, **value}
        metrics["level"] = {"type": "gauge", **shared, **value}
        metrics["wait_seconds"] = {"type": "histogram", **shared, **value, "unit": "ms", "buckets": [0.001, 0.002, 1]}
        metrics["wait_quantile_seconds"] = {"type": "summary", **shared, **value, "unit": "ms"}
        metrics["parts_total"] = {"type": "counter", **shared, "value": {"label": "part", "from": {
            name.upper(): name for name in numbers}}}  # fmt: skip
    limits = {name: {"limit": 3} for name in labels if set(named[name].schema) >= {"type", "maxLength"}}
    keywords: dict[str, Any] = {"x-labels": limits} if limits else {}
    keywords["x-run"] = "start"
    metrics["runs_open"] = {"type": "gauge", "help": "Help.", "labels": labels, "value": {"run": "open"}}
    required = ["event", "ts", "run_id", *(name for name in named if draw(st.booleans()))]
    return event_schema(
        "e",
        {name: kind.schema for name, kind in named.items()},
        metrics,
        {name: kind.example for name, kind in named.items()},
        required=required,
        additionalProperties=draw(st.booleans()),
        **keywords,
    )


RAW = st.sampled_from(
    [
        *(b'null true false "" "ab" "abcdef" "x" "\\u0061b" "a\\u0000" "\\ud83d\\ude00" "\\ud800" "__other__"').split(),
        *b"0 -0 0.0 -0.0 1 2 2.0 2e0 20e-1 2.5 0.5 10 11 429 429.0 -1 1e16 1e300 1e999 NaN 01".split(),
        *b"9007199254740993 9223372036854775808 18446744073709551616".split(),
        *b'[] [1] ["a"] {} {"x":1} {"x":"y"} "2026-01-01T00:00:00Z"'.split(),
        '"é😀"'.encode(), b'"\xff"', b"1" * 30, b"1" * 400, b"[" * 300 + b"]" * 300,
    ]
)  # fmt: skip
TIMES = st.sampled_from(
    [
        *b"1767225600 1767225600.5 1767225900.25 1e12 -1 null true".split(),
        *b'"2026-01-01T00:00:00Z" "2026-01-01T00:04:00.123456789+01:00" "2026-01-01t00:10:00.5z"'.split(),
        *b'"2016-12-31T23:59:60Z" "2026-01-01T00:00:00" "2030-01-01T00:00:00Z" "9999-12-31T23:59:59.9999999Z"'.split(),
        b'"2026-01-01 00:00:01+0000"',
    ]
)
OTHER = event_schema("o", {}, {"others_total": {"type": "counter", "help": "Help."}}, {})
THIRD = event_schema("t", {}, {"thirds_total": {"type": "counter", "help": "Help."}}, {})
GOOD = [b'"event": "e"', b'"ts": 1767225601', b'"run_id": "r"']


@st.composite
def written(draw: st.DrawFn, example: dict[str, object]) -> bytes:
    """A line that is valid, or nearly."""
    fields = [
        *GOOD,
        *(json.dumps(name).encode() + b": " + json.dumps(value).encode() for name, value in example.items()),
    ]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["event", "ts", "run_id", "other", *example]))
        value = draw(TIMES if name == "ts" else RAW)
        added = json.dumps(name).encode() + b": " + value
        place = draw(st.integers(0, len(fields) - 1)) if fields else 0
        match draw(st.sampled_from(["add", "add", "replace", "replace", "drop"])):
            case "add":
                fields.insert(place, added)
            case "replace":
                fields = [field for field in fields if not field.startswith(json.dumps(name).encode())] + [added]
            case _:
                del fields[place : place + 1]
    return draw(st.sampled_from([b"", b"", b"", b" ", b"\xef\xbb\xbf"])) + b"{" + b", ".join(fields) + b"}"


@settings(max_examples=120, deadline=None)
@given(schemas(), st.data())
def test_same_verdict_and_same_state(schema: dict[str, Any], data: st.DataObject) -> None:
    """Over random schemas and lines: the same rejects, and the same exposition to the byte."""
    example = {name: value for name, value in schema["examples"][0].items() if name.startswith("p")}
    ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b" \n", b"", b"\r\r\n"])
    pairs = data.draw(st.lists(st.tuples(written(example), ends), min_size=1, max_size=6))
    blobs = [b"".join(part for pair in pairs for part in pair) + b"\n", *(item + b"\n" for item, _ in pairs)]

    with tempfile.TemporaryDirectory() as folder:
        assert_same(blobs, write_pack(Path(folder), schema, OTHER, THIRD))


def test_pack_of_one_event(tmp_path: Path) -> None:
    """Where there is only one event type, a line must still have its name."""
    assert_same(
        [b'{"ts": 1767225601, "run_id": "r"}\n', b'{"event": "x", "ts": 1, "run_id": "r"}\n'],
        write_pack(tmp_path, OTHER),
    )


GOOD_LINES = [tool_call(), llm_call(1, input_tokens=5, cost_usd=0.5), line("run.start", 2, agent="é")]


@pytest.mark.parametrize(
    ("blob", "exact_lines"),
    [
        (b"\n".join(GOOD_LINES) + b"\n", 0),
        (b"\r\n".join(GOOD_LINES) + b"\r\n", 0),
        (b"\n\n".join(GOOD_LINES) + b"\n \n", 0),
        (b"".join(GOOD_LINES) + b"\n", 1),
        (GOOD_LINES[0] + b" " + GOOD_LINES[1] + b"\n", 1),
        (GOOD_LINES[0] + GOOD_LINES[1] + b"\n" + GOOD_LINES[2].replace(b", ", b",\n", 1) + b"\n", 3),
        (GOOD_LINES[0] + GOOD_LINES[1] + b"\n" + GOOD_LINES[2].replace(b'{"event', b'{\n"event') + b"\n", 3),
        (GOOD_LINES[0].replace(b"}", b', "x": [{}\n{}]}') + GOOD_LINES[1] + b"\n" + GOOD_LINES[2] + b"\n", 2),
        (GOOD_LINES[0].replace(b"}", b', "ignored": "\xff"}') + b"\n" + GOOD_LINES[1] + b"\n", 1),
        (GOOD_LINES[0].replace(b"}", b', "ignored": "\\ud800"}') + b"\n" + GOOD_LINES[1] + b"\n", 1),
        (GOOD_LINES[0].replace(b"}", b', "ignored": ' + b"1" * 400 + b"}") + b"\n", None),
        (GOOD_LINES[0].replace(b"}", b', "ignored": ' + b"[" * 5000 + b"]" * 5000 + b"}") + b"\n", 1),
        (tool_call(ts="2026-01-01T00:00:00Z") + b"\n" + tool_call(5) + b"\n", 0),
        (tool_call(ts="2016-12-31T23:59:60Z") + b"\n" + tool_call(5) + b"\n", 1),
        (tool_call(ts="2026-01-01T00:00:00") + b"\n" + tool_call(5) + b"\n", 1),
        (tool_call(20_000) + b"\n" + tool_call(5) + b"\n", 1),
        (b"\n", 0),
        (b"\r\n", 0),
        (b"{}\n[]\n3\n", 3),
        (
            line("tool.error", tool="t", status="ok", duration_ms=1, error_class=429)[:-1]
            + b', "event": "tool.call"}\n',
            None,
        ),
        (tool_call()[:-1] + b', "event": "tool.error", "error_class": 429}\n', None),
    ],
)
def test_same_for_blobs_of_every_shape(blob: bytes, exact_lines: int | None) -> None:
    """Lines glued, torn, blank, or ended in another way, alone or among good ones."""
    seen = assert_same([blob], default_catalog())

    assert exact_lines in (None, seen)


def test_reject_says_where_in_the_file_it_is() -> None:
    """Offsets are those in the file, not those in the piece of it that was read at once."""
    reader = Reader(default_catalog())
    reader.lines([tool_call()])
    reader.lines([tool_call(), b"{"])

    assert [2 * len(tool_call()) + 2] == [item.offset for item in reader.rejected]


@pytest.mark.parametrize("old", [tool_call(99), tool_call(99, ts="2026-01-01T00:01:39.5Z")])
def test_late_events(old: bytes) -> None:
    """An event is late that is older than the window of what was read before it."""
    reader = Reader(default_catalog())
    for item in (tool_call(400), old, tool_call(100), tool_call(500)):
        reader.lines([item])

    assert 1 == reader.stats.late_events


def test_default_pack_takes_the_fast_path() -> None:
    """Every event type of the default pack is within the fast subset: its examples take no exact path."""
    catalog = default_catalog()
    lines = [
        json.dumps(example | {"ts": T0}).encode()
        for event in catalog.default_pack.events.values()
        for example in event.schema["examples"]  # type: ignore[attr-defined]  # proved by schemas
    ]

    assert 0 == assert_same([b"".join(item + b"\n" for item in lines)], catalog)


@pytest.mark.parametrize("source", ["event", "ts"])
def test_envelope_as_a_label(source: str, tmp_path: Path) -> None:
    """The event's name, and even its time, can be a label like any other property."""
    keywords = {"x-labels": {"ts": {"limit": 9}}} if source == "ts" else {}
    metrics = {"events_total": {"type": "counter", "help": "Help.", "labels": {"what": source}}}
    schema = event_schema(
        "e", {"ts": {"type": "string", "maxLength": 40}}, metrics, {"ts": "2026-01-01T00:00:00Z"}, **keywords
    )

    assert_same([b'{"event": "e", "ts": "2026-01-01T00:00:00Z", "run_id": "r"}\n'], write_pack(tmp_path, schema))


def test_time_as_a_value(tmp_path: Path) -> None:
    """The event's time can be the value of a gauge."""
    metrics = {"last_seen_timestamp_seconds": {"type": "gauge", "help": "Help.", "value": "ts", "unit": "s"}}
    schema = event_schema("e", {"ts": {"type": "number"}}, metrics, {"ts": T0})

    assert_same([b'{"event": "e", "ts": 1767225600.25, "run_id": "r"}\n'], write_pack(tmp_path, schema))


def test_run_that_is_no_text(tmp_path: Path) -> None:
    """A run is known by a text; a number in its place is no run, on either path."""
    metrics = {"runs_open": {"type": "gauge", "help": "Help.", "value": {"run": "open"}}}
    schema = event_schema("e", {"run_id": {"type": ["string", "integer"]}}, metrics, {}, **{"x-run": "start"})

    assert_same([b'{"event": "e", "ts": 1767225600, "run_id": 5}\n'], write_pack(tmp_path, schema))


@pytest.mark.parametrize("bounds", [(0.0, 0), (-0.0, 0), (0, 0.0)])
def test_bounds_that_are_equal_as_numbers(bounds: tuple[float, float], tmp_path: Path) -> None:
    """`minimum: 0.0` of a number and `minimum: 0` of an integer stand side by side, in whatever order."""
    properties = {
        "a": {"type": "number", "minimum": bounds[0]},
        "b": {"type": "integer", "minimum": bounds[1]},
    }
    metrics = {"x_total": {"type": "counter", "help": "Help.", "value": "a"}}
    catalog = write_pack(tmp_path, event_schema("e", properties, metrics, {"a": 1.5, "b": 1}))

    assert 0 == assert_same([line("e", a=1.5, b=1) + b"\n"], catalog)


WHOLE = [text.encode() for text in ("a", "é", "€", "😀", "a" * 40)]
BROKEN = [b"\xc3", b"\xa9", b"\xe2\x82", b"\xf0\x9f\x98", b"\xff", b"\xed\xa0\x80", b"\xc0\x80"]


@settings(max_examples=200, deadline=None)
@example([b"\xc3a\xa9"])
@given(st.lists(st.lists(st.sampled_from(WHOLE + BROKEN), max_size=6).map(b"".join), min_size=1, max_size=4))
def test_what_is_not_utf_8_is_never_accepted(notes: list[bytes]) -> None:
    """Nor is any line refused that is: also in a property that nobody declared, and among few or many other letters."""
    lines = [tool_call(note="here").replace(b"here", note) + b"\n" for note in notes]

    assert len([note for note in notes if not _is_utf_8(note)]) == assert_same([b"".join(lines)], default_catalog())


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
