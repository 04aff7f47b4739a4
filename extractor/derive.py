"""
Events in, updates out.

What an event type adds to which metric is compiled once, from the catalog, into a `Plan`. A plan cuts an event into a
*key* (everything that decides which series it touches) and a *row* (its numbers), so that thousands of events with one
key become a handful of updates: what has a cost per label set is paid once per key, not once per line.

Pure; knows nothing of series, Prometheus or time's passing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress

from extractor.catalog import UNKNOWN, Catalog, EventType, Feed, Kind, Label, Metric, Pack
from extractor.conditions import fits, scalar, test_of
from extractor.pointers import Pointer, found
from extractor.sums import Numbers, exact_sum
from extractor.updates import Increment, Observations, Settings, Update

Key = tuple[object, ...]
"""The raw values of `Plan.keys` in one event."""

Row = tuple[object, ...]
"""The slot of an event's time, the raw values of `Plan.numbers`, and, where the plan is `timed`, the event's time."""

Rows = list[object]
"""Rows one after the other, flat: tuples kept for a while would cost the garbage collector more than they say."""

Columns = list[Rows]

_BINDINGS = 10_000  # keys remembered with their labels; free text in a label property must not grow the memory


def label_text(raw: object) -> str:
    """A raw property value, which is there, as label text."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)  # JSON Schema calls 429.0 an integer too
    return str(raw)


def label_value(label: Label, raw: object) -> str:
    """The value of *label* for a raw property value."""
    if label.const is not None:
        return label.const
    if raw is None or raw == "":
        return UNKNOWN
    text = label_text(raw)
    return text if label.mapping is None else label.mapping.get(text, label.other or UNKNOWN)


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """A label set, and the metrics that get the same updates for it: a histogram and a summary of one number, say."""

    labels: tuple[str, ...]
    metrics: list[Metric]


@dataclass(frozen=True, slots=True)
class _Step:
    """
    What one feed does for every row of one key.

    *column* of the row is its number; only rows whose columns pass all *tests* count; *none* says that no row does.
    """

    target: _Target
    column: int | None
    state: str | None
    none: bool
    tests: tuple[tuple[int, Callable[[object], bool]], ...]


class _Gathered:
    """What all rows together bring to one target: how many, and their numbers with the slot or time of each."""

    __slots__ = ("events", "values", "when")

    def __init__(self) -> None:
        self.events = 0
        self.values: list[object] = []
        self.when: list[object] = []


class Plan:
    """
    How the events of one type become updates.

    *keys* and *numbers* are pointers into the event; without *feeds* there is nothing to update. *timed* plans want the
    exact time of each event in its row; a row has *width* places. *run* leads to the run's id, *run_fields* to what is
    to be known of each run: the same in every plan of a pack, but None where this event type does not declare it.
    """

    def __init__(self, event: EventType, pack: Pack, metrics: Mapping[str, Metric]) -> None:
        self.event = event
        self.run = pack.run
        self.run_fields = tuple(item if _declared(event.schema, item) else None for item in run_fields(pack))
        self._feeds = [(metrics[feed.metric], feed) for feed in event.feeds if feed.value.run is None]
        labels = [label.pointer for _, feed in self._feeds for label in feed.labels if label.const is None]
        closed = [item.pointer for _, feed in self._feeds for item in feed.where if item.closed]
        values = [pointer for _, feed in self._feeds for _, pointer in feed.value.fields]
        asked = [item.pointer for _, feed in self._feeds for item in feed.where if not item.closed]
        self.keys: tuple[Pointer, ...] = tuple(dict.fromkeys(labels + closed))
        self.numbers: tuple[Pointer, ...] = tuple(dict.fromkeys(values + asked))
        self.timed = any(metric.kind in (Kind.GAUGE, Kind.STATESET) for metric, _ in self._feeds)
        self.width = 1 + len(self.numbers) + self.timed
        self.feeds = bool(self._feeds)
        self._bindings: dict[Key, list[_Step]] = {}
        self._targets: dict[tuple[object, ...], _Target] = {}

    def key(self, line: object) -> Key:
        """The key of a decoded line."""
        return tuple(scalar(found(line, pointer)) for pointer in self.keys)

    def row(self, line: object, slot: int, time: float) -> Row:
        """The row of a decoded line."""
        numbers = (found(line, pointer) for pointer in self.numbers)
        return (slot, *numbers, time) if self.timed else (slot, *numbers)

    def updates(self, groups: Mapping[Key, Rows]) -> Iterator[Update]:
        """What events, their rows grouped by key, add to the metrics: one update for each label set that they touch."""
        gathered: dict[_Target, _Gathered] = {}
        for key, rows in groups.items():
            columns: Columns = [rows[place :: self.width] for place in range(self.width)]
            for step in self._steps(key):
                target = gathered.get(step.target)
                if target is None:
                    target = gathered[step.target] = _Gathered()
                if not step.none:
                    _gather(target, step, columns, _mask(step, columns) if step.tests else None)
        return chain.from_iterable(_updates(target, all_rows) for target, all_rows in gathered.items())

    def _steps(self, key: Key) -> list[_Step]:
        steps = self._bindings.get(key)
        if steps is None:
            if len(self._bindings) >= _BINDINGS:
                self._bindings.clear()
                self._targets.clear()
            steps = self._bindings[key] = list(self._bind(key))
        return steps

    def _bind(self, key: Key) -> Iterable[_Step]:
        known = dict(zip(self.keys, key, strict=True))
        bound: set[_Target] = set()
        for metric, feed in self._feeds:
            labels = tuple(label_value(label, known.get(label.pointer)) for label in feed.labels)
            none = not all(fits(item, known[item.pointer]) for item in feed.where if item.closed)
            tests = tuple(
                (1 + self.numbers.index(item.pointer), test_of(item)) for item in feed.where if not item.closed
            )
            for value, column in self._columns(feed):
                extra = () if feed.value.label is None else (value,)
                observed = metric.kind in (Kind.HISTOGRAM, Kind.SUMMARY)
                source = (column, feed.where) if observed else (metric.name,)
                target = self._targets.setdefault((labels + extra, *source), _Target(labels + extra, []))
                if metric not in target.metrics:
                    target.metrics.append(metric)
                if target not in bound:
                    bound.add(target)
                    yield _Step(target, column, feed.value.state, none, tests)

    def _columns(self, feed: Feed) -> Iterable[tuple[str, int | None]]:
        if not feed.value.fields:
            yield "", None
        for value, pointer in feed.value.fields:
            yield value, 1 + self.numbers.index(pointer)


def _gather(target: _Gathered, step: _Step, columns: Columns, mask: list[bool] | None) -> None:
    """Add to *target* what the rows bring, of which only those count that *mask* says."""
    events = len(columns[0]) if mask is None else sum(mask)
    target.events += events
    if step.column is not None:
        target.values += _chosen(columns[step.column], mask)
    elif step.state is not None:
        target.values += [step.state] * events
    kind = step.target.metrics[0].kind
    if kind is not Kind.COUNTER:
        # A timed plan puts the time last.
        target.when += _chosen(columns[-1] if kind in (Kind.GAUGE, Kind.STATESET) else columns[0], mask)


def _chosen(column: Rows, mask: list[bool] | None) -> Iterable[object]:
    return column if mask is None else compress(column, mask)


def _mask(step: _Step, columns: Columns) -> list[bool]:
    masks = [map(test, columns[place]) for place, test in step.tests]
    return list(masks[0] if len(masks) == 1 else map(all, zip(*masks, strict=True)))


def _updates(target: _Target, rows: _Gathered) -> Iterator[Update]:
    labels, values, when = target.labels, rows.values, rows.when
    if None in values:  # the property was absent
        when = [moment for moment, value in zip(when, values, strict=False) if value is not None]
        values = [value for value in values if value is not None]
    # Below, schemas has proved the types.
    metric = target.metrics[0]
    match metric.kind:
        case Kind.COUNTER:
            yield Increment(metric.name, labels, rows.events, exact_sum(values) if rows.values else rows.events)  # type: ignore[arg-type]
        case Kind.GAUGE | Kind.STATESET:
            yield Settings(metric.name, labels, values, when)  # type: ignore[arg-type]
        case _:
            numbers = Numbers(values)  # type: ignore[arg-type]
            for observed in target.metrics:
                yield Observations(observed.name, labels, numbers, when)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class RunGauge:
    """A gauge of open runs of the pack named *pack*; *places* of *labels* among the run fields, None for constants."""

    metric: str
    pack: str
    labels: tuple[Label, ...]
    places: tuple[int | None, ...]

    def named_by(self, values: Sequence[object]) -> bool:
        """Whether these values of the run fields name all labels."""
        return all(place is None or values[place] is not None for place in self.places)

    def labels_of(self, values: Sequence[object]) -> tuple[str, ...]:
        """The label set of a run with these values of the run fields."""
        return tuple(
            label_value(label, None if place is None else values[place])
            for label, place in zip(self.labels, self.places, strict=True)
        )


def run_gauges(catalog: Catalog) -> list[RunGauge]:
    """Every gauge of open runs that the packs declare."""
    return [
        RunGauge(
            metric=feed.metric,
            pack=pack.name,
            labels=feed.labels,
            places=tuple(
                None if label.const is not None else run_fields(pack).index(label.pointer) for label in feed.labels
            ),
        )
        for pack in catalog.packs
        for event in pack.events.values()
        for feed in event.feeds
        if feed.value.run is not None
    ]


def _declared(schema: object, pointer: Pointer) -> bool:
    return all((schema := found(schema, ("properties", token))) is not None for token in pointer)


def run_fields(pack: Pack) -> tuple[Pointer, ...]:
    """What is to be known of each run of *pack*: the properties that label its gauges of open runs."""
    feeds = (feed for event in pack.events.values() for feed in event.feeds if feed.value.run is not None)
    return tuple(dict.fromkeys(label.pointer for feed in feeds for label in feed.labels if label.const is None))


def plans(catalog: Catalog, pack: Pack) -> dict[str, Plan]:
    """The plan of every event type of *pack*, by the event's name."""
    return {name: Plan(event, pack, catalog.metrics) for name, event in pack.events.items()}
