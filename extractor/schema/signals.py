"""
Read and check the `signals` and `recommended` of a pack, for `report` and `check`.

A signal refers to existing metrics, labels, values and objectives, and is a single number. A recommended property is
declared by the events that should have it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from extractor.schema.agreement import check_series, find_metric
from extractor.schema.model import EventType, Kind, Metric
from extractor.schema.objective import DEFAULTS, Unit
from extractor.schema.place import Place, Problems
from extractor.schema.properties import Properties, did_you_mean, to_pointer
from extractor.schema.report_rows import Recommendation, Signal

_OBJECTIVES = {objective.name: objective for objective in DEFAULTS}
_SUMMED = (Kind.COUNTER, Kind.GAUGE)
_WORDS = {Unit.SECONDS: "a duration", Unit.RATIO: "a ratio", Unit.USD: "in dollars", Unit.TOKENS: "a number"}
_UNITS = {"seconds": Unit.SECONDS, "usd": Unit.USD, "ratio": Unit.RATIO, "": Unit.TOKENS}


def read_signals(declared: Iterable[Mapping[str, Any]]) -> tuple[Signal, ...]:
    """Return the rows, which conform to the meta-schema; `check_signals` checks them."""
    return tuple(
        Signal(
            title=row["title"],
            metric=row["metric"],
            where=tuple((label, tuple(texts)) for label, texts in row.get("where", {}).items()),
            over=tuple(row.get("over", ())),
            by=row.get("by"),
            quantile=row.get("quantile"),
            hourly=row.get("hourly", False),
            objective=row.get("objective"),
        )
        for row in declared
    )


def check_signals(signals: Iterable[Signal], metrics: Mapping[str, Metric], place: Place, unproved: set[str]) -> None:
    """Raise at *place* unless every signal is a single number; skip metrics in *unproved*."""
    problems = Problems()
    for index, signal in enumerate(signals):
        if unproved.isdisjoint((signal.metric, *signal.over)):
            with problems.collected():
                _check(signal, metrics, place / index)
    problems.raise_any()


def check_release(release: str | None, metrics: Mapping[str, Metric], place: Place) -> None:
    """Raise at *place* unless the *release* of a pack is a label."""
    labels = {label for metric in metrics.values() for label in metric.label_names}
    if release is not None and release not in labels:
        raise place.error(f"no metric has a label '{release}'", did_you_mean(release, labels))


def unit_of(signal: Signal, metrics: Mapping[str, Metric]) -> str:
    """Return the unit of the number: seconds, usd, bytes, ratio, or an empty string."""
    unit = base_unit(metrics[signal.metric])
    if signal.by is not None:
        return "ratio"
    return "ratio" if signal.over and base_unit(metrics[signal.over[0]]) == unit else unit


def base_unit(metric: Metric) -> str:
    """Return the unit suffix of the name of *metric*; empty for a plain number."""
    name = metric.name.removesuffix("_total")
    return next((unit for unit in ("seconds", "usd", "bytes") if name.endswith("_" + unit)), "")


def _check(signal: Signal, metrics: Mapping[str, Metric], place: Place) -> None:
    metric = check_series(signal, metrics, place)
    if metric.kind is Kind.STATESET:
        raise (place / "metric").error("a stateset is no number", "name another metric")
    if (metric.kind is Kind.SUMMARY) != (signal.quantile is not None):
        if metric.kind is Kind.SUMMARY:
            raise place.error("a summary needs a quantile", 'add "quantile": 0.95')
        raise (place / "quantile").error(f"a {metric.kind} has no quantile", "drop it")
    for keyword, given in (("over", signal.over), ("by", signal.by), ("hourly", signal.hourly)):
        if given and metric.kind not in _SUMMED:
            raise (place / keyword).error(f"a {metric.kind} is not summed", "drop it")
    if sum(map(bool, (signal.over, signal.by, signal.hourly))) > 1:
        raise place.error("over, by and hourly exclude each other", "keep one of them")
    for index, name in enumerate(signal.over):
        if (other := find_metric(name, metrics, place / "over" / index)).kind is not Kind.COUNTER:
            raise (place / "over" / index).error(f"'{name}' is a {other.kind}", "name a counter")
    if signal.objective is not None:
        _check_objective(signal, unit_of(signal, metrics), place / "objective")


def _check_objective(signal: Signal, unit: str, place: Place) -> None:
    objective = _OBJECTIVES.get(str(signal.objective))
    if objective is None:
        hint = did_you_mean(signal.objective, _OBJECTIVES)
        raise place.error(f"there is no objective '{signal.objective}'", hint)
    if signal.by is not None:
        raise place.error("shares are not judged", "drop it")
    if _UNITS.get(unit) is not objective.unit:
        mine, theirs = (_WORDS[each] for each in (objective.unit, _UNITS.get(unit, Unit.TOKENS)))
        raise place.error(f"'{objective.name}' is {mine}, and the row is {theirs}", "name another objective")


def read_recommended(
    declared: Iterable[Mapping[str, Any]], events: Mapping[str, EventType], place: Place
) -> tuple[Recommendation, ...]:
    """Return the recommendations of a pack with *events*; raise at *place* where they are invalid."""
    problems, found = Problems(), list[Recommendation]()
    for index, item in enumerate(declared):
        with problems.collected():
            found.append(_read_recommended(item, events, place / index))
    problems.raise_any()
    return tuple(found)


def _read_recommended(declared: Mapping[str, Any], events: Mapping[str, EventType], place: Place) -> Recommendation:
    named = tuple(declared.get("events", ()))
    for index, name in enumerate(named):
        if name not in events:
            raise (place / "events" / index).error(f"there is no event '{name}'", did_you_mean(name, events))
    if "property" not in declared:
        return Recommendation(" or ".join(named), named)
    reference = declared["property"]
    pointer = to_pointer(reference)
    having = tuple(name for name, event in events.items() if Properties(event.schema).get(pointer) is not None)
    for index, name in enumerate(named):
        Properties(events[name].schema).find(reference, place / "events" / index)
    if not having:
        raise (place / "property").error(f"no event has a property '{reference}'", "name one that an event declares")
    return Recommendation(reference, named or having, pointer)
