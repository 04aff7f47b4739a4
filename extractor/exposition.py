"""
State in, Prometheus metric families out.

Families and series are sorted, so that equal states are equal bytes. The text formats, their negotiation and gzip are
prometheus-client's.

Knows nothing of HTTP, files or lines.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from math import inf, nan
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, make_asgi_app
from prometheus_client.core import Metric as Exposed
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from extractor.catalog import Catalog, Kind, Metric
from extractor.families import Family, Labels
from extractor.hdr import quantiles
from extractor.series import Counter, Histogram, Latest, Series, Summary
from extractor.state import State
from extractor.stats import OWN, Stats
from extractor.sums import as_float

Sample = tuple[str, dict[str, str], float]

_NOTHING: Mapping[str, str] = MappingProxyType({})
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
    """The metrics of a catalog without samples."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterable[Exposed]:
        """Every family, sorted by name."""
        return [_exposed(metric) for _, metric in sorted(self._catalog.metrics.items())]


class OwnCollector(Collector):
    """The metrics of the extractor itself; *now* is the wall clock in seconds since the epoch."""

    def __init__(
        self, state: State, stats: Stats, lock: AbstractContextManager[Any], now: Callable[[], float], version: str
    ) -> None:
        self._state = state
        self._stats = stats
        self._lock = lock
        self._now = now
        self._version = version

    def collect(self) -> Iterable[Exposed]:
        """Every family of `stats.OWN`, and those that are read off the state."""
        with self._lock:
            return [*self._counted(), *self._of_state()]

    def _counted(self) -> Iterator[Exposed]:
        for own in OWN:
            value = getattr(self._stats, own.field)
            samples = sorted(value.items()) if own.label else [("", value)]
            yield _own(own.kind, own.name, own.help, (({own.label: key} if own.label else {}, n) for key, n in samples))

    def _of_state(self) -> Iterator[Exposed]:
        state, families = self._state, self._state.families
        yield _own("gauge", "extractor_build_info", "Always 1.", [({"version": self._version}, 1)])
        yield _own(
            "gauge",
            "extractor_series",
            "Series held, by metric.",
            [({"metric": name}, len(family.series)) for name, family in sorted(families.items())],
        )
        overflow = {(name, label): 0 for name, family in families.items() for label in family.open_labels()}
        yield _own(
            "counter",
            "extractor_label_overflow_total",
            "Events whose label value was folded into __other__; label * is the limit on series.",
            [
                ({"metric": name, "label": label or "*"}, events)
                for (name, label), events in sorted((overflow | dict(state.overflow())).items())
            ],
        )
        yield _own(
            "counter",
            "extractor_clamped_observations_total",
            "Values outside the range of HDR, counted at its edge.",
            [({}, state.clamped)],
        )
        yield _own("gauge", "extractor_open_runs", "Runs that are open.", [({}, state.open_runs())])
        seen = state.watermark > -inf
        yield _own(
            "gauge",
            "extractor_last_event_timestamp_seconds",
            "The latest event time seen; the sliding windows end there.",
            [({}, state.watermark)] if seen else [],
        )
        behind = max(0.0, self._now() - state.watermark) if seen and self._stats.bytes_behind else 0.0
        yield _own(
            "gauge",
            "extractor_behind_seconds",
            "Age of the latest event read while there is more to read; 0 when all is read.",
            [({}, behind)],
        )


def registry(
    state: State, stats: Stats, lock: AbstractContextManager[Any], now: Callable[[], float], version: str
) -> CollectorRegistry:
    """What a scrape shows: the packs' metrics, our own, and the process's."""
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(StateCollector(state, lock))
    collectors.register(OwnCollector(state, stats, lock, now, version))
    ProcessCollector(registry=collectors)
    return collectors


def asgi_app(collectors: CollectorRegistry) -> Any:  # noqa: ANN401  # as prometheus-client leaves it
    """The ASGI application that negotiates, renders and compresses a scrape."""
    return make_asgi_app(collectors)


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
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(_Empty(catalog))
    said: str = generate_openmetrics(collectors).decode()  # type: ignore[no-untyped-call]
    return said.removesuffix("# EOF\n")


def series_text(metric: Metric, labels: Labels, suffix: str = "", extra: Mapping[str, str] = _NOTHING) -> str:
    """The series of a sample as it stands in a line of text; *suffix* and *extra* labels are what `parts` says."""
    named = sorted((_named(metric, labels) | dict(extra)).items())
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in named)
    return f"{metric.name}{suffix}{{{inner}}}" if inner else metric.name + suffix


def _own(kind: str, name: str, help_text: str, values: Iterable[tuple[dict[str, str], float]]) -> Exposed:
    family = Exposed(name.removesuffix("_total"), help_text, kind)
    for labels, value in values:
        family.add_sample(name, labels, float(value))
    return family


def _family(state: State, family: Family) -> Exposed:
    metric = family.metric
    exposed = _exposed(metric)
    newest = state.newest_slot
    if metric.run is not None:
        for labels, runs in state.count_open(metric.name).items():
            exposed.add_sample(metric.name, _named(metric, labels), float(runs))
        return exposed
    for labels, series in sorted(family.series.items()):
        for suffix, extra, value in parts(metric, series, newest):
            exposed.add_sample(metric.name + suffix, _named(metric, labels) | extra, value)
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


def parts(metric: Metric, series: Series, newest: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples of one series, if *newest* is the latest slot: suffix, labels besides the series' own, and value."""
    match series:
        case Counter():
            yield "", {}, as_float(series.total, metric.per_unit)
        case Histogram():
            yield from _buckets(metric, series)
            yield "_sum", {}, as_float(series.total, metric.per_unit)
        case Summary():
            values = quantiles(series.window.counts(newest), metric.quantiles) or [nan] * len(metric.quantiles)
            for quantile, value in zip(metric.quantiles, values, strict=True):
                yield "", {"quantile": number_text(quantile)}, value
            yield "_count", {}, float(series.count)
            yield "_sum", {}, as_float(series.total, metric.per_unit)
        case Latest() if metric.kind is Kind.STATESET:
            for state in metric.states:
                yield "", {metric.name: state}, float(state == series.value)
        case Latest():
            if isinstance(series.value, float | int):
                yield "", {}, series.value / metric.per_unit


def _buckets(metric: Metric, series: Histogram) -> Iterator[tuple[str, dict[str, str], float]]:
    reached = 0
    for bound, count in zip((*metric.bounds, inf), series.buckets, strict=True):
        reached += count
        yield "_bucket", {"le": number_text(bound)}, float(reached)
    yield "_count", {}, float(reached)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number_text(number: float) -> str:
    """*number* as it stands in a line of text."""
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text
