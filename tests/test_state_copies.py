"""A state directory that was copied, or written by the version before, is carried on exactly."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.schema.load import load
from extractor.service.checkpoint import StateDirectory
from extractor.service.former_rejects import cut
from extractor.state.state import State
from tests.conftest import Log
from tests.killing import Victim
from tests.reading import tool_call
from tests.servers import eventually

BEFORE = Path("tests/state_before")
"""
Logs and state of the version whose checkpoints know `rejects.jsonl` by its inode.

It was stopped twice, then followed for two calls and a bad line more, and was killed. So the last entry of
`rejects.jsonl` is of a line that no checkpoint counts.
"""

DECLARED = Path("tests/state_declared")
"""
A pack that declares whatever can be declared, and the checkpoint of a log of it.

It was saved by the version whose digests were of the `repr` of its classes.
"""

CALLS = 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"}'
REJECTS = [(908, "not_json"), (917, "invalid"), (1603, "not_json"), (1612, "bad_encoding"), (1899, "not_json")]
"""The offsets of the rejected lines of `BEFORE`, and why they are; the last is in no checkpoint."""

REASONS = {reason for _, reason in REJECTS}


@pytest.fixture
def victim(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """One that follows *log* with a state directory, and saves when it is stopped; nothing of it is left."""
    [port] = free_ports(1)
    options = ("--checkpoint-interval", "600", "--poll-interval", "0.1")
    one = Victim(log.path.parent, tmp_path / "state", port, tmp_path / "said", options)
    yield one
    one.close()


def entries(state_dir: Path) -> list[dict]:
    """What stands in `rejects.jsonl` and the file before it."""
    paths = [state_dir / name for name in ("rejects.jsonl.1", "rejects.jsonl") if (state_dir / name).exists()]
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def copied(state_dir: Path) -> None:
    """Put a copy in the place of the directory, as on a new disk."""
    state_dir.rename(state_dir.with_name("away"))
    subprocess.run(["cp", "-a", state_dir.with_name("away"), state_dir], check=True)


def test_a_copied_directory_has_each_reject_once(log: Log, victim: Victim):
    """What was rejected after the last checkpoint is cut off in a copy, too, and a requeue counts it once."""
    log.append(tool_call(), *(b"{%d" % number for number in range(20)))
    victim.start()
    victim.ready()
    victim.stop()
    log.append(tool_call(), *(b"{%d" % number for number in range(20, 50)))
    victim.start()
    victim.ready()
    eventually(lambda: len(entries(victim.state_dir)), 50)
    victim.kill()
    copied(victim.state_dir)
    victim.start()
    victim.ready()
    eventually(lambda: victim.value(CALLS), 2.0)
    victim.stop()

    assert [f"{{{number}" for number in range(50)] == [entry["line"] for entry in entries(victim.state_dir)]
    assert 0.0 == saved(victim.state_dir)["stats"]["lost_rejects"]
    assert "50 still rejected" in requeued(victim.state_dir)


def saved(state_dir: Path) -> dict:
    """The last checkpoint."""
    directory = StateDirectory(state_dir)
    value = directory.load().value
    directory.close()
    return value


def requeued(state_dir: Path) -> str:
    """What requeue prints."""
    result = CliRunner().invoke(main, ["requeue", "--state-dir", str(state_dir)])
    assert 0 == result.exit_code, result.output
    return result.output


def before(log: Log, state_dir: Path) -> None:
    """The logs and the state of the version before."""
    shutil.copy(BEFORE / "logs" / "agent.jsonl", log.path)
    shutil.copytree(BEFORE / "state", state_dir)


def rotated_after_the_checkpoint(state_dir: Path) -> None:
    """As if the file had been full when the checkpoint was saved."""
    (state_dir / "rejects.jsonl").rename(state_dir / "rejects.jsonl.1")
    lines = (state_dir / "rejects.jsonl.1").read_bytes().splitlines(keepends=True)
    (state_dir / "rejects.jsonl.1").write_bytes(b"".join(lines[:-1]))
    (state_dir / "rejects.jsonl").write_bytes(lines[-1])


def requeued_and_killed(state_dir: Path) -> None:
    """As if requeue had been killed right after it saved its checkpoint, before the file got its name."""
    lines = (state_dir / "rejects.jsonl").read_bytes().splitlines(keepends=True)
    (state_dir / "rejects.jsonl.new").write_bytes(b"".join(lines[:-1]))
    (state_dir / "rejects.jsonl").write_bytes(b"".join(3 * lines))


def as_it_was(_state_dir: Path) -> None:
    """Killed while it followed."""


def fallen_back(state_dir: Path) -> None:
    """As if the last checkpoint had been damaged: the one before it is of the same version."""
    (state_dir / "checkpoint").write_bytes(b"damaged")


@pytest.mark.parametrize("change", [as_it_was, rotated_after_the_checkpoint, requeued_and_killed, fallen_back])
def test_a_directory_of_the_version_before(change: Callable[[Path], None], log: Log, victim: Victim):
    """Its counts go on, and each rejected line is kept once, through another kill and start, too."""
    before(log, victim.state_dir)
    change(victim.state_dir)
    for _ in range(2):
        victim.start()
        victim.ready()
        eventually(lambda: victim.value(CALLS), 12.0)
        rejected = sum(victim.value(f'extractor_rejected_lines_total{{reason="{reason}"}}') or 0 for reason in REASONS)

        assert 5.0 == rejected
        assert 0.0 == victim.value("extractor_sequence_repeats_total")

        victim.kill()
    victim.start()
    victim.ready()
    victim.stop()

    assert REJECTS == [(entry["offset"], entry["reason"]) for entry in entries(victim.state_dir)]
    assert 0 == saved(victim.state_dir)["stats"]["lost_rejects"]


def test_a_declaration_means_what_it_meant(tmp_path: Path):
    """No metric starts anew and no run is forgotten, in whatever way it is declared: the digests are as they were."""
    shutil.copytree(DECLARED / "state", tmp_path / "state")
    value = saved(tmp_path / "state")
    state = State(load([DECLARED / "schemas"]))
    notes = state.load(value["state"])
    declared = {name for name in value["state"]["declared"] if not name.startswith("agent_")}

    assert 13 == len(declared)
    assert [] == [note for note in notes if any(name in note for name in (*declared, "pack declared"))]
    assert 1 == state.open_runs()
    assert 1 == state.families["call_failures_total"].series[("gone",)].dump()[0]
    now = state.dump()
    assert {name: value["state"]["declared"][name] for name in declared} == {
        name: now["declared"][name] for name in declared
    }
    assert value["state"]["runs"]["declared"][0] == now["runs"]["declared"][0]


def test_a_directory_of_the_version_before_is_requeued(log: Log, tmp_path: Path):
    """What its checkpoint counts is judged again, and what was rejected later is left to who reads the logs again."""
    before(log, tmp_path / "state")

    assert "0 counted, 4 still rejected\n" == requeued(tmp_path / "state")
    assert "0 counted, 4 still rejected\n" == requeued(tmp_path / "state")
    assert REJECTS[:4] == [(entry["offset"], entry["reason"]) for entry in entries(tmp_path / "state")]


def test_an_edited_file_of_the_version_before(memory: Path):
    """In a directory that was not copied, an edited `rejects.jsonl` is taken as it is, and the file before it stays."""
    first, second = b'{"offset": 1}\n', b'{"offset": 2}\n'
    (memory / "rejects.jsonl.1").write_bytes(first + second)
    (memory / "rejects.jsonl").write_bytes(second)
    folder = os.open(memory, os.O_RDONLY)
    cut(folder, (memory / "rejects.jsonl").stat().st_ino, len(first + second))
    os.close(folder)

    assert first + second == (memory / "rejects.jsonl.1").read_bytes()
    assert second == (memory / "rejects.jsonl").read_bytes()


def test_back_to_a_checkpoint_of_the_version_before(log: Log, victim: Victim):
    """A first checkpoint of this version that is damaged leads back to the last one of the version before."""
    before(log, victim.state_dir)
    victim.start()
    victim.ready()
    log.append(b"{4")
    eventually(lambda: len(entries(victim.state_dir)), 6)
    victim.stop()
    fallen_back(victim.state_dir)
    victim.start()
    victim.ready()
    victim.stop()

    offset = len(log.path.read_bytes()) - len(b"{4\n")
    assert [*REJECTS, (offset, "not_json")] == [(each["offset"], each["reason"]) for each in entries(victim.state_dir)]
