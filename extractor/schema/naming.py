"""Check names of metrics and labels against the conventions of Prometheus."""

import re
from collections.abc import Iterable

from extractor.schema.model import Kind, Metric
from extractor.schema.place import Place

OURS = ("extractor_", "process_")
PROMETHEUS = frozenset(
    {
        *("up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"),
        *("scrape_series_added", "scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"),
    }
)
"""Metrics that Prometheus adds to each scrape with the same labels; a metric of that name would be a duplicate."""
RESERVED_SUFFIXES = ("_bucket", "_sum", "_created", "_info")
RESERVED_LABELS = {Kind.HISTOGRAM: "le", Kind.SUMMARY: "quantile"}
KINDS = frozenset(Kind)
SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LABEL_NAME = re.compile(r"[a-z_][a-z0-9_]*")

BASE_UNITS = {
    **dict.fromkeys(["ns", "us", "ms", "s", "sec", "secs", "m", "h", "d"], "seconds"),
    **dict.fromkeys(["nanoseconds", "microseconds", "milliseconds", "minutes", "hours", "days", "weeks"], "seconds"),
    **dict.fromkeys(["b", "kb", "mb", "gb", "tb", "pb", "kib", "mib", "gib"], "bytes"),
    **dict.fromkeys(["kilobytes", "megabytes", "gigabytes", "terabytes"], "bytes"),
    **dict.fromkeys(["percent", "percentage", "pct"], "ratio"),
    **dict.fromkeys(["cents", "millicents"], "usd"),
}
"""Words that promtool or a reader would interpret as a unit, and the base unit to use instead."""


def check_metric_name(name: str, kind: Kind, place: Place) -> None:
    """Raise `SchemaError` unless *name* is valid for a metric of this *kind*."""
    if ":" in name:
        raise place.error(f"'{name}' has a colon", "colons are for recording rules; write _")
    if not SNAKE_CASE.fullmatch(name):
        raise place.error(f"'{name}' is not a metric name in snake_case", "write it like agent_tool_calls_total")
    if name.startswith(OURS):
        raise place.error(f"'{name}' begins with a prefix of the extractor's own metrics", "begin it with another word")
    if name in PROMETHEUS:
        raise place.error(f"'{name}' is a metric that Prometheus adds to every scrape", "give it another name")
    _check_suffix(name, kind, place)
    words = name.split("_")
    if words[-1] in KINDS:
        raise place.error(f"'{name}' ends with the type of a metric", "say what is measured instead")
    for word in words:
        if word in BASE_UNITS:
            raise place.error(f"'{name}' is not in a base unit", f"write {BASE_UNITS[word]} instead of {word}")


def _check_suffix(name: str, kind: Kind, place: Place) -> None:
    if kind is Kind.COUNTER and not name.endswith("_total"):
        raise place.error(f"'{name}' is a counter and does not end with _total", f"write {name}_total")
    if kind is not Kind.COUNTER and name.endswith("_total"):
        raise place.error(f"'{name}' ends with _total and is no counter", f"write {name.removesuffix('_total')}")
    for suffix in RESERVED_SUFFIXES:
        if name.endswith(suffix):
            raise place.error(f"'{name}' ends with {suffix}, which has a meaning of its own", "drop it")


def check_label_name(name: str, metric: str, kind: Kind, place: Place) -> None:
    """Raise `SchemaError` unless *name* is valid for a label of *metric*."""
    if not LABEL_NAME.fullmatch(name):
        hint = 'name it with a map: {"tool_name": "toolName"}'
        raise place.error(f"'{name}' is not a label name in snake_case", hint)
    if name.startswith("__"):
        raise place.error(f"the label '{name}' begins with __, which is for Prometheus alone", "begin it with a letter")
    if RESERVED_LABELS.get(kind) == name:
        raise place.error(f"a {kind} has a label '{name}' of its own", "give the label another name")
    if kind is Kind.STATESET and name == metric:
        raise place.error("a state set has a label with its own name already", "give the label another name")


def check_collisions(metrics: Iterable[tuple[Metric, Place]]) -> None:
    """Raise `SchemaError` if two metrics would have samples of the same name."""
    owners: dict[str, str] = {}
    for metric, place in metrics:
        for sample in _sample_names(metric):
            owner = owners.setdefault(sample, metric.name)
            if owner != metric.name:
                raise place.error(f"'{metric.name}' and '{owner}' both write '{sample}'", "rename one of them")


def _sample_names(metric: Metric) -> tuple[str, ...]:
    # OpenMetrics names a counter's family without _total, so a gauge of that name would collide.
    match metric.kind:
        case Kind.COUNTER:
            return (metric.name, metric.name.removesuffix("_total"))
        case Kind.HISTOGRAM:
            return (metric.name, *(metric.name + suffix for suffix in ("_bucket", "_count", "_sum")))
        case Kind.SUMMARY:
            return (metric.name, *(metric.name + suffix for suffix in ("_count", "_sum")))
        case _:
            return (metric.name,)
