"""
An event in, what it adds to which series out.

An observation without a value adds nothing: it only says that there is a series.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.oracle import labels
from tests.oracle.lines import Line
from tests.oracle.pack import Feed, Pack

Texts = tuple[tuple[str, str], ...]
"""The labels of an exemplar, in the order in which they are declared."""


@dataclass(frozen=True)
class Observation:
    """What was observed at *time* for a label set of *metric*, in its unit; no limit is applied yet."""

    metric: str
    labels: tuple[str, ...]
    time: int
    value: Fraction | None
    texts: Texts = ()
    event: int | None = None
    """The time of the event, where the observation is of a later time: a run is given up after its last event."""

    @property
    def event_time(self) -> int:
        """When the event happened that an exemplar shows."""
        return self.time if self.event is None else self.event


def number(value: Any) -> Fraction:
    """A number as it is added up: the double that it is."""
    return Fraction(float(value))


def texts(feed: Feed, event: Line) -> Texts:
    """What an exemplar of *event* shows, as far as it is text."""
    return tuple(
        (label, value)
        for label, name in feed.texts.items()
        if isinstance(value := event.values.get(name), str) and value
    )


def of_event(event: Line) -> Iterator[Observation]:
    """What *event* adds by itself; runs and loops come later."""
    assert event.type is not None
    for feed in event.type.feeds:
        if feed.is_of_runs and feed.value["run"] in {"open", "abandoned"}:
            continue  # the labels are those of the run
        found = tuple(labels.value_of(feed, name, event) for name in feed.sources)
        metric = feed.type.pack.metrics[feed.metric]
        shown = texts(feed, event) if metric.type in {"counter", "histogram"} else ()
        if metric.split:
            for part, name in metric.split["from"].items():
                amount = event.values.get(name)
                value = None if amount is None else number(amount)
                yield Observation(feed.metric, (*found, part), event.time, value, shown)
        else:
            yield Observation(feed.metric, found, event.time, _value(feed, event), shown)


def _value(feed: Feed, event: Line) -> Fraction | None:
    if not _meets(feed.declared.get("where", {}), event):
        return None
    if feed.value is None:
        return Fraction(1)
    if isinstance(feed.value, str):
        amount = event.values.get(feed.value)
        return None if amount is None else number(amount)
    return None  # of a run, a loop or a state


def _meets(where: Mapping[str, Mapping[str, Any]], event: Line) -> bool:
    return all(_fits(condition, event.values.get(name)) for name, condition in where.items())


def _fits(condition: Mapping[str, Any], value: Any) -> bool:
    if value is None:
        return False
    ((keyword, wanted),) = condition.items()
    match keyword:
        case "const":
            return value == wanted
        case "enum":
            return value in wanted
        case "exclusiveMinimum":
            return value > wanted
        case _:
            raise NotImplementedError(keyword)


def run_metrics(pack: Pack, kind: str) -> Iterator[Feed]:
    """The declarations whose value is `{"run": kind}`."""
    for each in pack.types.values():
        for feed in each.feeds:
            if feed.is_of_runs and feed.value["run"] == kind:
                yield feed
