"""
State in, samples out: their names, labels and numbers, as values and as the pieces of a line of text.

What is done for every sample of a scrape or a past is here; what is done once for a metric is prometheus-client's.

Knows nothing of HTTP, files or lines.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import inf, nan
from types import MappingProxyType
from typing import Any

from extractor.schema.model import Kind, Metric
from extractor.state.exact_sum import as_float
from extractor.state.exemplars import Exemplar, Exemplars, shown
from extractor.state.families import Labels
from extractor.state.hdr import Pile, pile
from extractor.state.series import Counter, Histogram, Latest, Series, Summary
from extractor.state.state import State

Sample = tuple[str, dict[str, str], float]
Said = tuple[tuple[Any, ...], tuple[tuple[int, Exemplar], ...]]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_PLAIN = 10**6


def of_state(state: State) -> Iterator[Sample]:
    """Every sample of the packs' metrics: its name, its labels and its value."""
    newest = state.newest_slot
    for _, family in sorted(state.families.items()):
        metric = family.metric
        if metric.run == "open":
            for labels, runs in state.count_open(metric.name).items():
                yield metric.name, named(metric, labels), float(runs)
            continue
        for labels, series in sorted(family.series.items()):
            for suffix, extra, value in parts(metric, series, newest):
                yield metric.name + suffix, named(metric, labels) | dict(extra), float(value)


def series_text(metric: Metric, labels: Labels, suffix: str = "", extra: Mapping[str, str] = _NOTHING) -> str:
    """The series of a sample as it stands in a line of text; *suffix* and *extra* labels are what `parts` says."""
    pairs = sorted((named(metric, labels) | dict(extra)).items())
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{metric.name}{suffix}{{{inner}}}" if inner else metric.name + suffix


def named(metric: Metric, labels: Labels) -> dict[str, str]:
    """The labels of a series, by name."""
    return dict(zip(metric.label_names, labels, strict=True))


def parts(metric: Metric, series: Series, newest: int) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """The samples of one series, if *newest* is the latest slot: suffix, labels besides the series' own, and value."""
    for (suffix, extra), number in zip(shapes(metric), numbers(metric, series, newest), strict=False):
        yield suffix, extra, number


@lru_cache(maxsize=1 << 12)
def shapes(metric: Metric) -> list[tuple[str, Mapping[str, str]]]:
    """The samples of each series of *metric*: suffix, and labels besides the series' own."""
    match metric.kind:
        case Kind.HISTOGRAM:
            buckets = [("_bucket", {"le": number_text(bound)}) for bound in (*metric.bounds, inf)]
            return [*buckets, ("_count", _NOTHING), ("_sum", _NOTHING)]
        case Kind.SUMMARY:
            wanted = [("", {"quantile": number_text(quantile)}) for quantile in metric.quantiles]
            return [*wanted, ("_count", _NOTHING), ("_sum", _NOTHING)]
        case Kind.STATESET:
            return [("", {metric.name: state}) for state in metric.states]
        case _:
            return [("", _NOTHING)]


def numbers(metric: Metric, series: Series, newest: int) -> Sequence[float]:
    """The values of the samples of one series, in the order of `shapes`; none if nothing is known."""
    return numbers_of(metric, said(series, newest), window(series, newest))


def said(series: Series, newest: int, *, exemplars: bool = False) -> Said:
    """
    What the samples of *series* are written of, if *newest* is the latest slot: while it is equal, so is their text.

    Its exemplars, by the place of their sample, only where *exemplars* are asked for.
    """
    match series:
        case Counter():
            return (series.total,), tuple(series.exemplars.items()) if exemplars else ()
        case Histogram():
            return (series.total, *series.buckets), tuple(series.exemplars.items()) if exemplars else ()
        case Summary():
            # Between two observations slots only leave the window.
            return (series.total, series.count, len(series.window.slots(newest))), ()
        case Latest():
            return (series.value,), ()


def window(series: Series, newest: int) -> Pile | None:
    """The values in the sliding window of a summary, as they are now; None for all else."""
    return pile(series.window.counts(newest)) if isinstance(series, Summary) else None


def numbers_of(metric: Metric, known: Said, recent: Pile | None) -> Sequence[float]:
    """The values of the samples of a series of which this was `said`, with its `window`."""
    first: Any
    (first, *rest), _ = known
    match metric.kind:
        case Kind.COUNTER:
            return [as_float(first, metric.per_unit)]
        case Kind.HISTOGRAM:
            reached: list[Any] = list(accumulate(rest))
            return [*reached, reached[-1], as_float(first, metric.per_unit)]
        case Kind.SUMMARY:
            found = recent.quantiles(metric.quantiles) if recent else None
            return [*(found or [nan] * len(metric.quantiles)), rest[0], as_float(first, metric.per_unit)]
        case Kind.STATESET:
            return [state == first for state in metric.states]
        case Kind.GAUGE:
            # Plus 0.0, because there are two zeros, and one is written -0.0.
            return [first / metric.per_unit + 0.0] if isinstance(first, float | int) else []


def exemplars(series: Series) -> Exemplars:
    """The exemplars of one series, by the place of their sample in `shapes`; its own, as long as nothing is added."""
    return series.exemplars if isinstance(series, Counter | Histogram) else Exemplars()


def exemplar_text(metric: Metric, exemplar: Exemplar) -> str:
    """What stands behind the number of a sample in OpenMetrics."""
    labels, value, time = shown(exemplar, metric.exemplar, metric.per_unit) or ({}, 0.0, 0.0)
    inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in sorted(labels.items()))
    return f" # {{{inner}}} {number_text(value)} {time}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number_text(number: float) -> str:
    """*number* as it stands in a line of text."""
    if 0 <= number < _PLAIN:  # where Go and Python agree, and nearly always
        return repr(float(number))
    if number == inf:
        return "+Inf"
    from prometheus_client.utils import floatToGoString  # noqa: PLC0415  # takes 50 ms, and often nothing needs it

    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text
