"""Whatever is in the state directory in the place of a file: an error that says where, or a trouble that is counted."""

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.errors import CheckpointError
from extractor.ingest.pipeline import Pipeline
from extractor.service.follower import Intake
from extractor.service.log import Log as OwnLog
from extractor.service.persistence import Keeper
from extractor.state.state import State
from extractor.state.stats import Stats
from tests.conftest import Log
from tests.reading import default_catalog, tool_call
from tests.test_rejects import file_limit

NAMES = (
    *("checkpoint", "checkpoint.previous", "checkpoint.new", "checkpoint.previous.new", "checkpoint.damaged", "lock"),
    *("rejects.jsonl", "rejects.jsonl.1", "rejects.jsonl.new", "rejects.jsonl.new-1", "rejects.jsonl.new-9"),
    "rejects.jsonl.cut",
)


def folder(path: Path) -> None:
    """An empty folder."""
    path.mkdir()


def full_folder(path: Path) -> None:
    """A folder with something in it."""
    (path / "x").mkdir(parents=True)


def fifo(path: Path) -> None:
    """A FIFO, which would wait for somebody at the other end."""
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    """A socket."""
    here = Path.cwd()
    os.chdir(path.parent)  # its name may not be long
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(here)


def dangling(path: Path) -> None:
    """A link that leads nowhere, and could not be followed to make something."""
    path.symlink_to(path.with_name("no") / "where")


def device(path: Path) -> None:
    """A link to what takes nothing."""
    path.symlink_to("/dev/full")


def empty(path: Path) -> None:
    """An empty file."""
    path.touch()


def garbage(path: Path) -> None:
    """A file of something else."""
    path.write_bytes(b"\x00\xff[{\n\n" * 100)


def not_ours(path: Path) -> None:
    """A file that nobody may read."""
    path.write_bytes(b"secret")
    path.chmod(0)


KINDS = (folder, full_folder, fifo, unix_socket, dangling, device, empty, garbage, not_ours)
BEGINNING = 3
"""Calls in the log when the state was saved last."""


class Life:
    """An extractor without a server, in *state_dir*; what it says is in *said*."""

    def __init__(self, log: Log, state_dir: Path, *, max_reject_bytes: int = 1 << 20) -> None:
        catalog, self.stats, self.said = default_catalog(), Stats(), list[str]()
        self.state = State(catalog)
        own_log = OwnLog(self.said.append)
        lock = threading.Lock()
        self.keeper = Keeper(
            state_dir, self.state, self.stats, own_log, lock, interval=600, max_reject_bytes=max_reject_bytes
        )
        try:
            positions = self.keeper.restore()
        except CheckpointError:
            self.keeper._directory.close()
            raise
        self.pipeline = Pipeline(self.state, self.stats, on_reject=self.keeper.reject)
        self.intake = Intake(
            catalog, [log.path.parent], self.pipeline, lock, max_line_bytes=1 << 20, positions=positions
        )

    def read(self) -> None:
        """Read all there is, and write the rejects."""
        self.intake.scan()
        self.intake.read()
        self.keeper.flush()

    def save(self) -> None:
        """Save, and wait for it."""
        self.keeper.go_on(self.state, self.intake.tail, 600)

    def end(self) -> None:
        """Save and stop."""
        self.keeper.save(self.intake.tail)
        self.keeper.close()


@pytest.fixture
def log(memory: Path) -> Log:
    """An empty log in a folder of its own."""
    (memory / "logs").mkdir()
    return Log(memory / "logs" / "agent.jsonl")


@pytest.fixture
def lived(log: Log, memory: Path) -> Path:
    """A state with two checkpoints and two files of rejects."""
    state_dir = memory / "state"
    for number in range(2):
        log.append(tool_call(), *(b"{%d" % each for each in range(3)))
        life = Life(log, state_dir, max_reject_bytes=1000)
        life.read()
        life.end()
        assert number + 1 == life.stats.events
    log.append(tool_call(), b"{last")
    assert {"checkpoint", "checkpoint.previous", "rejects.jsonl", "rejects.jsonl.1"} <= {
        path.name for path in state_dir.iterdir()
    }
    return state_dir


@contextmanager
def as_nobody(state_dir: Path) -> Iterator[None]:
    """As somebody who owns the directory, but not what was put there: root may read everything."""
    for path in (state_dir.parent, state_dir, *state_dir.iterdir()):
        if path.stat(follow_symlinks=False).st_mode & 0o777:
            os.chown(path, 65534, 65534, follow_symlinks=False)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def put(kind: Callable[[Path], None], path: Path) -> None:
    """Put something else in the place of *path*."""
    if path.exists():
        path.unlink()
    kind(path)


def started(log: Log, state_dir: Path) -> str | None:
    """What an extractor ends with that cannot start; None if it can, and then it is exact."""
    try:
        life = Life(log, state_dir)
    except CheckpointError as error:
        return str(error)
    life.read()
    life.end()
    assert BEGINNING == life.stats.events
    assert 7 == life.stats.rejects.total()
    return None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_at_the_start(kind: Callable[[Path], None], name: str, lived: Path, log: Log):
    """It starts and is exact, or ends with one line that names what is wrong; so does requeue."""
    put(kind, lived / name)
    with as_nobody(lived) if kind is not_ours and os.geteuid() == 0 else nullcontext():
        said = started(log, lived)
        assert said is None or re.fullmatch(f".*{re.escape(str(lived))}.*", said)
        result = CliRunner().invoke(main, ["requeue", "--state-dir", str(lived)])
        assert result.exit_code in {0, 1}, result.output
        assert isinstance(result.exception, SystemExit | None)


def remove(path: Path) -> None:
    """Remove whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_while_it_runs(kind: Callable[[Path], None], name: str, lived: Path, log: Log):
    """Reading goes on, what cannot be saved is logged and counted, and once it is gone all is exact again."""
    life = Life(log, lived)
    life.read()
    put(kind, lived / name)
    log.append(tool_call(), b"{new")
    with as_nobody(lived) if kind is not_ours and os.geteuid() == 0 else nullcontext():
        life.read()
        life.save()
        assert [] == [said for said in life.said if not re.search("cannot|are gone|again", said)]
        assert bool(life.stats.failed_saves) == any("cannot save a checkpoint" in said for said in life.said)
    remove(lived / name)
    log.append(tool_call(), b"{newer")
    life.read()
    life.save()
    assert life.stats.saves > 2
    life.end()

    again = Life(log, lived)
    again.end()
    assert BEGINNING + 2 == again.stats.events
    assert 9 == again.stats.rejects.total()
    assert 9 <= entries(lived) + again.stats.lost_rejects


@pytest.mark.parametrize("most", [0, 1, 50, 100, 200, 500, 1000, 5000, 9000])
def test_a_disk_that_is_full_anywhere(most: int, lived: Path, log: Log):
    """However few bytes a file can take: it reads on, or ends with one line, and nothing is lost in the end."""
    with file_limit(most):
        with suppress(CheckpointError):
            life = Life(log, lived)
            life.read()
            life.save()
            assert BEGINNING == life.stats.events
            assert [] == [said for said in life.said if not re.search("cannot|are gone", said)]
            life.end()
        result = CliRunner().invoke(main, ["requeue", "--state-dir", str(lived)])
        assert result.exit_code in {0, 1}, result.output
        assert isinstance(result.exception, SystemExit | None)
    life = Life(log, lived)
    life.read()
    life.end()
    assert BEGINNING == life.stats.events
    assert 7 == life.stats.rejects.total() == life.stats.lost_rejects + entries(lived)
    result = CliRunner().invoke(main, ["requeue", "--state-dir", str(lived)])
    assert f"0 counted, {entries(lived)} still rejected\n" == result.output


def entries(state_dir: Path) -> int:
    """How many rejected lines are kept."""
    return sum(len(path.read_bytes().splitlines()) for path in state_dir.glob("rejects.jsonl*"))


def test_what_damages_a_damaged_checkpoint(lived: Path, log: Log):
    """A damaged checkpoint is kept under another name if a folder has the usual one."""
    (lived / "checkpoint.damaged").mkdir()
    (lived / "checkpoint").write_bytes(b"damaged")
    life = Life(log, lived)
    life.read()
    life.end()

    assert b"damaged" == (lived / "checkpoint.damaged-").read_bytes()
    assert BEGINNING == life.stats.events
    assert "kept as checkpoint.damaged-" in life.said[0]
