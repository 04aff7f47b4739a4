"""Backfill is the scrapes that nobody made: at every step the samples are those of the events up to then."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from math import ceil
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from extractor.exposition.text import metadata
from extractor.history.backfill import Backfill, Written
from extractor.history.external_sort import HELD, Spill
from extractor.history.openmetrics import Document
from extractor.history.replay import Options, Replay
from extractor.history.steps import step_seconds
from extractor.schema.model import Catalog
from extractor.state.state import State
from tests.reading import T0, default_catalog, event_schema, line, read, text, tool_call, write_pack
from tests.servers import DEADLINE
from tests.test_state import apart, events_at

QUICK = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))

pytestmark = pytest.mark.timeout(180)

STEP = 15

OPEN = ("agent_runs_in_progress", "agent_active_count")

AGENTS = {"r1": "a", "r2": "", "r3": None}


def events_until(end: float) -> st.SearchStrategy[list[bytes]]:
    """Valid lines of every event type within *end* seconds after `T0`; a run is of one agent."""

    def of_its_agent(item: bytes) -> bytes:
        event = json.loads(item)
        for name in ("agent", "agent_type"):
            event.pop(name, None)
            if (agent := AGENTS[event["run_id"]]) is not None and (name == "agent" or event["event"] == "run.start"):
                event[name] = agent
        return json.dumps(event).encode()

    times = st.floats(0, end).map(lambda at: round(T0 + at, 3))
    return st.lists(events_at(times).map(of_its_agent), max_size=12).map(apart)


Samples = dict[float, list[str]]
"""By time since `T0`: the samples, each as its line without the time."""


@settings(QUICK, max_examples=40)
@given(st.one_of(st.tuples(st.just(15), events_until(300)), st.tuples(st.just(600), events_until(15000))))
def test_every_step_is_a_scrape(tmp_path_factory: pytest.TempPathFactory, case: tuple[int, list[bytes]]) -> None:
    """The samples at a step are what a scrape then would show, and 0 for what is counted in the next one."""
    step, lines = case
    seen = samples(document(tmp_path_factory.mktemp("step"), lines, step=step))

    events = {ceil((json.loads(item)["ts"] - T0) / step) for item in lines}
    running = {at for event in events for at in range(event, event + 3600 // step + 1) if at <= max(events)}
    before = {event - 1 for event in events}
    end = {max(events, default=0) + 1}.intersection(at // step for at in seen)  # where runs that ended are over
    assert running | before | end == {at // step for at in seen} | {min(before, default=0)}.intersection(before)
    for at, shown in list(seen.items())[: len(seen) - len(end)]:
        scrape = scraped([item for item in lines if json.loads(item)["ts"] <= T0 + at])
        born = set(shown) - scrape
        later = {item.rpartition(" ")[0] for item in seen.get(at + step, ())}

        assert scrape <= set(shown)
        assert len(shown) == len(set(shown))
        assert {"0.0"} >= {item.rpartition(" ")[2] for item in born}
        assert later >= {item.rpartition(" ")[0] for item in born if not item.startswith(OPEN)}


@settings(QUICK, max_examples=40)
@given(
    st.one_of(events_until(40), events_until(3000)),
    st.randoms(use_true_random=False),
    st.integers(0, 15),
    st.sampled_from([0, 500, HELD]),
)
def test_order_leaves_no_trace(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], random: Random, cut: int, held: int
) -> None:
    """In whatever order the lines stand, in how many files, and however little memory there is: the same bytes."""
    folder = tmp_path_factory.mktemp("order")
    shuffled = random.sample(lines, len(lines))

    assert document(folder, sorted(lines)) == document(folder, shuffled[:cut], shuffled[cut:], held=held)


@settings(QUICK, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 200)), max_size=15),
    st.randoms(use_true_random=False),
)
def test_order_leaves_no_trace_past_the_limits(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int]], random: Random
) -> None:
    """The labels that are told apart are those that came first in event time, in whatever order the lines stand."""
    folder, catalog = tmp_path_factory.mktemp("limits"), narrow_catalog()
    lines = [line("seen", at, kind=kind) for kind, at in events]

    expected = document(folder, lines, catalog=catalog)

    assert expected == document(folder, random.sample(lines, len(lines)), catalog=catalog)


def test_end_is_a_replay(tmp_path: Path) -> None:
    """The last samples of the recorded logs are, each and all, those of a replay of them."""
    folder = Path("samples/logs")
    lines = [item for path in sorted(folder.glob("*.jsonl")) for item in path.read_bytes().splitlines()]
    *_, last = samples(document(tmp_path, lines)).values()
    replayed = Replay(default_catalog(), Options((str(folder),))).run()

    assert sorted(without_exemplars(replayed.state)[:-1]) == sorted([*last, *metadata_lines()])


def test_sample_includes_its_own_moment(tmp_path: Path) -> None:
    """A sample counts the event at its very time, and not the next."""
    seen = samples(document(tmp_path, [tool_call(15), tool_call(30), tool_call(30.000001)]))

    assert {0: 0, 15: 1, 30: 2, 45: 3} == {at: calls(shown) for at, shown in seen.items()}


def test_series_begin_at_0(tmp_path: Path) -> None:
    """Whatever counts has a sample of 0 at the step before its first event, also in the middle of history."""
    seen = samples(document(tmp_path, [tool_call(10), tool_call(100, tool="late"), tool_call(200)]))
    late = {at: [item for item in shown if 'tool="late"' in item] for at, shown in seen.items()}

    assert [at for at, shown in late.items() if shown][:2] == [90, 105]
    assert {"0.0"} == {item.rpartition(" ")[2] for item in late[90]}
    assert 1 == calls(late[105])
    assert not [item for item in late[90] if "quantile=" in item]


def test_silence_pauses_the_samples(tmp_path: Path) -> None:
    """An hour after the last event the samples pause, up to the step before the next event, with what was then."""
    seen = samples(document(tmp_path, [tool_call(10), tool_call(10 * 3600)]))
    times = list(seen)

    assert [0, *range(15, 15 + 3600 + 1, 15), 36_000 - 15, 36_000] == times
    assert [1, 1, 2] == [calls(seen[at]) for at in times[-3:]]


def test_a_wrong_time_does_not_blow_up_the_output(tmp_path: Path) -> None:
    """One event of 1970 costs an hour of samples, not half a century of them."""
    lines = [json.dumps(json.loads(tool_call()) | {"ts": 1.5}).encode(), tool_call(1), tool_call(2)]

    assert 2 + 240 + 2 == len(samples(document(tmp_path, lines)))


def test_open_runs_end_with_their_time_out(tmp_path: Path) -> None:
    """A run without an event for the time-out is no longer in progress, by the time of the events of the others."""
    minutes = [line("step", 60 * minute, run_id="other", step=1, agent="a") for minute in range(1, 100)]
    seen = samples(document(tmp_path, [line("run.start", 5, agent="a"), *minutes], step=60))
    open_runs = {at: shown_value(shown, 'agent_runs_in_progress{agent="a"}') for at, shown in seen.items()}

    assert {2} == {value for at, value in open_runs.items() if 60 <= at <= 3600}
    assert {1} == {value for at, value in open_runs.items() if at > 3600 * 1.1}


def test_nothing_found(tmp_path: Path) -> None:
    """Without an event there is no sample, and the document is still one."""
    content = document(tmp_path, [b"{}"])

    assert {} == samples(content)
    assert content.endswith("# EOF\n")


@pytest.mark.parametrize(("words", "seconds"), [("15s", 15), ("1m", 60), ("1m30s", 90), ("1h", 3600)])
def test_step(words: str, seconds: int) -> None:
    """A step is written as Prometheus writes durations."""
    assert seconds == step_seconds(words)


@pytest.mark.parametrize("words", ["", "0s", "15", "500ms", "s", "-15s", "1s1m", "61m", "2h", "1d"])
def test_no_step(words: str) -> None:
    """What is no duration, or too short or too long, is told with what to write instead."""
    with pytest.raises(ValueError, match="write whole seconds, minutes or an hour: 15s, 1m, 1h"):
        step_seconds(words)


@settings(QUICK, max_examples=60)
@given(st.lists(st.integers(-50, 50)), st.sampled_from([0, 300, HELD]))
def test_spill_gives_back_everything_in_order(steps: list[int], held: int) -> None:
    """Whatever does not fit into memory, every value comes back once, with its step, in order."""
    spill = Spill(held)
    for place, step in enumerate(steps):
        spill.put(step, [place])
    given_back = list(spill.items())

    assert (len(steps), len(steps)) == (spill.values, spill.given)
    assert sorted(steps) == [step for step, _ in given_back]
    assert {(step, place) for place, step in enumerate(steps)} == {(step, place) for step, [place] in given_back}


def test_spill_has_room_on_disk_only() -> None:
    """Values beyond the cache are not in memory, and what cannot be stored on disk either is an error with a hint."""
    code = """
import random, resource
from extractor.errors import OutputError
from extractor.history.external_sort import Spill
spill = Spill(1 << 20)
block = random.Random(1).randbytes(10 << 10)
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
for place in range(15_000):
    spill.put(-place, block)
assert list(range(-14_999, 1)) == [step for step, _ in spill.items()]
resource.setrlimit(resource.RLIMIT_FSIZE, (155 << 20, 155 << 20))
try:
    for place in range(15_000):
        spill.put(-place, block)
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=DEADLINE)

    assert "" == done.stderr
    assert re.fullmatch(
        r"cannot store what was read so far: .* \(set TMPDIR to a folder with more room\)\n", done.stdout
    )


@cache
def narrow_catalog() -> Catalog:
    """A pack that tells two kinds apart."""
    schema = event_schema(
        "seen",
        {"kind": {"type": "string", "maxLength": 9}},
        {"agent_seen_total": {"type": "counter", "help": "Seen.", "labels": ["kind"]}},
        {"kind": "a"},
        **{"x-labels": {"kind": {"limit": 2}}},
    )
    with TemporaryDirectory() as folder:
        return write_pack(Path(folder) / "schemas", schema)


def document(
    folder: Path, *files: list[bytes], step: int = STEP, held: int = HELD, catalog: Catalog | None = None
) -> str:
    """The document that a backfill of *files* makes."""
    work = folder / f"work-{len(list(folder.iterdir()))}"
    logs = work / "logs"
    logs.mkdir(parents=True)
    for place, lines in enumerate(files):
        (logs / f"{place}.jsonl").write_bytes(b"".join(item + b"\n" for item in lines))
    backfill = Backfill(catalog or default_catalog(), Options((str(logs),)), seconds=step, held=held)
    backfill.read()
    out = work / "history.om"
    with Document(out) as output:
        written = backfill.write(output)
    content = out.read_text()

    lines_of_samples = [item for item in content.splitlines() if not item.startswith("#")]
    assert (None if written is None else written.samples) == (len(lines_of_samples) or None)
    if isinstance(written, Written):
        times = [int(item.rpartition(" ")[2]) for item in lines_of_samples]
        assert times == sorted(times)
        assert (written.first, written.last) == (times[0], times[-1])
    return content


def samples(content: str) -> Samples:
    """The samples of a document, by their time since `T0`."""
    found: Samples = defaultdict(list)
    for item in content.splitlines():
        if not item.startswith("#"):
            sample, _, time = item.rpartition(" ")
            found[int(time) - T0].append(sample)
    return dict(found)


def scraped(lines: list[bytes]) -> set[str]:
    """The samples of a scrape after *lines*."""
    return {item for item in without_exemplars(read(lines)) if not item.startswith("#")}


def without_exemplars(state: State) -> list[str]:
    """The lines of OpenMetrics as a backfill has them: the past has no exemplars."""
    return [item.partition(" # {")[0] for item in text(state, openmetrics=True).splitlines()]


def metadata_lines() -> list[str]:
    """What stands before the samples."""
    return metadata(default_catalog()).splitlines()


def calls(shown: list[str]) -> float:
    """How many calls of tools ended well, according to the samples *shown*."""
    return sum(
        float(item.rpartition(" ")[2])
        for item in shown
        if item.startswith("agent_tool_calls_total") and 'status="ok"' in item
    )


def shown_value(shown: list[str], series: str) -> float | None:
    """The value of *series* among the samples *shown*."""
    return next((float(item.rpartition(" ")[2]) for item in shown if item.startswith(series + " ")), None)
