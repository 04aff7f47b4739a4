"""The real thing runs and is scraped as the printed unit has it: with no rights, and seeing next to nothing."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests import sandbox
from tests.conftest import Log
from tests.managers import Manager, extractor, managed
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually, get
from tests.units import settings

NAMESPACES = sandbox.has_namespaces()
CALLS = 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"}'


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may come to, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="extractor-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture
def port(free_ports: Callable[[int], list[int]]) -> int:
    """A port that is free."""
    return free_ports(1)[0]


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A manager whose name is no path: none would be seen from inside."""
    made = Manager(f"@extractor-service-{os.getpid()}")
    yield made
    made.close()


@pytest.fixture
def log(place: Path) -> Log:
    """A log in a folder that everybody may read."""
    (place / "logs").mkdir(mode=0o755)
    return Log(place / "logs" / "agent.jsonl")


@pytest.fixture
def state(place: Path) -> Path:
    """The state directory, as systemd makes it."""
    path = place / "state"
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(path, sandbox.USER, sandbox.USER)
    return path


def printed(*arguments: object) -> str:
    """The unit that is printed for *arguments*."""
    command = [str(word) for word in extractor("systemd", *arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def may_be_run_by_all() -> bool:
    """Whether another user may run the program: not where it lies in somebody's home."""
    homes = [Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path.cwd()]
    return all(path.stat().st_mode & 0o001 for home in homes for path in (home, *home.parents))


# As root in a container that may do little, and as a user where namespaces are forbidden, only the second can be had.
@pytest.mark.parametrize("namespaces", [True] * NAMESPACES + [False] * (may_be_run_by_all() or not NAMESPACES))
def test_it_runs_in_its_sandbox(namespaces: bool, log: Log, state: Path, manager: Manager, port: int) -> None:
    """It reads the logs, is scraped, tells the manager, keeps its state and goes on from it, all without a right."""
    said = state.with_name("said")
    log.append(tool_call())
    unit = printed(log.path.parent, "--web.listen-address", f"127.0.0.1:{port}", "--poll-interval", "0.2")
    command = sandbox.launch(unit, state, namespaces=namespaces)

    def scraped() -> str:
        return next(line for line in get(f"http://127.0.0.1:{port}/metrics").splitlines() if line.startswith(CALLS))

    for before, after in ((1, 2), (2, 3)):
        with managed(manager, command, said, {"WATCHDOG_USEC": "3000000"}) as process:
            eventually(partial(is_ready_or_over, process, manager, before), expected=True)
            assert process.poll() is None, said.read_text()

            assert f"{CALLS} {before}.0" == scraped()
            assert has_no_rights(process.pid)
            assert not namespaces or {"logs"} == seen(process.pid, log.path.parent)
            log.append(tool_call())
            eventually(scraped, f"{CALLS} {after}.0")
            manager.hears_more("WATCHDOG")
            process.send_signal(signal.SIGTERM)

            assert 0 == process.wait(DEADLINE), said.read_text()
    assert "cannot" not in said.read_text()
    assert list(state.iterdir())


def is_ready_or_over(process: subprocess.Popen[bytes], manager: Manager, times: int) -> bool:
    """Whether READY=1 was heard so many *times*, or never will be."""
    return process.poll() is not None or len(manager.values("READY")) == times


def has_no_rights(pid: int) -> bool:
    """Whether the process has no capabilities, can get none, and is not root."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert "1" == status["NoNewPrivs"]
    assert {"0" * 16} == {status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")}
    return "0" != status["Uid"].split()[0]


def seen(pid: int, logs: Path) -> set[str]:
    """What the process sees beside the *logs*, in a file system of which it may write nothing but its state."""
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    options = {mount[4]: mount[5].split(",") for mount in mounts}
    assert "ro" in options["/"]
    assert "ro" in options[str(logs)]
    assert "rw" in options["/var/lib/extractor"]
    return {each.name for each in Path(f"/proc/{pid}/root{logs.parent}").iterdir()}


def test_the_printed_program_is_ours() -> None:
    """Without --program it is the one that prints, by its full path."""
    [command] = settings(printed("/var/log/agents"))["ExecStart"]

    assert command.startswith(f"{Path(sys.executable).with_name('extractor')} run /var/log/agents ")
