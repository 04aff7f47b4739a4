"""
A folder is a test: `replay` of its events gives its metrics and its rejects.

`cases/<name>/events.jsonl` is read, with the schemas in `schemas/` if there are any. `metrics.prom` is the exposition,
without the families that have no sample; `rejects.txt` has a line for every reject. UPDATE_CASES=1 rewrites both, and
fails.
"""

import os
from pathlib import Path

import pytest

from extractor.cli.output import FORMATS
from extractor.history.replay import Options, Replay
from extractor.ingest.pipeline import Rejected
from extractor.schema.load import load
from tests.reading import tool_call

CASES = sorted(path for path in Path("tests/cases").iterdir() if path.is_dir())
MAX_LINE_BYTES = 1000
"""Small, so that a line too long is not a long one."""


def replayed(case: Path) -> tuple[str, str]:
    """The metrics and the rejects of *case*."""
    schemas = case / "schemas"
    rejects: list[Rejected] = []
    options = Options(paths=(str(case / "events.jsonl"),), max_line_bytes=MAX_LINE_BYTES)
    found = Replay(load((schemas,) if schemas.is_dir() else ()), options, rejects.append).run()
    rows = (
        f"{item.offset} {item.reject.reason} {item.reject.pointer or '-'} {item.reject.message}\n" for item in rejects
    )
    return with_samples(FORMATS["prometheus"](found)), "".join(rows)


def with_samples(exposition: str) -> str:
    """The families of *exposition* that have a sample."""
    families = exposition.split("# HELP ")[1:]
    return "".join(f"# HELP {family}" for family in families if family.count("\n") > len(("HELP", "TYPE")))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path) -> None:
    """What is replayed is, to the byte, what the folder says."""
    metrics, rejects = replayed(case)
    if os.environ.get("UPDATE_CASES"):
        (case / "metrics.prom").write_text(metrics)
        (case / "rejects.txt").write_text(rejects)
        pytest.fail("rewritten: look at what git shows, do the sums, and run it again without UPDATE_CASES")

    assert (case / "rejects.txt").read_text() == rejects
    assert (case / "metrics.prom").read_text() == metrics


def test_what_is_rewritten_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With UPDATE_CASES=1 a case is rewritten and fails: nothing has been checked."""
    monkeypatch.setenv("UPDATE_CASES", "1")
    (tmp_path / "events.jsonl").write_bytes(tool_call() + b"\n{\n")
    with pytest.raises(pytest.fail.Exception, match="rewritten"):
        test_case(tmp_path)

    assert (tmp_path / "rejects.txt").read_text().startswith(f"{len(tool_call()) + 1} not_json ")
    assert "\nextractor_events_total 1.0\n" in (tmp_path / "metrics.prom").read_text()


def test_every_reason_has_a_line() -> None:
    """The case of rejects has every reason."""
    rows = Path("tests/cases/rejects/rejects.txt").read_text().splitlines()

    assert {
        "too_long", "bad_encoding", "not_json", "not_object", "no_event", "unknown_event", "bad_time", "invalid",
    } == {row.split()[1] for row in rows}  # fmt: skip


def test_every_event_of_the_default_pack_has_a_line() -> None:
    """The cases have a line of every event type that is shipped."""
    lines = b"".join((case / "events.jsonl").read_bytes() for case in CASES)

    assert [] == [name for name in load().default_pack.events if f'"{name}"'.encode() not in lines]
