"""
State in, Prometheus metric families out.

Families and series are sorted, so that equal states are equal bytes. The text formats, their negotiation and gzip are
prometheus-client's.

Knows nothing of HTTP, files or lines.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import accumulate
from math import inf, nan
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Exposed
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Shown
from prometheus_client.utils import floatToGoString

from extractor.catalog import Catalog, Kind, Metric
from extractor.exemplars import Exemplar, Exemplars, shown
from extractor.families import Family, Labels
from extractor.hdr import Pile, pile
from extractor.series import Counter, Histogram, Latest, Series, Summary
from extractor.state import State
from extractor.sums import as_float

Sample = tuple[str, dict[str, str], float]
Said = tuple[tuple[Any, ...], tuple[tuple[int, Exemplar], ...]]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_PLAIN = 10**6
_RESERVED = ("_count", "_sum", "_bucket")


class StateCollector(Collector):
    """The metrics that the packs declare; *lock* is held while the numbers are read."""

    def __init__(self, state: State, lock: AbstractContextManager[Any]) -> None:
        self._state = state
        self._lock = lock

    def collect(self) -> Iterable[Exposed]:
        """Every family, sorted by name."""
        with self._lock:
            return [_family(self._state, family) for _, family in sorted(self._state.families.items())]


class _Empty(Collector):
    """Metrics without samples."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Exposed]:
        """Every family."""
        return [_exposed(metric) for metric in self._metrics]


def is_openmetrics(content_type: str) -> bool:
    """Whether a content type is that of OpenMetrics."""
    return "openmetrics" in content_type


@lru_cache(maxsize=1 << 12)
def header(metric: Metric, *, openmetrics: bool) -> str:
    """What stands before the samples of *metric*: its type, unit and help."""
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(_Empty([metric]))
    written: str = (generate_openmetrics if openmetrics else generate_latest)(collectors).decode()
    return written.removesuffix("# EOF\n")


def text(state: State, lock: AbstractContextManager[Any], *, openmetrics: bool) -> str:
    """The packs' metrics as text: OpenMetrics 1.0, or Prometheus 0.0.4."""
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(StateCollector(state, lock))
    return (generate_openmetrics if openmetrics else generate_latest)(collectors).decode()


def samples(state: State) -> Iterator[Sample]:
    """Every sample of the packs' metrics: its name, its labels and its value."""
    for _, family in sorted(state.families.items()):
        for sample in _family(state, family).samples:
            yield sample.name, sample.labels, sample.value


def metadata(catalog: Catalog) -> str:
    """What OpenMetrics says of the packs' metrics besides their samples: type, unit and help."""
    return "".join(header(metric, openmetrics=True) for _, metric in sorted(catalog.metrics.items()))


def series_text(metric: Metric, labels: Labels, suffix: str = "", extra: Mapping[str, str] = _NOTHING) -> str:
    """The series of a sample as it stands in a line of text; *suffix* and *extra* labels are what `parts` says."""
    named = sorted((_named(metric, labels) | dict(extra)).items())
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in named)
    return f"{metric.name}{suffix}{{{inner}}}" if inner else metric.name + suffix


def _family(state: State, family: Family) -> Exposed:
    metric = family.metric
    exposed = _exposed(metric)
    newest = state.newest_slot
    if metric.run == "open":
        for labels, runs in state.count_open(metric.name).items():
            exposed.add_sample(metric.name, _named(metric, labels), float(runs))
        return exposed
    for labels, series in sorted(family.series.items()):
        for place, (suffix, extra, value) in enumerate(parts(metric, series, newest)):
            known = exemplars(series).get(place)
            said = shown(known, metric.exemplar, metric.per_unit) if known else None
            named = _named(metric, labels) | dict(extra)
            exposed.add_sample(metric.name + suffix, named, float(value), exemplar=Shown(*said) if said else None)
    return exposed


def _exposed(metric: Metric) -> Exposed:
    name = metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name
    return Exposed(name, metric.help, _type(metric), _unit(name))


def _type(metric: Metric) -> str:
    # promtool wants the suffix _count on nothing but histograms and summaries, yet users know `agent_active_count`;
    # an untyped metric may have it. See docs/decisions/0001.
    if metric.kind is Kind.GAUGE and metric.name.endswith(_RESERVED):
        return "unknown"
    return str(metric.kind)


def _unit(name: str) -> str:
    return "seconds" if name.endswith("_seconds") else ""


def _named(metric: Metric, labels: Labels) -> dict[str, str]:
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
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text
