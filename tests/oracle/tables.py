"""A count in, the rows of the table that `extractor replay` prints out, as they stand in its JSON."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from tests.oracle import quantiles, series
from tests.oracle.count import Count
from tests.oracle.observations import Observation
from tests.oracle.pack import Metric

Row = tuple[str, str, float | None]
"""Title, part and value; None for what is not known."""

SHOWN = (("p50", Fraction(1, 2)), ("p95", Fraction(95, 100)), ("p99", Fraction(99, 100)))


def rows(count: Count) -> list[Row]:
    """The rows that `report` in `pack.json` declares."""
    return [row for declared in count.pack.file["report"] for row in _rows(count, declared)]


def _rows(count: Count, declared: Mapping[str, Any]) -> Iterator[Row]:
    title, metric = declared["title"], count.pack.metrics[declared["metric"]]
    found = series.limited(metric, count.observations[metric.name], count.options)
    if metric.type == "summary":
        values = [series.decimal(each) * metric.unit for each in found if each.value is not None]
        for part, q in SHOWN:
            yield title, part, quantiles.quantile(values, q) if values else None
        return
    if "by" in declared:
        totals: dict[str, Fraction] = {}
        for each in found:
            value = named(metric, each)[declared["by"]]
            totals[value] = totals.get(value, Fraction()) + series.total([each], metric)
        yield from ((title, value, float(totals[value])) for value in sorted(totals) if totals[value])
        return
    whole = series.total(found, metric)
    matched = series.total([each for each in found if matches(metric, each, declared.get("where", {}))], metric)
    if declared.get("ratio"):
        yield title, "", float(matched / whole) if whole else None
    elif is_cost(metric) and _is_unknown(count, found):
        yield title, "", None
    else:
        yield title, "", float(matched)


def is_cost(metric: Metric) -> bool:
    """Whether its value is what calls cost."""
    return any(feed.type.price and feed.type.price["cost"] == feed.value for feed in metric.feeds)


def _is_unknown(count: Count, found: list[Observation]) -> bool:
    return bool(count.unpriced) and all(each.value is None for each in found)


def named(metric: Metric, each: Observation) -> dict[str, str]:
    """The labels of an observation by name."""
    return dict(zip((label.name for label in metric.labels), each.labels, strict=True))


def matches(metric: Metric, each: Observation, where: Mapping[str, list[str]]) -> bool:
    """Whether an observation has the values of labels that *where* asks for."""
    labels = named(metric, each)
    return all(labels[name] in values for name, values in where.items())
