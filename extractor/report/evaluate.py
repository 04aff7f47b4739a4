"""
Compute the number of a signal in a window.

The series of all labels are added up, or only those of one agent, tool or release. None means that there were no values
to compute a number from.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

from extractor.schema.model import Kind
from extractor.schema.report_rows import Signal
from extractor.state.exact_sum import Exact, as_float
from extractor.state.hdr import quantiles
from extractor.state.series import Counter, Histogram, Latest, Series, Summary
from extractor.state.state import State

Only = Mapping[str, str]
"""The one value to select, by label."""

EVERYTHING: Only = {}
_HOUR = 3600


def number(signal: Signal, state: State, seconds: float, only: Only = EVERYTHING) -> float | None:
    """Return the number of *signal* in *state*, which covers *seconds*."""
    metric = state.families[signal.metric].metric
    if metric.run == "open":
        counts = state.count_open(signal.metric)
        return float(sum(counts[labels] for labels in _matching(state, signal.metric, counts, signal.where, only)))
    chosen = _chosen(state, signal.metric, signal.where, only)
    if signal.quantile is not None:
        found = quantiles([series.all for series in chosen if isinstance(series, Summary)], (signal.quantile,))
        return found[0] if found else None
    if metric.kind is Kind.HISTOGRAM:
        return _mean(chosen, metric.per_unit)
    total = sum(map(_amount, chosen), Fraction(0))
    if signal.over:
        whole = Fraction(sum(_sum(state, name, only) for name in signal.over))
        return float(total / whole) if whole else None
    return as_float(total * Fraction(_HOUR) / Fraction(seconds) if signal.hourly else total, metric.per_unit)


def shares(signal: Signal, state: State, only: Only = EVERYTHING) -> dict[str, float]:
    """Return the share of each value of the label `by` of *signal*, largest first."""
    metric = state.families[signal.metric].metric
    place = metric.label_names.index(str(signal.by))
    sums: dict[str, Exact] = {}
    family = state.families[signal.metric]
    for labels in _matching(state, signal.metric, family.series, signal.where, only):
        sums[labels[place]] = sums.get(labels[place], 0) + _amount(family.series[labels])
    whole = Fraction(sum(sums.values(), Fraction(0)))
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return {value: float(Fraction(amount) / whole) for value, amount in ordered if amount}


def is_seen(signal: Signal, whole: State) -> bool:
    """Return whether *whole*, the state of all logs, has values for *signal*, so that a 0 is a number."""
    names = {signal.metric, *signal.over} if signal.metric in signal.over else {signal.metric}
    # Counts of runs are always known, even at 0.
    return any(whole.families[name].metric.run is not None or whole.is_seen(name) for name in names)


def values(signal: Signal, state: State, label: str) -> list[str]:
    """Return the values of *label* in all series of *signal* in *state*; none if one of its metrics lacks the label."""
    found: set[str] = set()
    for name in (signal.metric, *signal.over):
        family = state.families[name]
        if label not in family.metric.label_names:
            return []
        place = family.metric.label_names.index(label)
        found.update(labels[place] for labels in family.series)
    return sorted(found)


def _chosen(state: State, metric: str, where: Iterable[tuple[str, tuple[str, ...]]], only: Only) -> list[Series]:
    series = state.families[metric].series
    return [series[labels] for labels in _matching(state, metric, series, where, only)]


def _matching(
    state: State,
    metric: str,
    all_labels: Iterable[tuple[str, ...]],
    where: Iterable[tuple[str, tuple[str, ...]]],
    only: Only,
) -> list[tuple[str, ...]]:
    names = state.families[metric].metric.label_names
    wanted = [(names.index(label), texts) for label, texts in where]
    wanted += [(names.index(label), (text,)) for label, text in only.items()]
    return [labels for labels in all_labels if all(labels[place] in texts for place, texts in wanted)]


def _sum(state: State, metric: str, only: Only) -> Exact:
    return sum(map(_amount, _chosen(state, metric, (), only)), Fraction(0))


def _mean(chosen: Iterable[Series], per_unit: int) -> float | None:
    histograms = [series for series in chosen if isinstance(series, Histogram)]
    count = sum(sum(series.buckets) for series in histograms)
    return (
        as_float(Fraction(sum((series.total for series in histograms), Fraction(0)), count), per_unit)
        if count
        else None
    )


def _amount(series: Series) -> Exact:
    match series:
        case Counter():
            return series.total
        case Latest(value=int() | float() as value):
            return Fraction(value)
        case _:
            return 0
