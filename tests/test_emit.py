"""What agents may rely on when they write with `extractor.emit`."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from extractor import emit

ROOT = Path(__file__).parent.parent


def read(*paths):
    """The lines of all *paths*, but for empty ones: a writer may begin with a line break, to be on the safe side."""
    return [json.loads(line) for path in paths for line in path.read_bytes().split(b"\n") if line]


@pytest.fixture
def path(tmp_path):
    """A log file that is not there yet, nor is its directory."""
    return tmp_path / "logs" / "agent.jsonl"


@pytest.fixture
def log(path):
    """A log at 1.5 s after the epoch."""
    ticks = count(0, 2)
    return emit.Log(path, agent="planner", release="r1", clock=lambda: 1.5, timer=lambda: float(next(ticks)))


# What a line is.


def test_stamps_are_the_logs_own(log, path):
    """A line starts with UTC time in microseconds and event; nobody can overwrite these, nor writer and count."""
    log.event("cache.hit", ts="yesterday", seq=99, writer="me", cache=None, agent="other")

    (line,) = read(path)

    assert ["ts", "event"] == list(line)[:2]
    assert "1970-01-01T00:00:01.500000Z" == line["ts"]
    assert (1, "other", "r1") == (line["seq"], line["agent"], line["release"])
    assert line["writer"].startswith(f"{os.getpid()}-")
    assert "cache" not in line


def test_a_time_is_rfc_3339(path):
    """The real clock gives what `datetime` reads back with its offset."""
    emit.Log(path).event("cache.hit")

    assert timedelta(0) == datetime.fromisoformat(read(path)[0]["ts"]).utcoffset()


# Many writers of one file.

WRITER = """
import sys, threading
from extractor import emit
log = emit.Log(sys.argv[1])
def work(thread):
    for number in range(100):
        log.event("cache.hit", thread=thread, text="x" * (number * number * 10))
threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_processes_and_threads_never_interleave(path):
    """Lines of up to 100 KB from twelve threads of three processes: each is whole, none is lost, seq has no gap."""
    command = [sys.executable, "-c", WRITER, str(path)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]

    assert [0, 0, 0] == [process.wait() for process in processes]

    seqs: dict[str, list[int]] = {}
    for line in read(path):
        seqs.setdefault(line["writer"], []).append(line["seq"])

    assert [list(range(1, 401))] * 3 == list(seqs.values())


def test_rename_rotation_is_followed(path):
    """Renamed under the hands of three threads, again and again: all lines are in one of the files, in order."""
    log = emit.Log(path)
    log.event("cache.hit")

    def work():
        for _ in range(500):
            log.event("cache.hit")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    old: list[Path] = []
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            old.append(path.rename(path.with_suffix(f".{len(old)}")))
    log.event("cache.hit")

    assert 0 == log.dropped
    assert list(range(1, 1503)) == sorted(line["seq"] for line in read(*old, path))


def test_a_line_after_a_rename_is_in_the_new_file(log, path):
    """Not one line goes into a file that was renamed before it was written, nor into a removed one."""
    log.event("cache.hit")
    old = path.rename(path.with_suffix(".1"))
    log.event("cache.hit")
    path.unlink()
    log.event("cache.hit")

    assert ([1], [3]) == ([line["seq"] for line in read(old)], [line["seq"] for line in read(path)])


def test_a_fork_goes_on_as_a_writer_of_its_own(log, path):
    """A child forked while a thread holds the log's lock can write, and counts its lines from 1 under its own name."""
    log.event("cache.hit")
    with log._writer._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # a child that waits for the lock would wait for ever
            thread = threading.Thread(target=log.event, args=("cache.miss",))
            thread.start()
            thread.join()
            os._exit(log.dropped)
    assert (child, 0) == os.waitpid(child, 0)
    log.event("cache.hit")

    lines = read(path)

    assert [("cache.hit", 1), ("cache.miss", 1), ("cache.hit", 2)] == [(line["event"], line["seq"]) for line in lines]
    assert f"{child}-" == lines[1]["writer"][: len(str(child)) + 1]


def test_a_directory_gives_each_process_its_file(tmp_path):
    """Given a directory, a process and its forked child write files of their own, named after agent and process."""
    log = emit.Log(tmp_path, agent="a/b")
    log.event("cache.hit")
    child = os.fork()
    if child == 0:
        log.event("cache.hit")
        os._exit(0)
    os.waitpid(child, 0)

    assert sorted([f"a_b-{os.getpid()}.jsonl", f"a_b-{child}.jsonl"]) == sorted(
        file.name for file in tmp_path.iterdir()
    )


# Trouble.


def test_an_agent_never_fails_because_of_its_log(tmp_path, caplog):
    """What cannot be written is counted and reported once; the agent's own exception still reaches it."""
    log = emit.Log(tmp_path / "file" / "agent.jsonl")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KeyError), log.run(), caplog.at_level(logging.WARNING):
        raise KeyError

    assert 2 == log.dropped
    assert 1 == len(caplog.records)


FULL = """
import resource, sys
from extractor import emit
log = emit.Log(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(20): log.event("cache.hit")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for number in range(5): log.event("cache.hit")
print(log.dropped)
"""


def test_a_full_disk_costs_the_torn_line_only(path):
    """Where the file could grow no further one line is torn; all others are whole, and seq says how many are gone."""
    result = subprocess.run([sys.executable, "-c", FULL, path], cwd=ROOT, capture_output=True, text=True, check=True)
    dropped = int(result.stdout)

    lines = [line for line in path.read_bytes().split(b"\n") if line]
    torn = [line for line in lines if not line.endswith(b"}")]
    whole = [json.loads(line)["seq"] for line in lines if line.endswith(b"}")]

    assert 1 == len(torn)
    assert 25 - dropped == len(whole)
    assert [21, 22, 23, 24, 25] == whole[-5:]
    assert "lost a line" in result.stderr


def test_a_torn_end_is_closed_first(log, path):
    """What a killed writer left without a line break does not swallow the first line of the next one."""
    path.parent.mkdir()
    path.write_bytes(b'{"ts":"2026-11-')
    log.event("cache.hit")

    assert b'{"ts":"2026-11-' == path.read_bytes().split(b"\n")[0]
    assert 1 == json.loads(path.read_bytes().split(b"\n")[1])["seq"]


def test_a_pipe_without_a_reader_does_not_hang(tmp_path):
    """A log that is a pipe nobody reads costs lines, never the agent's time."""
    os.mkfifo(tmp_path / "pipe")
    log = emit.Log(tmp_path / "pipe")
    log.event("cache.hit")

    assert 1 == log.dropped


def test_a_descriptor_that_became_somebody_elses_is_left_alone(log, path, tmp_path):
    """A daemon closes all descriptors: the log neither writes to nor closes what has its old number now."""
    log.event("cache.hit")
    [number] = log._writer._file._descriptors
    with (tmp_path / "other").open("wb") as other:
        os.dup2(other.fileno(), number)
        log.event("cache.hit")

        assert os.path.sameopenfile(other.fileno(), number)

        os.close(number)
    assert b"" == (tmp_path / "other").read_bytes()
    assert [1, 2] == [line["seq"] for line in read(path)]


def test_only_the_standard_library_is_imported():
    """An agent that writes its log has none of the extractor's dependencies."""
    script = "import sys, extractor.emit; print(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert {"extractor"} == set(result.stdout.split()) - sys.stdlib_module_names - {"__main__"}
