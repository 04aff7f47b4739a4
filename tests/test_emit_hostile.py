"""What an agent may pass to `extractor.emit`: it never fails, and what makes sense is an event of the default pack."""

import logging
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor import emit
from extractor.events.reader import Event, Reason, Reject, read_line
from tests.reading import default_catalog

PACK = default_catalog().default_pack


class Hostile:
    """What raises whatever it is asked."""

    def _raise(self, *_: object) -> None:
        raise RuntimeError("asked")

    __str__ = __repr__ = __bool__ = __iter__ = __len__ = __contains__ = __hash__ = _raise  # type: ignore[assignment]
    __eq__ = __lt__ = __int__ = __float__ = __getitem__ = keys = items = get = _raise  # type: ignore[assignment]

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """As a proxy has it that stands for nothing yet."""
        raise RuntimeError("asked")


class HostileMapping(dict[str, object]):
    """A mapping that raises when it is read."""

    def items(self) -> None:  # type: ignore[override]
        """Fail."""
        raise RuntimeError("asked")


class HostileMeta(type):
    """A class that has no name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        """Fail."""
        raise RuntimeError("asked")


@dataclass
class Node:
    """What knows others that know it."""

    others: list["Node"]


def mesh() -> Node:
    """Twelve nodes that all know each other: there are a hundred million ways through them."""
    nodes = [Node([]) for _ in range(12)]
    for node in nodes:
        node.others = nodes
    return nodes[0]


def deep() -> list:
    """Five thousand lists in each other."""
    value: list = []
    for _ in range(5000):
        value = [value]
    return value


# Made when they are wanted: pytest would ask them, too.
VALUES: dict[str, Callable[[], object]] = {
    "object": Hostile,
    "mapping": lambda: HostileMapping(a=1),
    "nameless": HostileMeta("Nameless", (), {}),
    "mesh": mesh,
    "deep": deep,
    "list": lambda: [Hostile()],
    "dict": lambda: {"a": Hostile()},
}


@pytest.fixture
def path(tmp_path):
    """Where the log is."""
    return tmp_path / "agent.jsonl"


def lines(path: Path) -> list[dict]:
    """The lines so far, as a strict reader has them."""
    return [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line]


@pytest.mark.parametrize("kind", VALUES)
def test_no_value_makes_an_agent_fail(kind, path):
    """As a field, an argument, a usage, an error or a name: no call raises, and all lines are there or counted."""
    value: Any = VALUES[kind]()
    log = emit.Log(path, agent=value, team=value)
    bus = emit.subscriber(log)
    with log.run(run_id=value, release=value, task=value, extra=value) as run:
        with run.step(value), run.tool(value, args=value) as tool:
            tool.add(value=value)
            tool.fail(value, status=value)
        with run.llm("large") as call:
            call.usage = value
        run.llm("large", usage={"input_tokens": value, "input_tokens_details": value}, duration_ms=1)
        run.cache_hit(value)
        run.tool_error(value)
        run.stop(value, status=value, note=value)
    with suppress(KeyError), log.run() as run, run.tool("search") as tool:
        run.stop("completed", status=value)
        tool.fail("failed", status=value)
        raise KeyError
    log.event("any", value=value)
    bus("any", {"value": value})
    bus(value)
    bus("any", value)

    assert len(lines(path)) + log.dropped == 15
    assert max(map(len, path.read_bytes().split(b"\n"))) < 1 << 20
    assert isinstance(run.id, str)


def test_records_that_raise_are_reported_by_logging(path, capsys):
    """A record whose parts raise is written to standard error, as `logging` does, and the agent goes on."""
    logger = logging.Logger("agent")  # noqa: LOG001 - not in the tree of loggers
    logger.addHandler(emit.Handler(emit.Log(path), others="log"))
    logger.error("%d", "no number")
    logger.error("x", extra={"event": Hostile()})
    logger.error("x", extra={"value": Hostile()})

    assert 1 == len(lines(path))
    assert 2 == capsys.readouterr().err.count("--- Logging error ---")


def test_a_deep_value_is_cut_whatever_python_can_hold(path):
    """Also where an agent has raised the limit of recursion, a line is not nested deeper than readers can follow."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        emit.Log(path).event("any", value=deep(), wide=[[]] * 2000)
    finally:
        sys.setrecursionlimit(limit)
    [line] = lines(path)

    depth, value = 0, line["value"]
    while value != "...":
        depth, [value] = depth + 1, value

    assert 101 == depth
    assert [[]] * 2000 == line["wide"]


def test_a_run_may_be_ended_twice(path):
    """An agent that ends a run by hand, and once more by mistake, goes on."""
    run = emit.Log(path).run()
    run.__enter__()
    run.__exit__(None, None, None)
    run.__exit__(None, None, None)

    assert ["run.start", "run.complete", "run.complete"] == [line["event"] for line in lines(path)]


@pytest.mark.parametrize("run_id", [42, 0, UUID(int=7), b"id", "\ud800"])
def test_a_run_id_is_text(run_id, path):
    """A number out of a database is an id as well; the run and all of its lines have the same."""
    who: Any = {"agent": 7, "release": 1.5}
    with emit.Log(path, **who).run(run_id=run_id) as run:
        run.cache_hit()

    for line in path.read_bytes().splitlines():
        assert isinstance(read_line(line, PACK, inf), Event)
    assert {run.id.encode("utf-8", "replace").decode()} == {line["run_id"] for line in lines(path)}


@pytest.mark.parametrize("now", [math.nan, inf, -inf, 1e300, "now", None])
def test_a_clock_that_is_wrong_costs_lines_only(now, path):
    """What is no time cannot be written as one."""
    log = emit.Log(path, clock=lambda: now)
    log.event("any")

    assert 1 == log.dropped


@pytest.mark.parametrize("now", [0, 2**31, 4e9, 2e11])
def test_a_clock_that_jumps_writes_times(now, path):
    """Whatever year from 1970 on the clock is in, a line has a time that its readers understand."""
    emit.Log(path, clock=lambda: now).event("cache.hit", run_id="r")
    [line] = path.read_bytes().splitlines()
    event = read_line(line, PACK, inf)

    assert isinstance(event, Event)
    assert now == event.time


@pytest.mark.parametrize("now", [-1, -6e10])
def test_a_clock_before_1970_is_named_by_the_reader(now, path):
    """A clock that was never set costs no line: each is kept as a reject, and the reason is its time."""
    emit.Log(path, clock=lambda: now).event("cache.hit", run_id="r")
    [line] = path.read_bytes().splitlines()
    reject = read_line(line, PACK, inf)

    assert isinstance(reject, Reject)
    assert Reason.BAD_TIME == reject.reason


names = st.text(st.characters(exclude_categories=()), min_size=1, max_size=128)
maybe = st.none() | names
amounts = st.integers(0, 10**12) | st.just(0.0) | st.floats(1e-18, 1e12)
usages = st.fixed_dictionaries(
    {}, optional={name: st.integers(0, 10**18) for name in ("input_tokens", "output_tokens", "prompt_tokens")}
)
rest = st.dictionaries(st.sampled_from(["note", "message", "trace_id"]), st.recursive(names | st.floats(), st.lists))


@given(
    who=st.fixed_dictionaries({"agent": maybe, "release": maybe}),
    texts=st.tuples(st.tuples(*[names] * 5), st.tuples(*[maybe] * 3)),
    amounts=st.tuples(*[amounts] * 3),
    usage=usages,
    rest=rest,
)
def test_what_makes_sense_is_an_event_of_the_default_pack(who, texts, amounts, usage, rest):
    """Any texts for names and any amounts: of all calls there are, no line is rejected."""
    names, maybe = texts
    ticks = count()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "agent.jsonl"
        log = emit.Log(path, **who, timer=lambda: float(next(ticks)))
        with log.run(run_id=names[0], task=maybe[0], agent_type=maybe[1], **rest) as run:
            with run.step(maybe[2], **rest), run.tool(names[1], args=rest, cost_usd=amounts[0]) as tool:
                tool.fail(names[2])
            with run.llm(names[3]) as call:
                call.first_token()
                call.usage = usage
            run.llm(names[3], usage=SimpleNamespace(**usage), duration_ms=amounts[1], error=names[2])
            run.cache_hit(maybe[0])
            run.cache_miss(maybe[1])
            run.loop_detected(names[1], repeats=3)
            run.circuit(names[4], "open")
            run.tool_error(names[2], tool=maybe[2])
            run.stop(names[4], cost_usd=amounts[2])
        run.task_complete("failure", duration_ms=amounts[2], **rest)
        judged = [read_line(line, PACK, inf) for line in path.read_bytes().splitlines()]

    assert 0 == log.dropped
    assert [] == [verdict for verdict in judged if not isinstance(verdict, Event)]
    assert 12 == len(judged)
