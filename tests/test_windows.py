"""Windows of event time: every event is in the window of its time, in whatever order events come."""

from collections import Counter
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.ingest.pipeline import Pipeline
from extractor.report.windows import PARTS, Cut, Windows
from extractor.state.stats import Stats
from extractor.tail.line_buffer import Blob
from tests.reading import T0, Sampled, default_catalog, line, sampled, tool_call

SECONDS = 60
PART = SECONDS / PARTS

TIMES = st.lists(st.integers(0, 400).map(lambda half: half / 2), max_size=25)


def cut(blobs: list[list[bytes]], until: float | None = None, seen: float = -inf, timeout: float = 3600.0) -> Cut:
    """The windows after *blobs* of lines, each read at once; what is read is folded after every third of them."""
    catalog = default_catalog()
    windows = Windows(catalog, SECONDS, until, seen, run_timeout=timeout)
    pipeline = Pipeline(windows.like, Stats(), steps=windows)
    for place, lines in enumerate(blobs):
        pipeline.feed(catalog.default_pack, "x", [Blob(b"".join(each + b"\n" for each in lines), 0)])
        if place % 3 == 2:
            pipeline.fold()
    pipeline.fold()
    return windows.cut()


def counted(found: Cut) -> list[float]:
    """The calls of each tool before the windows, in the previous, in the current one, and in all."""
    states = (found.before, found.previous, found.current, found.whole)
    return [sum(sampled(state, "agent_tool_calls_total").values()) for state in states]


@settings(max_examples=60, deadline=None)
@given(TIMES.filter(bool), st.randoms(use_true_random=False), st.integers(1, 5), st.booleans())
def test_every_event_is_in_the_window_of_its_time(times: list[float], random, size: int, hinted: bool) -> None:
    """An event counts once, in the window in which its time lies, however late it comes and whatever came first."""
    until = (max(T0 + at for at in times) // PART + 1) * PART
    expected = Counter((until - (T0 + at) - 1e-9) // SECONDS for at in times)
    random.shuffle(times)
    lines = [tool_call(at) for at in times]
    blobs = [lines[begin : begin + size] for begin in range(0, len(lines), size)]
    found = cut(blobs, seen=T0 + random.choice(times) if hinted else -inf)

    assert (until, until - SECONDS, until - 2 * SECONDS) == (found.until, *reversed(found.since))
    before = sum(events for age, events in expected.items() if age > 1)
    assert [before, expected[1], expected[0], len(times)] == counted(found)
    earliest = T0 + min(times)
    assert (earliest >= found.since[1], earliest < found.since[0] + PART) == (found.is_first, found.is_whole)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 200), st.booleans()), max_size=30),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.sampled_from([20.0, 3600.0]),
)
def test_runs_do_not_depend_on_order(events: list[tuple[str, int, bool]], random, size: int, timeout: float) -> None:
    """What runs add up is in the same windows, whatever the order of lines and wherever they are folded."""
    end = {"status": "ok", "stop_reason": "stop", "duration_ms": 1}
    lines = [
        line("run.complete", at, run_id=run, **end) if ends else tool_call(at, run_id=run) for run, at, ends in events
    ]

    def amounts(found: Cut) -> list[Sampled]:
        names = ("agent_run_tool_calls_sum", "agent_run_tool_calls_count", "agent_runs_abandoned_total")
        return [sampled(state, name) for state in (found.before, found.previous, found.current) for name in names]

    expected = amounts(cut([lines], T0 + 200, timeout=timeout))
    random.shuffle(lines)
    blobs = [lines[at : at + size] for at in range(0, len(lines), size)]

    assert expected == amounts(cut(blobs, T0 + 200, timeout=timeout))
    if timeout > 200:  # no run comes twice
        ended = {run for run, _, ends in events if ends}
        assert len(ended) == sum(sum(found.values()) for found in expected[1::3])


def test_memory_is_bounded_without_harm() -> None:
    """To bound memory forgets no run that may still count in a window."""
    catalog = default_catalog()
    windows = Windows(catalog, SECONDS, T0 + 200, run_timeout=10.0)
    pipeline = Pipeline(windows.like, Stats(), steps=windows)
    end = {"status": "ok", "stop_reason": "stop", "duration_ms": 1}
    lines = [line("run.complete", run % 200, run_id=f"r{run}", **end) for run in range(60_000)]
    pipeline.feed(catalog.default_pack, "x", [Blob(b"".join(each + b"\n" for each in lines), 0)])
    pipeline.fold()
    held = windows.enter(0).held
    windows.bound(inf)

    assert windows.enter(0).held < held
    found = windows.cut()
    assert [24_000, 18_000, 18_000] == [
        sum(sampled(state, "agent_run_steps_count").values()) for state in (found.before, found.previous, found.current)
    ]
