"""Extreme options, and standard streams that are full, closed or gone: one line that says so, and never a traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Log
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually, get

LOGS = "samples/logs"
PRINTING = (
    ["replay", LOGS],
    ["replay", LOGS, "--format", "json"],
    ["replay", LOGS, "--backfill", "-"],
    ["report", LOGS],
    ["check", "--logs", LOGS],
    ["rules"],
    ["config"],
    ["systemd", "/var/log/agents"],
    ["--help"],
    ["--version"],
    ["replay", "--help"],
)


def shell(words: list[str], streams: str, *more: str) -> subprocess.CompletedProcess[str]:
    """The program with these words, its streams redirected by the shell as *streams* says."""
    command = " ".join([sys.executable, "-m", "extractor", *words, *more, streams])
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=DEADLINE)


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
@pytest.mark.parametrize(("streams", "why"), [(">/dev/full", "No space left on device"), (">&-", "is closed")])
def test_output_that_cannot_be_written(words: list[str], streams: str, why: str):
    """It is said, in one line, and with the exit code."""
    done = shell(words, streams)

    assert 1 == done.returncode
    assert 1 == done.stderr.count("\n"), done.stderr
    assert "standard output" in done.stderr
    assert why in done.stderr


def test_a_closed_standard_input():
    """It is not nothing that was read."""
    done = shell(["replay", "-"], "<&-")

    assert (1, "extractor: standard input: is closed\n") == (done.returncode, done.stderr)


def test_nothing_takes_the_place_of_a_closed_stream(log: Log, free_ports: Callable[[int], list[int]], tmp_path: Path):
    """A service without any standard stream follows, serves, and writes into none of its files what it has to say."""
    log.append(tool_call(), b"no event")
    port, state = free_ports(1)[0], tmp_path / "state"
    command = f"exec {sys.executable} -m extractor run {log.path.parent} --state-dir {state} --checkpoint-interval 0.1"
    process = subprocess.Popen(
        ["sh", "-c", f"{command} --web.listen-address 127.0.0.1:{port} <&- >&- 2>&-"], cwd=Path.cwd()
    )
    try:
        eventually(lambda: get(f"http://127.0.0.1:{port}/-/ready"), "Ready.\n")
        eventually(lambda: "extractor_events_total 1.0\n" in get(f"http://127.0.0.1:{port}/metrics"), expected=True)
    finally:
        process.terminate()
    assert 0 == process.wait(DEADLINE)
    assert [] == [path for path in state.iterdir() if b"following" in path.read_bytes()]


@pytest.mark.parametrize(
    "words",
    [
        ["replay", LOGS, "--quantile-window", "nan"],
        ["replay", LOGS, "--quantile-window", "inf"],
        ["replay", LOGS, "--quantile-window", "1e-300"],
        ["replay", LOGS, "--run-timeout", "inf"],
        ["replay", LOGS, "--run-timeout", "1e-300"],
        ["replay", LOGS, "--run-linger", "nan"],
        ["replay", LOGS, "--run-linger", "1e300"],
        ["replay", LOGS, "--max-clock-skew", "nan"],
        ["replay", LOGS, "--max-clock-skew", "inf"],
        ["replay", LOGS, "--since", "nan"],
        ["report", LOGS, "--until", "1e300"],
        ["replay", LOGS, "--jobs", "0"],
        ["report", LOGS, "--window", "99999999999d"],
        ["report", LOGS, "--window", "0s"],
        ["run", LOGS, "--poll-interval", "nan"],
        ["run", LOGS, "--checkpoint-interval", "inf"],
    ],
    ids=" ".join,
)
def test_what_is_no_length_of_time_is_refused(words: list[str]):
    """With the option, and what is wrong."""
    done = shell(words, "")

    assert 2 == done.returncode
    assert f"Invalid value for '{words[2]}'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["replay", LOGS, "--quantile-window", "0.001"],
        ["replay", LOGS, "--quantile-window", "3e9"],
        ["replay", LOGS, "--run-timeout", "0.001"],
        ["replay", LOGS, "--run-timeout", "3e9"],
        ["replay", LOGS, "--run-linger", "3e9"],
        ["replay", LOGS, "--since", "0", "--until", "253402300799"],
        ["replay", LOGS, "--jobs", "1000"],
        ["replay", LOGS, "--max-line-bytes", "9" * 30],
        ["replay", LOGS, "--max-line-bytes", "1"],
        ["report", LOGS, "--window", "36525d"],
        ["report", LOGS, "--since", "0001-01-01T00:00:00Z"],
        ["report", LOGS, "--window", "1s", "--until", "253402300799"],
    ],
    ids=" ".join,
)
def test_the_longest_and_the_shortest(words: list[str]):
    """What is not refused works."""
    done = shell(words, "")

    assert done.returncode in {0, 3}, done.stderr
    assert "internal error" not in done.stderr
