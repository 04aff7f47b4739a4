"""Rejected lines are tried again after a schema was mended: each is counted once, and no other is lost."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from extractor.checkpoint import StateDirectory
from extractor.cli import main
from extractor.daemon import Daemon
from extractor.own_log import Log as OwnLog
from extractor.run_options import Options
from tests.conftest import Log
from tests.reading import line, tool_call

METRIC = "pages_total"
GOOD, BAD = line("page", pages=3), line("page", pages=-1)


def schemas(folder: Path, **page: object) -> Path:
    """A folder with the schema of the event `page`, whose pages are as *page* says."""
    folder.mkdir(exist_ok=True)
    schema = {
        "type": "object",
        "required": ["event", "ts", "run_id", "pages"],
        "properties": {
            "event": {"const": "page"},
            "ts": {"type": ["string", "number"]},
            "run_id": {"type": "string"},
            "pages": page,
        },
        "additionalProperties": True,
        "examples": [{"event": "page", "ts": 1, "run_id": "r", "pages": 9}],
        "x-metrics": {METRIC: {"type": "counter", "help": "Pages.", "value": "pages"}},
    }
    (folder / "page.schema.json").write_text(json.dumps(schema))
    return folder


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch, log: Log, tmp_path: Path) -> Callable[[Path], dict]:
    """Follow the log once with the schemas of a folder, and stop; what was saved."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def once(folder: Path) -> dict:
        def say(text: str) -> None:
            if "serving" in text:
                daemon.stop()

        options = Options((log.path.parent,), (folder,), "127.0.0.1:0", state_dir=tmp_path / "state")
        daemon = Daemon(options, OwnLog(say))
        daemon.run()
        directory = StateDirectory(tmp_path / "state")
        value = directory.load().value
        directory.close()
        return value

    return once


def total(saved: dict) -> int:
    """The pages counted."""
    [[_, [pages]]] = saved["state"]["families"][METRIC]["series"]
    return pages


def requeue(tmp_path: Path, folder: Path) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, ["requeue", "--state-dir", str(tmp_path / "state"), "--schemas", str(folder)])
    assert 0 == result.exit_code, result.output
    return result.output


def kept(tmp_path: Path) -> list[str]:
    """The lines in rejects.jsonl."""
    return [json.loads(entry)["line"] for entry in (tmp_path / "state" / "rejects.jsonl").read_text().splitlines()]


def test_passing_lines_are_counted_once(log: Log, tmp_path: Path, follow: Callable[[Path], dict]) -> None:
    """A line that a mended schema accepts is counted when it is requeued, and never again."""
    strict, mended = schemas(tmp_path / "s", type="integer", minimum=5), tmp_path / "s"
    log.append(GOOD, BAD, b"{", tool_call())
    follow(strict)
    assert 3 == len(kept(tmp_path))

    # The metric is declared as before: only what its events may hold has changed.
    schemas(mended, type="integer", minimum=0)

    assert "1 counted, 2 still rejected\n" == requeue(tmp_path, mended)
    assert "0 counted, 2 still rejected\n" == requeue(tmp_path, mended)
    assert [BAD.decode(), "{"] == kept(tmp_path)

    saved = follow(mended)
    assert 3 == total(saved)
    assert 1 == saved["stats"]["requeued"]
    assert 3 == sum(saved["stats"]["rejects"].values())
    assert 2 == len(kept(tmp_path))


def test_needs_a_state(tmp_path: Path) -> None:
    """Where nothing was counted, there is nothing to count into: exit 1, and what to do."""
    (tmp_path / "state").mkdir()
    result = CliRunner().invoke(main, ["requeue", "--state-dir", str(tmp_path / "state")])

    assert 1 == result.exit_code
    assert "holds no state (give the --state-dir" in result.output


def test_running_extractor_is_left_alone(tmp_path: Path) -> None:
    """The state of a process that runs cannot be changed under its hands."""
    held = StateDirectory(tmp_path / "state")
    result = CliRunner().invoke(main, ["requeue", "--state-dir", str(tmp_path / "state")])
    held.close()

    assert 1 == result.exit_code
    assert "is in use by process" in result.output
