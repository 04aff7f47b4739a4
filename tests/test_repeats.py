"""Loops are found by what an agent does, the same however its log is cut; what it reports itself counts once."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from extractor.state.state import State
from tests.reading import T0, Reader, default_catalog, event_schema, line, read, sampled, tool_call, write_pack
from tests.test_state import merged

QUICK = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate), max_examples=150)
LOOPS = "agent_loop_detections_total"
LINGER = 15.0
"""Seconds: a linger of 5, and a slot."""

Found = dict[tuple[str, ...], float]


def call(at: float, args: str | None = "x", **fields: object) -> bytes:
    """A call of a tool of the agent `a`."""
    return tool_call(at, **({"args_hash": args, "agent": "a", "release": "1"} | fields))


def report(at: float, **fields: object) -> bytes:
    """The agent's own report of a loop."""
    return line("loop.detected", at, **({"agent": "a", "release": "1"} | fields))


def loops(lines: Iterable[bytes]) -> Found:
    """The loops in *lines*, by agent, tool and release, once the log is at its end."""
    state = read(lines, limited=False)
    state.limit()
    state.sweep(end=True)
    return counted(state)


def counted(state: State) -> Found:
    """The loops that *state* shows."""
    return {labels: value for labels, value in sampled(state, LOOPS).items() if value}


ONE = {("a", "search", "1"): 1.0}


def test_the_third_call_is_a_loop():
    """The same tool with the same arguments three times among eight calls is one loop, and two times is none."""
    assert {} == loops([call(0), call(1)])
    assert ONE == loops([call(0), call(1), call(2)])
    assert ONE == loops([call(0), *(call(at, str(at)) for at in range(1, 6)), call(6), call(7)])
    assert {} == loops([call(0), *(call(at, str(at)) for at in range(1, 7)), call(7), call(8)])


def test_a_loop_that_goes_on_is_one():
    """A loop is counted again only after there were fewer than three."""
    others = [call(at, str(at)) for at in range(20, 26)]

    assert ONE == loops([call(at) for at in range(12)])
    assert ONE == loops([call(at, "x" if at in {0, 3, 6, 8} else str(at)) for at in range(9)])
    assert {("a", "search", "1"): 2.0} == loops(
        [*(call(at) for at in range(12)), *others, call(30), call(31), call(32)]
    )


def test_what_is_alike():
    """Other arguments, another tool or another run make another call; without a hash a call is like no other."""
    assert {} == loops([call(0), call(1, "y"), call(2)])
    assert {} == loops([call(0), call(1, tool="read"), call(2)])
    assert {} == loops([call(0), call(1, run_id="run-2"), call(2)])
    assert {} == loops([call(at, None) for at in range(9)])
    assert {} == loops([call(at, "") for at in range(9)])


def test_a_call_without_a_hash_takes_a_place():
    """Calls that do not say their arguments are among the eight."""
    assert ONE == loops([call(0), call(1), *(call(at, None) for at in range(2, 7)), call(7)])
    assert {} == loops([call(0), call(1), *(call(at, None) for at in range(2, 8)), call(8)])


@pytest.mark.parametrize("at", [0.5, 2.5, 16.9])
def test_a_report_counts_once(at: float):
    """What the agent reports itself is counted by its report alone: before the third call, or until a linger after."""
    assert ONE == loops([call(0), call(1), call(2), report(at, tool="search")])
    assert {("a", "unknown", "1"): 1.0} == loops([call(0), call(1), call(2), report(at)])


def test_a_report_of_something_else():
    """The report of another tool or run, or one that comes too late, leaves a loop a loop."""
    third = [call(0), call(1), call(2)]

    assert ONE | {("a", "read", "1"): 1.0} == loops([*third, report(2.5, tool="read")])
    assert {("a", "search", "1"): 2.0} == loops([*third, report(2.5, tool="search", run_id="run-2")])
    assert {("a", "search", "1"): 2.0} == loops([*third, report(17.1, tool="search")])


def test_a_run_that_reports_has_a_guard():
    """After its first report a run's guard is trusted with that tool, to its end."""
    second = [call(at, "y") for at in range(100, 103)]

    assert ONE == loops([call(0), call(1), call(2), report(3, tool="search"), *second])
    assert ONE | {("a", "read", "1"): 1.0} == loops([report(3, tool="read"), *second])


def test_after_the_end():
    """What a run calls more than a linger after its end is no loop of it."""
    end = line("run.complete", 2, status="ok", stop_reason="done", duration_ms=1)

    assert ONE == loops([call(0), call(1), end, call(3)])
    assert {} == loops([call(0), call(1), end, call(40)])


def test_a_stuck_run_shows_at_once():
    """A loop is counted a linger after its third call, while the run goes on."""
    reader = Reader(default_catalog())
    reader.lines([call(0), call(1), call(2), line("step", 15, step=1)])
    before = sampled(reader.state, LOOPS)
    reader.lines([line("step", 30, step=2)])

    assert {("a", "search", "1"): 0.0} == before
    assert ONE == counted(reader.state)


def test_a_stuck_run_shows_when_nothing_else_happens():
    """Time goes on while nobody writes."""
    reader = Reader(default_catalog())
    reader.lines([call(0), call(1), call(2)])
    reader.state.idle = 30.0
    reader.state.sweep()

    assert ONE == counted(reader.state)


def test_what_is_remembered_is_bounded():
    """Of a run that never ends no more is kept than its last calls, and of one that has ended nothing."""
    reader = Reader(default_catalog())
    for begin in range(0, 6000, 60):
        reader.lines([call(begin + at, run_id=run) for at in range(60) for run in ("run-1", f"run-{begin + 2}")])
        end = {"status": "ok", "stop_reason": "done", "duration_ms": 1}
        reader.lines([line("run.complete", begin + 59, run_id=f"run-{begin + 2}", **end)])
    reader.lines([line("step", 6100, step=1)])
    [(_, repeats)] = reader.state.accounts["agent"].repeats
    names, _, calls, before, _ = repeats.kept()

    assert len(calls.runs) < 200
    assert len(names) < 3
    assert {"run-1": 8 * 16} == {name: len(packed) for name, packed in before.items()}


def test_arguments_of_any_kind(tmp_path: Path):
    """Text of any length and alphabet, numbers and several properties are compared for what they are."""
    properties = {
        "path": {"type": ["string", "null"]},
        "line": {"type": ["integer", "null"]},
        "deep": {"type": "string"},
    }
    value = {"repeats": {"of": ["path", "line"], "times": 2, "within": 3}}
    metrics = {"agent_edits_again_total": {"type": "counter", "help": "Edits again.", "value": value}}
    catalog = write_pack(tmp_path / "pack", event_schema("edit", properties, metrics, {"path": "p", "line": 1}))
    paths = ["é", "é", "b" * 17, "b" * 17, "", "", None, None, "c" * 8, "c" * 9, "d", "d", "e", "e"]
    numbers = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, None, None]
    edits = [
        line("edit", at, path=path, line=number) for at, (path, number) in enumerate(zip(paths, numbers, strict=True))
    ]
    state = read(edits, catalog, limited=False)
    state.limit()
    state.sweep(end=True)

    assert {(): 2.0} == sampled(state, "agent_edits_again_total")


ARGS = st.sampled_from(["x", "x", "x", "y", "é", None])
WHICH = {"run_id": st.sampled_from(["r1", "r2"]), "tool": st.sampled_from(["s", "t"])}
WHEN = st.integers(0, 90).map(lambda at: T0 + at * 2)
EVENT = st.one_of(
    st.fixed_dictionaries(
        WHICH | {"event": st.just("tool.call"), "args_hash": ARGS, "status": st.just("ok"), "duration_ms": st.just(1)}
    ),
    st.fixed_dictionaries({"event": st.just("loop.detected")} | WHICH | {"tool": st.sampled_from(["s", "t", None])}),
)
MOSTLY_CALLS = st.lists(st.tuples(WHEN, EVENT), min_size=8, max_size=40, unique_by=lambda item: item[0]).map(
    lambda items: [event | {"ts": at} for at, event in items]
)


def looked_for(events: Iterable[dict[str, object]]) -> Found:
    """The loops by the word: look at the last eight calls of a run after each of them."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    in_time = sorted(events, key=lambda event: float(str(event["ts"])))
    told = [event for event in in_time if event["event"] == "loop.detected"]
    past: dict[object, list[tuple[object, object]]] = defaultdict(list)
    for event in in_time:
        if event["event"] == "loop.detected":
            found["unknown", str(event["tool"] or "unknown"), "unknown"] += 1
            continue
        calls, this = past[event["run_id"]], (event["tool"], event["args_hash"])
        before = calls[-8:].count(this)
        calls.append(this)
        until = float(str(event["ts"])) + LINGER
        known = any(
            each["run_id"] == event["run_id"]
            and each["tool"] in {None, event["tool"]}
            and float(str(each["ts"])) <= until
            for each in told
        )
        if event["args_hash"] and before < 3 <= calls[-8:].count(this) and not known:
            found["unknown", str(event["tool"]), "unknown"] += 1
    return dict(found)


@QUICK
@given(MOSTLY_CALLS, st.randoms(use_true_random=False), st.lists(st.integers(0, 5), max_size=4))
def test_any_cut_finds_the_same(events: list[dict[str, object]], random: Random, order: list[int]):
    """Spread over states in any way, and merged in any order, the calls have the loops that one sees there."""
    parts: list[list[bytes]] = [[] for _ in range(3)]
    for event in random.sample(events, len(events)):
        random.choice(parts).append(json.dumps(event).encode())
    state = merged([travelled(read(part, limited=False)) for part in parts], order)
    state.limit()
    state.sweep(end=True)

    assert looked_for(events) == counted(state)


@QUICK
@given(MOSTLY_CALLS, st.data())
def test_live_finds_the_same(events: list[dict[str, object]], data: st.DataObject):
    """Read a few lines at a time, with the state saved and loaded in between, the same is found."""
    in_time = sorted(events, key=lambda event: float(str(event["ts"])))
    reader = Reader(default_catalog())
    while in_time:
        some = data.draw(st.integers(1, 6))
        reader.lines(json.dumps(event).encode() for event in in_time[:some])
        del in_time[:some]
        after = Reader(default_catalog())
        assert [] == after.state.load(msgspec.msgpack.decode(msgspec.msgpack.encode(reader.state.dump())))
        reader = after
    reader.lines([line("step", 1000, step=1, run_id="r3")])

    assert looked_for(events) == counted(reader.state)


def travelled(state: State) -> State:
    """*state* as it comes out of another process."""
    other = State(state.catalog, limited=False)
    assert [] == other.load(msgspec.msgpack.decode(msgspec.msgpack.encode(state.dump())))
    return other
