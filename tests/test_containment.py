"""
Whatever fails within the program, and wherever: the process goes on, one line is lost at most, and all others count.

The faults are planted by `tests/faults.py` into a real process.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import MARK
from tests.killing import Victim
from tests.reading import line, tool_call
from tests.servers import DEADLINE, eventually

CALLS = 'agent_tool_calls_total{{agent="unknown",release="unknown",status="ok",tool="{}"}}'
ERRORS = 'extractor_internal_errors_total{{where="{}"}}'
INTERNAL = 'extractor_rejected_lines_total{reason="internal"}'
COMPLETE = line("run.complete", 3, run_id=f"run-{MARK}", status="ok", stop_reason="completed", duration_ms=5)


@dataclass
class Faulty(Victim):
    """An extractor with a fault in it."""

    fault: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """What is run."""
        python, _, _, *rest = super().command()
        return [python, "-m", "tests.faults", *self.fault, *rest] if self.fault else super().command()


@pytest.fixture
def victim(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Faulty]:
    """An extractor over three calls and a run, one of which has the mark; it is killed in the end."""
    (tmp_path / "logs").mkdir()
    lines = [tool_call(1, tool="before"), tool_call(2, tool=MARK), COMPLETE, tool_call(60, tool="after", run_id="r2")]
    (tmp_path / "logs" / "agent.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    made = Faulty(
        tmp_path / "logs",
        tmp_path / "state",
        free_ports(1)[0],
        tmp_path / "said.txt",
        ("--checkpoint-interval", "0.1", "--poll-interval", "0.2"),
    )
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait(DEADLINE)


def counted(victim: Victim) -> dict[str, float | None]:
    """How often each tool was called, and how many lines were lost."""
    return {name: victim.value(CALLS.format(name)) for name in ("before", MARK, "after", "late")} | {
        "internal": victim.value(INTERNAL)
    }


def add_late(victim: Victim) -> None:
    """One more call, written while the extractor runs."""
    with (victim.logs / "agent.jsonl").open("ab") as log:
        log.write(tool_call(61, tool="late", run_id="r2") + b"\n")


def stop(victim: Victim) -> None:
    """Stop as a service manager does, and see that it went well."""
    assert victim.process is not None
    victim.process.terminate()
    assert 0 == victim.process.wait(DEADLINE), victim.said.read_text()


@pytest.mark.parametrize("kind", ["ValueError", "MemoryError", "OSError", "KeyError"])
@pytest.mark.parametrize(("stage", "where"), [("decode", "read"), ("gather", "read"), ("merge", "merge")])
def test_one_line_is_lost_and_all_others_count(victim: Faulty, stage: str, where: str, kind: str):
    """The line that fails is a kept reject with a reason of its own; the next start counts the same."""
    victim.fault = (stage, kind)
    victim.start()
    victim.ready()
    add_late(victim)

    # Of the line that ends the run, whose id has the mark, the stage of decoding fails as well.
    lost = 2 if stage == "decode" else 1
    expected = {"before": 1, MARK: None, "after": 1, "late": 1, "internal": lost}
    eventually(lambda: counted(victim), expected)
    assert victim.value(ERRORS.format(where))
    assert "Traceback" in victim.said.read_text()
    stop(victim)
    victim.start()
    victim.ready()
    assert expected == counted(victim)
    kept = [json.loads(each) for each in (victim.state_dir / "rejects.jsonl").read_text().splitlines()]
    assert lost == sum(each["reason"] == "internal" and MARK in each["line"] for each in kept)


def test_what_fails_in_the_fast_path_alone_is_no_loss(victim: Faulty):
    """The exact path judges what the fast path cannot."""
    victim.fault = ("fast", "ValueError")
    victim.start()
    victim.ready()

    assert {"before": 1, MARK: 1, "after": 1, "late": None, "internal": 0} == counted(victim)


@pytest.mark.parametrize("kind", ["SIGSEGV", "exit"])
@pytest.mark.parametrize("stage", ["decode", "gather", "merge"])
def test_what_ends_the_process_does_not_end_the_next_one(victim: Faulty, stage: str, kind: str):
    """A crash of any kind happens once: the next start finds out which line it was, and goes on without it."""
    victim.fault = (stage, kind)
    victim.start()
    assert victim.process is not None
    victim.process.wait(DEADLINE)

    victim.start()
    victim.ready()
    add_late(victim)

    expected = {"before": 1, MARK: None, "after": 1, "late": 1, "internal": 2 if stage == "decode" else 1}
    eventually(lambda: counted(victim), expected)


def test_a_run_that_cannot_be_settled(victim: Faulty):
    """It is forgotten, and counted; other runs, and all that its events have counted elsewhere, stay."""
    victim.fault = ("settle", "ValueError")
    victim.start()
    eventually(lambda: victim.value(ERRORS.format("settle")), 1)
    victim.ready()
    add_late(victim)

    eventually(lambda: counted(victim), {"before": 1, MARK: 1, "after": 1, "late": 1, "internal": 0})
    assert 1 == victim.value(ERRORS.format("merge"))


@pytest.mark.parametrize(
    ("stage", "where"),
    [
        ("trends", "trends"),
        ("folded", "page"),
        ("checkpoint", "checkpoint"),
        ("rejects", "rejects"),
        ("scan", "tail"),
        ("look", "tail"),
        ("chunk", "follow"),
    ],
)
def test_reading_goes_on(victim: Faulty, stage: str, where: str):
    """A fault beside the counting takes nothing from it, and ends nothing; here it happens three times."""
    victim.fault = (stage, "ValueError/3")
    victim.start()
    victim.ready()
    with (victim.logs / "agent.jsonl").open("ab") as log:
        log.write(b"no event\n" * 3)
    add_late(victim)

    eventually(lambda: counted(victim), {"before": 1, MARK: 1, "after": 1, "late": 1, "internal": 0})
    eventually(lambda: (victim.value(ERRORS.format(where)) or 0) > 0, expected=True)
    stop(victim)


@pytest.mark.parametrize("kind", ["ValueError", "MemoryError"])
@pytest.mark.parametrize("stage", ["file", "pieces", "compare"])
def test_a_file_that_cannot_be_read_stops_no_other(victim: Faulty, stage: str, kind: str):
    """It is put aside and tried again, over restarts, and then counts from where it was read on; others go on."""
    marked = victim.logs / f"{MARK}.jsonl"
    marked.write_bytes(b"".join(tool_call(at, tool="other", note="x" * 900) + b"\n" for at in range(5)))
    expected = {"before": 1, MARK: 1, "after": 1, "late": 1, "internal": 0}
    victim.fault = (stage, kind)
    victim.start()
    victim.ready()
    add_late(victim)

    eventually(lambda: counted(victim), expected)
    assert victim.value(CALLS.format("other")) is None
    assert victim.value(ERRORS.format("tail"))
    assert not victim.value(ERRORS.format("follow"))
    assert 1 == victim.value('extractor_files{state="unreadable"}')
    eventually(lambda: victim.value('extractor_file_changes_total{kind="unreadable"}'), 1)
    assert 1 == victim.said.read_text().count("Traceback")
    stop(victim)
    victim.fault = (stage, f"{kind}/2")
    victim.start()
    victim.ready()
    eventually(lambda: victim.value(CALLS.format("other")), 5)
    with marked.open("ab") as log:
        log.write(tool_call(70, tool="other") + b"\n")
    eventually(lambda: victim.value(CALLS.format("other")), 6)
    assert expected == counted(victim)
    eventually(lambda: victim.value('extractor_files{state="unreadable"}'), 0)
    stop(victim)


def test_a_file_that_is_read_on_after_a_fault_counts_once(victim: Faulty):
    """A read that fails after lines were counted, and before its own are, is done again."""
    marked = victim.logs / f"{MARK}.jsonl"
    victim.start()
    victim.ready()
    for at in range(3):
        with marked.open("ab") as log:
            log.write(tool_call(at, tool="other", note="x" * 900) + b"\n")
        eventually(lambda: victim.value(CALLS.format("other")), at + 1)
    stop(victim)
    victim.fault = ("pieces", "MemoryError/3")
    victim.start()
    victim.ready()
    with marked.open("ab") as log:
        log.write(tool_call(4, tool="other") + b"\n" + tool_call(5, tool="other")[:20])
    eventually(lambda: victim.value(CALLS.format("other")), 4)
    with marked.open("ab") as log:
        log.write(tool_call(5, tool="other")[20:] + b"\n")

    eventually(lambda: victim.value(CALLS.format("other")), 5)
    assert 3 == victim.value(ERRORS.format("tail"))
    stop(victim)


def test_what_is_first_in_a_file_cannot_be_seen(victim: Faulty):
    """It costs order at most: the file is read all the same."""
    (victim.logs / f"{MARK}.jsonl").write_bytes(tool_call(1, tool="other") + b"\n")
    victim.fault = ("first", "ValueError")
    victim.start()
    victim.ready()

    eventually(lambda: victim.value(CALLS.format("other")), 1)
    assert victim.value(ERRORS.format("tail"))


def test_a_page_that_cannot_be_made(victim: Faulty):
    """The page says so; scrapes and reading go on."""
    victim.fault = ("page", "ValueError")
    victim.start()
    victim.ready()

    answer = subprocess.run(
        ["curl", "-s", "-w", "%{http_code}", victim.url + "/"], capture_output=True, text=True, check=True
    )

    assert answer.stdout.startswith("Internal error while rendering the page")
    assert answer.stdout.endswith("500")
    add_late(victim)
    eventually(lambda: victim.value(CALLS.format("late")), 1)
    assert victim.value(ERRORS.format("page"))


def test_a_reload_that_fails_changes_nothing(victim: Faulty):
    """What is in force stays in force."""
    victim.start()
    victim.ready()
    assert victim.process is not None
    stop(victim)
    victim.fault = ("save", "ValueError")
    victim.start()
    victim.ready()
    os.kill(victim.process.pid, signal.SIGHUP)
    add_late(victim)

    eventually(lambda: victim.value(CALLS.format("late")), 1)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("stage", ["decode", "gather", "merge"])
def test_a_replay_loses_one_line(victim: Faulty, stage: str, jobs: str):
    """As in following; the exit code says that not all could be read."""
    for name in ("other.jsonl", "third.jsonl"):
        (victim.logs / name).write_bytes(tool_call(5, tool=name) + b"\n")

    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", stage, "ValueError", "replay", str(victim.logs), "--jobs", jobs,
         "--format", "prometheus"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    lost = 2 if stage == "decode" else 1
    assert 1 == done.returncode
    assert "Traceback" not in done.stderr
    assert "internal error in read" in done.stderr
    found = {name: CALLS.format(name) + " 1.0\n" in done.stdout for name in ("before", MARK, "after", "other.jsonl")}
    assert {"before": True, MARK: False, "after": True, "other.jsonl": True} == found
    assert f"the line at byte {len(tool_call(1, tool='before')) + 1} of" in done.stderr
    assert lost
