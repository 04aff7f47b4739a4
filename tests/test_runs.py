"""Which runs are open follows from the times of their events alone."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.state.runs.endings import Ending
from extractor.state.runs.registry import Runs, Sighting

TIMEOUT = 100.0

SEEN = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 90), st.sampled_from([None, "x", "y"]), st.booleans()),
    max_size=15,
)
"""Events of three runs, none given up while it goes on: run, time, a run field, whether it ends the run."""


def seen(events: list[tuple[str, int, str | None, bool]]) -> Runs:
    """What is known after *events*, in their order."""
    runs = Runs(1, TIMEOUT)
    for run, time, field, end in events:
        runs.see([Sighting(run, time, (field,), Ending(time) if end else None)])
    return runs


def opened(runs: Runs, watermark: float) -> dict[str, object]:
    """The open runs by id, with their field."""
    still = set(map(id, runs.open(watermark)))
    return {run_id: run.values()[0] for run_id, run in runs.known.items() if id(run) in still}


def test_open_from_the_first_event() -> None:
    """Any event of a run opens it; it need not be its start."""
    assert {"a": "x"} == opened(seen([("a", 5, "x", False)]), 5)


def test_ended() -> None:
    """The end closes a run, and no event after it opens it again."""
    assert {} == opened(seen([("a", 5, "x", False), ("a", 6, None, True)]), 6)
    assert {} == opened(seen([("a", 6, None, True), ("a", 7, "x", False)]), 7)


def test_end_alone() -> None:
    """A run of which only the end was seen was never open to us."""
    assert {} == opened(seen([("a", 5, "x", True)]), 5)


def test_given_up_after_the_timeout() -> None:
    """A run is open for the time-out after its last event, by the time of events, and at most a twentieth longer."""
    runs = seen([("a", 0, "x", False), ("a", 50, None, False)])

    assert {"a": "x"} == opened(runs, 50 + TIMEOUT)
    assert {} == opened(runs, 50 + TIMEOUT * 1.05 + 0.001)


def test_latest_value_of_a_field() -> None:
    """A run field has the value of the latest event that carried one, in whatever order they were read."""
    forth = seen([("a", 1, "x", False), ("a", 2, "y", False), ("a", 3, None, False)])
    back = seen([("a", 3, None, False), ("a", 2, "y", False), ("a", 1, "x", False)])

    assert {"a": "y"} == opened(forth, 3)
    assert {"a": "y"} == opened(back, 3)


@settings(max_examples=200, deadline=None)
@given(SEEN, st.permutations(range(15)), st.lists(st.integers(0, 15), max_size=4), st.permutations(range(5)))
def test_order_and_grouping_do_not_matter(
    events: list[tuple[str, int, str | None, bool]], order: list[int], cuts: list[int], merges: list[int]
) -> None:
    """However the events were ordered, cut and merged, the same runs are open with the same fields."""
    shuffled = [events[place] for place in order if place < len(events)]
    edges = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    parts = [seen(shuffled[begin:end]) for begin, end in pairwise(edges)]

    merged = Runs(1, TIMEOUT)
    for place in merges:
        if place < len(parts):
            merged.merge(parts[place])

    assert opened(seen(events), 95) == opened(merged, 95)


@settings(max_examples=200, deadline=None)
@given(SEEN, st.lists(st.integers(0, 400), max_size=5))
def test_sweeping_never_changes_what_is_open(
    events: list[tuple[str, int, str | None, bool]], watermarks: list[int]
) -> None:
    """Forgetting is only about memory: at every watermark the same runs are open with and without it."""
    runs, swept = seen(events), seen(events)
    for watermark in sorted(watermarks):
        swept.sweep(watermark)

        assert opened(runs, watermark) == opened(swept, watermark)


def test_sweeping_forgets() -> None:
    """A run that went silent, or ended, is forgotten some time after the time-out: what never ends costs no memory."""
    runs = seen([("a", 0, "x", False), ("b", 1, None, True), ("c", 190, None, False)])
    runs.sweep(250)

    assert ["c"] == list(runs.known)


def test_merging_leaves_the_other_alone() -> None:
    """What was merged into another can still be read, and goes its own way."""
    one, two = seen([("a", 1, "x", False)]), seen([("a", 2, None, False)])
    one.merge(two)
    one.see([Sighting("a", 3, ("y",), Ending(3))])

    assert {"a": None} == opened(two, 2)
