"""The time between two events with the same key is observed once, the same however the log is cut."""

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from extractor.schema.model import Catalog
from extractor.state.state import State
from tests.reading import Reader, event_schema, line, read, sampled, write_pack
from tests.test_state import merged

QUICK = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate), max_examples=150)
KEY = {"call_id": {"type": ["string", "integer", "null"]}}
TOOL = {"tool": {"enum": ["s", "t"]}}
SECONDS = "agent_work_seconds"
TIMEOUT = 3600.0


@cache
def catalog() -> Catalog:
    """A pack whose tools write when they start and when they end."""
    value = {"since": "tool.start", "key": "call_id"}
    histogram = {"type": "histogram", "help": "Time of work.", "labels": ["tool"], "value": value, "buckets": [1, 10]}
    summary = {"type": "summary", "help": "Time of work lately.", "labels": ["tool"], "value": value}
    metrics = {SECONDS: histogram, "agent_work_quantile_seconds": summary}
    failed = {"agent_work_failed_seconds": {**histogram, "help": "Time until failure.", "labels": []}}
    starts = {"agent_work_starts_total": {"type": "counter", "help": "Starts of work."}}
    with TemporaryDirectory() as folder:
        return write_pack(
            Path(folder),
            event_schema("tool.start", KEY, starts, {"call_id": "c"}),
            event_schema("tool.fail", KEY, failed, {"call_id": "c"}),
            event_schema("tool.end", KEY | TOOL, metrics, {"call_id": "c", "tool": "s"}),
        )


def start(at: float, key: object = "c", **fields: Any) -> bytes:
    """A tool starts."""
    return line("tool.start", at, call_id=key, **fields)


def end(at: float, key: object = "c", **fields: Any) -> bytes:
    """A tool ends."""
    return line("tool.end", at, call_id=key, **({"tool": "s"} | fields))


def whole(lines: list[bytes]) -> State:
    """The state of *lines* at the end of the log."""
    state = read(lines, catalog(), limited=False)
    state.limit()
    state.sweep(end=True)
    return state


def observed(state: State) -> tuple[float, float]:
    """How many times were observed for tool `s`, and their sum."""
    return sampled(state, f"{SECONDS}_count")["s",], sampled(state, f"{SECONDS}_sum")["s",]


def unended(state: State) -> int:
    """How many starts were forgotten."""
    return sum(accounts.unended for accounts in state.accounts.values())


def test_from_start_to_end():
    """The seconds from a start to the end with its key are observed, in every metric that asks for them."""
    state = whole([start(0), start(1, "d"), end(2.5), end(5, "d")])

    assert (2, 6.5) == observed(state)
    assert 0 == sampled(state, f"{SECONDS}_bucket")["s", "1.0"]
    assert 2 == sampled(state, f"{SECONDS}_bucket")["s", "10.0"]
    assert 4.0 == round(sampled(state, "agent_work_quantile_seconds")["s", "0.99"], 1)


def test_what_does_not_belong_together():
    """Another key or another run is another interval; without a key, a start, or a start before it, an end has none."""
    assert (0, 0) == observed(whole([start(0), end(1, "d")]))
    assert (0, 0) == observed(whole([start(0), end(1, run_id="run-2")]))
    assert (0, 0) == observed(whole([start(0, None), end(1, None)]))
    assert (0, 0) == observed(whole([end(0), start(1)]))
    assert (1, 1) == observed(whole([start(0, 7), end(1, "7")]))


def test_a_start_is_used_once():
    """An end belongs to the last start before it, and a second end to none."""
    assert (1, 1) == observed(whole([start(0), start(1), end(2), end(3)]))
    assert (2, 2) == observed(whole([start(0), end(1), start(2), end(3)]))


def test_several_ends():
    """Whichever end comes, it is the end."""
    state = whole([start(0), line("tool.fail", 2, call_id="c"), end(3), start(4), end(9)])

    assert (1, 5) == observed(state)
    assert {(): 2.0} == sampled(state, "agent_work_failed_seconds_sum")
    assert 0 == unended(state)


def test_a_start_without_an_end():
    """A start whose end has not come after the time-out is forgotten and counted, and so is one that begins again."""
    state = whole([start(0), end(TIMEOUT + 0.5), start(TIMEOUT, "d"), line("tool.start", TIMEOUT + 30)])

    assert (0, 0) == observed(state)
    assert 1 == unended(state)
    assert 1 == unended(whole([start(0), start(1), end(2)]))
    assert 1 == unended(whole([start(0), start(TIMEOUT + 30, "d")]))
    assert (1, TIMEOUT) == observed(whole([start(0), end(TIMEOUT)]))


def test_live_it_is_observed_soon():
    """An interval is observed a linger after its end, in whatever order its lines were read."""
    reader = Reader(catalog())
    reader.lines([end(4)])
    reader.lines([start(1)])
    before = sampled(reader.state, f"{SECONDS}_count")
    reader.lines([start(30, "d")])

    assert 0 == before["s",]
    assert (1, 3) == observed(reader.state)


def test_what_is_remembered_is_bounded():
    """Of more starts than runs may be open the oldest are forgotten, and counted; what is over leaves nothing."""
    reader = Reader(catalog(), max_open_runs=50)
    for begin in range(0, 3000, 30):
        reader.lines([start(begin, f"{begin}-{i}") for i in range(40)])
        reader.lines([start(begin, "over"), end(begin + 1, "over")])
    [(_, kept)] = reader.state.accounts["agent"].intervals

    assert len(kept) < 150
    assert unended(reader.state) > 3000
    assert 98 <= observed(reader.state)[0] <= 100


EVENTS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 60), st.integers(0, 12_000)),
        st.sampled_from([start, start, end, end]),
        st.sampled_from(["c", "d", 7, None]),
        st.sampled_from(["r1", "r2"]),
    ),
    max_size=25,
    unique_by=lambda event: event[0],
).map(lambda events: [write(at, key, run_id=run) for at, write, key, run in sorted(events, key=lambda event: event[0])])


def looked_for(lines: list[bytes]) -> tuple[int, float]:
    """The intervals by the word: remember the last start, and take it away when its end comes."""
    starts: dict[tuple[object, object], float] = {}
    found: dict[str, float] = defaultdict(float)
    for event in map(json.loads, lines):
        key = event["run_id"], event["call_id"]
        if event["call_id"] is None:
            continue
        if event["event"] == "tool.start":
            starts[key] = event["ts"]
        elif key in starts and (seconds := event["ts"] - starts.pop(key)) <= TIMEOUT:
            found["count"] += 1
            found["sum"] += seconds
    return int(found["count"]), found["sum"]


LATER = line("tool.start", 100_000, run_id="r3")


@QUICK
@given(EVENTS, st.randoms(use_true_random=False), st.lists(st.integers(0, 5), max_size=4), st.integers(1, 5))
def test_any_cut_and_live_observe_the_same(lines: list[bytes], random: Random, order: list[int], some: int):
    """Spread over states and merged in any order, or read bit by bit and saved between: the same is observed."""
    parts: list[list[bytes]] = [[] for _ in range(3)]
    for each in random.sample([*lines, LATER], len(lines) + 1):
        random.choice(parts).append(each)
    state = merged([travelled(read(part, catalog(), limited=False), limited=False) for part in parts], order)
    state.limit()
    state.sweep(end=True)
    reader = Reader(catalog())
    for begin in range(0, len(lines), some):
        reader.lines(lines[begin : begin + some])
        after = Reader(catalog())
        assert [] == after.state.load(msgspec.msgpack.decode(msgspec.msgpack.encode(reader.state.dump())))
        reader = after
    reader.lines([LATER])

    expected = looked_for(lines)
    assert (expected, expected) == (observed(state), observed(reader.state))
    assert unended(state) == unended(reader.state)


def travelled(state: State, *, limited: bool) -> State:
    """*state* as it comes out of another process."""
    other = State(state.catalog, limited=limited)
    assert [] == other.load(msgspec.msgpack.decode(msgspec.msgpack.encode(state.dump())))
    return other
