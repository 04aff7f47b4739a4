"""
Compute the rows of the summary table, which the packs declare, from a state.

Quantiles cover all input, not the sliding window, because the table describes the past as a whole.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from extractor.schema.model import Kind, Metric
from extractor.schema.report_rows import ReportRow
from extractor.schema.signals import base_unit
from extractor.state.exact_sum import Exact, as_float
from extractor.state.hdr import quantiles
from extractor.state.series import Counter, Histogram, Latest, Series, Summary
from extractor.state.state import State

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Figure(NamedTuple):
    """
    One row: its title, the part that *value* covers (empty for the whole), and a number with its unit.

    *seen* is set if an event had the value, so that a 0 is a number.
    """

    title: str
    part: str
    value: float | None
    unit: str
    seen: bool = True


def figures(state: State) -> Iterator[Figure]:
    """Yield the rows of the reports of all packs that had events, each once, in the order of declaration."""
    for row in dict.fromkeys(row for pack in state.packs_seen() for row in pack.report):
        yield from _row(state, row)


def _row(state: State, row: ReportRow) -> Iterator[Figure]:
    family = state.families[row.metric]
    if family.metric.run == "open":
        yield Figure(row.title, "", float(sum(state.count_open(row.metric).values())), "")
        return
    metric, unit = family.metric, base_unit(family.metric)
    chosen = {labels: series for labels, series in family.series.items() if _matches(metric, labels, row)}
    if metric.kind is Kind.SUMMARY:
        parts = [series.all for series in chosen.values() if isinstance(series, Summary)]
        values = quantiles(parts, tuple(_QUANTILES.values()))
        for place, part in enumerate(_QUANTILES):
            yield Figure(row.title, part, values[place] if values else None, unit)
    elif row.by is not None:
        place = metric.label_names.index(row.by)
        sums: dict[str, Exact] = {}
        for labels, series in chosen.items():
            sums[labels[place]] = sums.get(labels[place], 0) + _number(series)
        for value, total in sorted(sums.items(), key=lambda item: (-item[1], item[0])):
            if total:
                yield Figure(row.title, value, as_float(total, metric.per_unit), unit)
    else:
        total = sum(map(_number, chosen.values()), Fraction(0))
        if row.ratio:
            whole = sum(map(_number, family.series.values()), Fraction(0))
            yield Figure(row.title, "", float(Fraction(total) / Fraction(whole)) if whole else None, "ratio")
        else:
            yield Figure(row.title, "", as_float(total, metric.per_unit), unit, state.is_seen(row.metric))


def _matches(metric: Metric, labels: tuple[str, ...], row: ReportRow) -> bool:
    return all(labels[metric.label_names.index(name)] in values for name, values in row.where)


def _number(series: Series) -> Exact:
    match series:
        case Counter():
            return series.total
        case Histogram():
            return sum(series.buckets)
        case Summary():
            return series.count
        case Latest():
            return Fraction(series.value) if isinstance(series.value, float | int) else 0


def shown(figure: Figure) -> str:
    """Return the number as formatted text."""
    value = figure.value
    if value is None:
        return "–"
    match figure.unit:
        case "ratio":
            return f"{value:.1%}"
        case "seconds":
            return _seconds(value)
        case "usd":
            return f"${value:,.4f}" if value < 1 else f"${value:,.2f}"
        case _:
            return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _seconds(value: float) -> str:
    minute, hour = 60, 3600
    if value < 1:
        return f"{value * 1000:.3g} ms"
    if value < minute:
        return f"{value:.3g} s"
    return f"{value / minute:.1f} min" if value < hour else f"{value / hour:.1f} h"
