"""
The observations of one metric in, its samples and exemplars out.

The limits are applied here, once, when everything is known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise, product

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

    def add(self, name: str, labels: Mapping[str, str], value: float | Fraction | int, shown: Exemplar | None = None) -> None:
        """Add one."""
        self.values[key(name, labels)] = float(value)
        if shown:
            self.exemplars[key(name, labels)] = shown


def limited(metric: Metric, found: Iterable[Observation], options: Options) -> list[Observation]:
    """*found* with the values of open labels that are past their limit as `__other__`."""
    found = list(found)
    told_apart: list[set[str] | None] = []
    for index, label in enumerate(metric.labels):
        touched = ((options.slot_of(each.event_time), each.labels[index]) for each in found)
        told_apart.append(None if label.limit is None else labels.admitted(touched, label.limit))
    return [
        replace(each, labels=tuple(
            value if apart is None or value in apart else labels.OTHER
            for value, apart in zip(each.labels, told_apart, strict=True)
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
        _SHOW[metric.type](shown, metric, named, counted, options, now)
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


def _counter(shown: Samples, metric: Metric, named: dict, counted: list[Observation], options: Options, now: int) -> None:
    added = [each for each in counted if each.value]  # an event that adds nothing is no example of what was counted
    shown.add(metric.name, named, total(counted, metric), exemplars.of(added, metric.unit, options))


def _histogram(shown: Samples, metric: Metric, named: dict, counted: list[Observation], options: Options, now: int) -> None:
    below: list[Observation] = []
    for lower, upper in pairwise([None, *metric.bounds, None]):
        within = [each for each in counted if _is_within(each, metric, lower, upper)]
        below += within
        le = "+Inf" if upper is None else float(upper)
        text = le if isinstance(le, str) else bound(le)
        shown.add(
            f"{metric.name}_bucket", named | {"le": text}, len(below), exemplars.of(within, metric.unit, options)
        )
    shown.add(f"{metric.name}_count", named, len(counted))
    shown.add(f"{metric.name}_sum", named, total(counted, metric))


def _is_within(each: Observation, metric: Metric, lower: Fraction | None, upper: Fraction | None) -> bool:
    value = decimal(each) * metric.unit
    return (lower is None or lower < value) and (upper is None or value <= upper)


def _summary(shown: Samples, metric: Metric, named: dict, counted: list[Observation], options: Options, now: int) -> None:
    last = options.slot_of(now)
    window = [each for each in counted if last - 30 < options.slot_of(each.time) <= last]
    values = [decimal(each) * metric.unit for each in window]
    for q in metric.quantiles:
        shown.add(metric.name, named | {"quantile": q}, quantiles.quantile(values, Fraction(q)))
    shown.add(f"{metric.name}_count", named, len(counted))
    shown.add(f"{metric.name}_sum", named, total(counted, metric))


_SHOW = {"counter": _counter, "histogram": _histogram, "summary": _summary}


def bound(value: float) -> str:
    """A bound of a bucket as Prometheus' own libraries write it: 1e+06 from a million on."""
    text = repr(value)
    digits, _, after = text.partition(".")
    if "e" not in text and len(digits) > 6:
        return f"{digits[0]}.{(digits[1:] + after).rstrip('0')}".rstrip(".") + f"e+{len(digits) - 1:02}"
    return text
