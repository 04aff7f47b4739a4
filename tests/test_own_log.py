"""What a running extractor says: one line each, once each, and nothing that drives a terminal."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extractor.service.file_messages import Telling
from extractor.service.log import PRIORITIES, Log
from extractor.tail.changes import Duplicate
from extractor.tail.tailer import Tail
from tests.killing import Victim
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually, get
from tests.tailing import is_log

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\n<0>forged\r\u202e\x9b31m\x7f"
"""What drives a terminal, and what looks like a line of its own."""


@pytest.fixture
def said() -> list[str]:
    """The lines that were said."""
    return []


@pytest.mark.parametrize("form", ["text", "json", "journald"])
def test_a_line_is_a_line(form: str, said: list[str]):
    """Whatever is said, it is one line of printable characters, and its fields are, too."""
    Log(said.append, form=form).warning(f"cannot read {HOSTILE}", file=HOSTILE)

    assert [True] == [line.isprintable() for line in said]
    if form == "json":
        assert {"time", "level", "message", "file"} == json.loads(said[0]).keys()
        assert all(value.isprintable() for value in json.loads(said[0]).values())


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("text", "2026-01-01T00:00:00.250Z ERROR   no"),
        ("json", '{"time": "2026-01-01T00:00:00.250Z", "level": "error", "message": "no", "file": "a"}'),
        ("journald", "<3>no"),
    ],
)
def test_forms(form: str, line: str, said: list[str]):
    """Text has time, level and message; JSON the fields besides; the journal has a clock of its own."""
    Log(said.append, form=form, now=lambda: 1767225600.25).error("no", file="a")

    assert [line] == said


def test_paths_without_logs_are_reported_once(tmp_path: Path, said: list[str]):
    """A path that does not exist, and a folder of other files, is a warning each time that is new; later, none."""
    telling = Telling(Log(said.append, form="journald"))
    tail = Tail((tmp_path / "a", tmp_path / "b"), is_log, lambda _: None)

    def look() -> list[str]:
        said.clear()
        tail.scan()
        telling.roots(tail.without_logs, ["*.jsonl"])
        return list(said)

    (tmp_path / "b").mkdir()
    assert [f"<4>{tmp_path}/a: does not exist yet; waiting for it"] == look()
    assert [] == look()

    (tmp_path / "a").mkdir()
    assert [] == look()

    for folder in ("a", "b"):
        (tmp_path / folder / "agent.log").touch()
    hint = "the only file in it does not match the pattern of log files: *.jsonl (name the files to read them all"
    assert [f"<4>{tmp_path}/{folder}: {hint} the same)" for folder in "ab"] == look()
    assert [] == look()

    for folder in ("a", "b"):
        (tmp_path / folder / "agent.jsonl").touch()
    assert [] == look()

    for folder in ("a", "b"):
        (tmp_path / folder / "agent.jsonl").unlink()
    assert [] == look() + look() + look()
    tail.close()


@pytest.mark.parametrize("level", PRIORITIES)
def test_levels(level: str, said: list[str]):
    """What is less bad than the level is not said."""
    log = Log(said.append, level=level, form="journald")
    for each in PRIORITIES:
        log.log(logging.getLevelNamesMapping()[each.upper()], each)

    assert [f"<{PRIORITIES[each]}>{each}" for each in PRIORITIES if PRIORITIES[each] <= PRIORITIES[level]] == said


def test_a_trouble_is_said_once(said: list[str]):
    """Of what comes again and again the first is said, another text, and the end, with how often it came; each once."""
    log = Log(said.append, form="journald")
    for text in ("disk full", "disk full", "disk gone", "disk gone"):
        log.trouble("disk", text)
    log.over("disk", "disk is back")
    log.over("disk", "disk is back")
    log.trouble("disk", "disk gone")

    assert ["<4>disk full", "<4>disk gone", "<6>disk is back (it failed 4 times)", "<4>disk gone"] == said


def test_two_logs_that_are_one_are_told_once(said: list[str]):
    """Whichever of them is ahead of the other; what rotation copies is told nobody."""
    telling = Telling(Log(said.append, form="journald"))
    for path, of in (("a", "b"), ("b", "a"), ("a", "b"), ("a", "c")):
        telling.happening(Duplicate(path, of, by_rotation=False))
        telling.happening(Duplicate(path, of))

    told = [f"a: has the same lines as {of}; they are counted once" for of in "bc"]
    assert told == [each.partition(">")[2].strip() for each in said]


def test_nobody_listens():
    """That nobody reads what is said ends nothing."""

    def closed(_: str) -> None:
        raise BrokenPipeError

    Log(closed).error("no")


def test_libraries_are_heard_once(said: list[str]):
    """What a library says with `logging` is said as ours, each kind once, and not after it was silenced."""
    silence = Log(said.append, form="journald").relay()
    library = logging.getLogger("some.library")
    for client in range(3):
        library.warning("invalid request from %s", f"{client}{HOSTILE}")
    library.info("fine")
    silence()
    library.error("unheard")

    assert 1 == len(said)
    assert said[0].startswith("<4>some.library: invalid request from 0a\\x1b]0;owned")
    assert said[0].isprintable()


@pytest.mark.parametrize(("is_journal", "form"), [(True, r"<6>"), (False, r"\d{4}-.*Z INFO ")])
def test_auto(is_journal: bool, form: str, tmp_path: Path):
    """Priorities are only for the journal, which says itself where it is; anything else is text."""
    output = tmp_path / "said"
    with output.open("wb") as file:
        status = os.fstat(file.fileno())
        inode = status.st_ino if is_journal else status.st_ino + 1
        program = "from extractor.service.log import Log; Log().info('hello')"
        environment = os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{inode}"}
        subprocess.run([sys.executable, "-c", program], stderr=file, env=environment, check=True)

    assert re.fullmatch(form + " *hello\n", output.read_text())


@pytest.fixture
def victim(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """An extractor of a folder that no test has written to; nothing of it is left after the test."""
    (tmp_path / "logs").mkdir()
    [port] = free_ports(1)
    options = ("--checkpoint-interval", "0.05", "--poll-interval", "0.1", "--log.format", "json")
    one = Victim(tmp_path / "logs", tmp_path / "state", port, tmp_path / "said", options)
    yield one
    one.close()


def messages(victim: Victim) -> list[dict[str, str]]:
    """What was said so far."""
    return [json.loads(line) for line in victim.said.read_bytes().splitlines()]


def test_quiet_when_all_is_well(victim: Victim):
    """Two lines at the start, whatever is read and scraped, and none at the end."""
    (victim.logs / "a.jsonl").write_bytes(tool_call() + b"\n{\n")
    victim.start()
    victim.ready()
    get(f"{victim.url}/")
    eventually(lambda: bool(victim.value("extractor_checkpoints_total")), True)
    victim.stop()

    assert ["info", "info"] == [each["level"] for each in messages(victim)]


def test_what_clients_do_wrong(victim: Victim):
    """Whatever clients send, and however often, it is one line, and nothing of what they sent is in it."""
    victim.start()
    victim.ready()
    for garbage in (b"\x1b[2J\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00") * 20:
        with socket.create_connection(("127.0.0.1", victim.port), timeout=DEADLINE) as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    victim.stop()
    warnings = [each["message"] for each in messages(victim) if each["level"] != "info"]

    assert 1 >= len(warnings)
    assert "[2J" not in str(warnings)


def test_hostile_names_of_files(victim: Victim):
    """A trouble with a file is told with its name, however it is called, in one line that drives no terminal."""
    path = os.fsencode(victim.logs / f"{HOSTILE}.jsonl").replace(b"owned", b"own\xffed")
    link = os.fsencode(victim.logs / f"{HOSTILE}\n.jsonl.gz")
    for name, content in ((path, tool_call() + b"\n{\n"), (link, b"\x1f\x8b\x08 this is no gzip" * 9)):
        with open(name, "wb") as file:  # noqa: PTH123  # no text can say this name
            file.write(content)
    victim.start()
    victim.ready()
    with open(path, "wb") as file:  # noqa: PTH123
        file.truncate(0)
    eventually(lambda: len({each.get("kind") for each in messages(victim)} - {None}) > 1, True)
    victim.stop()
    text = victim.said.read_bytes().decode("ascii")
    [rejected] = (victim.state_dir / "rejects.jsonl").read_text().splitlines()

    assert {"truncated", "damaged"} <= {each.get("kind") for each in messages(victim)}
    assert [] == [char for char in text if not char.isprintable() and char != "\n"]
    assert rejected.isprintable()
    assert path == os.fsencode(json.loads(rejected)["file"])
    assert all(each["file"].startswith(str(victim.logs)) for each in messages(victim) if "file" in each)


def test_the_end_of_a_trouble(victim: Victim):
    """That no checkpoint can be saved is told once, however often it is tried, and once when one is."""
    # A folder in the place of the new checkpoint is refused by every file system, to root as well.
    folder = victim.state_dir
    folder.mkdir()
    (folder / "checkpoint.new").mkdir()
    (victim.logs / "a.jsonl").write_bytes(tool_call() + b"\n")
    victim.start()
    victim.ready()
    eventually(lambda: (victim.value("extractor_checkpoint_failures_total") or 0) > 3, True)
    (folder / "checkpoint.new").rmdir()
    eventually(lambda: messages(victim)[-1]["message"].startswith("checkpoints are saved again"), True)
    victim.stop()
    said = [each["message"] for each in messages(victim)[2:]]

    assert [True, False] == [each.startswith("cannot save a checkpoint") for each in said]
    assert re.search(r"\(it failed \d+ times\)$", said[1])


def test_a_closed_terminal_ends_it(victim: Victim):
    """SIGHUP from a terminal that was closed stops it, cleanly; as without it nobody could."""
    leader, follower = os.openpty()
    victim.process = subprocess.Popen(victim.command(), stdout=follower, stderr=follower, start_new_session=True)
    os.close(follower)
    victim.ready()
    victim.process.send_signal(signal.SIGHUP)
    eventually(lambda: (victim.value("extractor_config_last_reload_success_timestamp_seconds") or 0) > 0, True)
    victim.ready()
    os.close(leader)

    assert 0 == victim.end(signal.SIGHUP)
