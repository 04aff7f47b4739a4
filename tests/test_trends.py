"""What "now" means and how it went: windows of event time, whenever and however the lines are read."""

import threading
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.ingest.pipeline import Pipeline
from extractor.report.objectives import Objectives
from extractor.state.hdr import Counts, indexes_of, pile, quantiles
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.line_buffer import Blob
from extractor.web.page.health import Moment, Vital, vitals
from extractor.web.page.model import Monitor, Shown, Status
from extractor.web.page.monitor import Overview
from extractor.web.page.percentile_curves import curve
from extractor.web.page.render import POLICY
from extractor.web.page.slots import Past
from extractor.web.page.svg import percentiles, sparkline
from tests.reading import T0, default_catalog, line

WINDOW = 300.0


class Watched:
    """A pipeline whose state is watched."""

    def __init__(self, like: State | None = None) -> None:
        catalog = default_catalog()
        self.state, self.stats = State(catalog, window_seconds=WINDOW), Stats()
        if like is not None:
            self.state.load(like.dump())
        self.monitor = Monitor(self.state, self.stats, Objectives())
        self._pipeline = Pipeline(self.state, self.stats, listener=self.monitor.trends)
        self._pack = catalog.default_pack

    def read(self, lines: Sequence[bytes]) -> None:
        """Read *lines*, and fold."""
        self._pipeline.feed(self._pack, "a.jsonl", [Blob(b"".join(each + b"\n" for each in lines), 0)])
        self._pipeline.fold()
        self.monitor.tick()

    def status(self) -> Status:
        """What is shown."""
        return self.monitor.status(self.monitor.take())

    def shown(self, title: str) -> Shown:
        """One signal."""
        return next(each for each in self.status().signals if each.row.title == title)


def call(at: float, agent: str = "a", status: str = "ok", cost: float = 0.0) -> bytes:
    """A call of a language model."""
    return line("llm.call", at, agent=agent, model="m", status=status, duration_ms=100 + at, cost_usd=cost)


CALLS = st.lists(
    st.tuples(
        st.sampled_from([0, 5, 10, 290, 299, 300, 305, 310, 590, 600, 610, 1490]),  # about the edges of windows
        st.sampled_from(["a", "b"]),
        st.sampled_from(["ok", "ok", "error"]),
        st.sampled_from([0.25, 1.5]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40)
@given(calls=CALLS, cuts=st.lists(st.integers(0, 60), max_size=4), mixed=st.randoms(use_true_random=False))
def test_windows_equal_a_count(calls: list[tuple[int, str, str, float]], cuts: list[int], mixed) -> None:
    """Now, and each point of a trend, is what a count of the lines of that window says, in any order and cut."""
    mixed.shuffle(calls)
    watched, bounds = Watched(), sorted({min(cut, len(calls)) for cut in cuts} | {0, len(calls)})
    lines = [call(at + 0.5, who, status, cost) for at, who, status, cost in calls]  # never at the edge of a slot
    for begin, end in pairwise(bounds):
        watched.read(lines[begin:end])

    def counted(until: float) -> list[tuple[int, str, str, float]]:
        return [each for each in calls if until - WINDOW <= T0 + each[0] // 10 * 10 < until]

    until = T0 + max(at for at, *_ in calls) // 10 * 10 + 10
    now = counted(until)
    errors = Counter(agent for _, agent, status, _ in now if status == "error")
    every = Counter(agent for _, agent, _, _ in now)
    cost, rate = watched.shown("Cost"), watched.shown("LLM error rate")

    assert sum(each[3] for each in now) == pytest.approx(cost.row.value)
    assert sum(each[3] for each in calls) == pytest.approx(cost.overall)
    assert sum(errors.values()) / len(now) == pytest.approx(rate.row.value)
    assert {who: pytest.approx(errors[who] / every[who]) for who in every} == {
        verdict.who: verdict.value for verdict in rate.row.verdicts
    }
    for time, value in cost.points:
        slot_end = T0 + -(-(time - T0) // 10) * 10
        assert sum(each[3] for each in counted(slot_end)) == pytest.approx(value, abs=1e-9)


def test_latency_is_that_of_the_sliding_window() -> None:
    """A quantile of now is that of the metric; of the trend, that of the window then."""
    watched = Watched()
    watched.read([call(at) for at in range(0, 1000, 5)])
    shown = watched.shown("LLM latency p95")
    family = watched.state.families["agent_llm_call_duration_quantile_seconds"]
    [series] = family.series.values()
    expected = quantiles(series.window.counts(watched.state.newest_slot), (0.95,))  # type: ignore[union-attr]

    assert expected == [shown.row.value]
    assert shown.points[-1][1] == shown.row.value
    assert sorted(shown.points) == list(shown.points)
    assert shown.points[0][1] < shown.points[-1][1]


def test_after_a_restart_trends_begin_anew() -> None:
    """What was counted before the process began is in the totals, not in its window; no point is of half a window."""
    before = Watched()
    before.read([call(at, cost=1.0) for at in range(0, 610, 10)])
    after = Watched(before.state)
    after.read([call(610, cost=1.0)])
    cost, status = after.shown("Cost"), after.status()

    assert (1.0, 62.0, ()) == (cost.row.value, cost.overall, cost.points)
    assert (T0 + 600, True) == (status.since, status.is_partial)
    assert not before.status().is_partial

    after.read([call(at, cost=1.0) for at in range(620, 1000, 10)])
    assert 30.0 == pytest.approx(after.shown("Cost").points[0][1])
    assert T0 + 600 + WINDOW <= after.status().trend_since


@pytest.mark.parametrize(("read_at", "now"), [(3850, 1.0), (7200, 0.0)])
def test_a_run_is_abandoned_when_its_time_is_over(read_at: int, now: float) -> None:
    """A run that fell silent counts a time-out after its last event, not at that event, nor when it was noticed."""
    watched = Watched()
    watched.read([line("run.start", 0, run_id="lost", agent="a"), call(read_at)])
    abandoned = watched.shown("Abandoned")

    assert (now, 1.0) == (abandoned.row.value, abandoned.overall)


def test_memory_is_bounded() -> None:
    """However long it runs and whatever agents are called, an hour or so of slots is kept, and one window of agents."""
    watched = Watched()
    for at in range(0, 12_000, 100):
        watched.read([call(at + place, agent=f"agent-{at + place}") for place in range(10)])
    past: Past = watched.monitor.trends.past()
    agents = {who for cells in past.apart.values() for _, who in cells}

    assert 3600 / 10 + 2 * 30 >= len(past.sums)
    assert 31 >= len(past.apart)
    assert 200 >= len(agents)


def test_cost_of_the_day() -> None:
    """Cost today is that of the events since midnight, here, whenever they were read."""
    watched = Watched()
    watched.read([call(86400 - 60, cost=5.0), call(86400 + 60, cost=1.0), call(86400 + 600, cost=0.5)])
    spent = watched.status().spent
    assert spent is not None

    assert (1.5, spent.midnight) == (spent.amount, spent.since)
    assert T0 + 86400 == spent.midnight


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=500))
def test_curves(values: list[float]) -> None:
    """A curve rises from the least to where but one value is worse, and its numbers are HdrHistogram's quantiles."""
    counts = Counts()
    counts.add(indexes_of(values)[0])
    made = curve("a", pile([counts]))
    assert made is not None
    nines, heights = zip(*made.points, strict=True)

    assert len(values) == made.values
    assert sorted(heights) == list(heights)
    assert sorted(set(nines)) == list(nines)
    assert quantiles([counts], (0.5, 0.9, 0.99, 0.999, 1.0)) == list(made.quantiles)
    assert quantiles([counts], (0.0,)) == [heights[0]]
    assert made.quantiles[-1] >= max(values)
    assert curve("nothing", pile([])) is None


@given(st.lists(st.lists(st.floats(0, 1e9), min_size=1, max_size=30), min_size=1, max_size=6))
def test_pictures_have_no_number_that_is_none(drawn: list[list[float]]) -> None:
    """Whatever the values, even all 0 or a single one, a picture is within its frame."""
    made = []
    for values in drawn:
        counts = Counts()
        counts.add(indexes_of(values)[0])
        made.append(curve("<a>", pile([counts])))
    svg = percentiles([each for each in made if each], "t", "d", "n", str) + sparkline(
        [(float(place), value) for place, value in enumerate(drawn[0])], "t", "d", "m"
    )

    assert "nan" not in svg
    assert "inf" not in svg
    assert "<a>" not in svg


MOMENT = Moment("", "", 2e9, 2e9 - 1000)


def troubles(stats: Stats, moment: Moment = MOMENT) -> dict[str, Vital]:
    """The rows that are not well."""
    return {row.title: row for row in vitals(State(default_catalog()), stats, moment, keeps=True) if not row.well}


@pytest.mark.parametrize(
    ("stats", "title"),
    [
        (Stats(saved_at=2e9 - 500), "Checkpoint"),
        (Stats(saved_at=2e9, failed_saves=1), "Checkpoint failures"),
        (Stats(lost_rejects=2), "Rejected lines not kept"),
        (Stats(gaps=1), "Sequence gaps"),
        (Stats(unpriced=Counter({"m": 3})), "Calls without a price"),
        (Stats(lost_bytes=Counter({"truncated": 3})), "Bytes lost"),
    ],
)
def test_trouble_is_told(stats: Stats, title: str) -> None:
    """What was lost or may be is a trouble, and says what it means."""
    assert {title} == set(troubles(stats))
    assert troubles(stats)[title].note
    assert {} == troubles(Stats(saved_at=2e9 - 1))


def test_page_is_made_once_a_second() -> None:
    """However many ask, the state is looked at once a second; and what is inline is what the policy allows."""
    state, lock = State(default_catalog()), threading.Lock()
    overview = Overview(
        state, Stats(), lock, Objectives(), lambda: MOMENT, version="1", followed=["logs"], keeps=True
    )  # fmt: skip
    first = overview.page()
    with lock:  # who asks for what is made already does not wait for the lock
        assert first is overview.page()
    assert "unsafe" not in POLICY
    assert " style=" not in first
