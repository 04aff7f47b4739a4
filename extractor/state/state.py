"""
All series and runs: apply updates to them, and provide what outputs read.

`merge` is associative and commutative, and an empty state is its unit: however the events were cut, and in whatever
order the states are merged, the result is the state of a single pass. Checkpoints, parallel replay and fleets rely on
this.

It holds for states without limits; `limit` converts one of them for output. A state that is limited from the start, as
a follower must be, depends on order past a label's limit and for runs that were silent for long: it keeps the values
that came first.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import ceil, inf, isfinite
from typing import Any

from extractor.schema.digests import digests
from extractor.schema.model import Catalog, Kind, Pack
from extractor.state.families import Family, Labels
from extractor.state.runs.bookkeeping import known_of_runs, open_accounts
from extractor.state.runs.counts import run_counts, totals_of
from extractor.state.runs.endings import Add
from extractor.state.runs.registry import Sighting
from extractor.state.sequences import Sequences
from extractor.state.series import Summary
from extractor.state.updates import Increment, Observations, Settings, Update

_SLOTS = 30
"""Number of slots of a sliding window, which advances by one slot at a time."""

MOST_WRITERS_OF_PARTS = 50_000
"""Maximum number of writers in a state without limits."""

MOST_SERIES_OF_PARTS = 50_000
"""
Maximum number of series of a metric, and of runs, before memory is bounded.

A metric with more series is limited before all input is read, and the order of reading then decides which of its values
are kept apart. With more runs, those that were silent for long are dropped.
"""

_NO_SLOT = 1 << 62  # later than any slot: a window that ends there is empty


class State:
    """
    All counts: series, runs, and the watermark of event time.

    *window_seconds* is the length of the sliding window, *run_timeout* the time in seconds after which a run without an
    event is closed, *run_linger* how long events still count after its end. For runs, time advances by `idle` seconds
    while nothing is written. Runs are settled only up to `read_to`: unread files may hold older events. With *limited*
    off, no label is folded and no run is dropped before `limit` is called, as the parts of one pass require.
    """

    def __init__(  # noqa: PLR0913  # options, given by name
        self,
        catalog: Catalog,
        *,
        window_seconds: float = 300.0,
        run_timeout: float = 3600.0,
        run_linger: float = 5.0,
        max_open_runs: int = 100_000,
        limited: bool = True,
    ) -> None:
        self.catalog = catalog
        self.window_seconds = window_seconds
        self.run_timeout = run_timeout
        self.run_linger = run_linger
        self.max_open_runs = max_open_runs
        self._slot_seconds = window_seconds / _SLOTS
        self.watermark = -inf
        self.idle = 0.0
        self.read_to = inf
        self.clamped = 0
        self.families = {name: Family(metric, _SLOTS, limited=limited) for name, metric in catalog.metrics.items()}
        self._limited = limited
        self.accounts = {
            pack.name: open_accounts(
                catalog,
                pack,
                timeout=run_timeout,
                linger=run_linger,
                most=max_open_runs,
                slot_seconds=self._slot_seconds,
            )
            for pack in catalog.packs
            if pack.run
        }
        self._linger = run_linger + self._slot_seconds  # as for runs: times are accurate to a slot
        self.sequences = Sequences() if limited else Sequences(MOST_WRITERS_OF_PARTS)
        self._run_counts = run_counts(catalog)
        self._totals = totals_of(catalog)
        self._declared = digests(catalog)

    @property
    def newest_slot(self) -> int:
        """Slot of the watermark; 0 before the first event."""
        return self.slot(self.watermark) if self.watermark > -inf else 0

    @property
    def settled_to(self) -> float:
        """Event time up to which runs are settled, without their linger: the start of a slot; 0 before any."""
        return self._begin(min(self.watermark, self.read_to))

    def slot(self, time: float) -> int:
        """Return the slot of *time*, in seconds since the epoch."""
        return int(time // self._slot_seconds)

    def time_of(self, slot: int) -> float:
        """Return the time at which *slot* begins, in seconds since the epoch."""
        return slot * self._slot_seconds

    def advance(self, time: float) -> None:
        """Raise the watermark to *time*, in seconds since the epoch."""
        self.watermark = max(self.watermark, time)

    def hold(self, now: float, skew: float) -> bool:
        """
        Reset the watermark to *now* if it is more than *skew* seconds later; return whether it was.

        A later watermark means that a clock was ahead when events were accepted, and has been corrected. Events with
        later times enter the windows once these reach them.
        """
        if self.watermark <= now + skew:
            return False
        self.watermark = now
        return True

    def apply(self, updates: Iterable[Update]) -> None:
        """Apply *updates* to their series."""
        newest = self.newest_slot
        for update in updates:
            family = self.families[update.metric]
            if isinstance(update, Increment):
                family.seen |= update.seen
                counter = family.find(update.labels, update.events, update.first)
                counter.total += update.amount  # type: ignore[union-attr]  # one metric, one kind
                if update.exemplar is not None:
                    counter.exemplars.note(0, update.exemplar)  # type: ignore[union-attr]
            elif isinstance(update, Observations):
                self._observe(family, update, newest)
            else:
                self._set(family, update)

    def _observe(self, family: Family, update: Observations, newest: int) -> None:
        series = family.find(update.labels, len(update.numbers), update.first)
        if not len(update.numbers):
            return
        family.seen = True
        if isinstance(series, Summary):
            per_unit = family.metric.per_unit
            self.clamped += series.observe(update.numbers, update.slots, newest, per_unit, update.places)
        else:
            series.observe(update.numbers, update.places)  # type: ignore[union-attr]
            for place, exemplar in update.exemplars:
                series.exemplars.note(place, exemplar)  # type: ignore[union-attr]

    def _set(self, family: Family, update: Settings) -> None:
        if not update.values and family.metric.kind is Kind.STATESET:
            return
        family.seen |= bool(update.values)
        latest = family.find(update.labels, len(update.values), update.first)
        for value, time, order in zip(update.values, update.times, update.orders, strict=True):
            latest.set(value, time, order)  # type: ignore[union-attr]

    def see_runs(
        self, pack: Pack, sightings: Iterable[Sighting], named: Mapping[tuple[tuple[object, ...], bool], int]
    ) -> None:
        """
        Add events of runs.

        They create the series of those run counts whose labels they all carry: *named* maps their raw run field values,
        and whether they start a run, to the earliest slot. In a start event, missing values are unknown.
        """
        seen = list(sightings)
        runs = self.accounts[pack.name].runs
        runs.see(seen)
        for (fields, starts), slot in named.items():
            for count in self._run_counts:
                if count.pack == pack.name and (starts or count.named_by(fields)):
                    self.families[count.metric].find(count.labels_of(fields), 1, slot)
        # The totals of a run are observed a linger after its end; until then their series exist at 0.
        ends: dict[tuple[Add, ...], float] = {}
        for ending in (sighting.ending for sighting in seen if sighting.ending):
            ends[ending.adds] = min(ends.get(ending.adds, inf), ending.time)
        for adds, time in ends.items():
            for add in adds:
                self.families[add.metric].find(add.labels, 0, self.slot(time))

    def sweep(self, *, end: bool = False) -> list[Update]:
        """
        Settle the runs that are over, and drop what is too old to matter; return the resulting updates.

        At the *end* of input every run that has ended is over.
        """
        if not self._limited:
            return []
        reach = int(self._linger // self._slot_seconds)
        if end:
            self.sequences.finish(reach)
        else:
            self.sequences.settle(ceil((self.settled_to - self._linger) / self._slot_seconds) - 1, reach)
        return self._settled(accounts.settle(self.settled_to, end=end) for accounts in self.accounts.values())

    def drop_run(self, pack: str, run: str) -> None:
        """Drop an open run; what its events counted in other series stays."""
        self.accounts[pack].drop(run)

    def limit(self) -> None:
        """
        Apply the label limits from now on, and to existing series in the order of event time.

        Below the limits, this only adds siblings to the series.
        """
        self._limited = True
        for count in self._run_counts:
            if count.of == "open":
                for run in self.accounts[count.pack].runs.open(self._moment):
                    self.families[count.metric].find(count.labels_of(run.values()), 0, self.slot(run.last))
        for family in self.families.values():
            family.limit(self.newest_slot)
        self._settled(accounts.limit(self._moment) for accounts in self.accounts.values())

    def bound(self, held: int, floor: float) -> None:
        """
        Bound memory once a metric has more than *held* series, or a pack more than *held* runs.

        Such a metric is limited from now on. Of the runs, those that were silent for long before *floor*, the earliest
        event time still to come, are dropped; if it is unknown, none are.
        """
        for family in self.families.values():
            if len(family.series) > held:
                family.limit(self.newest_slot)
        many = [accounts for accounts in self.accounts.values() if accounts.held > held and isfinite(floor)]
        self._settled(accounts.forget(floor) for accounts in many)

    @property
    def held(self) -> int:
        """Number of series and runs."""
        return sum(len(family.series) for family in self.families.values()) + sum(
            accounts.held for accounts in self.accounts.values()
        )

    def is_seen(self, metric: str) -> bool:
        """Return whether an event had the value of *metric*, so that a 0 is a number."""
        if not self.families[metric].seen:
            return False
        totals = self._totals.get(metric)
        return totals is None or any(place in self.accounts[pack].present for pack, place in totals)

    def packs_seen(self) -> tuple[Pack, ...]:
        """
        Return the packs that had events; all packs if none had.

        Metrics that packs share do not identify a pack, unless it has no others.
        """
        packs = self.catalog.packs
        fed = {pack.name: {feed.metric for event in pack.events.values() for feed in event.feeds} for pack in packs}
        seen = []
        for pack in packs:
            others = set[str]().union(*(fed[other.name] for other in packs if other is not pack))
            if any(self.families[name].seen for name in fed[pack.name] - others or fed[pack.name]):
                seen.append(pack)
        return tuple(seen) or packs

    def open_runs(self) -> int:
        """Return the number of open runs."""
        return sum(1 for accounts in self.accounts.values() for _ in accounts.runs.open(self._moment))

    def shed_runs(self) -> int:
        """Return the number of runs that were dropped before they ended, because there were too many."""
        return sum(accounts.shed for accounts in self.accounts.values())

    def count_open(self, metric: str) -> dict[Labels, int]:
        """Return the values of a gauge of open runs; a known label set stays, at 0."""
        family = self.families[metric]
        counts = Tally(
            family.folded(count.labels_of(run.values()))
            for count in self._run_counts
            if count.metric == metric
            for run in self.accounts[count.pack].runs.open(self._moment)
        )
        return {labels: counts[labels] for labels in sorted(family.series.keys() | counts.keys())}

    def overflow(self) -> Mapping[tuple[str, str], int]:
        """Return the number of folded events, by metric and label."""
        return {
            (name, label): events for name, family in self.families.items() for label, events in family.overflow.items()
        }

    def settle_by(self, edges: Sequence[float]) -> list[list[Update]]:
        """
        Return the updates of runs that are over by each of *edges*, and of the rest at the end; apply none of them.

        See `Accounts.settle_by`.
        """
        parts = [accounts.settle_by(edges, self._moment) for accounts in self.accounts.values()]
        return [list(chain.from_iterable(part[place] for part in parts)) for place in range(len(edges) + 1)]

    def merge(self, other: "State") -> None:
        """Add the counts of *other*, which has the same catalog."""
        self.merge_series(other)
        for name, accounts in self.accounts.items():
            accounts.merge(other.accounts[name])
        self.sequences.merge(other.sequences)

    def merge_series(self, other: "State") -> None:
        """Add the series, but not the runs, of *other*, which has the same catalog."""
        self.advance(other.watermark)
        self.clamped += other.clamped
        for name, family in self.families.items():
            family.merge(other.families[name], self.newest_slot)

    def dump(self) -> dict[str, Any]:
        """Return the whole content as plain values, for `load`."""
        return {
            "window_seconds": self.window_seconds,
            "watermark": self.watermark,
            "clamped": self.clamped,
            "declared": self._declared,
            "families": {name: family.dump() for name, family in self.families.items()},
            "runs": {name: [known_of_runs(pack), self.accounts[name].dump()] for name, pack in self._packs()},
            "sequences": self.sequences.dump(),
        }

    def load(self, dumped: dict[str, Any]) -> list[str]:
        """
        Restore into an empty state what `dump` returned; return notes about what could not be restored.

        A metric whose declaration has changed restarts at 0, because its old numbers would have another meaning.
        """
        notes = []
        self.watermark, self.clamped = dumped["watermark"], dumped["clamped"]
        same_slots = dumped["window_seconds"] == self.window_seconds
        if not same_slots:
            notes.append("the quantile window has changed: quantiles start anew, totals go on")
        for name, family in dumped["families"].items():
            if name not in self.families:
                notes.append(f"{name} is no longer declared: its series are dropped")
            elif dumped["declared"][name] != self._declared[name]:
                notes.append(f"the declaration of {name} has changed: it starts anew at 0")
            else:
                self.families[name].load(family, self.newest_slot if same_slots else _NO_SLOT)
        notes += [f"{name} is new: it starts at 0" for name in self.families if name not in dumped["families"]]
        slots = dumped["window_seconds"] / self.window_seconds
        self.sequences.load(dumped.get("sequences", {}), slots)
        for name, pack in self._packs():
            known, accounts = dumped["runs"].get(name, (None, None))
            if known == known_of_runs(pack):
                self.accounts[name].load(accounts, slots)
            elif accounts is not None:
                notes.append(f"what is to be known of the runs of pack {name} has changed: open runs are forgotten")
        return notes

    @property
    def _moment(self) -> float:
        """Start of the current slot, by event time: runs are known by slots."""
        return self._begin(self.watermark)

    def _begin(self, time: float) -> float:
        return self.time_of(self.slot(time + self.idle)) if time > -inf else 0.0

    def _settled(self, settled: Iterable[list[Update]]) -> list[Update]:
        updates = list(chain.from_iterable(settled))
        self.apply(updates)
        return updates

    def _packs(self) -> list[tuple[str, Pack]]:
        return [(pack.name, pack) for pack in self.catalog.packs if pack.run]
