"""Rejected lines are tried again after a schema was mended: each is counted once, and no other is lost."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from extractor.cli.main import main
from extractor.schema.load import load
from extractor.service.checkpoint import StateDirectory
from extractor.service.daemon import Daemon
from extractor.service.log import Log as OwnLog
from extractor.service.options import Options
from extractor.service.reject_entry import LONGEST
from extractor.state.state import State
from tests.conftest import Log
from tests.reading import T0, line, llm_call, sampled, tool_call

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
def follow(monkeypatch: pytest.MonkeyPatch, log: Log, tmp_path: Path) -> Callable[..., dict]:
    """Follow the log once with the schemas of a folder, and stop; what was saved."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def once(folder: Path, **words: Any) -> dict:
        def say(text: str) -> None:
            if "serving" in text:
                daemon.stop()

        options = Options((log.path.parent,), (folder,), "127.0.0.1:0", state_dir=tmp_path / "state", **words)
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


def run_requeue(tmp_path: Path, folder: Path, *words: object) -> Result:
    """What comes of the command."""
    command = ["requeue", "--state-dir", tmp_path / "state", "--schemas", folder, *words]
    return CliRunner().invoke(main, [str(word) for word in command])


def requeue(tmp_path: Path, folder: Path, *words: object) -> str:
    """What the command prints."""
    result = run_requeue(tmp_path, folder, *words)
    assert 0 == result.exit_code, result.output
    return result.output


def kept(state_dir: Path) -> list[str]:
    """The lines in rejects.jsonl."""
    return [json.loads(entry)["line"] for entry in (state_dir / "rejects.jsonl").read_text().splitlines()]


def test_passing_lines_are_counted_once(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """A line that a mended schema accepts is counted when it is requeued, and never again."""
    strict, mended = schemas(tmp_path / "s", type="integer", minimum=5), tmp_path / "s"
    log.append(GOOD, BAD, b"{", tool_call())
    follow(strict)
    assert 3 == len(kept(tmp_path / "state"))

    # The metric is declared as before: only what its events may hold has changed.
    schemas(mended, type="integer", minimum=0)

    assert "1 counted, 2 still rejected\n" == requeue(tmp_path, mended)
    assert "0 counted, 2 still rejected\n" == requeue(tmp_path, mended)
    assert [BAD.decode(), "{"] == kept(tmp_path / "state")

    saved = follow(mended)
    assert 3 == total(saved)
    assert 1 == saved["stats"]["requeued"]
    assert 3 == sum(saved["stats"]["rejects"].values())
    assert 2 == len(kept(tmp_path / "state"))


ENTRY = {"file": "/a.jsonl", "offset": 3, "reason": "invalid", "pointer": "", "message": "", "line": GOOD.decode()}
UNREADABLE = {
    "a torn line": (json.dumps(ENTRY).encode()[:-9], "it is not JSON: Unterminated string"),
    "no JSON": (b"# sorted out by hand", "it is not JSON: Expecting value"),
    "no object": (b"[1]", "it is not a JSON object"),
    "nothing": (b"null", "it is not a JSON object"),
    "another encoding": ('{"file": "\u00e4"}'.encode("latin-1"), "byte 10 is not UTF-8"),
    "UTF-16": (json.dumps(ENTRY).encode("utf-16-le"), "it is not JSON"),
    "bytes of zero among others": (b"{\0}", "it is not JSON"),
    "no file": (b'{"offset": 3, "reason": "invalid", "line": "{"}', "'file' is missing"),
    "a file that is none": (json.dumps(ENTRY | {"file": 5}).encode(), "'file' is not a string"),
    "no offset": (b'{"file": "/a.jsonl", "reason": "invalid", "line": "{"}', "'offset' is missing"),
    "an offset in words": (json.dumps(ENTRY | {"offset": "3"}).encode(), "'offset' is not an integer"),
    "an offset that is true": (json.dumps(ENTRY | {"offset": True}).encode(), "'offset' is not an integer"),
    "an offset that is negative": (json.dumps(ENTRY | {"offset": -3}).encode(), "'offset' is negative"),
    "an endless number": (b'{"file": "/a", "offset": ' + b"9" * 5000 + b"}", "it is not JSON: Exceeds the limit"),
    "no reason": (b'{"file": "/a.jsonl", "offset": 3, "line": "{"}', "'reason' is missing"),
    "a reason that is none": (json.dumps(ENTRY | {"reason": None}).encode(), "'reason' is not a string"),
    "no line": (b'{"file": "/a.jsonl", "offset": 3, "reason": "invalid"}', "'line' is missing"),
    "a line that is decoded": (json.dumps(ENTRY | {"line": {}}).encode(), "'line' is not a string"),
    "several lines": (json.dumps(ENTRY | {"line": "{}\n{}"}).encode(), "it contains more than one line"),
    "half a character": (
        b'{"file": "/a", "offset": 3, "reason": "invalid", "line": "\\ud800"}',
        "'line' contains an unpaired surrogate",
    ),
    "no base64": (
        b'{"file": "/a", "offset": 3, "reason": "invalid", "line_base64": "%"}',
        "'line_base64' is not base64",
    ),
    "a deep line": (b"[" * 100_000, "it is not JSON"),
    "a checkpoint that is none": (b'{"checkpoint": "x"}', "'file' is missing"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_named_and_kept(
    kind: str, log: Log, tmp_path: Path, follow: Callable[..., dict]
) -> None:
    """It blocks nothing: all others are judged, it stays as it is, and the exit code tells."""
    folder = schemas(tmp_path / "s", type="integer", minimum=5)
    log.append(BAD, GOOD, BAD)
    follow(folder)
    path = tmp_path / "state" / "rejects.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    damaged, why = UNREADABLE[kind]
    path.write_bytes(first + damaged + b"\n" + b"\n" + second + third)
    schemas(folder, type="integer", minimum=0)
    result = run_requeue(tmp_path, folder)

    assert (1, "1 counted, 2 still rejected, 1 cannot be read\n") == (result.exit_code, result.stdout)
    assert f"extractor: {path}:2: {why}" in result.stderr
    assert 1 == result.stderr.count("\n")
    for _ in range(2):
        lines = path.read_bytes().splitlines()
        assert [BAD.decode(), BAD.decode()] == [json.loads(lines[place])["line"] for place in (0, 2)]
        assert damaged == lines[1]
        assert run_requeue(tmp_path, folder).stdout == result.stdout.replace("1 counted", "0 counted")
    assert 3 == total(follow(folder))


def test_a_line_that_fails_whoever_judges_it(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """It stays, whatever it makes the code do, and the others are counted."""
    folder = schemas(tmp_path / "s", type="integer", minimum=5)
    log.append(BAD, GOOD, BAD)
    follow(folder)
    path = tmp_path / "state" / "rejects.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    odd = json.dumps(ENTRY | {"line": '{"event":"\\u0000"}'}).encode() + b"\n"
    path.write_bytes(first + odd + second + third)
    schemas(folder, type="integer", minimum=0)
    result = run_requeue(tmp_path, folder)

    assert isinstance(result.exception, SystemExit | None)
    assert result.output.splitlines()[-1].startswith("1 counted, ")
    assert [BAD.decode(), '{"event":"\\u0000"}', BAD.decode()] == kept(tmp_path / "state")


@pytest.mark.parametrize("cut", [1, 9, 60])
def test_a_file_that_was_cut_short(cut: int, log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """What is left of its last entry is named and kept, unless nothing is missing but the end of the line."""
    folder = schemas(tmp_path / "s", type="integer", minimum=5)
    log.append(GOOD, BAD)
    follow(folder)
    path = tmp_path / "state" / "rejects.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    last = path.read_bytes().splitlines()[-1]
    schemas(folder, type="integer", minimum=0)
    result = run_requeue(tmp_path, folder)

    assert (
        "1 counted, 1 still rejected\n" if cut == 1 else "1 counted, 0 still rejected, 1 cannot be read\n"
    ) == result.stdout
    assert (cut == 1) or last == path.read_bytes().splitlines()[-1]
    log.append(b"{")
    follow(folder)
    assert 2 == len(path.read_bytes().splitlines())


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_an_edited_file(end: bytes, log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """Other line ends, a byte order mark, blank lines, another order of the keys and a missing end are no damage."""
    folder = schemas(tmp_path / "s", type="integer", minimum=5)
    log.append(BAD, GOOD, BAD)
    follow(folder)
    path = tmp_path / "state" / "rejects.jsonl"
    lines = [json.dumps(json.loads(line), sort_keys=True).encode() for line in path.read_bytes().splitlines()]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n \r\n".join(lines) + end)
    schemas(folder, type="integer", minimum=0)

    assert "1 counted, 2 still rejected\n" == requeue(tmp_path, folder)
    assert 2 * [BAD.decode()] == kept(tmp_path / "state")
    assert 3 == total(follow(folder))
    assert 2 * [BAD.decode()] == kept(tmp_path / "state")


def test_many_unreadable_lines_are_not_all_named(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """Past twenty it is said how many more there are."""
    log.append(b"{")
    folder = schemas(tmp_path / "s", type="integer", minimum=0)
    follow(folder)
    path = tmp_path / "state" / "rejects.jsonl"
    path.write_bytes(path.read_bytes() + b"?\n" * 30)
    result = run_requeue(tmp_path, folder)

    assert "0 counted, 1 still rejected, 30 cannot be read\n" == result.stdout
    assert "extractor: and 10 more unreadable lines\n" == result.stderr.splitlines(keepends=True)[-1]


def test_a_huge_line(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """A line longer than any entry is named, and stays, byte for byte."""
    log.append(GOOD, BAD)
    folder = schemas(tmp_path / "s", type="integer", minimum=5)
    follow(folder)
    path = tmp_path / "state" / "rejects.jsonl"
    huge = b'{"checkpoint": 1, "file": "' + b"x" * LONGEST + b'"}\n'
    path.write_bytes(huge + path.read_bytes())
    schemas(folder, type="integer", minimum=0)
    result = run_requeue(tmp_path, folder)

    assert "1 counted, 1 still rejected, 1 cannot be read\n" == result.stdout
    assert f"{path}:1: it is longer than" in result.stderr
    assert path.read_bytes().startswith(huge)


def test_events_that_were_ahead_of_the_clock(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """What was rejected for its time alone, because the clock was behind, is counted once the clock is right."""
    folder = schemas(tmp_path / "s", type="integer", minimum=0)
    now = time.time()
    log.append(
        line("page", now - T0 - 10, pages=2),
        line("page", now - T0 + 200, pages=4),  # as far ahead as is allowed
        line("page", now - T0 + 3600, pages=8),
    )
    saved = follow(folder, max_clock_skew=300.0 - 7200)  # as if the clock were two hours behind
    assert 3 == saved["stats"]["rejects"]["bad_time"]

    assert "2 counted, 1 still rejected\n" == requeue(tmp_path, folder)
    assert "0 counted, 1 still rejected\n" == requeue(tmp_path, folder)
    saved = follow(folder)
    assert 6 == total(saved)
    assert now + 200 == pytest.approx(saved["state"]["watermark"])

    assert "1 counted, 0 still rejected\n" == requeue(tmp_path, folder, "--max-clock-skew", 4000)
    assert 14 == total(follow(folder))


def test_calls_are_priced(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """A call without a cost has the price that it would have had if `run` had counted it."""
    folder = schemas(tmp_path / "s", type="integer", minimum=0)
    prices = tmp_path / "prices.toml"
    prices.write_text('[models."our-model"]\ninput = 1_000_000\noutput = 0\n')
    log.append(b"{")
    follow(folder)
    path = tmp_path / "state" / "rejects.jsonl"
    call = llm_call(model="our-model", input_tokens=6, output_tokens=0).decode()
    path.write_bytes(path.read_bytes() + json.dumps(ENTRY | {"line": call}).encode() + b"\n")

    assert "1 counted, 1 still rejected\n" == requeue(tmp_path, folder, "--prices", prices)
    state = State(load((folder,)))
    state.load(follow(folder)["state"])
    assert [6.0] == list(sampled(state, "agent_cost_usd_total").values())


def test_runs_stay_as_they_are(log: Log, tmp_path: Path, follow: Callable[..., dict]) -> None:
    """Requeue gives up no run that `run` would wait for: it does as the options say that the state was saved with."""
    folder = schemas(tmp_path / "s", type="integer", minimum=0)
    log.append(
        line("run.start", 0, run_id="waits"), line("tool.call", 7200, run_id="x", tool="t", status="ok", duration_ms=1)
    )
    saved = follow(folder, run_timeout=86_400.0)
    log.append(b"{")
    requeue(tmp_path, folder)
    after = follow(folder, run_timeout=86_400.0)

    assert saved["state"]["runs"] == after["state"]["runs"]


def test_needs_a_state(tmp_path: Path) -> None:
    """Where nothing was counted, there is nothing to count into: exit 1, and what to do."""
    (tmp_path / "state").mkdir()
    result = CliRunner().invoke(main, ["requeue", "--state-dir", str(tmp_path / "state")])

    assert 1 == result.exit_code
    assert "holds no state (use the --state-dir" in result.output


def test_running_extractor_is_left_alone(tmp_path: Path) -> None:
    """The state of a process that runs cannot be changed under its hands."""
    held = StateDirectory(tmp_path / "state")
    result = CliRunner().invoke(main, ["requeue", "--state-dir", str(tmp_path / "state")])
    held.close()

    assert 1 == result.exit_code
    assert "is in use by process" in result.output
