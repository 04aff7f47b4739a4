"""What `check --logs` reports of the lines as a whole: rejects by kind, and what stands in no schema."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from extractor.cli.main import main
from extractor.events.reader import Reason, Reject
from extractor.ingest.counting import Rejected
from extractor.report.survey import Survey
from extractor.tail.line_buffer import Blob, LineBuffer
from tests.conftest import Log
from tests.reading import T0, default_catalog, event_schema, line, llm_call, tool_call, write_pack

Check = Callable[..., str]


@pytest.fixture
def check() -> Check:
    """Words in, what `extractor check` prints out."""

    def run(*words: object, data: bytes = b"") -> str:
        result = CliRunner().invoke(main, ["check", *map(str, words)], input=data, catch_exceptions=False)
        assert 0 == result.exit_code
        return result.stdout

    return run


def section(printed: str, title: str) -> list[str]:
    """The rows below *title*."""
    found = re.search(rf"^{title}:\n((?:  .*\n)+)", printed, re.MULTILINE)
    return [row.strip() for row in found[1].splitlines()] if found else []


def test_rejects_are_grouped_with_the_worst_first(log: Log, check: Check) -> None:
    """A group is a file, a reason and a pointer: its number of lines, and the first one with its line and byte."""
    other = log.path.with_name("b.jsonl")
    negative, odd = tool_call(duration_ms=-1), tool_call(status="success")
    log.append(tool_call(), odd, *[negative] * 1200, odd)
    other.write_bytes((negative + b"\n") * 3)
    printed = check("--logs", log.path.parent)
    first, second = len(tool_call()) + 1 + len(odd) + 1, len(tool_call()) + 1

    wrong = '"success" is not one of "ok", "error", "timeout" or "cancelled"'

    assert [
        f"1,200  {log.path}, line 3, byte {first:,}: invalid: /duration_ms -1 is less than the minimum of 0",
        f"         {negative.decode()}",
        f"    3  {other}, line 1, byte 0: invalid: /duration_ms -1 is less than the minimum of 0",
        f"         {negative.decode()}",
        f"    2  {log.path}, line 2, byte {second:,}: invalid: /status {wrong}",
        f"         {odd.decode()}",
        "1,206 lines: 1 events, 1,205 invalid",
    ] == printed.splitlines()[1:8]


def test_groups_are_bounded(log: Log, check: Check) -> None:
    """Of very many kinds of rejects the largest are shown, and how much is left."""
    survey = Survey(default_catalog())
    for place in range(20_000):
        survey.reject(Rejected("a", place, Reject(Reason.INVALID, f"/{place}", "wrong"), b"x" * 1000))
    groups = survey.rejects()
    log.append(*[tool_call(seq=-1)] * 2, b"[]")

    assert (20_000, 10_000) == (sum(group.lines for group in groups), groups[0].lines)
    assert 10_001 == len(groups)
    assert 200 == len(groups[0].first.line)
    for place in range(25):
        log.path.with_name(f"{place}.jsonl").write_bytes(b"{\n")
    assert "… and 7 more lines in 7 other groups\n" in check("--logs", log.path.parent)


PIECES = st.lists(
    st.sampled_from([b"", b"{", b"\r", tool_call(), tool_call(seq=-1), b"x" * 900, b"{" + b" " * 4000, b"\xff"]),
    min_size=1,
)


@given(PIECES, st.integers(1, 3000))
def test_the_line_of_a_reject_is_counted_from_1(lines: list[bytes], chunk: int) -> None:
    """However the bytes are cut into chunks, the line of an offset is one more than the line ends before it."""
    data = b"".join(each + b"\n" for each in lines)
    survey, buffer, fed = Survey(default_catalog()), LineBuffer(1000), []
    for begin in range(0, len(data), chunk):
        pieces = buffer.feed(data[begin : begin + chunk])
        survey.feed(default_catalog().default_pack, "a", pieces)
        fed += pieces
        if begin % 2:
            survey.folded()
            fed.clear()
        for piece in fed:
            survey.reject(Rejected("a", piece.offset, Reject(Reason.INVALID, f"/{piece.offset}", ""), b""))
            if isinstance(piece, Blob) and (inner := piece.data.find(b"\n") + 1) < len(piece.data):
                at = piece.offset + inner
                survey.reject(Rejected("a", at, Reject(Reason.INVALID, f"/{at}", ""), b""))

    for group in survey.rejects():
        assert data.count(b"\n", 0, group.first.offset) + 1 == group.number


@pytest.mark.parametrize("form", ["plain", "gzip", "stdin"])
def test_lines_are_numbered_in_all_that_is_read(form: str, log: Log, check: Check) -> None:
    """A compressed file and a stream have lines as a file has."""
    data = (tool_call() + b"\n") * 5000 + b"\n{\n"
    where = log.path if form == "plain" else log.path.with_name("b.jsonl.gz")
    where.write_bytes(data if form == "plain" else gzip.compress(data))
    printed = check("--logs", "-", data=data) if form == "stdin" else check("--logs", where)

    assert f", line 5,002, byte {len(data) - 2:,}: not_json: " in printed


def test_what_no_schema_declares_is_listed(log: Log, check: Check) -> None:
    """Keys and names of events that no schema has are counted; the one that may have been meant is named."""
    log.append(
        *[llm_call(inputTokens=4, vendor="x")] * 3,
        tool_call(relase="1", inputTokens=4),
        tool_call(run_id=None, runId="r"),
        tool_call(durationMs=1),
        *[line("tool_call")] * 2,
        line("something.else", own=1),
        json.dumps({"evnt": "step", "ts": T0, "run_id": "r"}).encode(),
        b'{"nothing": 1e999}',
        b"[1]",
        b"{",
    )
    printed = check("--logs", log.path)

    assert ["2  tool_call; did you mean 'tool.call'?", "1  something.else"] == section(
        printed, "events that no schema describes"
    )
    assert [
        "4  inputTokens of llm.call, tool.call; did you mean 'input_tokens'?",
        "1  evnt; did you mean 'event'?",
        "1  relase of tool.call; did you mean 'release'?",
        "1  runId of tool.call; did you mean 'run_id'?",
        "3  vendor of llm.call",
        "1  durationMs of tool.call",  # for duration_ms is there, too
    ] == section(printed, "keys that no schema declares")


def test_a_missing_key_is_found_under_another_name(log: Log, check: Check) -> None:
    """A line that has `runId` and no `run_id` is rejected, and the key is listed with what was meant."""
    log.append(tool_call().replace(b"run_id", b"runId"))

    assert ["1  runId of tool.call; did you mean 'run_id'?"] == section(
        check("--logs", log.path), "keys that no schema declares"
    )


def test_keys_are_declared_anywhere_in_a_schema(tmp_path: Path, check: Check) -> None:
    """Nested keys, and those of schemas that are combined, referred to or matched by a pattern, are declared."""
    node = {"type": "object", "properties": {"size": {"type": "number"}, "child": {"$ref": "#/$defs/node"}}}
    properties: dict[str, Any] = {
        "tree": {"$ref": "#/$defs/node"},
        "free": {"type": "object"},
        "others": {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "number"}},
    }
    combined = {"allOf": [{"properties": {"one": {}}}], "if": {"properties": {"two": {}}}}
    metrics = {"jobs_total": {"type": "counter", "help": "Jobs."}}
    schema = event_schema("job", properties, metrics, {}, **combined, patternProperties={"^x_": {}})
    schema["$defs"] = {"node": node}
    write_pack(tmp_path / "pack", schema)
    (tmp_path / "a.jsonl").write_bytes(
        line(
            "job", one=1, two=2, x_any=3, three=4,
            tree={"size": 1, "sise": 2, "child": {"size": 1, "sizes": 2}}, free={"b": 1}, others={"b": 1},
        ) + b"\n"
    )  # fmt: skip
    printed = check("--schemas", tmp_path / "pack", "--logs", tmp_path / "a.jsonl")

    assert [
        "1  /tree/child/sizes of job",  # for size is there, too
        "1  /tree/sise of job",
        "1  three of job",
    ] == section(printed, "keys that no schema declares")


@pytest.mark.parametrize(
    ("time", "hint"),
    [
        (int(T0 * 1000), "milliseconds"),
        (str(int(T0 * 1000)), "milliseconds"),
        (int(T0 * 1e6), "microseconds"),
        (int(T0 * 1e9), "nanoseconds"),
        (T0 + 1e9, ""),
        ("tomorrow", ""),
        (True, ""),
        (10**30, ""),
    ],
)
def test_a_time_in_another_unit_is_recognised(time: object, hint: str, log: Log, check: Check) -> None:
    """A time in a smaller unit than seconds is rejected with the hint that it is one."""
    log.append(tool_call(ts=time))
    printed = check("--logs", log.path)

    assert ", line 1, byte 0: bad_time: /ts " in printed
    assert ([hint] if hint else []) == re.findall(r"\(this looks like (\w+): write seconds\)", printed)
