"""
What a pack declares of runs: the fields and totals of a run, the loops to find, and the intervals between events.

Knows nothing of runs.
"""

from dataclasses import dataclass

from extractor.schema.lookback import Repetition, Span
from extractor.schema.model import Label, Pack, RunTotal
from extractor.schema.pointer import Pointer, found


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    Events of type *event* that are *repeated* in a run; a loop of them counts in *metric*.

    *named* are the properties by which a report of the loop and the loop know each other.
    """

    event: str
    metric: str
    labels: tuple[Label, ...]
    repeated: Repetition
    named: tuple[Pointer, ...]


@dataclass(frozen=True, slots=True)
class End:
    """An event type that ends an interval, and the metric in which that is observed."""

    event: str
    metric: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A *span*, whichever event of *ends* it is that comes."""

    span: Span
    ends: tuple[End, ...]


def run_totals(pack: Pack) -> list[RunTotal]:
    """What the runs of *pack* add up."""
    totals = (feed.value.total for event in pack.events.values() for feed in event.feeds)
    return list(dict.fromkeys(total for total in totals if total is not None))


def run_fields(pack: Pack) -> tuple[Pointer, ...]:
    """What is to be known of each run of *pack*: the properties that label its counts of runs."""
    feeds = (feed for event in pack.events.values() for feed in event.feeds if feed.value.run is not None)
    return tuple(dict.fromkeys(label.pointer for feed in feeds for label in feed.labels if label.const is None))


def intervals(pack: Pack) -> list[Interval]:
    """Every time between two events that *pack* asks for."""
    ends: dict[Span, list[End]] = {}
    for name, event in pack.events.items():
        for feed in event.feeds:
            if feed.value.span is not None:
                ends.setdefault(feed.value.span, []).append(End(name, feed.metric, feed.labels))
    return [Interval(span, tuple(each)) for span, each in ends.items()]


def patterns(pack: Pack) -> list[Pattern]:
    """Every loop to be found in the runs of *pack*."""
    return [
        Pattern(name, feed.metric, feed.labels, feed.value.repeated, _named(pack, feed.labels, feed.value.repeated))
        for name, event in pack.events.items()
        for feed in event.feeds
        if feed.value.repeated is not None
    ]


def _named(pack: Pack, labels: tuple[Label, ...], repeated: Repetition) -> tuple[Pointer, ...]:
    """Properties that are labels, so that there are few values, and that the report has, too."""
    if repeated.unless is None:
        return ()
    schema = pack.events[repeated.unless].schema
    return tuple(label.pointer for label in labels if label.const is None and declared(schema, label.pointer))


def declared(schema: object, pointer: Pointer) -> bool:
    """Whether *schema* declares a property there."""
    return all((schema := found(schema, ("properties", token))) is not None for token in pointer)
