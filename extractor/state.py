"""
Updates in, all series and runs kept: the one value that everything else reads.

`merge` is associative, an empty state is its unit, and it is commutative: however the events were cut and in whatever
order the states are merged, the result is the state of one pass. Checkpoints, parallel replay and fleets rest on that.
Only a label past its limit depends on order: there the values that came first are kept.

Knows nothing of lines, files or text formats.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import product
from math import inf

from extractor.catalog import OTHER, UNKNOWN, Catalog, Kind, Metric, Pack
from extractor.derive import run_fields, run_gauges
from extractor.runs import Runs, Sighting
from extractor.series import Counter, Histogram, Latest, Summary
from extractor.updates import Increment, Observations, Settings, Update

_SLOTS = 30
"""Of a sliding window: it moves on in steps of a thirtieth of its length."""

Labels = tuple[str, ...]
Series = Counter | Latest | Histogram | Summary


class Family:
    """The series of one metric, with the label values that are told apart."""

    def __init__(self, metric: Metric, window: int, *, limited: bool) -> None:
        self.metric = metric
        self.series: dict[Labels, Series] = {}
        self.overflow: Tally[str] = Tally()  # events folded, by label; "" where the series limit did it
        self._window = window
        self._limited = limited
        # In decimal, as they are written: 1.001 * 1000 is below 1001 as a float, and 1001 ms would miss its bucket.
        self._bounds = [float(Decimal(repr(bound)) * metric.per_unit) for bound in metric.bounds]
        self._open = [place for place, values in enumerate(metric.label_values) if values is None]
        self._admitted: dict[int, set[str]] = {place: set() for place in self._open}
        if not self._open and metric.kind is not Kind.STATESET:
            self._bear(())

    def open_labels(self) -> list[str]:
        """The names of the labels whose values are limited."""
        return [self.metric.label_names[place] for place in self._open]

    def find(self, labels: Labels, events: int) -> Series:
        """The series of *labels*, made with its siblings if new; *events* is how many are folded if they must be."""
        series = self.series.get(labels)
        return series if series is not None else self._admit(labels, events)

    def folded(self, labels: Labels) -> Labels:
        """*labels* as they are told apart now, without admitting any."""
        return tuple(
            value if place not in self._admitted or value in (*self._admitted[place], UNKNOWN) else OTHER
            for place, value in enumerate(labels)
        )

    def merge(self, other: "Family", newest: int) -> None:
        """Add the series of *other*."""
        for labels, theirs in other.series.items():
            mine = self.find(labels, _events(theirs))
            if isinstance(mine, Summary):
                mine.merge(theirs, newest)  # type: ignore[arg-type]  # one metric, one kind
            else:
                mine.merge(theirs)  # type: ignore[arg-type]
        self.overflow.update(other.overflow)

    def _admit(self, labels: Labels, events: int) -> Series:
        folded = list(labels)
        for place in self._open:
            value, admitted = labels[place], self._admitted[place]
            if value in admitted or value == OTHER:
                continue
            if self._limited and len(admitted) >= self.metric.label_limits[place]:
                folded[place] = OTHER
                self.overflow[self.metric.label_names[place]] += events
            else:
                admitted.add(value)
        labels = tuple(folded)
        if labels not in self.series:
            if self._limited and len(self.series) >= self.metric.limit:
                labels = tuple(OTHER if place in self._admitted else value for place, value in enumerate(labels))
                self.overflow[""] += events
            if labels not in self.series:
                self._bear(labels)
        return self.series[labels]

    def _bear(self, labels: Labels) -> None:
        # A new series brings its siblings, the other values of the closed labels, so that the first error is seen as an
        # increase from 0. A state set has none to bring: a state nobody reported is not known to be off.
        if self.metric.kind is Kind.STATESET:
            self.series[labels] = Latest()
            return
        choices = [
            (labels[place],) if values is None else values for place, values in enumerate(self.metric.label_values)
        ]
        for sibling in product(*choices):
            if sibling not in self.series:
                self.series[sibling] = self._new()

    def _new(self) -> Series:
        match self.metric.kind:
            case Kind.COUNTER:
                return Counter()
            case Kind.HISTOGRAM:
                return Histogram(self._bounds)
            case Kind.SUMMARY:
                return Summary(self._window)
            case _:
                return Latest()


def _events(series: Series) -> int:
    # At least so many events; a counter of tokens does not know how many events brought them.
    match series:
        case Histogram():
            return sum(series.buckets)
        case Summary():
            return series.count
        case _:
            return 1


class State:
    """
    All that was counted: series, runs, and how far event time has come.

    *window_seconds* is the length of the sliding window, *run_timeout* how long a run without an event is open. With
    *limited* off no label is folded: for the parts of one pass, whose merge into a limited state folds them.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        window_seconds: float = 300.0,
        run_timeout: float = 3600.0,
        limited: bool = True,
    ) -> None:
        self.catalog = catalog
        self.window_seconds = window_seconds
        self._slot_seconds = window_seconds / _SLOTS
        self.watermark = -inf
        self.clamped = 0
        self.families = {name: Family(metric, _SLOTS, limited=limited) for name, metric in catalog.metrics.items()}
        self.runs = {pack.name: Runs(len(run_fields(pack)), run_timeout) for pack in catalog.packs if pack.run}
        self._run_gauges = run_gauges(catalog)

    @property
    def newest_slot(self) -> int:
        """The slot of the watermark; 0 before the first event."""
        return self.slot(self.watermark) if self.watermark > -inf else 0

    def slot(self, time: float) -> int:
        """The slot of *time*, in seconds since the epoch."""
        return int(time // self._slot_seconds)

    def advance(self, time: float) -> None:
        """Events up to *time* were seen."""
        self.watermark = max(self.watermark, time)

    def apply(self, updates: Iterable[Update]) -> None:
        """Add *updates* to their series."""
        newest = self.newest_slot
        for update in updates:
            family = self.families[update.metric]
            if isinstance(update, Increment):
                counter = family.find(update.labels, update.events)
                counter.total += update.amount  # type: ignore[union-attr]  # one metric, one kind
            elif isinstance(update, Observations):
                self._observe(family, update, newest)
            else:
                self._set(family, update)

    def _observe(self, family: Family, update: Observations, newest: int) -> None:
        series = family.find(update.labels, len(update.values))
        if isinstance(series, Summary):
            self.clamped += series.observe(update.values, update.slots, newest, family.metric.per_unit)
        elif update.values:
            series.observe(update.values)  # type: ignore[union-attr]

    def _set(self, family: Family, update: Settings) -> None:
        if not update.values and family.metric.kind is Kind.STATESET:
            return
        latest = family.find(update.labels, len(update.values))
        for value, time in zip(update.values, update.times, strict=True):
            latest.set(value, time)  # type: ignore[union-attr]

    def see_runs(self, pack: Pack, sightings: Iterable[Sighting], *, end: bool) -> None:
        """Take events of runs into account, all of one kind; *end* says that they end their run."""
        seen = list(sightings)
        self.runs[pack.name].see(seen, end=end)
        # What an event says of its run brings the gauge's series into being: if looking did, it would leave a trace.
        for fields in {sighting.fields for sighting in seen}:
            for gauge in self._run_gauges:
                if gauge.pack == pack.name and gauge.named_by(fields):
                    self.families[gauge.metric].find(gauge.labels_of(fields), 1)

    def sweep(self) -> None:
        """Forget what is too old to matter."""
        for runs in self.runs.values():
            runs.sweep(self.watermark)

    def open_runs(self) -> int:
        """How many runs are open now."""
        return sum(1 for runs in self.runs.values() for _ in runs.open(self.watermark))

    def count_open(self, metric: str) -> dict[Labels, int]:
        """The values of a gauge of open runs; a label set once named stays, at 0."""
        family = self.families[metric]
        counts = Tally(
            family.folded(gauge.labels_of(run.values()))
            for gauge in self._run_gauges
            if gauge.metric == metric
            for run in self.runs[gauge.pack].open(self.watermark)
        )
        return {labels: counts[labels] for labels in sorted(family.series.keys() | counts.keys())}

    def overflow(self) -> Mapping[tuple[str, str], int]:
        """How many events were folded, by metric and label."""
        return {
            (name, label): events for name, family in self.families.items() for label, events in family.overflow.items()
        }

    def merge(self, other: "State") -> None:
        """Add what *other*, of the same catalog, has counted."""
        self.advance(other.watermark)
        self.clamped += other.clamped
        for name, family in self.families.items():
            family.merge(other.families[name], self.newest_slot)
        for name, runs in self.runs.items():
            runs.merge(other.runs[name])
