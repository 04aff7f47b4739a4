"""What people see of packs beside each other: rows of those that have events, and each row once."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.ingest.pipeline import Pipeline
from extractor.report.objectives import Objectives
from extractor.schema.load import load
from extractor.schema.model import Catalog
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.line_buffer import Blob
from extractor.web.page.health import Moment
from extractor.web.page.monitor import Overview
from tests.reading import T0, event_schema, llm_call, write_pack

METRICS = {
    "jobs_total": {"type": "counter", "help": "Jobs."},
    "jobs_seconds": {"type": "summary", "help": "Time.", "value": "seconds", "unit": "s", "labels": ["kind"]},
    # Alike in the default pack.
    "agent_cost_usd_total": json.loads(Path("schemas/agent/tool.call.schema.json").read_text())["x-metrics"][
        "agent_cost_usd_total"
    ],
}
ROWS = [{"title": "Tool calls", "metric": "jobs_total"}, {"title": "Cost in USD", "metric": "agent_cost_usd_total"}]
SIGNALS = [{"title": "Jobs", "metric": "jobs_total"}, {"title": "Cost", "metric": "agent_cost_usd_total"}]


def job(at: float = 0.0) -> bytes:
    """An event of the pack that is added."""
    return json.dumps({"event": "job", "ts": T0 + at, "seconds": 1.5, "kind": "k", "cost_usd": 0.5}).encode()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack of one's own, without runs, beside the default one, for files `jobs-*.jsonl`."""
    default = json.loads(Path("schemas/agent/tool.call.schema.json").read_text())
    properties: dict[str, Any] = {"seconds": {"type": "number", "minimum": 0}, "kind": {"enum": ["k"]}}
    properties |= {name: default["properties"][name] for name in ("cost_usd", "agent", "release")}
    labels = {name: default["x-labels"][name] for name in ("agent", "release")}
    example = {"seconds": 1.5, "kind": "k", "cost_usd": 0.5}
    schema = event_schema("job", properties, METRICS, example, **{"x-labels": labels, "required": ["event", "ts"]})
    folder = tmp_path / "pack"
    write_pack(folder, schema, name="jobs", files=["jobs-*.jsonl"], report=ROWS, signals=SIGNALS)
    return folder


def html(folder: Path, **lines: list[bytes]) -> str:
    """The page, after *lines* of each pack were read."""
    catalog: Catalog = load([folder])
    lock, state, stats = threading.Lock(), State(catalog), Stats()
    overview = Overview(
        state, stats, lock, Objectives(), lambda: Moment("", "", T0, T0), version="1", followed=["x"], keeps=False
    )
    pipeline = Pipeline(state, stats, listener=overview.trends)
    for each in catalog.packs:
        data = b"".join(line + b"\n" for line in lines.get(each.name, []))
        pipeline.feed(each, "a", [Blob(data, 0)] if data else [])
        pipeline.fold()
    return overview.page()


def titles(page: str) -> list[str]:
    """The titles of the signals of *page*."""
    table = page.partition('<table class="signals">')[2].partition("</table>")[0]
    return [part.partition("<")[0] for part in table.split('<th scope="row">')[1:]]


def test_the_page_has_the_rows_of_packs_with_events(pack: Path) -> None:
    """Without events of the default pack its signals, plots, cards and runs are absent; with them all are there."""
    own, both = html(pack, jobs=[job()]), html(pack, jobs=[job()], agent=[llm_call()])

    assert ["Jobs", "Cost", "Rejected lines"] == titles(own)
    assert "no data" not in own
    assert "Runs in progress" not in own
    assert "LLM" not in own
    assert {"Jobs", "Cost", "Runs", "LLM error rate"} <= set(titles(both))
    assert len(titles(both)) == len(set(titles(both)))
    assert "Runs in progress" in both
    assert set(titles(html(pack, agent=[llm_call()]))).isdisjoint({"Jobs"})


@pytest.fixture
def printed(pack: Path, tmp_path: Path) -> Callable[..., str]:
    """What a command prints of the logs in a folder, with the pack."""

    def run(*words: str) -> str:
        arguments = [*words, "--schemas", str(pack)]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert 0 == result.exit_code, result.output
        return result.stdout

    return run


def test_commands_have_the_rows_of_packs_with_events(printed: Callable[..., str], tmp_path: Path) -> None:
    """So it is with the tables of `replay` and `report`, and with the advice of `check`."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "jobs-1.jsonl").write_bytes(job() + b"\n" + job(1) + b"\n")
    table, report = printed("replay", str(logs)), printed("report", str(logs))

    assert ["Period", "Tool calls", "Cost in USD", "Lines", "Rejects"] == [
        row.partition("  ")[0] for row in table.splitlines()
    ]
    assert "Jobs" in report
    assert "no data" not in report
    assert "llm.call" not in printed("check", "--logs", str(logs))
    assert "recommended" not in printed("check", "--logs", str(logs))

    (logs / "agent.jsonl").write_bytes(llm_call() + b"\n")
    rows = [row.partition("  ")[0] for row in printed("replay", str(logs)).splitlines()]
    assert {"Runs", "LLM calls"} <= set(rows)
    assert 1 == rows.count("Cost in USD")
    assert "llm.call" in printed("check", "--logs", str(logs))
