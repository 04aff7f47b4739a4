"""
Read and check the `x-labels` and `x-metrics` of one event's schema; return its feeds and metrics.

Every referenced property exists and has the right type, every label is closed or limited, every counter can only
increase, and the examples feed every metric.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from extractor.schema.conditions import fits
from extractor.schema.earlier_events import read_repetition, read_span
from extractor.schema.exemplar_labels import read_exemplar
from extractor.schema.model import PER_SECOND, UNKNOWN, Condition, Feed, Kind, Label, Metric, RunTotal, Value
from extractor.schema.naming import check_label_name, check_metric_name
from extractor.schema.place import Place, Problems
from extractor.schema.pointer import Pointer, found
from extractor.schema.properties import LABEL_TYPES, NUMBER_TYPES, Properties, Property, did_you_mean, to_pointer

SERIES_LIMIT = 10_000
QUANTILES = (0.5, 0.9, 0.95, 0.99)
RISING = (Kind.COUNTER, Kind.HISTOGRAM, Kind.SUMMARY)
_OF_RUNS = {"open": Kind.GAUGE, "abandoned": Kind.COUNTER}


@dataclass(frozen=True, slots=True)
class Declaration:
    """A metric as one event type declares it at *place*."""

    feed: Feed
    metric: Metric
    place: Place


def read_declarations(schema: Mapping[str, Any], place: Place) -> tuple[Declaration, ...]:
    """Return the declarations of one event's *schema*, which conforms to the meta-schema; raise `SchemaError`."""
    return _Reader(schema, place).read()


class _Reader:
    """Reader of the declarations in the schema of one event."""

    def __init__(self, schema: Mapping[str, Any], place: Place) -> None:
        self._schema = schema
        self._place = place
        self._properties = Properties(schema)
        self._texts = self._read_texts()

    def read(self) -> tuple[Declaration, ...]:
        """Return all declarations of the file, in order."""
        problems, declarations = Problems(), list[Declaration]()
        for name, declared in self._schema.get("x-metrics", {}).items():
            with problems.collected():
                declarations.append(self._read_metric(name, declared))
        problems.raise_any()  # use of texts can be checked only without errors
        with problems.collected():
            self._check_texts_are_used(declarations)
        for declaration in declarations:
            with problems.collected():
                self._check_is_fed(declaration)
        problems.raise_any()
        return tuple(declarations)

    def _check_is_fed(self, declaration: Declaration) -> None:
        if not any(_feeds(declaration.feed, example) for example in self._schema["examples"]):
            hint = "add a line to examples that has its value and fits its where"
            raise declaration.place.error(f"no example feeds '{declaration.metric.name}'", hint)

    def _read_metric(self, name: str, declared: Mapping[str, Any]) -> Declaration:
        place = self._place / "x-metrics" / name
        kind = Kind(declared["type"])
        check_metric_name(name, kind, place)
        _check_keywords(kind, declared, place)
        labels = self._read_labels(declared.get("labels", []), place / "labels")
        value = self._read_value(kind, declared.get("value"), place / "value")
        names, values, limits = self._label_columns(labels, value, place)
        for label_name in names:
            check_label_name(label_name, name, kind, place / "labels")
        where = declared.get("where", {})
        exemplar = read_exemplar(declared.get("exemplar"), (name, kind, value), self._properties, place / "exemplar")
        feed = Feed(
            metric=name,
            labels=labels,
            value=value,
            where=tuple(self._read_condition(ref, where[ref], place / "where" / ref) for ref in where),
            exemplar=exemplar.pointers,
        )
        metric = Metric(
            name=name,
            kind=kind,
            help=declared["help"],
            label_names=names,
            label_values=values,
            label_limits=limits,
            limit=declared.get("limit", SERIES_LIMIT),
            bounds=_read_ascending(declared.get("buckets", []), place / "buckets"),
            quantiles=_read_ascending(
                declared.get("quantiles", QUANTILES if kind is Kind.SUMMARY else []), place / "quantiles"
            ),
            states=(value.state,) if value.state else (),
            run=value.run,
            per_unit=_read_unit(name, declared.get("unit"), value, place),
            exemplar=exemplar.names,
        )
        return Declaration(feed, metric, place)

    def _read_texts(self) -> dict[Pointer, Mapping[str, Any]]:
        place, declared = self._place / "x-labels", self._schema.get("x-labels", {})
        problems, texts = Problems(), dict[Pointer, Mapping[str, Any]]()
        for reference, text in declared.items():
            with problems.collected():
                texts[self._read_text(reference, text, place / reference)] = text
        problems.raise_any()  # otherwise labels would appear to have no limit
        return texts

    def _read_text(self, reference: str, text: Mapping[str, Any], place: Place) -> Pointer:
        prop = self._properties.find(reference, place)
        if "limit" in text and prop.values is not None:
            raise place.error(f"'{reference}' has few values already", "drop the limit")
        if "limit" in text and "string" in prop.types and "maxLength" not in prop.schema:
            hint = f"add \"maxLength\": 128 to the property '{reference}'"
            raise place.error(f"'{reference}' may be of any length", hint)
        return prop.pointer

    def _check_texts_are_used(self, declarations: Sequence[Declaration]) -> None:
        used = {label.pointer for declaration in declarations for label in declaration.feed.labels}
        for reference in self._schema.get("x-labels", {}):
            if to_pointer(reference) not in used:
                raise (self._place / "x-labels" / reference).error(f"no metric has '{reference}' as a label", "drop it")

    def _read_labels(self, declared: list[str] | Mapping[str, Any], place: Place) -> tuple[Label, ...]:
        if isinstance(declared, Mapping):
            return tuple(self._read_label(name, source, place / name) for name, source in declared.items())
        return tuple(self._read_label(name, name, place / index) for index, name in enumerate(declared))

    def _read_label(self, name: str, source: str | Mapping[str, str], place: Place) -> Label:
        if not isinstance(source, str):
            return Label(name, const=source["const"], values=(source["const"],))
        prop = self._properties.find(source, place)
        if not prop.types <= LABEL_TYPES:
            hint = "a label is a string, an integer or a boolean; say so with type, enum or const"
            raise place.error(f"'{source}' cannot be a label: it may be {_listing(prop.types - LABEL_TYPES)}", hint)
        text = self._texts.get(prop.pointer, {})
        if "values" not in text:
            if prop.values is None and "limit" not in text:
                hint = f'give the property an enum, or add "x-labels": {{"{source}": {{"limit": 100}}}}'
                raise place.error(f"'{source}' is open text and has no limit", hint)
            return Label(name, prop.pointer, values=prop.texts())
        other = text["other"]
        mapping = {target: target for target in text["values"].values()} | text["values"]
        values = dict.fromkeys((*text["values"].values(), other, *([UNKNOWN] if prop.can_be_unknown else [])))
        return Label(name, prop.pointer, mapping=mapping, other=other, values=tuple(values))

    def _read_value(  # noqa: PLR0911  # one return a kind
        self, kind: Kind, declared: str | Mapping[str, Any] | None, place: Place
    ) -> Value:
        match declared:
            case None if kind is Kind.COUNTER:
                return Value()
            case str() if kind is not Kind.STATESET:
                return Value(fields=(("", self._number(kind, declared, place)),))
            case {"label": str(label), "from": dict(sources)} if kind is not Kind.STATESET:
                fields = tuple((text, self._number(kind, ref, place / "from" / text)) for text, ref in sources.items())
                return Value(fields=fields, label=label)
            case {"run": "open" | "abandoned" as run} if kind is _OF_RUNS[run]:
                return Value(run=run)
            case dict(total) if kind in RISING and total.get("run") in ("count", "sum"):
                return Value(total=self._read_total(kind, total, place))
            case {"repeats": dict(repeats)} if kind is Kind.COUNTER:
                return Value(repeated=read_repetition(repeats, self._properties, place / "repeats"))
            case {"since": str(since), "key": str(key)} if kind in (Kind.HISTOGRAM, Kind.SUMMARY):
                return Value(span=read_span(since, key, self._properties, place))
            case {"state": state} if kind is Kind.STATESET:
                return Value(state=state)
            case None:
                hint = 'add "value": {"state": "open"}' if kind is Kind.STATESET else "name the numeric property"
                raise place.error(f"a {kind} needs a value", hint)
            case _:
                raise place.error(f"this is not a value for a {kind}", VALUE_HINTS[kind])

    def _read_total(self, kind: Kind, declared: Mapping[str, Any], place: Place) -> RunTotal:
        own = self._number(kind, declared["own"], place / "own") if "own" in declared else None
        fields = tuple(map(to_pointer, _as_tuple(declared.get("field", ()))))
        return RunTotal(_as_tuple(declared["of"]), fields, own)

    def _number(self, kind: Kind, reference: str, place: Place) -> Pointer:
        prop = self._properties.find(reference, place)
        if not prop.types <= NUMBER_TYPES | {"null"} or not prop.types & NUMBER_TYPES:
            raise place.error(f"'{reference}' is not a number", 'give the property "type": "number" or "integer"')
        if "null" in prop.types and "description" not in prop.schema:
            raise place.error(f"'{reference}' may be null, and nothing says why", "give the property a description")
        if kind in RISING and not prop.is_never_negative():
            hint = f'a {kind} cannot go down: give the property "minimum": 0'
            raise place.error(f"'{reference}' may be negative", hint)
        return prop.pointer

    def _label_columns(
        self, labels: tuple[Label, ...], value: Value, place: Place
    ) -> tuple[tuple[str, ...], tuple[tuple[str, ...] | None, ...], tuple[int, ...]]:
        names = [label.name for label in labels]
        values = [label.values for label in labels]
        limits = [0 if label.values else self._texts[label.pointer]["limit"] for label in labels]
        if value.label:
            if value.label in names:
                raise (place / "value" / "label").error(f"the label '{value.label}' is in labels too", "drop it there")
            names.append(value.label)
            values.append(tuple(text for text, _ in value.fields))
            limits.append(0)
        return tuple(names), tuple(values), tuple(limits)

    def _read_condition(self, reference: str, declared: Any, place: Place) -> Condition:  # noqa: ANN401 -- any JSON
        prop = self._properties.find(reference, place)
        closed = prop.values is not None
        if declared is True:
            return Condition(prop.pointer, present=True, closed=closed)
        if "const" in declared or "enum" in declared:
            values = [declared["const"]] if "const" in declared else declared["enum"]
            _check_possible(values, prop, place)
            return Condition(prop.pointer, values=tuple(values), closed=closed)
        if not prop.types & NUMBER_TYPES:
            raise place.error(f"'{reference}' is not a number", "use const, enum or true")
        return Condition(
            prop.pointer,
            minimum=declared.get("minimum"),
            exclusive_minimum=declared.get("exclusiveMinimum"),
            maximum=declared.get("maximum"),
            closed=closed,
        )


VALUE_HINTS = {
    Kind.COUNTER: "name a numeric property, or leave it out to count events",
    Kind.GAUGE: 'name a numeric property, or write {"run": "open"}',
    Kind.HISTOGRAM: "name a numeric property",
    Kind.SUMMARY: "name a numeric property",
    Kind.STATESET: 'write {"state": "open"}',
}


def _as_tuple(declared: str | Sequence[str]) -> tuple[str, ...]:
    return (declared,) if isinstance(declared, str) else tuple(declared)


def _check_keywords(kind: Kind, declared: Mapping[str, Any], place: Place) -> None:
    if kind is Kind.HISTOGRAM and "buckets" not in declared:
        raise place.error("a histogram needs buckets", 'add "buckets": [0.1, 1, 10], upper bounds in base units')
    for keyword, owner in (("buckets", Kind.HISTOGRAM), ("quantiles", Kind.SUMMARY)):
        if keyword in declared and kind is not owner:
            raise (place / keyword).error(f"a {kind} has no {keyword}", f"drop it, or make it a {owner}")


def _read_ascending(declared: Sequence[float], place: Place) -> tuple[float, ...]:
    # As floats: two integers above 2**53 may be equal as floats, and would be duplicate samples.
    numbers = [float(number) + 0.0 for number in declared]  # plus 0.0 turns -0.0 into 0.0
    for low, high in pairwise(numbers):
        if low >= high:
            raise place.error(f"{high:g} follows {low:g}", "write them ascending, each once")
    return tuple(numbers)


def _read_unit(name: str, unit: str | None, value: Value, place: Place) -> int:
    if unit is None:
        if value.fields and "seconds" in name.split("_"):
            raise place.error(f"'{name}' is in seconds, and nothing says what the agent writes", 'add "unit": "ms"')
        return 1
    if not value.fields:
        raise (place / "unit").error("there is no value to have a unit", "drop it")
    if "seconds" not in name.split("_"):
        raise (place / "unit").error(f"'{name}' has the unit {unit} and no _seconds", "put _seconds into the name")
    return PER_SECOND[unit]


def _check_possible(values: Iterable[object], prop: Property, place: Place) -> None:
    """Raise unless *prop* can have each of *values*, which are scalars."""
    if prop.values is None:
        for value in values:
            kinds = {bool: {"boolean"}, str: {"string"}, type(None): {"null"}}.get(type(value), NUMBER_TYPES)
            if not prop.types & kinds:
                raise place.error(f"the property is never {value!r}", f"it is {_listing(prop.types)}")
        return
    # In JSON true is not 1, in Python it is.
    possible = {(isinstance(each, bool), each) for each in prop.values if not isinstance(each, list | dict)}
    for value in values:
        if (isinstance(value, bool), value) not in possible:
            raise place.error(f"the property is never {value!r}", did_you_mean(str(value), map(str, prop.values)))


def _feeds(feed: Feed, line: object) -> bool:
    if not all(fits(condition, found(line, condition.pointer)) for condition in feed.where):
        return False
    return not feed.value.fields or any(found(line, pointer) is not None for _, pointer in feed.value.fields)


def _listing(words: set[str]) -> str:
    return " or ".join(sorted(words))
