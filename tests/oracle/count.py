"""Files in, everything that the extractor says of them out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from tests.oracle import cost, labels, lines, loops, observations, order, runs, sequences, series
from tests.oracle.lines import Line
from tests.oracle.observations import Observation, run_metrics
from tests.oracle.options import Options
from tests.oracle.pack import Metric, Pack, default
from tests.oracle.runs import Run
from tests.oracle.series import Samples


@dataclass
class Count:
    """
    All numbers of *files*, which are bytes; *clock* is the time of the host in microseconds.

    *is_over* if nothing more will be written, as in a replay.
    """

    files: Sequence[bytes]
    clock: int
    options: Options = field(default_factory=Options)
    pack: Pack = field(default_factory=default)
    is_over: bool = True

    @cached_property
    def lines(self) -> list[list[Line]]:
        """The lines of each file."""
        return [
            [
                cost.priced(line, self.options.prices)
                for line in lines.read(index, data, self.pack, self.options, self.clock)
            ]
            for index, data in enumerate(self.files)
        ]

    @cached_property
    def events(self) -> list[Line]:
        """The events of all files, in order."""
        return order.ordered(line for file in self.lines for line in file)

    @cached_property
    def now(self) -> int:
        """The latest event time."""
        return max((event.time for event in self.events), default=0)

    @cached_property
    def rejects(self) -> Counter[str]:
        """Rejected lines by reason."""
        every = (line for file in self.lines for line in file)
        return Counter(line.reason for line in every if not line.is_event and not line.is_blank)

    @cached_property
    def blank(self) -> int:
        """Lines with nothing in them."""
        return sum(line.is_blank for file in self.lines for line in file)

    @cached_property
    def runs(self) -> list[Run]:
        """The runs of all files."""
        return runs.runs(self.events, self.pack, self.options, self.now)

    @cached_property
    def sequences(self) -> tuple[int, int]:
        """Missing and repeated numbers."""
        lines = (line for file in self.lines for line in file)
        return sequences.gaps_and_repeats(lines, self.options, inf if self.is_over else self.now)

    @cached_property
    def anomalies(self) -> Counter[str]:
        """Runs by what was odd about them."""
        return Counter(kind for run in self.runs for kind in run.anomalies)

    @cached_property
    def unpriced(self) -> Counter[str]:
        """Calls of unknown cost, by model."""
        return Counter(
            labels.text(event.values["model"]) or labels.UNKNOWN for event in self.events if event.is_unpriced
        )

    @cached_property
    def observations(self) -> dict[str, list[Observation]]:
        """What was observed, by metric."""
        found: dict[str, list[Observation]] = {name: [] for name in self.pack.metrics}
        repeated = [feed for each in self.pack.types.values() for feed in each.feeds if _is_of_loops(feed.value)]
        for event in self.events:
            for each in observations.of_event(event):
                found[each.metric].append(each)
        for run in self.runs:
            for each in runs.observations(run, self.pack):
                found[each.metric].append(each)
            for feed in repeated:
                for each in loops.observations(run, feed):
                    found[each.metric].append(each)
        return found

    @cached_property
    def samples(self) -> Samples:
        """Every sample, and its exemplar."""
        shown = Samples()
        for name, metric in self.pack.metrics.items():
            if metric.type == "gauge":
                self._open_runs(metric, shown)
            elif metric.type == "stateset":
                self._states(metric, shown)
            else:
                found = series.samples(metric, self.observations[name], self.options, self.now)
                shown.values |= found.values
                shown.exemplars |= found.exemplars
        return shown

    def _open_runs(self, metric: Metric, shown: Samples) -> None:
        (feed,) = (feed for feed in run_metrics(self.pack, "open") if feed.metric == metric.name)
        touched: list[Observation] = []
        for run in self.runs:
            touched += runs.touches(run, feed)
            if run.is_open:
                values = tuple(run.label(name) for name in feed.sources)
                touched.append(Observation(metric.name, values, run.events[-1].time, observations.number(1)))
        by_labels: dict[tuple[str, ...], int] = {}
        for each in series.limited(metric, touched, self.options):
            by_labels[each.labels] = by_labels.get(each.labels, 0) + (each.value is not None)
        for values, number in sorted(by_labels.items()):
            shown.add(metric.name, dict(zip(feed.sources, values, strict=True)), number)

    def _states(self, metric: Metric, shown: Samples) -> None:
        states = {feed.type.name: feed for feed in metric.feeds}
        means = [(event, states[event.type.name]) for event in self.events if event.type and event.type.name in states]
        touched = [
            Observation(
                metric.name, tuple(labels.value_of(feed, name, event) for name in feed.sources), event.time, None
            )
            for event, feed in means
        ]
        last = {}
        for (_, feed), each in zip(means, series.limited(metric, touched, self.options), strict=True):
            last[each.labels] = feed.value["state"]
        for values, state in sorted(last.items()):
            named = dict(zip((label.name for label in metric.labels), values, strict=True))
            for each in sorted(feed.value["state"] for feed in metric.feeds):
                shown.add(metric.name, named | {metric.name: each}, each == state)


def _is_of_loops(value: object) -> bool:
    return isinstance(value, dict) and "repeats" in value
