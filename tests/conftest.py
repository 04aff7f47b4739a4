"""What tests share: free ports, a log that an agent writes, a user without rights; and nothing is skipped in CI."""

import os
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

NOBODY = 65534
FIRST_PORT, PORT_RANGES, PORTS = 20_000, 24, 500
SLOW = tuple(
    f"test_{name}"
    for name in (
        *("backfill", "bench", "clock", "containment", "emit", "fuzz", "grafana", "hostile", "intake", "interleaving"),
        *("kill", "limits", "logrotate", "mutants", "notify", "open_files", "oracle", "outputs_whole", "own_log"),
        *(
            "own_pack",
            "packs",
            "page",
            "prometheus",
            "rejects",
            "reload",
            "repeats",
            "replay",
            "requeue",
            "rules",
            "run",
        ),
        *("served_texts", "service", "soak", "state", "systemd", "tls", "tricks", "web", "windows"),
    )
)
"""How the modules begin that `make quick` leaves out: they start programs, or draw many examples."""
IN_CI = bool(os.environ.get("CI"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores Ctrl-C, and so would all programs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if not IN_CI:  # where Hypothesis has a profile of its own
    settings.register_profile("patient", deadline=None)  # how fast a busy machine is says nothing of a rule
    settings.load_profile("patient")


class Log:
    """A log file as agents treat it: they append to it, tear a line, rotate it, truncate it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *lines: bytes) -> None:
        """Write whole *lines* in one step; a newline is added where it is missing."""
        self.tear(b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines))

    def tear(self, part: bytes) -> None:
        """Write *part* as it is, as a writer caught in the middle of a line leaves it."""
        with self.path.open("ab") as file:
            file.write(part)

    def rotate(self) -> Path:
        """Rename the file away and begin it anew; the new path of the old file."""
        old = self.path.with_name(f"{self.path.name}.{len(list(self.path.parent.iterdir()))}")
        self.path.rename(old)
        self.path.touch()
        return old

    def truncate(self) -> None:
        """Empty the file in place."""
        os.truncate(self.path, 0)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty log in a folder of its own."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "agent.jsonl"
    path.touch()
    return Log(path)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, while the process has the rights of a user who owns it and nothing else: root may do anything."""
    with TemporaryDirectory() as folder:
        uid = os.geteuid()
        if uid == 0:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(uid)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder of its own on a disk in memory, if there is one: for thousands of writes that are brought to disk."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """Return a function that returns so many ports of 127.0.0.1 that nobody listens on."""
    # Below those that the system hands out, and a range for each worker: what is free now stays free.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_RANGES
    first = FIRST_PORT + worker * PORTS
    candidates = cycle(first + (os.getpid() + place) % PORTS for place in range(PORTS))

    def is_free(port: int) -> bool:
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return True
        return False

    return lambda count: list(islice(filter(is_free, candidates), count))


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # A skipped test proves nothing, and in CI nobody reads the reasons. What is expected to fail also reports itself as
    # skipped; that one did run.
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"Nothing may be skipped in CI. {reason}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `make quick` leaves out."""
    for item in items:
        if item.path.stem.startswith(SLOW):
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one, in CI."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped file into a failed one, in CI."""
    report = yield
    _forbid_skip(report)
    return report
