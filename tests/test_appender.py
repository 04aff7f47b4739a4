"""Lines of many writers of one file: each is whole and stands alone, whatever the others did to the end of the file."""

import errno
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from extractor.emit.appender import Appender

LINE = b"<line>\n"
TORN = b"#torn"


@pytest.fixture
def path(tmp_path):
    """A file that is not there yet."""
    return tmp_path / "agent.jsonl"


class Disk:
    """
    `os.write`, but for what happens right before it, and how much of it there is room for.

    Args:
        path: What others append to.
        plan: For each write, what another writes first, and how many bytes there is room for: None for all, 0 for none.

    """

    def __init__(self, path: Path, *plan: tuple[bytes, int | None]) -> None:
        self.path = path
        self.plan = list(plan)
        self.others = b""  # what the others have written

    def __call__(self, descriptor: int, data: bytes) -> int:
        """Write what there is room for."""
        before, room = self.plan.pop(0) if self.plan else (b"", None)
        append(self.path, before)
        self.others += before
        if not data[:room]:
            raise OSError(errno.ENOSPC, "no room")
        return os.write(descriptor, data[:room])


def append(path: Path, data: bytes) -> None:
    """Write as another process does."""
    if data:
        with path.open("ab", buffering=0) as file:
            file.write(data)


def opened(path: Path, *plan: tuple[bytes, int | None]) -> Appender:
    """An appender that has written one line without any trouble."""
    appender = Appender(path, "", write=Disk(path, (b"", None), *plan))
    appender.append(b"<first>\n")
    return appender


def test_a_line_behind_a_torn_one_of_another_begins_with_a_line_break(path):
    """Also when the file was open and its own last line was whole."""
    appender = opened(path)
    append(path, TORN)
    appender.append(LINE)

    assert b"<first>\n#torn\n<line>\n" == path.read_bytes()


def test_lines_in_turn_are_not_parted(path):
    """Where all lines are whole there is no empty one, whoever writes them."""
    first, second = opened(path), opened(path)
    for _ in range(2):
        first.append(LINE)
        second.append(LINE)
        append(path, b"<other>\n")

    assert b"<first>\n" * 2 + (LINE * 2 + b"<other>\n") * 2 == path.read_bytes()


def test_a_line_that_landed_behind_a_torn_one_is_written_again(path):
    """Another writer was torn after this one had looked at the end of the file: the line stands alone all the same."""
    appender = opened(path, (TORN, None))
    appender.append(LINE)
    appender.append(b"<next>\n")

    assert b"<first>\n#torn<line>\n\n<line>\n<next>\n" == path.read_bytes()


def test_a_line_that_landed_behind_a_whole_one_is_not_written_again(path):
    """Another writer came first: that is no trouble, and no line counts twice."""
    appender = opened(path, (b"<other>\n", None))
    appender.append(LINE)

    assert b"<first>\n<other>\n<line>\n" == path.read_bytes()


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        # There is room for the line and then, at once, for its line break.
        ([(b"", -1), (b"", None)], b"<line>\n<next>\n"),
        # Another writer ends it first, or is glued to it, and then it is nobody's line.
        ([(b"", -1), (b"\n<other>\n", None)], b"<line>\n<other>\n\n<next>\n"),
        ([(b"", -1), (b"<other>\n", None)], b"<line><other>\n\n\n<line>\n<next>\n"),
        # The line is torn, and there is room to write it again.
        ([(b"", 3), (b"", None)], b"<li\n<line>\n<next>\n"),
        ([(b"", 3), (b"\n<other>\n", None)], b"<li\n<other>\n\n<line>\n<next>\n"),
    ],
)
def test_a_short_write_loses_nothing(plan, found, path):
    """Wherever the kernel cuts a write, and whoever writes behind the cut, the line is there once and alone."""
    appender = opened(path, *plan)
    appender.append(LINE)
    appender.append(b"<next>\n")

    assert b"<first>\n" + found == path.read_bytes()


@pytest.mark.parametrize("plan", [[(b"", 0)], [(b"", 3), (b"", 0)], [(b"", 3), (b"", 3)], [(b"", -1), (b"", 0)]])
def test_what_there_is_no_room_for_is_an_error(plan, path):
    """A line that could not be written with its line break is lost, or may be, and the next one stands alone."""
    appender = opened(path, *plan)
    with pytest.raises(OSError, match=r"no room|only a part"):
        appender.append(LINE)
    appender.append(b"<next>\n")

    assert path.read_bytes().endswith(b"\n<next>\n")


def test_a_truncated_file_is_gone_on_with(path):
    """What was emptied, and perhaps written to by others since, is looked at anew."""
    appender = opened(path)
    os.truncate(path, 0)
    appender.append(LINE)
    os.truncate(path, 3)
    appender.append(LINE)

    assert b"<li\n<line>\n" == path.read_bytes()


def test_a_log_that_may_be_written_but_not_read(unprivileged):
    """Who cannot look begins with a line break whenever somebody else has written."""
    path = unprivileged / "agent.jsonl"
    path.touch()
    path.chmod(0o222)
    appender = opened(path)
    appender.append(LINE)
    append(path, TORN)
    appender.append(LINE)
    path.chmod(0o666)

    assert b"<first>\n<line>\n#torn\n<line>\n" == path.read_bytes()


def test_a_pipe_has_no_end_to_look_at(path):
    """A line in a pipe is as it is in a file; one that did not fit is torn, and the next begins with a line break."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    appender = Appender(path, "")
    appender.append(LINE)
    with pytest.raises(BlockingIOError):
        appender.append(b"x" * 1_000_000 + b"\n")
    read = os.read(reader, 1_000_000)
    appender.append(LINE)
    appender.append(LINE)
    read += os.read(reader, 1_000_000)
    os.close(reader)

    lines = read.split(b"\n")

    assert [b"<line>", b"<line>", b"<line>", b""] == [lines[0], *lines[2:]]


LIMITED = """
import resource, sys
from extractor import emit
log = emit.Log(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(20): log.event("cache.hit")
print(log.dropped)
"""


def test_a_process_goes_on_behind_what_another_could_not_write(path):
    """A line torn by the limit of one process, which then ends, costs the next line of another nothing."""
    appender = opened(path)
    command = [sys.executable, "-c", LIMITED, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    appender.append(LINE)

    lines = path.read_bytes().split(b"\n")
    whole = [line for line in lines if line.endswith(b"}")]

    assert 20 == int(done.stdout) + len(whole)
    assert LINE.strip() in lines


# Any number of writers, in any order, on a disk that is full now and then, some of which die in the middle of a line.

text = st.sampled_from([b"", b"x", b"x" * 50])
before = st.sampled_from(["nothing", "nothing", "torn", "line"])
room = st.sampled_from([None, None, 0, 1, 3, -1, -2])


class Writers(RuleBasedStateMachine):
    """Some appenders of one file, and others that tear lines, rotate the file and empty it."""

    @initialize()
    def start(self) -> None:
        """Three appenders, none of which has opened the file."""
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "agent.jsonl"
        self.numbers = count()
        self.files = [self.path]
        self.whole: set[bytes] = set()
        self.lost: set[bytes] = set()
        self.disks = [Disk(self.path) for _ in range(3)]
        self.appenders = [Appender(self.path, "", write=disk) for disk in self.disks]

    def teardown(self) -> None:
        """Close what is open."""
        for appender in self.appenders:
            appender.close()
        self.folder.cleanup()

    @rule(writer=st.integers(0, 2), text=text, plan=st.lists(st.tuples(before, room), max_size=3))
    def write(self, writer: int, text: bytes, plan: list[tuple[str, int | None]]) -> None:
        """A line, which counts or is lost, while others write."""
        disk = self.disks[writer]
        disk.plan = [(self.other(kind), room) for kind, room in plan]
        line = b"<%d%b>" % (next(self.numbers), text)
        try:
            self.appenders[writer].append(line + b"\n")
        except OSError:
            self.lost.add(line)
        else:
            self.whole.add(line)
        self.whole |= {line for line in disk.others.split(b"\n") if line.startswith(b"<")}
        disk.plan, disk.others = [], b""
        if not self.path.read_bytes().endswith(b"\n"):
            self.avoid()

    def other(self, kind: str) -> bytes:
        """What another process writes between the look and the write: a torn line, or one that looked, too."""
        return {"nothing": b"", "torn": TORN, "line": b"\n<%d-other>\n" % next(self.numbers)}[kind]

    @rule()
    def tear(self) -> None:
        """A writer that does not look dies in the middle of a line."""
        append(self.path, TORN)
        self.avoid()

    def avoid(self) -> None:
        """Have no file that was emptied end, torn, where it ended before: nobody would know that it had changed."""
        while self.path.exists() and self.path.stat().st_size in {each._end for each in self.appenders}:
            append(self.path, TORN)

    @precondition(lambda self: self.path.exists())
    @rule()
    def rename(self) -> None:
        """The file is rotated by renaming."""
        self.files.append(self.path.rename(self.path.with_suffix(f".{len(self.files)}")))

    @precondition(lambda self: self.path.exists())
    @rule()
    def empty(self) -> None:
        """The file is rotated by copying and emptying, while nobody writes."""
        self.files.append(Path(shutil.copy(self.path, self.path.with_suffix(f".{len(self.files)}"))))
        os.truncate(self.path, 0)

    @invariant()
    def lines_are_whole(self) -> None:
        """What was written is there once and alone, also of others; what is lost is not there."""
        lines = [line for file in self.files if file.exists() for line in file.read_bytes().split(b"\n")]

        assert sorted(self.whole) == sorted(line for line in lines if line in self.whole)
        assert [] == [line for line in self.lost if lines.count(line) > 1]


TestWriters = Writers.TestCase
