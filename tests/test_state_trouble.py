"""
The disk under the state directory refuses, and following and serving go on.

Root may write where no mode allows it; so for root a read-only directory is a mount.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import Log
from tests.killing import Victim
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually

CALLS = 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"}'
FAILURES = "extractor_checkpoint_failures_total"
SAVED = "extractor_checkpoint_timestamp_seconds"

IS_ROOT = os.geteuid() == 0
Trouble = Callable[[Path], AbstractContextManager[None]]


@contextmanager
def read_only(state_dir: Path) -> Iterator[None]:
    """Nobody can write into the directory."""
    if not IS_ROOT:
        state_dir.chmod(0o500)
        yield
        state_dir.chmod(0o700)
        return
    mount("--bind", state_dir, state_dir)
    try:
        mount("-o", "remount,bind,ro", state_dir)
        yield
    finally:
        subprocess.run(["umount", state_dir], check=True)


@contextmanager
def replaced(state_dir: Path) -> Iterator[None]:
    """The directory is away, and something else stands in its place."""
    away = state_dir.rename(state_dir.with_name("away"))
    state_dir.touch()
    yield
    state_dir.unlink()
    away.rename(state_dir)


@contextmanager
def full(state_dir: Path) -> Iterator[None]:
    """No byte is left on the disk."""
    ballast = state_dir / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        # What the victim gives back when it replaces a file is taken, too.
        yield
    ballast.unlink()


@contextmanager
def moved(state_dir: Path) -> Iterator[None]:
    """The directory is away, and an empty one is in its place, as when no disk is mounted there."""
    away = state_dir.rename(state_dir.with_name("away"))
    state_dir.mkdir(mode=0o700)
    yield
    assert [] == list(state_dir.iterdir()), "nothing is written to another directory"
    state_dir.rmdir()
    away.rename(state_dir)


@contextmanager
def exchanged(state_dir: Path) -> Iterator[None]:
    """The directory is away, and what returns is a copy of it: it has other inodes, as on another device."""
    with moved(state_dir):
        yield
    copy = state_dir.with_name("copy")
    subprocess.run(["cp", "-a", state_dir, copy], check=True)
    state_dir.rename(state_dir.with_name("before"))
    copy.rename(state_dir)


@contextmanager
def unmounted(state_dir: Path) -> Iterator[None]:
    """The disk of the directory is unmounted, though it is in use, and mounted again."""
    subprocess.run(["umount", "--lazy", state_dir], check=True)
    assert [] == list(state_dir.iterdir())
    yield
    assert [] == list(state_dir.iterdir()), "nothing is written to a mount point without its disk"
    mount("--bind", state_dir.with_name("disk"), state_dir)


@pytest.mark.parametrize("trouble", [moved, exchanged, unmounted])
def test_a_directory_that_returns(trouble: Trouble, log: Log, victim: Victim):
    """
    While another directory is at its path nothing is written there; it is logged, and counted as failures.

    When it returns, reading has gone on, and every line is counted and every reject is kept, once.
    """
    if trouble is unmounted:
        if not IS_ROOT:
            pytest.skip("only root can mount a disk")
        for folder in (victim.state_dir, victim.state_dir.with_name("disk")):
            folder.mkdir(mode=0o700)
        mount("--bind", victim.state_dir.with_name("disk"), victim.state_dir)
    log.append(tool_call(), b"{1")
    victim.start()
    victim.ready()
    saves(victim, log, 2)
    with trouble(victim.state_dir):
        log.append(tool_call(), b"{2")
        eventually(lambda: (victim.value(FAILURES) or 0) > 2, expected=True)
        shows(victim, 3)
        [said] = complaints(victim)
        assert f"{victim.state_dir} is not the directory that this process started with" in said
    log.append(b"{3")
    saves(victim, log, 4)
    log.append(b"{4")
    eventually(lambda: kept(victim), ["{1", "{2", "{3", "{4"])
    victim.kill()
    victim.start()
    victim.ready()

    assert 4.0 == victim.value(CALLS)
    assert 4.0 == victim.value('extractor_rejected_lines_total{reason="not_json"}')
    assert 0.0 == victim.value("extractor_lost_rejects_total")
    assert ["{1", "{2", "{3", "{4"] == kept(victim)

    victim.stop()


@pytest.mark.parametrize("trouble", [read_only, replaced, full, moved, exchanged])
def test_trouble_comes_and_goes(trouble: Trouble, log: Log, victim: Victim):
    """Lines are counted and served all the while, the failures too; when the disk is back so is the checkpoint."""
    if trouble is full:
        if not IS_ROOT:
            pytest.skip("only root can mount a small disk")
        victim.state_dir.mkdir(mode=0o700)
        mount("-t", "tmpfs", "-o", "size=2m,mode=0700", "none", victim.state_dir)
    log.append(tool_call())
    victim.start()
    victim.ready()
    saves(victim, log, 2)
    with trouble(victim.state_dir):
        log.append(tool_call(), b"{")
        eventually(lambda: (victim.value(FAILURES) or 0) > 0, expected=True)
        last = victim.value(SAVED)
        for calls in range(4, 8):  # each in a scrape of its own, and each a reason for a checkpoint
            log.append(tool_call())
            shows(victim, calls)
        several = victim.value(FAILURES)
        eventually(lambda: (victim.value(FAILURES) or 0) > (several or 0) + 2, expected=True)

        assert last == victim.value(SAVED)
        assert 1 == len(complaints(victim))
        assert "Ready.\n" == victim._look()

    saves(victim, log, 8)
    victim.kill()
    victim.start()
    victim.ready()

    assert 8.0 == victim.value(CALLS)

    victim.stop()


def test_directory_is_deleted(log: Log, victim: Victim):
    """A state directory that is deleted is made again, with everything in it that was not lost with it."""
    log.append(tool_call(), b"{1")
    victim.start()
    victim.ready()
    saves(victim, log, 2)
    shutil.rmtree(victim.state_dir)
    log.append(b"{2")
    saves(victim, log, 3)
    victim.kill()
    rejects = (victim.state_dir / "rejects.jsonl").read_text()
    victim.start()
    victim.ready()

    assert 3.0 == victim.value(CALLS)
    assert 2.0 == victim.value('extractor_rejected_lines_total{reason="not_json"}')
    assert 1 == rejects.count('"{2"')

    victim.stop()


def test_directory_is_deleted_while_nobody_writes(log: Log, victim: Victim):
    """A checkpoint that is gone is written again, though nothing has changed since."""
    victim.start()
    victim.ready()
    saves(victim, log, 1)
    shutil.rmtree(victim.state_dir)

    eventually((victim.state_dir / "checkpoint").exists, expected=True)

    victim.stop()


def test_deleted_directory_is_still_ours(log: Log, victim: Victim, free_ports: Callable[[int], list[int]]):
    """No second process can take a directory that was deleted and made again."""
    log.append(tool_call())
    victim.start()
    victim.ready()
    saves(victim, log, 2)
    shutil.rmtree(victim.state_dir)
    saves(victim, log, 3)
    [port] = free_ports(1)
    second = Victim(victim.logs, victim.state_dir, port, victim.said)
    done = subprocess.run(second.command(), capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert 1 == done.returncode
    assert victim.process is not None
    assert str(victim.process.pid) in done.stderr

    victim.stop()


def test_no_directory_can_be_made(log: Log, victim: Victim):
    """Where there can be no state directory from the start, the program ends with what to do."""
    victim.state_dir.touch()
    done = subprocess.run(victim.command(), capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"extractor: cannot use the state directory {victim.state_dir}")
    assert "--state-dir" in done.stderr
    assert 1 == done.stderr.count("\n")


def test_a_read_only_disk_at_the_start(log: Log, victim: Victim):
    """Where nothing can be written from the start, `run` and `requeue` end with one line that says so."""
    log.append(tool_call(), b"{")
    victim.start()
    victim.ready()
    saves(victim, log, 2)
    victim.stop()
    requeue = [*victim.command()[:3], "requeue", "--state-dir", str(victim.state_dir)]
    for command in (victim.command(), requeue):
        with read_only(victim.state_dir):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)

        assert (1, "") == (done.returncode, done.stdout)
        assert done.stderr.startswith(f"extractor: cannot use the state directory {victim.state_dir}: ")
        assert 1 == done.stderr.count("\n")


def test_stop_in_trouble(log: Log, victim: Victim):
    """A stop whose checkpoint is refused ends, says so, and loses nothing that the next start cannot read again."""
    log.append(tool_call())
    victim.start()
    victim.ready()
    saves(victim, log, 2)
    with replaced(victim.state_dir):
        log.append(tool_call())
        shows(victim, 3)
        victim.end(15)
        assert [] != complaints(victim)
    victim.start()
    victim.ready()

    assert 3.0 == victim.value(CALLS)

    victim.stop()


@pytest.fixture
def victim(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """One that follows *log* with a state directory; nothing of it is left after the test."""
    [port] = free_ports(1)
    options = ("--checkpoint-interval", "0.05", "--poll-interval", "0.1")
    one = Victim(log.path.parent, tmp_path / "state", port, tmp_path / "said", options)
    yield one
    one.close()
    # A folder that is mounted elsewhere, too, does not show as a mount.
    while IS_ROOT and subprocess.run(["umount", one.state_dir], check=False, capture_output=True).returncode == 0:
        pass


def mount(*words: object) -> None:
    """Mount something, which only root can."""
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


def shows(victim: Victim, calls: float) -> None:
    """Wait until so many calls of the tool are served."""
    eventually(lambda: victim.value(CALLS), calls)


def saves(victim: Victim, log: Log, calls: float) -> None:
    """Add the call that makes it so many, and wait for a checkpoint that has it."""
    log.append(tool_call())
    shows(victim, calls)
    shown = time.time()
    eventually(lambda: (victim.value(SAVED) or 0.0) > shown, expected=True)


def kept(victim: Victim) -> list[str]:
    """The rejected lines that are kept."""
    path = victim.state_dir / "rejects.jsonl"
    return [json.loads(line)["line"] for line in path.read_text().splitlines()] if path.exists() else []


def complaints(victim: Victim) -> list[str]:
    """What it said of checkpoints."""
    return [words for words in victim.said.read_text().splitlines() if "checkpoint" in words]
