"""
The events of all runs in, runs out: what each added up, whether it is open, given up or over, and what was odd.

Times of runs are known to the slot: each is the begin of the slot in which it lies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.oracle import labels
from tests.oracle.lines import Line
from tests.oracle.observations import Observation, number, run_metrics, texts
from tests.oracle.options import Options
from tests.oracle.pack import Feed, Pack


@dataclass(frozen=True)
class Run:
    """The events of one run id between two times at which it was given up, in order."""

    events: Sequence[Line]
    given_up: int | None
    options: Options

    @property
    def end(self) -> Line | None:
        """The first event that ends it."""
        return next((event for event in self.events if event.type and event.type.run == "end"), None)

    @property
    def is_open(self) -> bool:
        """Whether it is in progress."""
        return self.end is None and self.given_up is None

    @property
    def is_abandoned(self) -> bool:
        """Whether it was given up without an end."""
        return self.end is None and self.given_up is not None

    @property
    def counted(self) -> list[Line]:
        """Its events up to the last slot that counts after its end."""
        if self.end is None:
            return list(self.events)
        last = self.options.last_slot(self.end.time)
        return [event for event in self.events if self.options.slot_of(event.time) <= last]

    def label(self, name: str) -> str:
        """The label of an open or abandoned run: from the latest slot that has one, the greatest text in it."""
        found = [
            (self.options.slot_of(event.time), carried[name])
            for event in self.events
            if (carried := labels.carried(event, [name]))
        ]
        return max(found)[1] if found else labels.UNKNOWN

    @property
    def anomalies(self) -> set[str]:
        """What was odd about it."""
        found = set()
        over = self.end is not None or self.given_up is not None
        if over and not any(event.type and event.type.run == "start" for event in self.counted):
            found.add("no_start")
        if sum(event.type is not None and event.type.run == "end" for event in self.events) > 1:
            found.add("second_end")
        if len(self.counted) < len(self.events):
            found.add("after_end")
        return found


def runs(events: Sequence[Line], pack: Pack, options: Options, now: int) -> list[Run]:
    """The runs of *events*, which are in order; *now* is the latest time."""
    by_id: dict[str, list[Line]] = {}
    for event in events:
        by_id.setdefault(event.values[pack.run], []).append(event)
    found = []
    for of_run in by_id.values():
        begin = 0
        for index in range(1, len(of_run)):
            if given_up := _given_up(of_run[index - 1], options.begin(of_run[index].time), options):
                found.append(Run(of_run[begin:index], given_up, options))
                begin = index
        found.append(Run(of_run[begin:], _given_up(of_run[-1], Fraction(now), options), options))
    return found


def _given_up(last: Line, now: Fraction, options: Options) -> int | None:
    part = options.begin(last.time) // options.part
    return int((part + 21) * options.part) if now // options.part - part > 20 else None


def touches(run: Run, feed: Feed) -> Iterator[Observation]:
    """
    The label sets of a metric of open or abandoned runs that the events of *run* touch.

    An event touches the set that it carries in full. One of the type that declares the metric carries what it lacks as
    unknown.
    """
    for event in run.events:
        found = labels.carried(event, feed.sources)
        if event.type is feed.type or len(found) == len(feed.sources):
            values = tuple(found.get(name, labels.UNKNOWN) for name in feed.sources)
            yield Observation(feed.metric, values, event.time, None)


def observations(run: Run, pack: Pack) -> Iterator[Observation]:
    """What *run* adds: what it added up, and that it was abandoned."""
    for feed in run_metrics(pack, "abandoned"):
        yield from touches(run, feed)
        if run.is_abandoned and run.given_up is not None:
            found = tuple(run.label(name) for name in feed.sources)
            shown = ((pack.run, run.events[0].values[pack.run]),)
            yield Observation(feed.metric, found, run.given_up, Fraction(1), shown, run.events[-1].time)
    if run.end is not None:
        for kind in ("count", "sum"):
            for feed in run_metrics(pack, kind):
                if feed.type is run.end.type and (value := _total(feed, run)) is not None:
                    found = tuple(labels.value_of(feed, name, run.end) for name in feed.sources)
                    yield Observation(feed.metric, found, run.end.time, value, texts(feed, run.end))


def _total(feed: Feed, run: Run) -> Fraction | None:
    assert run.end is not None
    own = run.end.values.get(feed.value.get("own", ""))
    if own is not None:
        return number(own)
    types = _list(feed.value["of"])
    events = [event for event in run.counted if event.type and event.type.name in types]
    if feed.value["run"] == "count":
        return Fraction(len(events))
    names = _list(feed.value["field"])
    if any(
        event.type and event.type.price and event.type.price["cost"] in names and event.is_unpriced for event in events
    ):
        return None
    return sum(
        (number(amount) for event in events for name in names if (amount := event.values.get(name)) is not None),
        Fraction(),
    )


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
