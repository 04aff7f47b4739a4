"""
Updates in, all series and runs kept: the one value that everything else reads.

`merge` is associative, an empty state is its unit, and it is commutative: however the events were cut and in whatever
order the states are merged, the result is the state of one pass. Checkpoints, parallel replay and fleets rest on that.
That is true of states that are not limited; `limit` makes one of them what is shown. In a state that is limited from
the start, as it must be when there is no end, values past a label's limit and runs that were silent for long depend on
order: there the values that came first are kept.

Knows nothing of lines, files or text formats.
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
"""Of a sliding window: it moves on in steps of a thirtieth of its length."""

MOST_WRITERS_OF_PARTS = 50_000
"""Writers whose numbers are remembered in a state that is not limited."""

MOST_SERIES_OF_PARTS = 50_000
"""
Series of a metric, and runs, that are told apart before memory is bounded.

With more series than that a metric is limited before all of it was read, and then the order of reading decides which
of its values have a name of their own. With more runs, those that were silent for long are forgotten.
"""

_NO_SLOT = 1 << 62  # later than any: nothing is in a window that ends there


class State:
    """
    All that was counted: series, runs, and how far event time has come.

    *window_seconds* is the length of the sliding window, *run_timeout* how long a run without an event is open,
    *run_linger* how long events still count after its end. For runs, time goes on for `idle` seconds of nobody writing.
    Of them nothing is settled that happened after `read_to`: older events may be in a file that was not read so far.
    With *limited* off no label is folded and no run is forgotten before `limit` is called: for the parts of one pass.
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
        self._linger = run_linger + self._slot_seconds  # as for runs: times are known to the slot
        self.sequences = Sequences() if limited else Sequences(MOST_WRITERS_OF_PARTS)
        self._run_counts = run_counts(catalog)
        self._totals = totals_of(catalog)
        self._declared = digests(catalog)

    @property
    def newest_slot(self) -> int:
        """The slot of the watermark; 0 before the first event."""
        return self.slot(self.watermark) if self.watermark > -inf else 0

    @property
    def settled_to(self) -> float:
        """The event time up to which runs are settled, but for their linger: when a slot began; 0 before any."""
        return self._begin(min(self.watermark, self.read_to))

    def slot(self, time: float) -> int:
        """The slot of *time*, in seconds since the epoch."""
        return int(time // self._slot_seconds)

    def time_of(self, slot: int) -> float:
        """The time at which *slot* begins, in seconds since the epoch."""
        return slot * self._slot_seconds

    def advance(self, time: float) -> None:
        """Events up to *time* were seen."""
        self.watermark = max(self.watermark, time)

    def hold(self, now: float, skew: float) -> bool:
        """
        Let windows, and time for runs, come back to *now* if they are more than *skew* seconds after it.

        Returns whether they were: then a clock was ahead when events were accepted, and has come back since. What has
        a later time is in the windows when these get there.
        """
        if self.watermark <= now + skew:
            return False
        self.watermark = now
        return True

    def apply(self, updates: Iterable[Update]) -> None:
        """Add *updates* to their series."""
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
        Take events of runs into account.

        They bring the series of the counts of runs into being whose labels they all carry: *named* has what they say,
        by run field, and whether they start a run, with the earliest slot. Of a start, what it lacks is unknown.
        """
        seen = list(sightings)
        runs = self.accounts[pack.name].runs
        runs.see(seen)
        for (fields, starts), slot in named.items():
            for count in self._run_counts:
                if count.pack == pack.name and (starts or count.named_by(fields)):
                    self.families[count.metric].find(count.labels_of(fields), 1, slot)
        # What a run added up is observed a linger after its end: until then its series are there at 0.
        ends: dict[tuple[Add, ...], float] = {}
        for ending in (sighting.ending for sighting in seen if sighting.ending):
            ends[ending.adds] = min(ends.get(ending.adds, inf), ending.time)
        for adds, time in ends.items():
            for add in adds:
                self.families[add.metric].find(add.labels, 0, self.slot(time))

    def sweep(self, *, end: bool = False) -> list[Update]:
        """
        Settle the runs that are over, and forget what is too old to matter; what that changed.

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
        """Forget an open run as if it had never been; what its events counted elsewhere stays."""
        self.accounts[pack].drop(run)

    def limit(self) -> None:
        """
        Apply the label limits from now on, and to what was counted in the order of event time.

        Below the limits it changes nothing that is shown but that series get their siblings.
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
        Keep memory bounded while more than *held* series of a metric, or as many runs, are told apart.

        Such a metric is limited from now on. Of so many runs those are forgotten that were silent for long before
        *floor*, the earliest event time that is still to come, if that is known: no other limit is as harmless.
        """
        for family in self.families.values():
            if len(family.series) > held:
                family.limit(self.newest_slot)
        many = [accounts for accounts in self.accounts.values() if accounts.held > held and isfinite(floor)]
        self._settled(accounts.forget(floor) for accounts in many)

    @property
    def held(self) -> int:
        """How many series and runs there are."""
        return sum(len(family.series) for family in self.families.values()) + sum(
            accounts.held for accounts in self.accounts.values()
        )

    def is_seen(self, metric: str) -> bool:
        """Whether an event had what *metric* is made of, so that a 0 is a number."""
        if not self.families[metric].seen:
            return False
        totals = self._totals.get(metric)
        return totals is None or any(place in self.accounts[pack].present for pack, place in totals)

    def packs_seen(self) -> tuple[Pack, ...]:
        """
        The packs of which there were events; all packs if there were none at all.

        Metrics that packs share do not tell them apart, unless a pack has no others.
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
        """How many runs are open now."""
        return sum(1 for accounts in self.accounts.values() for _ in accounts.runs.open(self._moment))

    def shed_runs(self) -> int:
        """How many runs were forgotten before they ended because there were too many."""
        return sum(accounts.shed for accounts in self.accounts.values())

    def count_open(self, metric: str) -> dict[Labels, int]:
        """The values of a gauge of open runs; a label set once named stays, at 0."""
        family = self.families[metric]
        counts = Tally(
            family.folded(count.labels_of(run.values()))
            for count in self._run_counts
            if count.metric == metric
            for run in self.accounts[count.pack].runs.open(self._moment)
        )
        return {labels: counts[labels] for labels in sorted(family.series.keys() | counts.keys())}

    def overflow(self) -> Mapping[tuple[str, str], int]:
        """How many events were folded, by metric and label."""
        return {
            (name, label): events for name, family in self.families.items() for label, events in family.overflow.items()
        }

    def settle_by(self, edges: Sequence[float]) -> list[list[Update]]:
        """What of the runs was over by each of *edges*, and in the end; see `Accounts`. Nothing is applied."""
        parts = [accounts.settle_by(edges, self._moment) for accounts in self.accounts.values()]
        return [list(chain.from_iterable(part[place] for part in parts)) for place in range(len(edges) + 1)]

    def merge(self, other: "State") -> None:
        """Add what *other*, of the same catalog, has counted."""
        self.merge_series(other)
        for name, accounts in self.accounts.items():
            accounts.merge(other.accounts[name])
        self.sequences.merge(other.sequences)

    def merge_series(self, other: "State") -> None:
        """Add the series of *other*, of the same catalog, and not its runs."""
        self.advance(other.watermark)
        self.clamped += other.clamped
        for name, family in self.families.items():
            family.merge(other.families[name], self.newest_slot)

    def dump(self) -> dict[str, Any]:
        """Everything that was counted, as plain values: what `load` takes."""
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
        Take over, while empty, what `dump` gave; say what could not be taken over, in words.

        A metric whose declaration has changed starts anew: its old numbers would mean something else.
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
        """When the slot of now begins, by the time of events: what is known of runs is known by slots."""
        return self._begin(self.watermark)

    def _begin(self, time: float) -> float:
        return self.time_of(self.slot(time + self.idle)) if time > -inf else 0.0

    def _settled(self, settled: Iterable[list[Update]]) -> list[Update]:
        updates = list(chain.from_iterable(settled))
        self.apply(updates)
        return updates

    def _packs(self) -> list[tuple[str, Pack]]:
        return [(pack.name, pack) for pack in self.catalog.packs if pack.run]
