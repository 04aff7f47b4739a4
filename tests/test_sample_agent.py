"""What the sample agent writes, read by code that knows nothing of the extractor."""

import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EVENTS = {
    "run.start", "run.complete", "step", "llm.call", "tool.call", "tool.error", "cache.hit", "cache.miss",
    "loop.detected", "circuit.open", "circuit.half_open", "circuit.closed", "task.complete",
}  # fmt: skip


def command(logs, *options):
    """How to run the agent without waiting."""
    return [sys.executable, "-m", "samples.agent", "--logs", str(logs), "--pace", "0", *options]


def events(logs):
    """The events of all files of *logs*; every line must end and be an object."""
    found = []
    for path in sorted(logs.glob("*.jsonl")):
        lines = path.read_bytes().split(b"\n")
        assert b"" == lines.pop()
        found += [json.loads(line) for line in lines]
    return found


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What three workers wrote just now."""
    logs = tmp_path_factory.mktemp("logs")
    subprocess.run(command(logs, "--workers", "3", "--runs", "20"), cwd=ROOT, check=True)
    return logs


@pytest.fixture(params=["fresh", "recorded"])
def logs(request, fresh):
    """Fresh logs, and those of the repository."""
    return fresh if request.param == "fresh" else ROOT / "samples" / "logs"


def test_events_are_those_of_the_vocabulary(logs):
    """The sample shows every kind of event but the rare ones, and none that is not in the vocabulary."""
    names = {event["event"] for event in events(logs)}

    assert set() == names - EVENTS
    assert {"run.start", "run.complete", "step", "llm.call", "tool.call", "cache.hit", "task.complete"} <= names


def test_every_run_starts_and_completes_once(logs):
    """Every line is of a run; each run has one start and one end, and only the verdict on its task comes after that."""
    runs = defaultdict(list)
    for event in events(logs):
        if event["event"] != "task.complete":
            runs[event["run_id"]].append(event["event"])

    for names in runs.values():
        assert ("run.start", "run.complete") == (names[0], names[-1])
        assert (1, 1) == (names.count("run.start"), names.count("run.complete"))


def test_no_line_is_missing(logs):
    """The lines of each writer are numbered from 1 without a gap, each file having its own writer."""
    seqs = defaultdict(list)
    for event in events(logs):
        seqs[event["writer"]].append(event["seq"])

    assert {writer: list(range(1, len(numbers) + 1)) for writer, numbers in seqs.items()} == seqs
    assert len(list(logs.glob("*.jsonl"))) == len(seqs)


def test_there_is_something_to_see(logs):
    """Several agents in two releases, calls that fail in several ways, tokens of all four kinds, and costs."""
    found = events(logs)
    calls = [event for event in found if event["event"] == "llm.call" and event["status"] == "ok"]
    tokens: Counter[str] = Counter()
    for call in calls:
        tokens.update({name: call[name] for name in call if name.endswith("_tokens")})

    assert 3 == len({event["agent"] for event in found if "agent" in event})
    assert 2 == len({event["release"] for event in found if "release" in event})
    assert {"ok", "error", "timeout"} <= {event["status"] for event in found if event["event"] == "tool.call"}
    assert 4 == len([count for count in tokens.values() if count > 0])
    assert all(call["cost_usd"] > 0 for call in calls)


def test_a_seed_gives_the_same_events(fresh, tmp_path):
    """Run again with the same seed, the agent does the same; only times and ids differ."""
    subprocess.run(command(tmp_path, "--workers", "3", "--runs", "20"), cwd=ROOT, check=True)

    def story(logs):
        names = ("event", "agent", "release", "tool", "status", "args_hash", "stop_reason", "input_tokens")
        return [tuple(event.get(name) for name in names) for event in events(logs)]

    assert story(fresh) == story(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_runs(number, tmp_path):
    """Told to stop, the agent ends its open runs as cancelled and leaves with exit code 0."""
    options = ["--workers", "2", "--forever", "--pace", "1000"]
    with subprocess.Popen(command(tmp_path, *options), cwd=ROOT) as agent:
        while len(events(tmp_path)) < 2:  # both have started a run, and wait for the model
            assert agent.poll() is None
        agent.send_signal(number)

        assert 0 == agent.wait()

    ends = [event for event in events(tmp_path) if event["event"] == "run.complete"]

    assert [("cancelled", "cancelled")] * 2 == [(end["status"], end["stop_reason"]) for end in ends]


def test_recorded_logs_tell_nothing_of_the_machine():
    """No path and no host name is in the recorded logs: only numbers, ids and the words of the sample."""
    text = "".join(path.read_text() for path in (ROOT / "samples" / "logs").glob("*.jsonl"))

    assert "/" not in text
    assert "@" not in text
