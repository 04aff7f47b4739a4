"""
The observations of one metric in, its samples and exemplars out.

The limits are applied here, once, when everything is known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise, product
from math import prod

from tests.oracle import exemplars, labels, quantiles
from tests.oracle.exemplars import Exemplar
from tests.oracle.observations import Observation
from tests.oracle.options import Options
from tests.oracle.pack import Metric

Key = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a sample, and its labels in the order of their names."""


def key(name: str, labels: Mapping[str, str]) -> Key:
    """What a sample is known by."""
    return name, tuple(sorted(labels.items()))


@dataclass
class Samples:
    """Values and exemplars by sample."""

    values: dict[Key, float] = field(default_factory=dict)
    exemplars: dict[Key, Exemplar] = field(default_factory=dict)

    def add(self, name: str, labels: Mapping[str, str], value: float | Fraction, shown: Exemplar | None = None) -> None:
        """Add one."""
        self.values[key(name, labels)] = float(value)
        if shown:
            self.exemplars[key(name, labels)] = shown


def limited(metric: Metric, found: Iterable[Observation], options: Options) -> list[Observation]:
    """*found* with the values of open labels that are past a limit as `__other__`."""
    found = list(found)
    told_apart: list[set[str] | None] = []
    for index, label in enumerate(metric.labels):
        touched = ((options.slot_of(each.event_time), each.labels[index]) for each in found)
        told_apart.append(None if label.limit is None else labels.admitted(touched, label.limit))
    found = [
        replace(each, labels=tuple(
            value if apart is None or value in apart else labels.OTHER
            for value, apart in zip(each.labels, told_apart, strict=True)
        ))
        for each in found
    ]  # fmt: skip
    return _limited_in_all(metric, found, options)


def _limited_in_all(metric: Metric, found: list[Observation], options: Options) -> list[Observation]:
    # Past the number of series that a metric may have, all open labels are folded, of whole label sets.
    def set_of(each: Observation) -> tuple[str, ...]:
        return tuple(value for value, label in zip(each.labels, metric.labels, strict=True) if not label.values)

    first: dict[tuple[str, ...], int] = {}
    for each in found:
        slot = options.slot_of(each.event_time)
        first[set_of(each)] = min(slot, first.get(set_of(each), slot))
    together = prod(len(label.values) or 1 for label in metric.labels)
    admitted = set(sorted(first, key=lambda values: (first[values], values))[: metric.limit // together])
    return [
        each if set_of(each) in admitted else replace(each, labels=tuple(
            value if label.values else labels.OTHER for value, label in zip(each.labels, metric.labels, strict=True)
        ))
        for each in found
    ]  # fmt: skip


def samples(metric: Metric, found: Iterable[Observation], options: Options, now: int) -> Samples:
    """What is shown of a counter, a histogram or a summary."""
    by_labels: dict[tuple[str, ...], list[Observation]] = {}
    for each in limited(metric, found, options):
        for born in _born(metric, each.labels):
            by_labels.setdefault(born, [])
        by_labels[each.labels].append(each)
    shown = Samples()
    for values in sorted(by_labels):
        named = dict(zip((label.name for label in metric.labels), values, strict=True))
        counted = [each for each in by_labels[values] if each.value is not None]
        if metric.type == "counter":
            # An event that adds nothing is no example of what was counted.
            added = [each for each in counted if each.value]
            shown.add(metric.name, named, total(counted, metric), exemplars.of(added, metric.unit, options))
            continue
        if metric.type == "histogram":
            _buckets(shown, metric, named, counted, options)
        else:
            _quantiles(shown, metric, named, [each for each in counted if _is_in_window(each, options, now)])
        shown.add(f"{metric.name}_count", named, len(counted))
        shown.add(f"{metric.name}_sum", named, total(counted, metric))
    return shown


def _born(metric: Metric, values: Sequence[str]) -> Iterator[tuple[str, ...]]:
    # A label set comes with all combinations of its closed labels.
    yield from product(*(label.values or [value] for label, value in zip(metric.labels, values, strict=True)))


def decimal(each: Observation) -> Fraction:
    """The value as the decimal number that the agent wrote: 0.1 is 0.1, not the double next to it."""
    assert each.value is not None
    return Fraction(repr(float(each.value)))


def total(counted: Iterable[Observation], metric: Metric) -> Fraction:
    """The exact sum in base units."""
    return sum((each.value for each in counted if each.value is not None), Fraction()) * metric.unit


Named = dict[str, str]


def _buckets(shown: Samples, metric: Metric, named: Named, counted: list[Observation], options: Options) -> None:
    below = 0
    for lower, upper in pairwise([None, *metric.bounds, None]):
        within = [each for each in counted if _is_between(decimal(each) * metric.unit, lower, upper)]
        below += len(within)
        le = "+Inf" if upper is None else bound(float(upper))
        shown.add(f"{metric.name}_bucket", named | {"le": le}, below, exemplars.of(within, metric.unit, options))


def _is_between(value: Fraction, lower: Fraction | None, upper: Fraction | None) -> bool:
    return (lower is None or lower < value) and (upper is None or value <= upper)


def _is_in_window(each: Observation, options: Options, now: int) -> bool:
    last = options.slot_of(now)
    return last - 30 < options.slot_of(each.time) <= last


def _quantiles(shown: Samples, metric: Metric, named: Named, window: list[Observation]) -> None:
    values = [decimal(each) * metric.unit for each in window]
    for q in metric.quantiles:
        shown.add(metric.name, named | {"quantile": q}, quantiles.quantile(values, Fraction(q)))


def bound(value: float) -> str:
    """A bound of a bucket as Prometheus' own libraries write it: 1e+06 from a million on."""
    text = repr(value)
    digits, _, after = text.partition(".")
    if "e" not in text and len(digits) > 6:
        return f"{digits[0]}.{(digits[1:] + after).rstrip('0')}".rstrip(".") + f"e+{len(digits) - 1:02}"
    return text
