"""What is settled of runs while files are followed does not depend on which file was read first, or seen at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.ingest.pipeline import Pipeline
from extractor.service.follower import Intake
from extractor.state.state import State
from extractor.state.stats import Stats
from tests.reading import default_catalog, line, read, sampled, text, tool_call

LINGER = 5.0


class Follower:
    """An intake of the logs in *folder* that makes everything visible after every chunk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = State(default_catalog(), run_linger=LINGER)
        pipeline = Pipeline(self.state, Stats())
        self._intake = Intake(default_catalog(), [folder], pipeline, threading.Lock(), max_line_bytes=1 << 20)

    def write(self, name: str, *lines: bytes) -> None:
        """Add *lines* to a log."""
        with (self.folder / name).open("ab") as file:
            file.writelines(item + b"\n" for item in lines)

    def scan(self) -> None:
        """Look at everything, and read it."""
        self._intake.scan()
        self._intake.read(fold_now=lambda: True)

    def hear(self, *names: str) -> None:
        """Look at these logs only, and read what they have."""
        self._intake.look(frozenset(str(self.folder / name) for name in names))
        self._intake.read(fold_now=lambda: True)

    def close(self) -> None:
        """Let go of the logs."""
        self._intake.tail.close()


@contextmanager
def following() -> Iterator[Follower]:
    """A follower of an empty folder."""
    with TemporaryDirectory() as folder:
        follower = Follower(Path(folder))
        try:
            yield follower
        finally:
            follower.close()


def complete(at: float, **fields: object) -> bytes:
    """The end of a run."""
    given = {"status": "ok", "stop_reason": "end_turn", "duration_ms": 5, "agent": "a", "release": "1"}
    return line("run.complete", at, **given | fields)


def test_a_run_waits_for_files_that_are_behind() -> None:
    """What another file has of a run counts, though the end and a long time after it were read before."""
    with following() as follower:
        follower.write("a.jsonl", tool_call(1), complete(5), tool_call(500, run_id="other"))
        follower.write("b.jsonl", tool_call(2), tool_call(3))

        follower.scan()
        follower.scan()

        assert {("a", "1"): 3.0} == sampled(follower.state, "agent_run_tool_calls_sum")


def test_a_run_waits_for_files_that_nobody_heard_of() -> None:
    """What was written to a file before the run was over counts, if only a scan finds it."""
    with following() as follower:
        follower.write("a.jsonl", tool_call(1))
        follower.scan()
        follower.write("b.jsonl", tool_call(2), tool_call(3))
        follower.write("a.jsonl", complete(5), tool_call(500, run_id="other"))
        follower.hear("a.jsonl")
        follower.write("a.jsonl", tool_call(600, run_id="other"))
        follower.hear("a.jsonl")

        assert {("a", "1"): 0.0} == sampled(follower.state, "agent_run_tool_calls_count")
        follower.scan()
        follower.scan()
        assert {("a", "1"): 3.0} == sampled(follower.state, "agent_run_tool_calls_sum")


FILES = ("a.jsonl", "b.jsonl")
RUNS = ("r1", "r2")
WRITTEN = st.tuples(
    st.sampled_from(FILES),
    st.sampled_from(RUNS),
    st.booleans(),
    st.sampled_from((1, 40)),
    st.sampled_from((FILES[:1], FILES[1:], FILES, ())),
)


@settings(max_examples=200)
@given(written=st.lists(WRITTEN, max_size=20))
def test_following_equals_one_pass(written: list[tuple[str, str, bool, int, tuple[str, ...]]]) -> None:
    """Whatever is looked at when, and if hints are lost, all that is served in the end is what one pass gives."""
    now, lines = 0, []
    with following() as follower:
        for name, run, ends, pause, looked_at in written:
            now += pause
            item = complete(now, run_id=run) if ends else tool_call(now, run_id=run, args_hash="x")
            lines.append(item)
            follower.write(name, item)
            if looked_at == FILES:
                follower.scan()
            elif looked_at:
                follower.hear(*looked_at)
        last = tool_call(now + 1000, run_id="last")
        follower.write(FILES[0], last)
        follower.scan()
        follower.scan()

        assert text(read([*lines, last], run_linger=LINGER)) == text(follower.state)
