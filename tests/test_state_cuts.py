"""However events are spread over states, and in whatever order these are merged, the same is shown in the end."""

import json
from math import inf

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from extractor.schema.model import Catalog
from extractor.state.state import State
from tests.reading import T0, event_schema, line, read, sampled, text, write_pack
from tests.test_state import apart, events_at, merged

QUICK = settings(deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate), max_examples=60)

LONG = st.one_of(st.integers(0, 40), st.integers(0, 40_000)).map(lambda at: T0 + at)
"""Seconds within ten time-outs of a run, often the same ones."""

_AGENTS = {"r1": "a", "r2": "b", "r3": None}


def one_agent_each(line: bytes) -> bytes:
    """The event, with an agent that does not change within a run."""
    event = json.loads(line)
    return json.dumps(event | {"agent": _AGENTS[event["run_id"]]}).encode()


Spread = tuple[list[bytes], list[list[bytes]]]


@st.composite
def spread(draw: st.DrawFn, lines: st.SearchStrategy[bytes], parts: int = 4) -> Spread:
    """Lines, and the same lines dealt out to some parts, in another order."""
    every = apart(draw(st.lists(lines, max_size=18)))
    dealt: list[list[bytes]] = [[] for _ in range(parts)]
    for place in draw(st.permutations(range(len(every)))):
        dealt[draw(st.integers(0, parts - 1))].append(every[place])
    return every, dealt


def shown(state: State) -> tuple[object, ...]:
    """Everything that can be seen of *state* in the end."""
    state.limit()
    return (
        text(state),
        text(state, openmetrics=True),
        state.watermark,
        state.clamped,
        state.open_runs(),
        state.overflow(),
    )


def travelled(state: State) -> State:
    """*state* as it comes out of another process."""
    packed = msgspec.msgpack.encode(state.dump())
    other = State(state.catalog, limited=False)
    assert [] == other.load(msgspec.msgpack.decode(packed))
    return other


@QUICK
@given(spread(events_at(LONG).map(one_agent_each)), st.lists(st.integers(0, 5), max_size=4))
def test_any_spread_gives_one_pass(stream: Spread, order: list[int]) -> None:
    """Also where runs are silent for longer than the time-out, and a part has nothing of what bridges the silence."""
    lines, parts = stream
    whole = read(sorted(lines, key=lambda line: json.loads(line)["ts"]), limited=False)

    joined = merged([travelled(read(part, limited=False)) for part in parts], order)

    assert shown(whole) == shown(joined)


def test_run_that_changes_its_agent() -> None:
    """Each agent that a run ever had has its series, also if the run changes it within an epoch."""
    lines = [line("step", at, step=1, agent=agent) for at, agent in ((0, "a"), (1, "b"))]
    whole = read(lines, limited=False)

    assert shown(whole) == shown(merged([read([each], limited=False) for each in lines], []))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A pack with metrics of every kind and room for two values of a label, or for few series."""
    help_text = {"help": "Work."}
    labels = {"labels": ["queue", "outcome"]}
    schema = event_schema(
        "work",
        {
            "queue": {"type": "string", "maxLength": 9},
            "outcome": {"enum": ["done", "lost"]},
            "ms": {"type": "number", "minimum": 0},
        },
        {
            "work_total": {"type": "counter", **help_text, **labels},
            "work_few_total": {"type": "counter", **help_text, **labels, "limit": 3},
            "work_seconds": {"type": "histogram", **help_text, **labels, "value": "ms", "unit": "ms", "buckets": [1]},
            "work_quantile_seconds": {"type": "summary", **help_text, **labels, "value": "ms", "unit": "ms"},
            "work_last_seconds": {"type": "gauge", **help_text, "labels": ["queue"], "value": "ms", "unit": "ms"},
            "work_open": {"type": "gauge", **help_text, "labels": ["queue"], "value": {"run": "open"}},
        },
        {"queue": "q", "outcome": "done", "ms": 1},
        **{"x-labels": {"queue": {"limit": 2}}, "x-run": "start"},
    )
    return write_pack(tmp_path_factory.mktemp("narrow") / "pack", schema)


WORK = st.fixed_dictionaries(
    {
        "event": st.just("work"),
        "ts": LONG,
        "queue": st.sampled_from(["a", "b", "c", "d", "__other__", ""]),
        "outcome": st.sampled_from(["done", "lost"]),
        "ms": st.one_of(st.integers(0, 5000), st.floats(1e-18, 1e4)),
    }
).map(lambda event: json.dumps(event | {"run_id": f"run of {event['queue']}"}).encode())


@QUICK
@given(spread(WORK), st.lists(st.integers(0, 5), max_size=4))
def test_any_spread_past_the_limits(narrow: Catalog, stream: Spread, order: list[int]) -> None:
    """Which label values are told apart, and how many events were folded, follows from the times of events alone."""
    lines, parts = stream
    whole = read(lines, narrow, limited=False)

    joined = merged([travelled(read(part, narrow, limited=False)) for part in parts], order)

    assert shown(whole) == shown(joined)


@QUICK
@given(spread(WORK))
def test_limits_change_nothing_below_them(narrow: Catalog, stream: Spread) -> None:
    """As long as no limit is reached, what is counted in parts is what is counted by one who follows the log."""
    lines = sorted((line for line in stream[0] if b'"a"' in line), key=lambda line: json.loads(line)["ts"])

    assert shown(read(lines, narrow)) == shown(read(lines, narrow, limited=False))


def test_run_is_forgotten_only_when_no_event_can_reach_it() -> None:
    """With too many runs, those are forgotten that were silent for long before the earliest event still to come."""
    state = read([line("step", 3600 * hour, step=1, run_id=f"r{hour}") for hour in range(6)], limited=False)
    state.bound(6, T0 + 3600 * 9)
    state.bound(2, inf)

    assert 6 == len(state.accounts["agent"].runs.known)
    state.bound(5, T0 + 3600 * 5)
    assert ["r3", "r4", "r5"] == sorted(state.accounts["agent"].runs.known)
    state.bound(2, T0 + 3600 * 9)
    assert [] == sorted(state.accounts["agent"].runs.known)


def test_stretches_are_kept_apart_until_they_are_joined() -> None:
    """Two stretches of a run with a long silence between them are one once an event is found that lies in between."""
    ends = [line("step", at, step=1, agent="a") for at in (0, 6000)]
    state = read(ends, limited=False)
    assert 2 == state.accounts["agent"].runs.held
    state.merge(read([line("step", 3000, step=1)], limited=False))

    assert 1 == state.accounts["agent"].runs.held
    state.limit()
    assert {("a",): 1.0} == sampled(state, "agent_runs_in_progress")
