"""What a pack declares about runs: fields and totals of a run, loops to find, and intervals between events."""

from dataclasses import dataclass

from extractor.schema.lookback import Repetition, Span
from extractor.schema.model import Label, Pack, RunTotal
from extractor.schema.pointer import Pointer, found


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    Events of type *event* that are *repeated* in a run; their loops are counted in *metric*.

    *named* are the properties that match a loop with a report of it.
    """

    event: str
    metric: str
    labels: tuple[Label, ...]
    repeated: Repetition
    named: tuple[Pointer, ...]


@dataclass(frozen=True, slots=True)
class End:
    """An event type that ends an interval, and the metric that observes it."""

    event: str
    metric: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """A *span*, ended by any event of *ends*."""

    span: Span
    ends: tuple[End, ...]


def run_totals(pack: Pack) -> list[RunTotal]:
    """Return the totals of the runs of *pack*."""
    totals = (feed.value.total for event in pack.events.values() for feed in event.feeds)
    return list(dict.fromkeys(total for total in totals if total is not None))


def run_fields(pack: Pack) -> tuple[Pointer, ...]:
    """Return the properties to store of each run of *pack*: those that label its counts of runs."""
    feeds = (feed for event in pack.events.values() for feed in event.feeds if feed.value.run is not None)
    return tuple(dict.fromkeys(label.pointer for feed in feeds for label in feed.labels if label.const is None))


def intervals(pack: Pack) -> list[Interval]:
    """Return the intervals between events that *pack* declares."""
    ends: dict[Span, list[End]] = {}
    for name, event in pack.events.items():
        for feed in event.feeds:
            if feed.value.span is not None:
                ends.setdefault(feed.value.span, []).append(End(name, feed.metric, feed.labels))
    return [Interval(span, tuple(each)) for span, each in ends.items()]


def patterns(pack: Pack) -> list[Pattern]:
    """Return the loops that *pack* declares."""
    return [
        Pattern(name, feed.metric, feed.labels, feed.value.repeated, _named(pack, feed.labels, feed.value.repeated))
        for name, event in pack.events.items()
        for feed in event.feeds
        if feed.value.repeated is not None
    ]


def _named(pack: Pack, labels: tuple[Label, ...], repeated: Repetition) -> tuple[Pointer, ...]:
    """Return the properties that are labels, and so have few values, and are also declared for the report."""
    if repeated.unless is None:
        return ()
    schema = pack.events[repeated.unless].schema
    return tuple(label.pointer for label in labels if label.const is None and declared(schema, label.pointer))


def declared(schema: object, pointer: Pointer) -> bool:
    """Return whether *schema* declares a property at *pointer*."""
    return all((schema := found(schema, ("properties", token))) is not None for token in pointer)
