"""A run in, the loops out that it did not report itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.oracle import labels
from tests.oracle.lines import Line
from tests.oracle.observations import Observation, number, texts
from tests.oracle.pack import Feed
from tests.oracle.runs import Run


def observations(run: Run, feed: Feed) -> Iterator[Observation]:
    """What the calls of *run* add to a metric whose value is `{"repeats": …}`."""
    rule = feed.value["repeats"]
    calls = [event for event in run.counted if event.type is feed.type]
    reports = [event for event in run.counted if event.type and event.type.name == rule["unless"]]
    for index, call in enumerate(calls):
        if _completes(calls, index, rule) and not any(_reports(each, call, feed, run) for each in reports):
            found = tuple(labels.value_of(feed, name, call) for name in feed.sources)
            yield Observation(feed.metric, found, call.time, number(1), texts(feed, call))


def _completes(calls: Sequence[Line], index: int, rule: Mapping[str, Any]) -> bool:
    def alike(among: Sequence[Line]) -> int:
        mine = _compared(calls[index], rule)
        return sum(mine is not None and mine == _compared(call, rule) for call in among)

    times, within = rule["times"], rule["within"]
    among = calls[max(0, index + 1 - within) : index + 1]
    before = calls[max(0, index - within) : index]
    return alike(among) >= times and alike(before) < times


def _compared(call: Line, rule: Mapping[str, Any]) -> tuple[Any, ...] | None:
    found = tuple(call.values.get(name) for name in rule["of"])
    return None if None in found or "" in found else found  # it lacks something, so it is like no other


def _reports(report: Line, call: Line, feed: Feed, run: Run) -> bool:
    if report.time > call.time + run.options.grace:
        return False
    said, done = (labels.carried(event, feed.sources) for event in (report, call))
    return all(said[name] == done[name] for name in said if name in done)
