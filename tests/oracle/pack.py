"""A folder of schema files in, event types and metrics as data out: what the files say and nothing that they mean."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema

DEFAULT = Path(__file__).parents[2] / "schemas" / "agent"

UNITS = {None: Fraction(1), "ms": Fraction(1, 1000)}


@dataclass(frozen=True)
class Label:
    """A label of a metric as all its event types together have it: open with a limit, or closed with its values."""

    name: str
    limit: int | None
    values: tuple[str, ...]


@dataclass(frozen=True)
class Feed:
    """What one event type declares of one metric."""

    type: "EventType"
    metric: str
    declared: Mapping[str, Any]

    @property
    def value(self) -> Any:
        """The keyword `value`."""
        return self.declared.get("value")

    @property
    def is_of_runs(self) -> bool:
        """Whether the value is of a run and not of an event."""
        return isinstance(self.value, dict) and "run" in self.value

    @cached_property
    def sources(self) -> dict[str, str | Mapping[str, str]]:
        """Where each label comes from: the name of a property, or `{"const": …}`."""
        labels = self.declared["labels"]
        return dict(labels) if isinstance(labels, dict) else {name: name for name in labels}

    @cached_property
    def texts(self) -> dict[str, str]:
        """What an exemplar shows: its labels, and the properties that they come from."""
        asked = self.declared.get("exemplar")
        return asked if isinstance(asked, dict) else {self.type.pack.run: self.type.pack.run}

    def closed(self, label: str) -> set[str] | None:
        """The values that *label* may have in these events; None if it is open."""
        source = self.sources[label]
        if not isinstance(source, str):
            return {source["const"]}
        declared = self.type.labels.get(source, {})
        if "values" in declared:
            return set(declared["values"].values()) | {declared["other"]}
        enum = self.type.schema["properties"][source].get("enum")
        return set(enum) if enum else None


@dataclass(frozen=True)
class EventType:
    """One schema file."""

    pack: "Pack"
    name: str
    schema: Mapping[str, Any]

    @cached_property
    def validator(self) -> Any:
        """The file as JSON Schema."""
        return jsonschema.Draft202012Validator(self.schema)

    @cached_property
    def feeds(self) -> list[Feed]:
        """The metrics that the file declares."""
        return [Feed(self, metric, declared) for metric, declared in self.schema.get("x-metrics", {}).items()]

    @property
    def labels(self) -> Mapping[str, Any]:
        """The keyword `x-labels`."""
        return self.schema.get("x-labels", {})

    @property
    def run(self) -> str | None:
        """`start`, `end` or nothing."""
        return self.schema.get("x-run")

    @property
    def price(self) -> Mapping[str, Any] | None:
        """The keyword `x-price`."""
        return self.schema.get("x-price")

    def has(self, name: str) -> bool:
        """Whether the file describes a property of that name."""
        return name in self.schema["properties"]

    def is_number(self, name: str) -> bool:
        """Whether the property of that name may be a number."""
        types = self.schema["properties"].get(name, {}).get("type", ())
        return bool({"number", "integer"} & {*([types] if isinstance(types, str) else types)})

    @cached_property
    def amounts(self) -> set[str]:
        """The properties whose numbers are added up somewhere, in a metric or in a cost."""
        found = set(self.price["tokens"].values()) | {self.price["cost"]} if self.price else set()
        for feed in self.feeds:
            found |= set(_numbers_of(feed.value))
        return found


def _numbers_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value.get("from", {}).values()
        if "own" in value:
            yield value["own"]


@dataclass(frozen=True)
class Metric:
    """A metric as all its event types together declare it."""

    name: str
    feeds: tuple[Feed, ...] = field(repr=False)

    @property
    def declared(self) -> Mapping[str, Any]:
        """What is declared alike in each event type."""
        return self.feeds[0].declared

    @property
    def type(self) -> str:
        """`counter`, `gauge`, `histogram`, `summary` or `stateset`."""
        return self.declared["type"]

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The labels in their order; the one that tells several numbers apart comes last."""
        found = []
        for name in self.feeds[0].sources:
            closed = [feed.closed(name) for feed in self.feeds]
            limits = [feed.type.labels[source]["limit"] for feed in self.feeds if (source := _open(feed, name))]
            values = () if None in closed else tuple(sorted(set().union(*(each or set() for each in closed))))
            found.append(Label(name, None if values else limits[0], values))
        if split := self.split:
            found.append(Label(split["label"], None, tuple(sorted(split["from"]))))
        return tuple(found)

    @property
    def split(self) -> Mapping[str, Any] | None:
        """`{"label": …, "from": …}`, if the value is several numbers."""
        value = self.declared.get("value")
        return value if isinstance(value, dict) and "from" in value else None

    @property
    def limit(self) -> int:
        """How many series it may have."""
        return self.declared.get("limit", 10_000)

    @property
    def unit(self) -> Fraction:
        """What a value is multiplied by to be in base units."""
        return UNITS[self.declared.get("unit")]

    @cached_property
    def bounds(self) -> list[Fraction]:
        """The upper bounds of a histogram in base units, as the decimal numbers that stand in the file."""
        return [Fraction(Decimal(repr(bound))) for bound in self.declared["buckets"]]

    @property
    def quantiles(self) -> list[str]:
        """The quantiles of a summary, as they are written in its label."""
        return [repr(float(each)) for each in self.declared.get("quantiles", [0.5, 0.9, 0.95, 0.99])]


def _open(feed: Feed, label: str) -> str | None:
    source = feed.sources[label]
    return source if isinstance(source, str) and feed.closed(label) is None else None


@dataclass(frozen=True)
class Pack:
    """A folder of schema files."""

    folder: Path

    @cached_property
    def file(self) -> Mapping[str, Any]:
        """What stands in `pack.json`."""
        return json.loads((self.folder / "pack.json").read_text())

    def _property(self, pointer: str) -> str:
        name = pointer.removeprefix("/")
        assert "/" not in name, "the default pack has no deeper pointers"
        return name

    @property
    def event(self) -> str:
        """The property with the event's name."""
        return self._property(self.file["event"])

    @property
    def time(self) -> str:
        """The property with the event's time."""
        return self._property(self.file["time"])

    @property
    def run(self) -> str:
        """The property with the event's run."""
        return self._property(self.file["run"])

    @property
    def writer(self) -> str:
        """The property with the line's writer."""
        return self._property(self.file["sequence"]["writer"])

    @property
    def number(self) -> str:
        """The property with the line's number."""
        return self._property(self.file["sequence"]["number"])

    @cached_property
    def types(self) -> dict[str, EventType]:
        """Event types by name."""
        names = sorted(path.name.removesuffix(".schema.json") for path in self.folder.glob("*.schema.json"))
        return {
            name: EventType(self, name, json.loads((self.folder / f"{name}.schema.json").read_text())) for name in names
        }

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Metrics by name."""
        feeds: dict[str, list[Feed]] = {}
        for each in self.types.values():
            for feed in each.feeds:
                feeds.setdefault(feed.metric, []).append(feed)
        return {name: Metric(name, tuple(feeds[name])) for name in sorted(feeds)}


@cache
def default() -> Pack:
    """The default pack."""
    return Pack(DEFAULT)
