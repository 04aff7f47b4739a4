"""What runs, calls, log records and bus events become when they are written with `extractor.emit`."""

import asyncio
import concurrent.futures
import json
from contextlib import suppress
from decimal import Decimal
from itertools import count

import pytest

from extractor import emit


@pytest.fixture
def path(tmp_path):
    """Where the log is."""
    return tmp_path / "agent.jsonl"


@pytest.fixture
def log(path):
    """A log whose timer goes on by 2 s each time it is read."""
    ticks = count(0, 2)
    return emit.Log(path, agent="planner", release="r1", timer=lambda: float(next(ticks)))


@pytest.fixture
def lines(path):
    """The lines so far, without what the log stamps on each."""

    def read():
        events = [json.loads(line) for line in path.read_bytes().splitlines()]
        stamps = ("ts", "writer", "seq", "run_id", "agent", "release")
        return [{name: value for name, value in event.items() if name not in stamps} for event in events]

    return read


def test_a_run_starts_and_completes(log, path, lines):
    """A run is two lines with the same id; the second says how it ended, how long it took and how many steps it had."""
    with log.run(agent="reader", release="r2", agent_type="worker", task="count", trace_id="t") as run:
        with run.step("plan"):
            pass
        with run.step("act") as step:
            step.add(note="done")

    assert [
        {"event": "run.start", "agent_type": "worker", "task": "count", "trace_id": "t"},
        {"event": "step", "status": "ok", "duration_ms": 2000.0, "step": 1, "type": "plan", "trace_id": "t"},
        {"event": "step", "status": "ok", "duration_ms": 2000.0, "step": 2, "type": "act", "note": "done"}
        | {"trace_id": "t"},
        {"event": "run.complete", "status": "ok", "stop_reason": "completed", "duration_ms": 10000.0, "steps": 2}
        | {"trace_id": "t"},
    ] == lines()
    envelopes = {
        (line["run_id"], line["agent"], line["release"]) for line in map(json.loads, path.read_bytes().splitlines())
    }
    assert {(run.id, "reader", "r2")} == envelopes


class ReadTimeout(Exception):  # noqa: N818 - named as in httpx
    """As httpx has it: no child of TimeoutError."""


@pytest.mark.parametrize(
    ("error", "status", "in_tool", "outside"),
    [
        (ValueError("secret"), "error", "tool_error", "step_error"),
        (TimeoutError(), "timeout", "timeout", "timeout"),
        (ReadTimeout(), "timeout", "timeout", "timeout"),
        (KeyboardInterrupt(), "cancelled", "cancelled", "cancelled"),
        (asyncio.CancelledError(), "cancelled", "cancelled", "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled", "cancelled", "cancelled"),
    ],
)
def test_an_exception_is_recorded_and_goes_on(log, path, lines, *, error, status, in_tool, outside):
    """Tool, step and run end with the status and the class of what passed through them, never with its text."""
    with pytest.raises(type(error)), log.run() as run, run.tool("search"):
        raise error
    with pytest.raises(type(error)), log.run():
        raise error

    name = type(error).__name__
    ends = [
        (line["event"], line["status"], line["error_class"], line.get("stop_reason"))
        for line in lines()
        if "status" in line
    ]

    assert [
        ("tool.call", status, name, None),
        ("run.complete", status, name, in_tool),
        ("run.complete", status, name, outside),
    ] == ends
    assert b"secret" not in path.read_bytes()


def test_a_handled_failure_does_not_fail_the_run(log, lines):
    """A tool whose exception the agent caught failed; the run that went on is ok, and what a call says stays."""
    with log.run() as run:
        with suppress(FileNotFoundError), run.tool("read", args={"path": "gone"}):
            raise FileNotFoundError
        with suppress(KeyError), run.tool("fetch") as call:
            call.fail("429", status="timeout")
            raise KeyError

    read, fetch, end = lines()[1:]

    assert ("error", "FileNotFoundError", 16) == (read["status"], read["error_class"], len(read["args_hash"]))
    assert ("timeout", "429") == (fetch["status"], fetch["error_class"])
    assert ("ok", "completed") == (end["status"], end["stop_reason"])


@pytest.mark.parametrize(
    ("reason", "status"), [("completed", "ok"), ("max_steps", "error"), ("timeout", "timeout"), ("loop", "error")]
)
def test_stop_says_why(reason, status, log, lines):
    """A run that stops itself ends with its own reason and what it adds, and a status that fits the reason."""
    with log.run() as run:
        run.stop(reason, cost_usd=Decimal("0.5"))

    end = lines()[-1]

    assert (status, reason, 0.5) == (end["status"], end["stop_reason"], end["cost_usd"])


def test_a_model_call_times_itself(log, lines):
    """In a `with`, the first token and the end are timed, and the usage set in between is counted."""
    with log.run() as run, run.llm("large") as call:
        call.first_token()
        call.first_token()
        call.usage = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}
        call.add(cost_usd=0.25)

    tokens = {"input_tokens": 7, "output_tokens": 5, "cache_read_input_tokens": 2}
    expected = {"event": "llm.call", "model": "large", "status": "ok", "ttft_ms": 2000.0, "duration_ms": 4000.0}

    assert expected | tokens | {"cost_usd": 0.25} == lines()[1]


def test_a_model_call_that_is_over_is_written_at_once(log, lines):
    """Given a duration, or a usage that has one, the line is written when `llm` is called."""
    with log.run() as run:
        run.llm("small", usage={"total_duration": 174560334, "prompt_eval_count": 42})
        run.llm("small", duration_ms=5, error=TimeoutError(), ttft_ms=None)

    ollama, failed = lines()[1:3]

    assert (174.560334, 42) == (ollama["duration_ms"], ollama["input_tokens"])
    expected = {"model": "small", "status": "timeout", "error_class": "TimeoutError", "duration_ms": 5}
    assert {"event": "llm.call"} | expected == failed


def test_one_line_events(log, lines):
    """A log and a run write the same events, and only the run's carry its id."""
    for writer in (log, log.run()):
        writer.cache_hit("prompt")
        writer.cache_miss()
        writer.loop_detected("search", repeats=3)
        writer.circuit("search", "half_open")
        writer.tool_error(LookupError("x"), tool="serach")
        writer.task_complete("success", duration_ms=7)

    expected = [
        {"event": "cache.hit", "cache": "prompt"},
        {"event": "cache.miss"},
        {"event": "loop.detected", "tool": "search", "repeats": 3},
        {"event": "circuit.half_open", "circuit": "search"},
        {"event": "tool.error", "error_class": "LookupError", "tool": "serach"},
        {"event": "task.complete", "status": "success", "duration_ms": 7},
    ]

    assert expected * 2 == lines()


def test_an_event_within_a_run_is_of_that_run(log, path):
    """What is written to the log itself within a run, as a cache deep in the agent does, carries the run's fields."""
    with log.run(release="r2", trace_id="t") as outer:
        with log.run() as inner:
            log.cache_hit()
        log.event("cache.hit", run_id="another")
        log.cache_miss()
    log.cache_hit()

    of = [json.loads(line) for line in path.read_bytes().splitlines()]
    found = [(line.get("run_id"), line["release"], line.get("trace_id")) for line in of if "cache" in line["event"]]

    assert [(inner.id, "r1", None), ("another", "r1", None), (outer.id, "r2", "t"), (None, "r1", None)] == found


def test_a_run_may_end_in_another_context(log, lines):
    """A run in an asynchronous generator that the loop closes ends like any other."""

    async def pieces():
        with log.run():
            yield 1

    async def take_one() -> None:
        generator = pieces()
        await asyncio.create_task(anext(generator))
        await generator.aclose()

    asyncio.run(take_one())

    assert ("run.complete", "cancelled") == (lines()[-1]["event"], lines()[-1]["status"])


def test_tasks_of_asyncio_do_not_mix(log, lines):
    """Calls of one run that overlap in time each keep their own duration and outcome."""

    async def work() -> None:
        entered = asyncio.Event()

        async def outer() -> None:
            with run.tool("outer"):
                entered.set()
                await asyncio.Event().wait()

        with log.run() as run:
            task = asyncio.create_task(outer())
            await entered.wait()
            with run.tool("inner"):
                pass
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())

    calls = [(line["tool"], line["status"], line["duration_ms"]) for line in lines() if line["event"] == "tool.call"]

    assert [("inner", "ok", 2000.0), ("outer", "cancelled", 6000.0)] == calls
