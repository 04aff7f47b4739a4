"""A real process follows real files: nothing is lost, and it stops as it should."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extractor.service.daemon import Daemon
from extractor.service.log import Log as OwnLog
from extractor.service.options import Options
from tests.conftest import Log
from tests.reading import line, sampled, tool_call
from tests.servers import DEADLINE, eventually, get

BULK = 40_000
"""Lines that take longer to read than a signal takes to arrive."""


class Following:
    """A running `extractor run`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, said: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._said = said

    def count(self, sample: str) -> float | None:
        """The value of *sample* in a scrape."""
        found = re.search(rf"^{re.escape(sample)} (\S+)$", get(f"{self.url}/metrics"), re.MULTILINE)
        return float(found[1]) if found else None

    def shows(self, calls: float) -> None:
        """Wait until as many calls of the tool were counted."""
        eventually(lambda: self.count(CALLS), calls)

    def stop(self, number: int) -> tuple[int, str]:
        """The exit code after a signal, and everything that was said."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE), self._said.read_text()


OF_LINES = "extractor_(read_lines|blank_lines|events|rejected_lines)_total"
CALLS = 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"}'
Start = Callable[..., Following]


@pytest.fixture
def start(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Start]:
    """Starts `extractor run`; what still runs at the end of the test is killed."""
    started: list[Following] = []

    def run(*logs: Path, poll: float = 5.0) -> Following:
        [port] = free_ports(1)
        command = [sys.executable, "-m", "extractor", "run", *map(str, logs), "--poll-interval", str(poll)]
        said = tmp_path / f"said-{len(started)}"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--web.listen-address", f"127.0.0.1:{port}"], stdout=output, stderr=subprocess.STDOUT
            )
        started.append(Following(process, port, said))
        eventually(lambda: get(f"{started[-1].url}/-/ready"), "Ready.\n")
        return started[-1]

    yield run
    for following in started:
        if following.process.poll() is None:
            following.process.kill()
            following.process.wait(DEADLINE)


def test_file_appears_later(tmp_path: Path, start: Start) -> None:
    """A folder that is not there yet, and files in folders below it, are followed from their first line."""
    folder = tmp_path / "later" / "deep" / "down"
    following = start(tmp_path / "later", poll=0.2)
    folder.mkdir(parents=True)
    (folder / "agent.jsonl").write_bytes(tool_call() + b"\n" + tool_call() + b"\n")

    following.shows(2)
    said = following.stop(signal.SIGTERM)[1]
    assert 1 == said.count(f"{tmp_path / 'later'}: does not exist yet; waiting for it")


def test_half_a_line_waits(log: Log, start: Start) -> None:
    """A line counts once its newline is there, and once."""
    written = tool_call()
    log.append(written)
    log.tear(written[:40])
    following = start(log.path.parent)
    following.shows(1)
    log.tear(written[40:] + b"\n")
    log.append(tool_call(status="error"))
    eventually(lambda: following.count(CALLS.replace('"ok"', '"error"')), 1.0)

    assert 2.0 == following.count(CALLS)
    assert 0.0 == following.count('extractor_rejected_lines_total{reason="not_json"}')


def test_rotation_under_load(log: Log, start: Start) -> None:
    """A log that is renamed again and again while it is written loses no line and counts none twice."""
    following = start(log.path.parent)
    for turn in range(20):
        torn = tool_call(turn)
        log.append(*[tool_call(turn)] * 50)
        log.tear(torn[:30])
        log.tear(torn[30:] + b"\n")
        log.rotate()
    log.append(tool_call())

    following.shows(20 * 51 + 1)


def test_line_written_after_the_rename(log: Log, start: Start) -> None:
    """A writer that still holds the renamed file is read to the end."""
    log.append(tool_call())
    following = start(log.path.parent)
    following.shows(1)
    with log.path.open("ab") as held:
        log.rotate()
        log.append(tool_call())
        following.shows(2)
        held.write(tool_call() + b"\n")
        held.flush()
        following.shows(3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_it_cleanly(number: int, log: Log, start: Start) -> None:
    """SIGTERM and Ctrl-C end it with 0 and without a traceback."""
    log.append(tool_call())
    following = start(log.path.parent)
    following.shows(1)
    code, said = following.stop(number)

    assert 0 == code, said
    assert "Traceback" not in said
    assert "following" in said


def test_stopping_reads_to_the_last_whole_line(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that was written before it was told to stop is read before it stops; half a line is not."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def say(text: str) -> None:
        if "serving" in text:
            log.append(*[tool_call()] * BULK)
            log.tear(tool_call())
            daemon.stop()

    daemon = Daemon(Options(logs=(log.path.parent,), listen_address="127.0.0.1:0"), OwnLog(say))
    daemon.run()

    assert BULK == sampled(daemon._state, "agent_tool_calls_total")["unknown", "search", "unknown", "ok"]


def test_two_signals_are_one(log: Log, start: Start) -> None:
    """An impatient second signal does not make the end an unclean one."""
    following = start(log.path.parent)
    following.process.send_signal(signal.SIGTERM)
    code, said = following.stop(signal.SIGINT)

    assert 0 == code, said


def test_port_in_use(log: Log, start: Start) -> None:
    """A second one on the same port ends with 1, one line, and what to do."""
    first = start(log.path.parent)
    address = first.url.removeprefix("http://")
    command = [sys.executable, "-m", "extractor", "run", str(log.path.parent), "--web.listen-address", address]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert (1, "") == (second.returncode, second.stdout)
    assert re.fullmatch(rf"extractor: cannot listen on {address}: .+ \(.*--web\.listen-address.*\)\n", second.stderr)


def test_live_equals_history(log: Log, start: Start) -> None:
    """What is served of the pack, and of lines, is what `replay` prints for the same files, to the byte."""
    log.append(line("run.start", agent="a"), *(tool_call(at, duration_ms=at) for at in range(100)), b"{")
    log.rotate()
    log.append(*(tool_call(at, tool=f"t{at % 7}", status="error") for at in range(100, 900)))
    following = start(log.path.parent)
    eventually(lambda: following.count("extractor_events_total"), 901.0)
    command = [sys.executable, "-m", "extractor", "replay", str(log.path.parent), "--format", "prometheus"]
    replayed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
    served = get(f"{following.url}/metrics")

    begin = served.index("# HELP extractor_")
    lines = [each for each in replayed.splitlines() if each not in served[:begin].splitlines()]
    of_lines = [each for each in served[begin:].splitlines() if re.search(OF_LINES, each)]
    assert replayed.startswith(served[:begin])
    assert of_lines == lines
    assert "extractor_read_lines_total 902.0" in lines
    assert 'extractor_rejected_lines_total{reason="not_json"} 1.0' in lines


def test_logs_are_only_read(log: Log, start: Start) -> None:
    """A log that nobody may write to is followed, and is left as it was."""
    log.append(tool_call())
    log.path.chmod(0o400)
    before = log.path.stat()
    following = start(log.path.parent)
    following.shows(1)
    following.stop(signal.SIGTERM)
    after = log.path.stat()

    assert (before.st_mtime_ns, before.st_size, before.st_mode) == (after.st_mtime_ns, after.st_size, after.st_mode)


def test_catching_up_is_not_ready(log: Log, start: Start, tmp_path: Path) -> None:
    """Everything written before it said it was ready is in the first scrape after that."""
    log.append(*[tool_call()] * BULK)
    following = start(log.path.parent)

    assert float(BULK) == following.count(CALLS)
