"""What a run adds up is observed once, when it is over, from all its events and from no other."""

import pytest

from extractor.ingest.pipeline import Pipeline
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.line_buffer import Blob
from tests.reading import Reader, default_catalog, line, llm_call, read, sampled, tool_call


def complete(at: float = 0, **fields: object) -> bytes:
    """The end of a run."""
    given = {"status": "ok", "stop_reason": "end_turn", "duration_ms": 5, "agent": "a", "release": "1"}
    return line("run.complete", at, **given | fields)


def observed(state: State, metric: str) -> dict[tuple[str, ...], float]:
    """The sums of a histogram of runs, by label values."""
    return sampled(state, f"{metric}_sum")


def ended(lines: list[bytes]) -> State:
    """The state of one pass over *lines*, which are all there is."""
    state = read(lines)
    state.sweep(end=True)
    return state


SPENT = [
    tool_call(1),
    tool_call(2),
    llm_call(3, input_tokens=5, output_tokens=7, cache_read_input_tokens=11, cost_usd=0.25),
    line("step", 4, step=1),
]


def test_everything_before_the_end_counts() -> None:
    """Calls, steps, tokens of all types and cost are added up, in whatever order they are read."""
    for lines in ([*SPENT, complete(5)], [complete(5), *SPENT[::-1]]):
        state = ended(lines)

        assert {("a", "1"): 2.0} == observed(state, "agent_run_tool_calls")
        assert {("a", "1"): 1.0} == observed(state, "agent_run_steps")
        assert {("a", "1"): 23.0} == observed(state, "agent_run_tokens")
        assert {("a", "1"): 0.25} == observed(state, "agent_run_cost_usd")


def test_own_totals_win() -> None:
    """A total that the end itself states counts instead of what was added up."""
    state = ended([*SPENT, complete(5, steps=9, cost_usd=1.5)])

    assert {("a", "1"): 9.0} == observed(state, "agent_run_steps")
    assert {("a", "1"): 1.5} == observed(state, "agent_run_cost_usd")


def test_run_without_any_calls() -> None:
    """A run that did nothing is observed with 0, or the mean over runs would be too high."""
    state = ended([complete()])

    assert {("a", "1"): 0.0} == observed(state, "agent_run_tool_calls")
    assert {("a", "1"): 1.0} == sampled(state, "agent_run_tool_calls_count")


def test_nothing_is_observed_before_the_linger_is_over() -> None:
    """A run that has just ended waits for events that are written late; until then its series are there at 0."""
    reader = Reader(default_catalog())
    reader.lines([tool_call(0), complete(5)])
    assert {("a", "1"): 0.0} == observed(reader.state, "agent_run_tool_calls")
    reader.lines([tool_call(4)])
    reader.lines([line("cache.hit", 60, run_id="other")])

    assert {("a", "1"): 2.0} == observed(reader.state, "agent_run_tool_calls")


@pytest.mark.parametrize("late_first", [True, False])
def test_what_comes_too_late_does_not_count(late_first: bool) -> None:
    """An event a minute after the end is not part of the run, whether it is read before the end or after it."""
    late, end = tool_call(70), complete(5)
    state = ended([tool_call(0), *([late, end] if late_first else [end, late])])

    assert {("a", "1"): 1.0} == observed(state, "agent_run_tool_calls")


def test_first_of_two_ends_counts() -> None:
    """A run that ends twice is observed once, with the labels and totals of its first end."""
    state = ended([complete(8, release="2", steps=8), complete(5, steps=5)])

    assert {("a", "1"): 5.0, ("a", "2"): 0.0} == observed(state, "agent_run_steps")


def test_abandoned_runs_are_counted_once() -> None:
    """A run without an event for the time-out leaves in_progress and is counted, under what its events said of it."""
    reader = Reader(default_catalog())
    reader.lines([line("run.start", 0, agent="a", release="1"), line("step", 5, step=1)])
    assert {("a", "1"): 0.0} == sampled(reader.state, "agent_runs_abandoned_total")
    for hours in (2, 4):
        reader.lines([complete(3600 * hours, run_id="other")])

        assert {("a", "1"): 1.0} == sampled(reader.state, "agent_runs_abandoned_total")
        assert {("a",): 0.0} == sampled(reader.state, "agent_runs_in_progress")


def test_run_that_comes_back_was_abandoned() -> None:
    """An event after the time-out begins the run anew; what it had added up before is not in its totals."""
    state = ended([line("run.start", 0, agent="a", release="1"), tool_call(1), tool_call(9000), complete(9001)])

    assert {("a", "1"): 1.0} == sampled(state, "agent_runs_abandoned_total")
    assert {("a", "1"): 1.0} == observed(state, "agent_run_tool_calls")


def test_time_goes_on_when_nobody_writes() -> None:
    """With everything read, silence by the clock ends what silence in the log would."""
    state = read([line("run.start", 0, agent="a", release="1")])
    state.idle = 2 * 3600.0
    state.sweep()

    assert {("a", "1"): 1.0} == sampled(state, "agent_runs_abandoned_total")
    assert {("a",): 0.0} == sampled(state, "agent_runs_in_progress")


def test_runs_survive_a_restart() -> None:
    """What an open run has added up is in the dump, and goes on from there."""
    before = read([*SPENT, complete(5)])
    after = State(default_catalog())
    after.load(before.dump())
    after.sweep(end=True)

    assert {("a", "1"): 23.0} == observed(after, "agent_run_tokens")


def test_open_runs_are_bounded() -> None:
    """Of more runs than may be open those are forgotten that were silent for longest, and counted as such."""
    state = State(default_catalog(), max_open_runs=10)
    reader = Reader(default_catalog())
    reader.lines([line("step", at, step=1, run_id=f"r{at}") for at in range(15)])
    state.load(reader.state.dump())
    state.sweep()

    assert 10 >= state.open_runs()
    assert 15 == state.open_runs() + state.shed_runs()
    assert {} == sampled(state, "agent_runs_abandoned_total")


def test_what_no_sum_could_hold_is_no_event() -> None:
    """Beside it the largest number that is accepted is far from what a float can hold, however often it comes."""
    costs = [llm_call(1, cost_usd=1.7976931348623157e308), *(llm_call(2, cost_usd=1e18) for _ in range(1000))]

    state = ended([*costs, complete(3)])

    assert {("a", "1"): 1.0} == sampled(state, "agent_run_cost_usd_count")
    assert {("a", "1"): 1e21} == observed(state, "agent_run_cost_usd")


def test_past_a_limit_the_runs_that_came_first_are_told_apart() -> None:
    """However rare the type of the event was that named a run."""
    pipeline = Pipeline(State(default_catalog()), Stats())
    steps = [line("step", 1, run_id=f"run-{n}", agent=f"agent-{n}", step=1, type="plan") for n in range(200)]
    for lines in ([line("run.start", run_id="first", agent="first", agent_type="x")], steps):
        pipeline.feed(default_catalog().default_pack, "a.jsonl", [Blob(b"".join(item + b"\n" for item in lines), 0)])
    pipeline.fold()

    assert 1.0 == sampled(pipeline.state, "agent_runs_in_progress")["first",]
