"""Every line is an event or a reject with one reason, the first of a fixed order that applies; nothing is raised."""

import json
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.events.reader import Event, Reason, Reject, lines_of, read_line, rfc_3339
from tests.reading import T0, Reader, default_catalog, line, tool_call

PACK = default_catalog().default_pack
VALID = tool_call()


def verdict(written: bytes, latest: float = inf) -> str:
    """The reason of the reject, or `event`."""
    judged = read_line(written, PACK, latest)
    return judged.reason if isinstance(judged, Reject) else "event"


def with_extra(raw: bytes) -> bytes:
    """A valid line with one more field, whose value is *raw*."""
    return VALID[:-1] + b', "extra": ' + raw + b"}"


@pytest.mark.parametrize(
    ("reason", "written"),
    [
        ("bad_encoding", b"\xff"),
        ("bad_encoding", b'{"event": "tool.call", "message": "\xc3("}'),
        ("bad_encoding", b"\xed\xa0\x80"),
        ("bad_encoding", b"\xfe\xff\x00{"),
        ("not_json", b"hello"),
        ("not_json", b"{"),
        ("not_json", b"{} {}"),
        ("not_json", b"{'event': 'tool.call'}"),
        ("not_json", b'{"event": "tool.call",}'),
        ("not_json", b"\xef\xbb\xbf" + VALID),
        ("not_json", with_extra(b"NaN")),
        ("not_json", with_extra(b"Infinity")),
        ("not_json", with_extra(b"-Infinity")),
        ("not_json", with_extra(b'[1e999, "\\ud800"]')),
        ("not_json", with_extra(b"[1e999, NaN]")),
        ("not_json", with_extra(b'"\\ud800"')),
        ("not_json", with_extra(b'"\\x"')),
        ("not_json", with_extra(b'"\t"')),
        ("not_json", with_extra(b"01")),
        ("not_json", with_extra(b"[" * 100_000 + b"]" * 100_000)),
        ("not_object", b"[]"),
        ("not_object", b"3"),
        ("not_object", b"null"),
        ("not_object", b'"tool.call"'),
        ("not_object", b"[" + VALID + b"]"),
        ("no_event", b"{}"),
        ("no_event", b'{"event": null}'),
        ("no_event", b'{"event": 5}'),
        ("no_event", b'{"event": ["tool.call"]}'),
        ("unknown_event", b'{"event": ""}'),
        ("unknown_event", b'{"event": "tool.calls"}'),
        ("unknown_event", b'{"event": "TOOL.CALL"}'),
        ("bad_time", b'{"event": "tool.call"}'),
        ("bad_time", b'{"event": "tool.call", "ts": null}'),
        ("bad_time", b'{"event": "tool.call", "ts": true}'),
        ("bad_time", b'{"event": "tool.call", "ts": "yesterday"}'),
        ("bad_time", b'{"event": "tool.call", "ts": -1}'),
        ("bad_time", b'{"event": "tool.call", "ts": 1e999}'),
        ("bad_time", b'{"event": "tool.call", "ts": [1]}'),
        ("invalid", b'{"event": "tool.call", "ts": 1}'),
        ("invalid", tool_call(duration_ms=True)),
        ("invalid", tool_call(duration_ms="1")),
        ("invalid", tool_call(duration_ms=-1)),
        ("invalid", tool_call(status="OK")),
        ("invalid", tool_call(tool=None)),
        ("invalid", VALID.replace(b"250", b"1e999")),
        ("event", VALID),
        ("event", b" \t" + VALID + b" \r"),
        ("event", with_extra(b"1e999")),
        ("event", with_extra(b"1" * 400)),
        ("event", with_extra(b"[1e999, " + b"1" * 30 + b"]")),
        ("event", with_extra(b"[" * 100 + b"]" * 100)),
        ("event", with_extra(b'"\\ud83d\\ude00 \\u0000"')),
        ("event", VALID.replace(b"250", b"1e18")),
        ("event", VALID.replace(b"250", b"1e-18")),
        ("invalid", VALID.replace(b"250", b"1.000000000000001e18")),
        ("invalid", VALID.replace(b"250", b"9.99e-19")),
        ("invalid", VALID.replace(b"250", b"5e-324")),
        ("invalid", VALID.replace(b"250", b"1" * 30)),
        ("unknown_event", b'{"event": "\\u0000", "ts": 1}'),
        ("unknown_event", b'{"event": "\\u0000tool.call", "ts": 1}'),
        ("unknown_event", b'{"event": "tool.call\\u0000", "ts": 1}'),
        ("bad_time", b'{"event": "tool.call", "ts": "0001-01-01T00:00:00Z"}'),
        ("bad_time", b'{"event": "tool.call", "ts": "1969-12-31T23:59:59.999999Z"}'),
    ],
)
def test_one_reason_for_each_line(reason: str, written: bytes) -> None:
    """The table of verdicts."""
    assert reason == verdict(written)


@pytest.mark.parametrize(
    ("reason", "written"),
    [
        ("bad_encoding", b"{\xff"),
        ("bad_encoding", b'["\xff"]'),
        ("not_json", b"[NaN]"),
        ("not_json", b'{"event": 5, "ts": NaN}'),
        ("not_object", b'["tool.calls"]'),
        ("no_event", b'{"ts": "yesterday"}'),
        ("no_event", b'{"event": false, "duration_ms": -1}'),
        ("unknown_event", b'{"event": "x", "ts": "yesterday"}'),
        ("bad_time", b'{"event": "tool.call", "ts": "yesterday", "duration_ms": -1}'),
    ],
)
def test_first_reason_wins(reason: str, written: bytes) -> None:
    """A line that would fail two questions is rejected for the one that is asked first."""
    assert reason == verdict(written)


def test_reasons_are_closed_and_in_order() -> None:
    """The reasons are those of the documents, in the order in which they are decided."""
    expected = [
        "too_long",
        "bad_encoding",
        "not_json",
        "not_object",
        "no_event",
        "unknown_event",
        "bad_time",
        "invalid",
        "internal",
    ]

    assert expected == [str(reason) for reason in Reason]


@pytest.mark.parametrize(
    ("pointer", "written"),
    [
        ("", b"{"),
        ("", b"[]"),
        ("/event", b"{}"),
        ("/event", b'{"event": "x"}'),
        ("/ts", b'{"event": "tool.call"}'),
        ("/duration_ms", tool_call(duration_ms=-1)),
        ("/status", tool_call(status=[])),
    ],
)
def test_reject_says_where_and_what(pointer: str, written: bytes) -> None:
    """A reject names the place in the line as a JSON Pointer, and says something in words."""
    judged = read_line(written, PACK, inf)

    assert isinstance(judged, Reject)
    assert pointer == judged.pointer
    assert judged.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T00:00:00Z", T0),
        ("2026-01-01t00:00:00z", T0),
        ("2026-01-01 00:00:00Z", T0),
        ("2026-01-01T05:30:00+05:30", T0),
        ("2026-01-01T05:30:00+0530", T0),
        ("2025-12-31T18:30:00-05:30", T0),
        ("2026-01-01T00:00:00-00:00", T0),
        ("2026-01-01T00:00:00.5Z", T0 + 0.5),
        ("2026-01-01T00:00:00.123456789Z", T0 + 0.123457),
        ("2016-12-31T23:59:60Z", 1483228800.0),
        ("1970-01-01T00:00:00Z", 0.0),
        ("1969-12-31T23:59:59Z", -1.0),
        ("2024-02-29T00:00:00Z", 1709164800.0),
    ],
)
def test_rfc_3339(text: str, seconds: float) -> None:
    """These are times with an offset."""
    assert seconds == rfc_3339(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T24:00:00Z", "2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00", "2026-01-01", "2026-01-01T00:00Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+05:60",
        "2026-01-01T00:00:00+05", "2026-01-01_00:00:00Z", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n",
        "٢٠٢٦-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "20260101T000000Z", "1767225600", "", "Z",
    ],
)  # fmt: skip
def test_not_rfc_3339(text: str) -> None:
    """These are not, or have no offset: the line is a `bad_time`."""
    assert rfc_3339(text) is None
    assert "bad_time" == verdict(tool_call(ts=text))


@pytest.mark.parametrize(("ts", "seconds"), [(0, 0.0), (T0, T0), (T0 + 0.25, T0 + 0.25), ("2026-01-01T00:00:00Z", T0)])
def test_time_of_an_event(ts: object, seconds: float) -> None:
    """Epoch seconds and RFC 3339 mean the same."""
    judged = read_line(tool_call(ts=ts), PACK, inf)

    assert isinstance(judged, Event)
    assert seconds == judged.time


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        (T0, "event"),
        (T0 + 0.001, "bad_time"),
        ("2026-01-01T00:00:00Z", "event"),
        ("2026-01-01T00:00:00.001Z", "bad_time"),
        ("2026-01-01T00:00:00+01:00", "event"),
        ("2026-01-01T00:00:00-00:01", "bad_time"),
        (T0 * 1000, "bad_time"),
    ],
)
@pytest.mark.parametrize("before", [[], [tool_call()]], ids=["alone", "in a blob"])
def test_future_beyond_the_clock_skew(ts: object, reason: str, before: list[bytes]) -> None:
    """An event later than the latest time allowed is a `bad_time`, whoever decodes it; milliseconds are one such."""
    reader = Reader(default_catalog(), latest=lambda: T0)
    reader.lines([*before, tool_call(ts=ts)])

    assert (reason == "event") == (not reader.rejected)
    assert reason == verdict(tool_call(ts=ts), T0)


def test_duplicate_keys() -> None:
    """Of a key written twice the last one counts, as in every JSON parser of the agents' languages."""
    judged = read_line(VALID[:-1] + b', "tool": "b", "duration_ms": 1}', PACK, inf)

    assert isinstance(judged, Event)
    assert ("b", 1) == (judged.line["tool"], judged.line["duration_ms"])
    assert "no_event" == verdict(VALID[:-1] + b', "event": 5}')


def test_run_of_an_event() -> None:
    """The run's id is a text where the pack says."""
    judged = read_line(VALID, PACK, inf)

    assert isinstance(judged, Event)
    assert "run-1" == judged.run


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_have_a_verdict(written: bytes) -> None:
    """Nothing that can stand in a file is raised."""
    assert isinstance(read_line(written, PACK, T0), Event | Reject)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(PACK.events)),
    st.dictionaries(st.sampled_from(["ts", "run_id", "tool", "status", "duration_ms", "model", "step", "x"]), JSON),
    st.integers(0, 200),
    st.binary(max_size=2),
)
def test_mutated_lines_have_a_verdict(name: str, fields: dict[str, object], place: int, inserted: bytes) -> None:
    """Nothing is raised for lines that are nearly right, nor for a wrong byte in them."""
    whole = json.dumps(json.loads(line(name)) | fields).encode()
    place %= len(whole)

    assert isinstance(read_line(whole, PACK, inf), Event | Reject)
    assert isinstance(read_line(whole[:place] + inserted + whole[place + 1 :], PACK, inf), Event | Reject)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"bc"]), max_size=12).map(b"".join))
def test_lines_of_a_blob(blob: bytes) -> None:
    """A line ends at its newline, with or without one carriage return before it; every offset is where it begins."""
    expected = [item.removesuffix(b"\r") for item in blob.split(b"\n")]
    if not expected[-1] and not blob.endswith(b"\r"):
        expected.pop()

    found = list(lines_of(blob))

    assert expected == [written for _, written in found]
    assert all(blob[start:].startswith(written) for start, written in found)
    assert all(start == 0 or blob[start - 1 : start] == b"\n" for start, _ in found)
