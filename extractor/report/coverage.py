"""
Report what logs lack of what their packs recommend.

`counting` returns a catalog that also counts each recommendation like any metric: the events that have the property,
and all events that could have it. Reading the logs therefore needs no special code.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from extractor.schema.model import Catalog, Condition, EventType, Feed, Kind, Metric, Pack, Value
from extractor.schema.pointer import Pointer, found
from extractor.schema.report_rows import Recommendation
from extractor.state.series import Counter
from extractor.state.state import State

_PART = 0.5  # of the events that could have a property; a smaller share means that some writer omits it


class Advice(NamedTuple):
    """
    The result for one recommendation: *having* of *events* lines follow it.

    *description* is that of the schema, *metrics* are the names of the metrics that use it.
    """

    recommendation: Recommendation
    having: int
    events: int
    description: str
    metrics: tuple[str, ...]
    is_for_all: bool  # whether every event type of the pack should have it

    @property
    def is_followed(self) -> bool:
        """Whether any line follows it."""
        return self.having > 0

    @property
    def is_partly_followed(self) -> bool:
        """Whether some lines follow it, but most that could do not."""
        return 0 < self.having < self.events * _PART


def counting(catalog: Catalog) -> Catalog:
    """Return *catalog* with counters for what each of its packs recommends."""
    metrics = dict(catalog.metrics)
    packs = []
    for pack in catalog.packs:
        events = dict(pack.events)
        for place, recommendation in enumerate(pack.recommended):
            for what, where in _conditions(recommendation.pointer):
                name = _name(pack, place, what)
                metrics[name] = Metric(name, Kind.COUNTER, "", (), (), (), 1)
                for event in recommendation.events:
                    feed = Feed(name, (), Value(), where)
                    events[event] = replace(events[event], feeds=(*events[event].feeds, feed))
        packs.append(replace(pack, events=events))
    return Catalog(tuple(packs), metrics)


def advice(catalog: Catalog, state: State) -> Iterator[Advice]:
    """
    Yield the results for all recommendations, for a *state* counted with `counting` of *catalog*.

    Packs without events are skipped.
    """
    seen = {pack.name for pack in state.packs_seen()}
    for pack in (pack for pack in catalog.packs if pack.name in seen):
        for place, recommendation in enumerate(pack.recommended):
            types = [pack.events[name] for name in recommendation.events]
            having, events = (_count(state, _name(pack, place, what)) for what in ("having", "events"))
            needing = dict.fromkeys(name for event in types for name in _metrics(pack, event, recommendation.pointer))
            description, is_for_all = _description(types, recommendation.pointer), len(types) == len(pack.events)
            yield Advice(recommendation, having, events, description, tuple(needing), is_for_all)


def _conditions(pointer: Pointer | None) -> Iterable[tuple[str, tuple[Condition, ...]]]:
    return (("having", () if pointer is None else (Condition(pointer, present=True),)), ("events", ()))


def _name(pack: Pack, place: int, what: str) -> str:
    return f"{pack.name} {place} {what}"  # unique: names of declared metrics have no spaces


def _count(state: State, name: str) -> int:
    return sum(int(series.total) for series in state.families[name].series.values() if isinstance(series, Counter))


def _description(types: Iterable[EventType], pointer: Pointer | None) -> str:
    texts = (event.description if pointer is None else _described(event, pointer) for event in types)
    return next((text for text in texts if text), "")


def _described(event: EventType, pointer: Pointer) -> str:
    steps = [step for token in pointer for step in ("properties", token)]
    text = found(event.schema, (*steps, "description"))
    return text if isinstance(text, str) else ""


def _metrics(pack: Pack, event: EventType, pointer: Pointer | None) -> Iterator[str]:
    """Yield the metrics that use the property at *pointer* of *event*, or, without a pointer, such events."""
    for feed in event.feeds:
        used = [label.pointer for label in feed.labels if label.const is None]
        used += [field for _, field in feed.value.fields]
        used += [item.pointer for item in feed.where]
        if pointer is None or pointer in used:
            yield feed.metric
    for feed in (feed for other in pack.events.values() for feed in other.feeds):
        total = feed.value.total  # totals of runs depend on all their events
        if total is not None and event.name in total.of and (pointer is None or pointer in total.fields):
            yield feed.metric
