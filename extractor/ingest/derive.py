"""
What an event adds to which metric, compiled once from the catalog.

A `Plan` cuts the events of one type into a key and numbers, so that thousands of events with one key become a handful
of updates (`ingest.folding`): what has a cost per label set is paid once per key, not once per line.

Pure; knows nothing of series, Prometheus or time's passing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from extractor.ingest.columns import Key, Keys, Sources
from extractor.schema.conditions import fits, label_value, mark_text, scalar
from extractor.schema.model import Catalog, Condition, EventType, Feed, Kind, Label, Metric, Pack
from extractor.schema.pointer import Pointer, found
from extractor.schema.run_specs import declared, intervals, patterns, run_fields, run_totals

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """
    One number of the events of one type, and the metrics that it goes to: a histogram and a summary of it, say.

    *column* is its place in the row, None where each event counts as 1 or means *state*. The labels are *labels*, and
    *split* as the value of the last one where several numbers are told apart by it. *exemplars* are of the metrics.
    What is found *later*, in the runs, only brings its series into being.
    """

    metrics: list[Metric] = field(compare=False)
    exemplars: list[Sources] = field(compare=False)
    labels: tuple[Label, ...]
    split: tuple[str, ...]
    where: tuple[Condition, ...]
    column: int | None
    state: str | None
    later: bool = False


class PricePlaces(NamedTuple):
    """Where the model is in a key, and the cost and the tokens of each kind in a row."""

    model: int
    cost: int
    tokens: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Closing:
    """
    What the end of a run adds to *metric*: the run's total at *place* among those of the pack.

    *labels* are taken from the key, each at its place there; the number at *own* in the row wins over the total.
    """

    place: int
    metric: Metric
    labels: tuple[tuple[Label, int], ...]
    own: int | None

    def labels_of(self, key: Key) -> Labels:
        """The label set that an end with this key touches."""
        return tuple(label_value(label, key[place] if key else None) for label, place in self.labels)


class Binding:
    """
    What a measure does with each key: which label set it touches, and whether such an event counts at all.

    `target_of` and `counts` have a place for each key, `targets` are the label sets. Label sets that only keys touch
    that do not count are brought into being all the same.
    """

    def __init__(self, plan: "Plan", measure: Measure) -> None:
        self.measure = measure
        self.targets: dict[Labels, int] = {}
        self.target_of: list[int] = []
        self.counts: list[bool] = []
        self._arrays: tuple[NDArray[np.int64], NDArray[np.bool_]] | None = None
        places = {pointer: place for place, pointer in enumerate(plan.keys)}
        tests = {item: len(plan.keys) + place for place, item in enumerate(plan.tests)}
        self._sources = [(label, places.get(label.pointer, 0)) for label in measure.labels]
        self._closed = [(item, places[item.pointer]) for item in measure.where if item.closed]
        self._passed = [tests[item] for item in measure.where if not item.closed]

    def bind(self, key: Key) -> None:
        """Take note of the next key."""
        labels = tuple(label_value(label, key[place] if key else None) for label, place in self._sources)
        self.target_of.append(self.targets.setdefault(labels + self.measure.split, len(self.targets)))
        fitting = all(fits(item, key[place]) for item, place in self._closed)
        self.counts.append(not self.measure.later and fitting and all(key[place] for place in self._passed))

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """`target_of` and `counts` as arrays."""
        if self._arrays is None or len(self._arrays[0]) < len(self.target_of):
            self._arrays = np.array(self.target_of, dtype=np.int64), np.array(self.counts, dtype=bool)
        return self._arrays


class Plan:
    """
    How the events of one type become updates.

    A key holds the raw values at *keys*, then whether the event passes each of *tests*; a row holds the numbers at
    *numbers*, and *texts* that exemplars show. Without *measures* there is nothing to update. *timed* plans want the
    exact time of each event, and its order. *run* leads to the run's id, *run_fields* to what is to be known of each
    run: the same in every plan of a pack, but None where this event type does not declare it. *amounts* says which
    numbers (None: 1 for each event) add to which totals of the run, *closings* what happens to them when the run ends
    with such an event. *marks* are the properties outside of the key by which events are alike.
    """

    def __init__(self, event: EventType, pack: Pack, metrics: Mapping[str, Metric]) -> None:
        self.event = event
        self.run = pack.run
        self.run_fields = tuple(item if declared(event.schema, item) else None for item in run_fields(pack))
        ours = [(metrics[feed.metric], feed) for feed in event.feeds if feed.value.run is None]
        feeds = [(metric, feed) for metric, feed in ours if feed.value.total is None]
        totals = run_totals(pack)
        labels = [label.pointer for _, feed in ours for label in feed.labels if label.const is None]
        closed = [item.pointer for _, feed in feeds for item in feed.where if item.closed]
        known = [pointer for pointer in self.run_fields if pointer is not None]
        model = [event.price.model] if event.price else []
        watched = [pattern for pattern in patterns(pack) if pattern.event == event.name]
        reported = [pattern for pattern in patterns(pack) if pattern.repeated.unless == event.name]
        named = [pointer for pattern in reported for pointer in pattern.named]
        self.keys: tuple[Pointer, ...] = tuple(dict.fromkeys(labels + closed + known + model + named))
        spans = [
            interval.span
            for interval in intervals(pack)
            if event.name in {interval.span.since, *(end.event for end in interval.ends)}
        ]
        compared = [*(item for pattern in watched for item in pattern.repeated.of), *(span.key for span in spans)]
        self.marks: tuple[Pointer, ...] = tuple(dict.fromkeys(item for item in compared if item not in self.keys))
        self._known = [None if pointer is None else self.keys.index(pointer) for pointer in self.run_fields]
        self.tests = tuple(dict.fromkeys(item for _, feed in feeds for item in feed.where if not item.closed))
        values = [pointer for _, feed in feeds for _, pointer in feed.value.fields]
        added = [pointer for total in totals if event.name in total.of for pointer in total.fields]
        own = [total.own for _, feed in ours if (total := feed.value.total) is not None and total.own is not None]
        priced = [event.price.cost, *(item for item in event.price.tokens if item)] if event.price else []
        self.numbers: tuple[Pointer, ...] = tuple(dict.fromkeys(values + added + own + priced))
        self.texts: tuple[Pointer, ...] = tuple(
            dict.fromkeys(item for _, feed in feeds for item in feed.exemplar if item not in (None, pack.run))
        )
        self.price = self._price_places(event)
        self.amounts = [
            (place, None if pointer is None else self.numbers.index(pointer))
            for place, total in enumerate(totals)
            if event.name in total.of
            for pointer in total.fields or (None,)
        ]
        self.closings = [
            Closing(
                place=totals.index(total),
                metric=metric,
                labels=tuple(
                    (label, 0 if label.const is not None else self.keys.index(label.pointer)) for label in feed.labels
                ),
                own=None if total.own is None else self.numbers.index(total.own),
            )
            for metric, feed in ours
            if (total := feed.value.total) is not None
        ]
        set_by = any(metric.kind in (Kind.GAUGE, Kind.STATESET) for metric, _ in feeds)
        self.timed = set_by or bool(watched or reported or spans) or event.run == "end"
        self.measures = list(self._measures(feeds))
        self._bound: list[Binding] = []
        self._fields: list[tuple[object, ...]] = []
        self._keys: Keys | None = None

    def key(self, line: object) -> Key:
        """The key of a decoded line."""
        raw = (scalar(found(line, pointer)) for pointer in self.keys)
        return (*raw, *(fits(item, found(line, item.pointer)) for item in self.tests))

    def row(self, line: object) -> list[float | None]:
        """The numbers of a decoded line."""
        return [found(line, pointer) for pointer in self.numbers]  # type: ignore[misc]  # proved by schemas

    def texts_of(self, line: object) -> list[object]:
        """The texts of a decoded line."""
        texts = [found(line, pointer) for pointer in self.texts]
        return [text if isinstance(text, str) else None for text in texts]

    def marks_of(self, line: object) -> list[str]:
        """What of a decoded line is outside of the key and compared."""
        return [mark_text(scalar(found(line, pointer))) for pointer in self.marks]

    def bindings(self, keys: Keys) -> list[Binding]:
        """What each measure does with each of *keys*."""
        self._bind(keys)
        return self._bound

    def fields_by_key(self, keys: Keys) -> list[tuple[object, ...]]:
        """The run fields of an event with each of *keys*."""
        self._bind(keys)
        return self._fields

    def _bind(self, keys: Keys) -> None:
        if self._keys is not keys:
            self._keys, self._fields = keys, []
            self._bound = [Binding(self, measure) for measure in self.measures]
        for key in islice(keys, len(self._fields), None):
            self._fields.append(self._fields_of(key))
            for binding in self._bound:
                binding.bind(key)

    def _fields_of(self, key: Key) -> tuple[object, ...]:
        raw = (None if place is None else key[place] for place in self._known)
        return tuple(None if value == "" else value for value in raw)

    def _price_places(self, event: EventType) -> PricePlaces | None:
        if event.price is None:
            return None
        return PricePlaces(
            model=self.keys.index(event.price.model),
            cost=self.numbers.index(event.price.cost),
            tokens=tuple(None if item is None else self.numbers.index(item) for item in event.price.tokens),
        )

    def _measures(self, feeds: Iterable[tuple[Metric, Feed]]) -> Iterator[Measure]:
        observed: list[Measure] = []
        for metric, feed in feeds:
            for value, column in self._columns(feed):
                split = () if feed.value.label is None else (value,)
                later = feed.value.repeated is not None or feed.value.span is not None
                measure = Measure([], [], feed.labels, split, feed.where, column, feed.value.state, later)
                if metric.kind in (Kind.HISTOGRAM, Kind.SUMMARY):
                    if measure in observed:
                        measure = observed[observed.index(measure)]
                    else:
                        observed.append(measure)
                measure.metrics.append(metric)
                measure.exemplars.append(self._sources(metric, feed))
                if len(measure.metrics) == 1:
                    yield measure

    def _sources(self, metric: Metric, feed: Feed) -> Sources:
        places = [None if item in (None, self.run) else self.texts.index(item) for item in feed.exemplar]
        if self.run is None and None in places:
            return ()
        return tuple(zip(metric.exemplar, places, strict=True))

    def _columns(self, feed: Feed) -> Iterable[tuple[str, int | None]]:
        if not feed.value.fields:
            yield "", None
        for value, pointer in feed.value.fields:
            yield value, self.numbers.index(pointer)


def plans(catalog: Catalog, pack: Pack) -> dict[str, Plan]:
    """The plan of every event type of *pack*, by the event's name."""
    return {name: Plan(event, pack, catalog.metrics) for name, event in pack.events.items()}
