"""
A count and a window in, the signals of `extractor report` out, for the window and for the one before.

A signal is None where there is no data: nothing that it is made of stands in the logs, or a mean, a quantile or a share
has nothing to be one of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from math import ceil
from typing import Any

from tests.oracle import quantiles, series, tables
from tests.oracle.count import Count
from tests.oracle.observations import Observation
from tests.oracle.options import SECOND
from tests.oracle.pack import Feed, Metric

Value = float | dict[str, float] | None


@dataclass
class Windows:
    """The window of *length* seconds that ends with the last event of *count*, or at *until*, and the one before it."""

    count: Count
    length: int
    until: int | None = None

    @property
    def step(self) -> Fraction:
        """A thirtieth of the window, in microseconds."""
        return Fraction(self.length * SECOND, 30)

    @cached_property
    def end(self) -> Fraction:
        """The end of the current window: the next whole step after the last event, or from *until* on."""
        steps = ceil(self.until / self.step) if self.until is not None else self.count.now // self.step + 1
        return steps * self.step

    @property
    def begin(self) -> Fraction:
        """The begin of the current window."""
        return self.end - self.length * SECOND

    @property
    def before(self) -> Fraction:
        """The begin of the window before."""
        return self.begin - self.length * SECOND

    @property
    def first(self) -> int:
        """The time of the first event."""
        return min(event.time for event in self.count.events)

    @property
    def is_covered(self) -> bool:
        """Whether the logs cover the window before, to the step."""
        return self.first // self.step * self.step <= self.before


Fits = Callable[[dict[str, str]], bool]


def everything(labels: Mapping[str, str]) -> bool:
    """All series."""
    return True


def current(windows: Windows, declared: Mapping[str, Any], fits: Fits = everything) -> Value:
    """A signal of the current window, over the series whose labels fit."""
    if windows.count.pack.metrics[declared["metric"]].type == "gauge":
        return _gauge(windows.count, declared["metric"], fits)
    return _signal(windows, declared, windows.begin, windows.end, fits)


def previous(windows: Windows, declared: Mapping[str, Any]) -> Value:
    """The same of the window before."""
    is_gauge = windows.count.pack.metrics[declared["metric"]].type == "gauge"
    if is_gauge or windows.first >= windows.begin or (is_amount(windows, declared) and not windows.is_covered):
        return None
    return _signal(windows, declared, windows.before, windows.begin, everything)


def judged(windows: Windows, declared: Mapping[str, Any]) -> dict[str | None, Value]:
    """The signal of each agent or tool, or of all together, that is held against its objective."""
    if "objective" not in declared:
        return {}
    objective = declared["objective"]
    if objective.endswith("_per_hour"):
        return {None: value} if (value := current(windows, declared)) is not None else {}
    label = "tool" if objective == "tool_latency_p95" else "agent"
    metrics = [windows.count.pack.metrics[name] for name in (declared["metric"], *declared.get("over", ()))]
    found = {
        tables.named(metric, each)[label] for metric in metrics for each in windows.count.observations[metric.name]
    }
    values = {of: current(windows, declared, partial(_is_of, label, of)) for of in found}
    return {of: value for of, value in values.items() if value is not None}


def _is_of(label: str, value: str, labels: Mapping[str, str]) -> bool:
    return labels[label] == value


def is_amount(windows: Windows, declared: Mapping[str, Any]) -> bool:
    """Whether it grows with the length of what was seen."""
    is_counter = windows.count.pack.metrics[declared["metric"]].type == "counter"
    return is_counter and "over" not in declared and "by" not in declared


def _gauge(count: Count, metric: str, fits: Fits) -> float | None:
    found = [value for (name, labels), value in count.samples.values.items() if name == metric and fits(dict(labels))]
    return float(sum(found)) if found else None


def _signal(windows: Windows, declared: Mapping[str, Any], begin: Fraction, end: Fraction, fits: Fits) -> Value:
    count = windows.count
    metric = count.pack.metrics[declared["metric"]]
    divisors = [count.pack.metrics[name] for name in declared.get("over", ())]

    def within(metric: Metric, where: Mapping[str, list[str]]) -> list[Observation]:
        return [
            each
            for each in count.observations[metric.name]
            if begin <= each.time < end and tables.matches(metric, each, where) and fits(tables.named(metric, each))
        ]

    # A share of a whole is seen with the whole: misses alone are a hit ratio of 0. Runs alone are no rate of loops.
    made_of = divisors if metric in divisors else [metric]
    if not any(is_seen(count, each) for each in made_of):
        return None
    counted = [each for each in within(metric, declared.get("where", {})) if each.value is not None]
    total = series.total(counted, metric)
    if metric.type == "summary":
        values = [series.decimal(each) * metric.unit for each in counted]
        return quantiles.quantile(values, Fraction(str(declared["quantile"]))) if values else None
    if "by" in declared:
        return _shares(metric, counted, declared["by"], total)
    if metric.type == "histogram":
        return _quotient(total, len(counted))
    if divisors:
        return _quotient(total, sum((series.total(within(each, {}), each) for each in divisors), Fraction()))
    return float(total * 3600 / windows.length if declared.get("hourly") else total)


def _quotient(part: Fraction, whole: Fraction | int) -> float | None:
    return float(part / whole) if whole else None


def _shares(metric: Metric, counted: Iterable[Observation], label: str, whole: Fraction) -> Value:
    parts: dict[str, list[Observation]] = {}
    for each in counted:
        parts.setdefault(tables.named(metric, each)[label], []).append(each)
    return {value: float(series.total(part, metric) / whole) for value, part in parts.items()} if whole else None


def is_seen(count: Count, metric: Metric) -> bool:
    """Whether anything that *metric* is made of stands in the logs: it might be 0, but it would have been seen."""
    of_runs = [feed for feed in metric.feeds if feed.is_of_runs]
    if of_runs:
        return any(_is_made_of(count, feed) for feed in of_runs)
    observed = count.observations[metric.name]
    is_number = metric.split is not None or any(isinstance(feed.value, str) for feed in metric.feeds)
    return any(each.value is not None for each in observed) if is_number else bool(observed)


def _is_made_of(count: Count, feed: Feed) -> bool:
    if feed.value["run"] in {"open", "abandoned"}:
        return bool(count.runs)
    own, types = feed.value.get("own"), feed.value["of"]
    if own and any(event.type is feed.type and event.values.get(own) is not None for event in count.events):
        return True
    events = [event for event in count.events if event.type and event.type.name in types]
    names = feed.value.get("field", [])
    names = [names] if isinstance(names, str) else names
    return any(not names or any(event.values.get(name) is not None for name in names) for event in events)


def rejected(count: Count) -> float | None:
    """The share of rejected lines among all that were read."""
    lines: Sequence[int] = [len(file) for file in count.lines]
    return sum(count.rejects.values()) / sum(lines) if sum(lines) else None
