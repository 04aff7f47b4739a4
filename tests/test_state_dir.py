"""The state directory: what stands in it, who may use it, and what happens when it is not what was written."""

import json
import re
import signal
import stat
import subprocess
import urllib.error
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from extractor.service.daemon import Daemon
from extractor.service.log import Log as OwnLog
from extractor.service.options import Options
from extractor.state.state import State
from tests.conftest import Log
from tests.killing import Victim
from tests.reading import event_schema, line, tool_call, write_pack
from tests.servers import DEADLINE, eventually, get

CALLS = 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"}'
BULK = 150_000
"""Lines that take longer to read than a server takes to answer."""


def test_only_its_owner_can_read_it(log: Log, victim: Victim):
    """The directory has mode 0700 and everything in it 0600: rejected lines may hold anything."""
    log.append(tool_call(), b"{")
    follow(victim, 1)
    victim.stop()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in victim.state_dir.iterdir()}

    assert 0o700 == stat.S_IMODE(victim.state_dir.stat().st_mode)
    assert dict.fromkeys(("checkpoint", "lock", "rejects.jsonl"), 0o600).items() <= modes.items()
    assert {0o600} == set(modes.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_saves(number: int, log: Log, victim: Victim):
    """What was counted is there again after a clean stop, even when the log is not."""
    victim.options = ()
    log.append(*[tool_call()] * 3)
    follow(victim, 3)

    assert 0 == victim.end(number)

    log.path.unlink()
    follow(victim, 3)


def test_nothing_is_served_while_catching_up(log: Log, victim: Victim):
    """Until all is read that was written before the start a scrape is told to come again; the first one has it all."""
    log.append(*[tool_call()] * BULK)
    victim.start()
    refused: list[tuple[str, int, bool, str]] = []
    served: dict[str, str] = {}

    def ask() -> set[str]:
        for page in {"/metrics", "/-/ready"} - served.keys():
            try:
                served[page] = get(victim.url + page)
            except urllib.error.HTTPError as error:  # each of the two for itself
                again = error.headers["Retry-After"]
                refused.append((page, error.code, again is not None and again.isdigit(), error.read().decode()))
        return set(served)

    eventually(ask, {"/metrics", "/-/ready"})

    assert f"{CALLS} {float(BULK)}\n" in served["/metrics"]
    assert {("/metrics", 503, True), ("/-/ready", 503, True)} == {each[:3] for each in refused}
    assert all("bytes" in why for *_, why in refused)


def test_checkpoint_is_of_one_moment(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is saved is put together while nobody else looks: a scrape, too, moves what is in a sliding window."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    held: set[bool] = set()
    dump = State.dump

    def watched(state: State) -> dict[str, Any]:
        held.add(daemon._lock.locked())
        return dump(state)

    def say(text: str) -> None:
        if "serving" in text:
            log.append(tool_call())
            daemon.stop()

    monkeypatch.setattr(State, "dump", watched)
    daemon = Daemon(
        Options((log.path.parent,), listen_address="127.0.0.1:0", state_dir=tmp_path / "state"), OwnLog(say)
    )
    daemon.run()

    assert {True} == held


def test_one_process_at_a_time(log: Log, victim: Victim, free_ports: Callable[[int], list[int]]):
    """A second process on the same directory ends at once, names the first, and does it no harm."""
    log.append(tool_call())
    follow(victim, 1)
    assert victim.process is not None
    [port] = free_ports(1)
    second = Victim(victim.logs, victim.state_dir, port, victim.said, victim.options)
    done = subprocess.run(second.command(), capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert (1, "") == (done.returncode, done.stdout)
    assert re.fullmatch(rf"extractor: .*{re.escape(str(victim.state_dir))}.* {victim.process.pid}\b.*\n", done.stderr)

    log.append(tool_call())
    shows(victim, 2)
    victim.stop()


def cut(content: bytes) -> bytes:
    """The first half, as a full disk leaves it."""
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """One bit is another, as a bad disk leaves it."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def blank(content: bytes) -> bytes:
    """As long as it was, and nothing in it: what some file systems leave after a power cut."""
    return bytes(len(content))


def empty(_content: bytes) -> bytes:
    """Nothing."""
    return b""


def other(_content: bytes) -> bytes:
    """A file of some other program."""
    return b'{"offset": 12}\n'


@pytest.mark.parametrize("damage", [cut, flip, blank, empty, other])
def test_damaged_checkpoint(damage: Callable[[bytes], bytes], log: Log, victim: Victim):
    """The checkpoint before it is used in its place, a person is told, and every line is still counted once."""
    lived(log, victim)
    spoil(victim.state_dir / "checkpoint", damage)
    told = told_at_start(victim, 7)

    assert [] != [words for words in told if "checkpoint" in words and "damaged" in words]
    assert ["{1", "{2"] == kept(victim.state_dir)


@pytest.mark.parametrize("damage", [cut, flip])
def test_both_checkpoints_damaged(damage: Callable[[bytes], bytes], log: Log, victim: Victim):
    """The state is counted anew from the logs, and a person is told."""
    lived(log, victim)
    spoil(victim.state_dir / "checkpoint", damage)
    spoil(victim.state_dir / "checkpoint.previous", damage)
    told = told_at_start(victim, 7)

    assert [] != [words for words in told if "logs" in words and "checkpoint" in words]
    assert ["{1", "{2"] == kept(victim.state_dir)


def test_missing_checkpoint(log: Log, victim: Victim):
    """A crash between the two renames of a checkpoint leaves the one before it, which is used."""
    lived(log, victim)
    (victim.state_dir / "checkpoint").unlink()
    told_at_start(victim, 7)

    assert ["{1", "{2"] == kept(victim.state_dir)


def test_checkpoint_of_a_newer_program(log: Log, victim: Victim):
    """It is not touched, and the program ends with what to do: to go on without it would be a guess."""
    lived(log, victim)
    path = victim.state_dir / "checkpoint"
    newer = re.sub(rb"^([a-z ]+)\d+", rb"\g<1>999", path.read_bytes(), count=1)
    path.write_bytes(newer)
    done = subprocess.run(victim.command(), capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert (1, "") == (done.returncode, done.stdout)
    assert re.fullmatch(r"extractor: .*checkpoint.* 999.*\(.+\)\n", done.stderr)
    assert newer == path.read_bytes()


def test_checkpoint_of_an_older_program(log: Log, victim: Victim):
    """It is kept aside and said to be so, and the logs are counted again."""
    lived(log, victim)
    for name in ("checkpoint", "checkpoint.previous"):
        path = victim.state_dir / name
        path.write_bytes(re.sub(rb"^([a-z ]+)\d+", rb"\g<1>1", path.read_bytes(), count=1))
    before = (victim.state_dir / "checkpoint").read_bytes()
    victim.start()
    victim.ready()
    victim.stop()

    assert before == (victim.state_dir / "checkpoint.damaged").read_bytes()
    assert "version 1 is not supported" in victim.said.read_text()
    assert "reading the logs again from their first lines" in victim.said.read_text()


def test_changed_schema(log: Log, victim: Victim, tmp_path: Path):
    """A metric whose declaration is as it was goes on; of the others a person is told, by their names."""
    pack = tmp_path / "pack"
    victim.options += ("--schemas", str(pack))
    total = {"type": "counter", "help": "Pings."}
    before = {"pings_total": total, "ping_a_total": total | {"labels": ["a"]}, "ping_gone_total": total}
    after = {"pings_total": total, "ping_a_total": total | {"labels": ["b"]}, "ping_new_total": total}
    letters = {"a": {"enum": ["x", "y"]}, "b": {"enum": ["x", "y"]}}
    write_pack(pack, event_schema("ping", letters, before, {"a": "x", "b": "y"}, required=["event", "ts", "a", "b"]))
    log.append(*[line("ping", a="x", b="y")] * 3)
    victim.start()
    victim.ready()
    victim.stop()
    write_pack(pack, event_schema("ping", letters, after, {"a": "x", "b": "y"}, required=["event", "ts", "a", "b"]))
    log.append(line("ping", a="x", b="y"))
    told_from = len(victim.said.read_text())
    victim.start()
    victim.ready()
    told = victim.said.read_text()[told_from:]

    assert 4.0 == victim.value("pings_total")
    assert 1.0 == victim.value('ping_a_total{b="y"}')
    assert 1.0 == victim.value("ping_new_total")
    assert victim.value("ping_gone_total") is None
    assert {"ping_a_total", "ping_gone_total", "ping_new_total"} == set(re.findall(r"\bping\w+_total", told))

    victim.stop()


def test_rejects_are_kept(log: Log, victim: Victim):
    """Of a line that is no event the file, the offset, the reason, the place in it and the line itself are kept."""
    good, bad, odd = tool_call(), tool_call(status="perhaps"), b"\xff\xfe"
    log.append(good, bad, odd, b"")
    follow(victim, 1)
    victim.stop()
    first, second = (json.loads(text) for text in (victim.state_dir / "rejects.jsonl").read_text().splitlines())

    assert (str(log.path), len(good) + 1, "invalid", "/status", bad.decode()) == (
        first["file"], first["offset"], first["reason"], first["pointer"], first["line"],
    )  # fmt: skip
    assert first["message"]
    assert ("bad_encoding", len(good) + len(bad) + 2, odd) == (
        second["reason"], second["offset"], b64decode(second["line_base64"]),
    )  # fmt: skip


@pytest.fixture
def victim(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """One that follows *log* with a state directory; nothing of it is left after the test."""
    [port] = free_ports(1)
    options = ("--checkpoint-interval", "0.05", "--poll-interval", "0.1")
    one = Victim(log.path.parent, tmp_path / "state", port, tmp_path / "said", options)
    yield one
    one.close()


def shows(victim: Victim, calls: float) -> None:
    """Wait until so many calls of the tool are served."""
    eventually(lambda: victim.value(CALLS), calls)


def follow(victim: Victim, calls: float) -> None:
    """Start it, and wait until so many calls are served."""
    victim.start()
    victim.ready()
    shows(victim, calls)


def lived(log: Log, victim: Victim) -> None:
    """A stopped victim with two checkpoints, of 3 and of 5 calls and with a reject in each, and 2 calls unread."""
    log.append(*[tool_call()] * 3, b"{1")
    follow(victim, 3)
    victim.stop()
    log.append(*[tool_call()] * 2, b"{2")
    follow(victim, 5)
    victim.stop()
    log.append(*[tool_call()] * 2)


def spoil(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Damage the file."""
    path.write_bytes(damage(path.read_bytes()))


def told_at_start(victim: Victim, calls: float) -> list[str]:
    """What is said by a victim that then serves so many calls, through another stop and start too."""
    before = len(victim.said.read_text())
    follow(victim, calls)
    told = victim.said.read_text()[before:].splitlines()
    victim.kill()
    follow(victim, calls)
    victim.stop()
    return told


def kept(state_dir: Path) -> list[str]:
    """The rejected lines, as they are kept."""
    return [json.loads(text)["line"] for text in (state_dir / "rejects.jsonl").read_text().splitlines()]
