"""The service manager is told the truth: when /metrics is there, where reading is, that it goes on, that it ends."""

import os
import re
import signal
import socket
import sys
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from extractor.service.systemd import Notifier
from tests.conftest import Log
from tests.managers import Manager, extractor, managed
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually, get

WATCHDOG = {"WATCHDOG_USEC": "600000"}
"""A manager as impatient as a busy machine allows."""

SILENCE = 3.0
"""Seconds of silence after which any manager of these tests would restart its service."""


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A manager that listens, at a path or at an abstract name."""
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@extractor-test-{os.getpid()}")
    yield made
    made.close()


@pytest.fixture
def address(free_ports: Callable[[int], list[int]]) -> str:
    """Where the extractor of this test serves."""
    return f"127.0.0.1:{free_ports(1)[0]}"


def following(log: Log, address: str, *arguments: object) -> list[object]:
    """The command that follows the folder of *log*."""
    return extractor("run", log.path.parent, "--web.listen-address", address, *arguments)


def test_ready_when_metrics_are_there(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """READY=1 is said once, not before /metrics answers 200 with every line that was there at the start."""
    log.append(*[tool_call()] * 300_000)
    seen: list[tuple[bool, int]] = []

    def is_ready() -> bool:
        seen.append((bool(manager.values("READY")), status(address)))
        return seen[-1][0]

    with managed(manager, following(log, address), tmp_path / "said"):
        eventually(is_ready, expected=True)
        scraped = get(f"http://{address}/metrics")

    assert (False, 503) in seen
    assert (True, 200) == seen[-1]
    assert 'status="ok",tool="search"} 300000.0' in scraped
    assert ["1"] == manager.values("READY")


def status(address: str) -> int:
    """The status of /metrics; 0 while nobody listens."""
    try:
        get(f"http://{address}/metrics")
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (urllib.error.URLError, ConnectionError):
        return 0
    return 200


def test_a_long_catch_up_is_no_stuck_loop(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """While much is read the watchdog is fed, the time to start is extended, and the status says how far it is."""
    log.append(*[tool_call()] * 1_500_000)
    with managed(manager, following(log, address), tmp_path / "said", WATCHDOG):
        eventually(lambda: len(manager.values("WATCHDOG")) >= 3, expected=True)

        assert [] == manager.values("READY")
        assert "Catching up" in manager.values("STATUS")[-1]
        assert manager.values("EXTEND_TIMEOUT_USEC")


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_quiet_log_is_no_stuck_loop(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """Without a line to read, and however long it need not look, the watchdog is fed in time."""
    command = following(log, address, "--poll-interval", "3600")
    with managed(manager, command, tmp_path / "said", WATCHDOG):
        manager.hears("READY")
        for _ in range(4):
            manager.hears_more("WATCHDOG")


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_stopped_process_falls_silent(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """A process that does not run feeds no watchdog, and goes on when it does."""
    with managed(manager, following(log, address), tmp_path / "said", WATCHDOG) as process:
        manager.hears("READY")
        process.send_signal(signal.SIGSTOP)
        manager.falls_silent(SILENCE)
        process.send_signal(signal.SIGCONT)
        manager.hears_more("WATCHDOG")


STUCK = """
import signal, sys
from pathlib import Path
from extractor.service.daemon import Daemon
from extractor.service.log import Log
from extractor.service.options import Options

daemon = Daemon(Options(logs=(Path(sys.argv[1]),), listen_address=sys.argv[2]), Log())
signal.signal(signal.SIGUSR1, lambda *_: daemon._lock.acquire())
daemon.run()
"""


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_reload_is_told(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """A reload, whatever comes of it, begins with RELOADING=1 and ends with READY=1."""
    prices = tmp_path / "prices.toml"
    prices.write_text("[models]\n")
    with managed(manager, following(log, address, "--prices", prices), tmp_path / "said") as process:
        manager.hears("READY")
        for reloads in (1, 2):
            process.send_signal(signal.SIGHUP)
            told = ["READY", *["RELOADING", "READY"] * reloads]
            eventually(
                lambda: [name for each in manager.heard for name in each if name in {"READY", "RELOADING"}], told
            )
            prices.write_text("broken")
    said = (tmp_path / "said").read_text()

    assert ["INFO    reloaded", "ERROR   reload failed"] == re.findall(r"INFO +reloaded|ERROR +reload failed", said)


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_stuck_loop_falls_silent(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """A loop that waits for the lock of the state for ever feeds no watchdog; killed, it says where it stood."""
    command = [sys.executable, "-c", STUCK, log.path.parent, address]
    with managed(manager, command, tmp_path / "said", WATCHDOG | {"PYTHONFAULTHANDLER": "1"}) as process:
        manager.hears("READY")
        process.send_signal(signal.SIGUSR1)
        manager.falls_silent(SILENCE)
        process.send_signal(signal.SIGABRT)  # as systemd does then

        assert -signal.SIGABRT == process.wait(DEADLINE)
    assert "in _follow" in (tmp_path / "said").read_text()


@pytest.mark.parametrize("manager", ["path"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping(manager: Manager, number: int, log: Log, address: str, tmp_path: Path) -> None:
    """STOPPING=1 is the last thing said, but for what the end still takes."""
    command = following(log, address, "--state-dir", tmp_path / "state")
    with managed(manager, command, tmp_path / "said") as process:
        manager.hears("READY")
        process.send_signal(number)

        assert 0 == process.wait(DEADLINE)
    manager.hears("STOPPING")
    manager.hears("STATUS", "Stopping: saving the state")
    names = [name for message in manager.heard for name in message]
    assert {"STOPPING", "EXTEND_TIMEOUT_USEC", "STATUS"} >= set(names[names.index("STOPPING") :])


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_status_says_where_reading_is(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """The status counts bytes, files and lines, and is told only when it has changed."""
    log.append(tool_call())
    with managed(manager, following(log, address), tmp_path / "said", WATCHDOG):
        eventually(lambda: manager.values("STATUS")[-1:], ["Up to date: 1 file, 1 line read, 0 a second"])
        log.append(tool_call(), tool_call())
        eventually(lambda: manager.values("STATUS")[-1], "Up to date: 1 file, 3 lines read, 0 a second")
        for _ in range(6):
            manager.hears_more("WATCHDOG")
        said = manager.values("STATUS")

    assert "Up to date: 1 file, 3 lines read, 0 a second" == said[-1]
    assert [] == [one for one, next_one in pairwise(said) if one == next_one]


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_another_process_is_meant(manager: Manager, log: Log, address: str, tmp_path: Path) -> None:
    """A watchdog that watches another process is not fed."""
    with managed(manager, following(log, address), tmp_path / "said", WATCHDOG | {"WATCHDOG_PID": "1"}):
        manager.hears("READY")
        manager.falls_silent(SILENCE)

        assert [] == manager.values("WATCHDOG")


@pytest.mark.parametrize(
    "where", ["gone", "a folder", "@nobody-listens-here", "vsock:2:1234", "x" * 500, "/" + "x" * 500]
)
def test_a_socket_that_fails_disturbs_nobody(where: str, log: Log, address: str, tmp_path: Path) -> None:
    """Whatever NOTIFY_SOCKET names, the logs are followed and nothing is said of it."""
    where = {"gone": str(tmp_path / "gone"), "a folder": str(tmp_path)}.get(where, where)
    log.append(tool_call())
    with managed(None, following(log, address), tmp_path / "said", WATCHDOG | {"NOTIFY_SOCKET": where}) as process:
        eventually(lambda: 'tool="search"} 1.0' in get(f"http://{address}/metrics"), expected=True)
        log.append(tool_call())
        eventually(lambda: 'tool="search"} 2.0' in get(f"http://{address}/metrics"), expected=True)
        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(DEADLINE)
    assert "Traceback" not in (tmp_path / "said").read_text()


def test_a_manager_that_does_not_listen_for_now(tmp_path: Path) -> None:
    """What matters is said once the manager has room for it, in its order; what is of the moment is not kept."""
    busy = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    busy.bind(str(tmp_path / "busy"))
    busy.setblocking(False)
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "busy")})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as crowd:
        crowd.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                crowd.sendto(b"x", str(tmp_path / "busy"))
    notifier.ready()
    notifier.step(lambda: "one")
    with notifier.reloading():
        notifier.step(lambda: "two")
    heard = drained(busy)
    notifier.step(lambda: "three")
    heard += drained(busy)
    busy.close()
    notifier.close()

    assert ["READY=1", "RELOADING=1", "READY=1"] == [
        message.splitlines()[0] for message in heard if message != "x" and not message.startswith("STATUS")
    ]


def drained(listener: socket.socket) -> list[str]:
    """Everything that waits for *listener*."""
    heard = []
    while True:
        try:
            heard.append(listener.recv(1 << 16).decode())
        except BlockingIOError:
            return heard


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_reloading(manager: Manager) -> None:
    """While it reloads it says so, with the time by the manager's clock, and whatever came of it is ready then."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    with notifier.reloading():  # before it is ready this is not to be said: READY=1 would be a lie
        pass
    notifier.ready()
    with suppress(ZeroDivisionError), notifier.reloading():
        manager.hears("RELOADING")
        raise ZeroDivisionError
    eventually(lambda: manager.values("READY"), ["1", "1"])
    notifier.close()

    assert ["READY", "RELOADING", "READY"] == [next(iter(message)) for message in manager.heard]
    assert manager.values("MONOTONIC_USEC")[0].isdecimal()


def test_children_do_not_hear_of_it() -> None:
    """What a manager gives to its service is not handed on; without a manager nothing is said, or asked."""
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    Notifier(environment).close()
    alone = Notifier({"WATCHDOG_USEC": "3000000"})
    alone.step(lambda: pytest.fail("there is nobody to be told"))
    alone.ready()
    alone.stopping()

    assert {"HOME": "/"} == environment
    assert float("inf") == alone.pause()


@pytest.mark.parametrize("usec", ["", "0", "-1", "soon", "1.5"])
def test_a_watchdog_that_is_none(usec: str, tmp_path: Path) -> None:
    """A time that is no number of microseconds is no watchdog."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "none"), "WATCHDOG_USEC": usec})

    assert float("inf") == notifier.pause()
    notifier.close()
