"""
State in, Prometheus metric families out.

Families and series are sorted, so that equal states are equal bytes. The text formats, their negotiation and gzip are
prometheus-client's.

Knows nothing of HTTP, files or lines.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Exposed
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Shown

from extractor.exposition.samples import exemplars, named, parts
from extractor.schema.model import Catalog, Kind, Metric
from extractor.state.exemplars import shown
from extractor.state.families import Family
from extractor.state.state import State

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


def metadata(catalog: Catalog) -> str:
    """What OpenMetrics says of the packs' metrics besides their samples: type, unit and help."""
    return "".join(header(metric, openmetrics=True) for _, metric in sorted(catalog.metrics.items()))


def _family(state: State, family: Family) -> Exposed:
    metric = family.metric
    exposed = _exposed(metric)
    newest = state.newest_slot
    if metric.run == "open":
        for labels, runs in state.count_open(metric.name).items():
            exposed.add_sample(metric.name, named(metric, labels), float(runs))
        return exposed
    for labels, series in sorted(family.series.items()):
        for place, (suffix, extra, value) in enumerate(parts(metric, series, newest)):
            known = exemplars(series).get(place)
            said = shown(known, metric.exemplar, metric.per_unit) if known else None
            labelled = named(metric, labels) | dict(extra)
            exposed.add_sample(metric.name + suffix, labelled, float(value), exemplar=Shown(*said) if said else None)
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
