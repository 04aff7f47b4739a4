"""
Merge the declarations of all event types into one metric per name.

All event types that feed a metric must declare it alike. Checks that need more than one file are made here; violations
raise `SchemaError`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import prod

from extractor.schema.metrics import Declaration
from extractor.schema.model import Kind, Metric
from extractor.schema.naming import check_collisions
from extractor.schema.place import Place, Problems
from extractor.schema.properties import did_you_mean
from extractor.schema.report_rows import ReportRow, Signal

CLOSED_SERIES = 1000
"""Maximum number of series of one metric that exist at 0 from the start."""


def merge(declarations: Iterable[Declaration]) -> dict[str, Metric]:
    """Return the metrics of *declarations*, in order; raise `SchemaError` where they disagree."""
    families: dict[str, list[Declaration]] = {}
    for declaration in declarations:
        families.setdefault(declaration.metric.name, []).append(declaration)
    problems, metrics = Problems(), dict[str, Metric]()
    for name, family in families.items():
        with problems.collected():
            metrics[name] = _merge_family(family)
    for name, metric in metrics.items():
        with problems.collected():
            _check_size(metric, families[name][-1].place)
    problems.raise_any()
    check_collisions((metric, families[name][0].place) for name, metric in metrics.items())
    return metrics


def _merge_family(family: list[Declaration]) -> Metric:
    first = family[0]
    for other in family[1:]:
        _check_alike(first, other)
    columns = range(len(first.metric.label_names))
    return replace(
        first.metric,
        label_values=tuple(_closed_union(family, column) for column in columns),
        label_limits=tuple(max(other.metric.label_limits[column] for other in family) for column in columns),
        states=tuple(sorted({state for other in family for state in other.metric.states})),
    )


def _check_alike(first: Declaration, other: Declaration) -> None:
    one, two = first.metric, other.metric
    alike = (
        ("type", one.kind, two.kind),
        ("help", one.help, two.help),
        ("labels", ", ".join(one.label_names), ", ".join(two.label_names)),
        ("value", one.run, two.run),
        ("unit", one.per_unit, two.per_unit),
        ("buckets", one.bounds, two.bounds),
        ("quantiles", one.quantiles, two.quantiles),
        ("limit", one.limit, two.limit),
        ("exemplar", one.exemplar, two.exemplar),
    )
    for keyword, there, here in alike:
        if there != here:
            message = f"this is not as in {first.place.file}"
            raise (other.place / keyword).error(message, f"declare '{two.name}' alike wherever it is fed")
    for name, there, here in zip(one.label_names, one.label_limits, two.label_limits, strict=True):
        if there and here and there != here:
            message = f"the label '{name}' of '{two.name}' has the limit {there} in {first.place.file} and {here} here"
            raise (other.place / "labels").error(message, "give both the same limit in x-labels")


def _closed_union(family: list[Declaration], column: int) -> tuple[str, ...] | None:
    union: dict[str, None] = {}
    for declaration in family:
        values = declaration.metric.label_values[column]
        if values is None:
            return None
        union.update(dict.fromkeys(values))
    return tuple(union)


def _check_size(metric: Metric, place: Place) -> None:
    size = prod(len(values) for values in metric.label_values if values) * max(1, len(metric.states))
    if size > CLOSED_SERIES:
        message = f"'{metric.name}' has {size} series for its closed labels alone, and {CLOSED_SERIES} may exist"
        raise (place / "labels").error(message, "drop a label")
    if size > metric.limit:
        message = f"'{metric.name}' has {size} series for its closed labels alone, and its limit is {metric.limit}"
        raise (place / "limit").error(message, "raise the limit")


def check_report(rows: Iterable[ReportRow], metrics: Mapping[str, Metric], place: Place, unproved: set[str]) -> None:
    """Raise unless every row refers to an existing metric, its labels and their values; skip metrics in *unproved*."""
    problems = Problems()
    for index, row in enumerate(rows):
        if row.metric not in unproved:
            with problems.collected():
                _check_row(row, metrics, place / index)
    problems.raise_any()


def _check_row(row: ReportRow, metrics: Mapping[str, Metric], place: Place) -> None:
    metric = check_series(row, metrics, place)
    if row.ratio and not row.where:
        raise (place / "ratio").error("a ratio needs a where", "say which part of all it is")
    if row.ratio and metric.kind in (Kind.SUMMARY, Kind.HISTOGRAM):
        raise (place / "ratio").error(f"a {metric.kind} has no ratio", "drop it")


def check_series(row: ReportRow | Signal, metrics: Mapping[str, Metric], place: Place) -> Metric:
    """Return the metric of *row*; raise unless it exists, and has the labels and values in the row."""
    metric = find_metric(row.metric, metrics, place / "metric")
    if row.by is not None and row.by not in metric.label_names:
        raise (place / "by").error(f"'{row.metric}' has no label '{row.by}'", did_you_mean(row.by, metric.label_names))
    for label, texts in row.where:
        if label not in metric.label_names:
            hint = did_you_mean(label, metric.label_names)
            raise (place / "where" / label).error(f"'{row.metric}' has no label '{label}'", hint)
        values = metric.label_values[metric.label_names.index(label)]
        for text in texts:
            if values is not None and text not in values:
                raise (place / "where" / label).error(f"'{label}' is never '{text}'", did_you_mean(text, values))
    return metric


def find_metric(name: str, metrics: Mapping[str, Metric], place: Place) -> Metric:
    """Return the metric called *name*; raise at *place* if there is none."""
    if (metric := metrics.get(name)) is None:
        raise place.error(f"there is no metric '{name}'", did_you_mean(name, metrics))
    return metric
