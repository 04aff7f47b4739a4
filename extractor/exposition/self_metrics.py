"""
The extractor's own counts in, their metric families and text out.

Knows nothing of the metrics that the packs declare.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from math import inf
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric as Exposed
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from extractor.state.runs.anomalies import KINDS
from extractor.state.state import State
from extractor.state.stats import OWN, Own, Stats

_OF_LINES = ("lines_read", "blank_lines", "events", "rejects")


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
            return [*(_counted(own, self._stats) for own in OWN), *self._of_state()]

    def _of_state(self) -> Iterator[Exposed]:
        state, families = self._state, self._state.families
        yield _own("gauge", "extractor_build_info", "Build information; always 1.", [({"version": self._version}, 1)])
        yield _own(
            "gauge",
            "extractor_series",
            "Number of series, by metric.",
            [({"metric": name}, len(family.series)) for name, family in sorted(families.items())],
        )
        overflow = {(name, label): 0 for name, family in families.items() for label in family.open_labels()}
        yield _own(
            "counter",
            "extractor_label_overflow_total",
            "Events counted under __other__ because a label (or, for *, the metric) reached its limit.",
            [
                ({"metric": name, "label": label or "*"}, events)
                for (name, label), events in sorted((overflow | dict(state.overflow())).items())
            ],
        )
        yield _own(
            "counter",
            "extractor_clamped_observations_total",
            "Observations outside the range of the HDR histogram, clamped to its bounds.",
            [({}, state.clamped)],
        )
        yield _own("gauge", "extractor_open_runs", "Number of open runs.", [({}, state.open_runs())])
        yield _own(
            "counter",
            "extractor_run_overflow_total",
            "Open runs evicted because --max-open-runs was reached.",
            [({}, state.shed_runs())],
        )
        yield _own(
            "counter",
            "extractor_run_anomalies_total",
            "Runs with a missing start, a second end, or events after their end, by kind.",
            [
                ({"kind": kind}, sum(accounts.anomalies.runs[kind] for accounts in state.accounts.values()))
                for kind in sorted(KINDS)
            ],
        )
        yield _own(
            "counter",
            "extractor_unended_intervals_total",
            "Intervals whose end event did not arrive in time.",
            [({}, sum(accounts.unended for accounts in state.accounts.values()))],
        )
        seen = state.watermark > -inf
        yield _own(
            "gauge",
            "extractor_last_event_timestamp_seconds",
            "Time of the latest event, at which the sliding windows end.",
            [({}, state.watermark)] if seen else [],
        )
        yield _own(
            "gauge",
            "extractor_runs_settled_timestamp_seconds",
            "Event time up to which runs are settled, except those within --run-linger of it.",
            [({}, state.settled_to)] if state.settled_to else [],
        )
        behind = max(0.0, self._now() - state.watermark) if seen and self._stats.bytes_behind else 0.0
        yield _own(
            "gauge",
            "extractor_behind_seconds",
            "Age of the latest event read while there is more to read; 0 when caught up.",
            [({}, behind)],
        )


class OwnText:
    """What prometheus-client writes of a running extractor itself, and of its process."""

    def __init__(
        self, state: State, stats: Stats, lock: AbstractContextManager[Any], now: Callable[[], float], version: str
    ) -> None:
        self._collectors = CollectorRegistry(auto_describe=False)
        self._collectors.register(OwnCollector(state, stats, lock, now, version))
        ProcessCollector(registry=self._collectors)

    def kind(self, accept: str) -> str:
        """The content type for who accepts *accept*."""
        return choose_encoder(accept)[1]

    def write(self, accept: str) -> tuple[str, bytes]:
        """The content type for who accepts *accept*, and the text with its end mark, if it has one."""
        encoder, kind = choose_encoder(accept)
        return kind, encoder(self._collectors)


class _LineCollector(Collector):
    """What became of the lines that *stats* counted."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Exposed]:
        """Every family of `stats.OWN` that counts lines."""
        return [_counted(own, self._stats) for own in OWN if own.field in _OF_LINES]


def lines_text(stats: Stats, *, openmetrics: bool) -> str:
    """What became of the lines: read, blank, events, rejected by reason; as in a scrape, with the end mark if any."""
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(_LineCollector(stats))
    return (generate_openmetrics if openmetrics else generate_latest)(collectors).decode()


def _counted(own: Own, stats: Stats) -> Exposed:
    value = getattr(stats, own.field)
    samples = sorted(value.items()) if own.label else [("", value)]
    return _own(own.kind, own.name, own.help, (({own.label: key} if own.label else {}, n) for key, n in samples))


def _own(kind: str, name: str, help_text: str, values: Iterable[tuple[dict[str, str], float]]) -> Exposed:
    family = Exposed(name.removesuffix("_total"), help_text, kind)
    for labels, value in values:
        family.add_sample(name, labels, float(value))
    return family
