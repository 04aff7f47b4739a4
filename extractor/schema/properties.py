"""
The properties that an event's schema declares, and their possible values.

A name or a JSON Pointer in a declaration must refer to a property of the schema; a typo raises `SchemaError` here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from extractor.schema.model import UNKNOWN
from extractor.schema.place import Place
from extractor.schema.pointer import Pointer, pointer_text

LABEL_TYPES = {"string", "integer", "boolean", "null"}
NUMBER_TYPES = {"number", "integer"}

_NEAR = 0.8  # similarity, 1 for equal names; `inputs` and `outputs` have 0.77

# bool comes before int, because it is a subclass of int.
JSON_TYPES = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object"}


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """Return a hint with the closest match of *name*, or else all choices."""
    known = sorted(map(str, names))
    if near := get_close_matches(str(name), known, n=1):
        return f"did you mean '{near[0]}'?"
    return f"there is {', '.join(known)}" if known else ""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the closest match of *name*, ignoring case and word separators; None if none is close."""
    known = {_bare(each): each for each in sorted(names) if each}
    near = get_close_matches(_bare(name), known, n=1, cutoff=_NEAR)
    return known[near[0]] if near else None


def _bare(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold() or name


@dataclass(frozen=True, slots=True)
class Property:
    """One declared property; *required* is set if every valid line has it."""

    pointer: Pointer
    schema: Mapping[str, object]
    required: bool

    @property
    def types(self) -> set[str]:
        """The allowed JSON types; all of them if the schema has no type."""
        if (listed := self._listed()) is not None:
            return {_type_of(value) for value in listed}
        declared = self.schema.get("type", ["string", "number", "boolean", "null", "object", "array"])
        return {declared} if isinstance(declared, str) else set(_as_list(declared))

    @property
    def values(self) -> tuple[object, ...] | None:
        """The allowed values, if they are few; otherwise None."""
        if (listed := self._listed()) is not None:
            return tuple(listed)
        if self.types <= {"boolean", "null"}:
            return (False, True, None) if "null" in self.types else (False, True)
        return None

    @property
    def can_be_unknown(self) -> bool:
        """Whether it may be absent, null or empty in a valid line."""
        if not self.required or "null" in self.types:
            return True
        if (listed := self._listed()) is not None:
            return "" in listed
        return "string" in self.types and not self.schema.get("minLength")

    def is_never_negative(self) -> bool:
        """Return whether it allows no number below 0."""
        if self.values is not None:
            return all(value is None or value >= 0 for value in self.values)  # type: ignore[operator]
        bounds = (self.schema.get("minimum", -1), self.schema.get("exclusiveMinimum", -1))
        return any(isinstance(bound, int | float) and bound >= 0 for bound in bounds)

    def texts(self) -> tuple[str, ...] | None:
        """Return its possible label values, if they are few; otherwise None."""
        if self.values is None:
            return None
        texts = dict.fromkeys(as_text(value) for value in self.values)
        return tuple(dict.fromkeys((*texts, UNKNOWN)) if self.can_be_unknown else texts)

    def _listed(self) -> list[Any] | None:
        if "const" in self.schema:
            return [self.schema["const"]]
        return _as_list(self.schema["enum"]) if "enum" in self.schema else None


class Properties:
    """All properties of one event's schema, by name or by JSON Pointer."""

    def __init__(self, schema: Mapping[str, object]) -> None:
        self._schema = schema

    def get(self, pointer: Pointer) -> Property | None:
        """Return the property at *pointer*; None if it is not declared."""
        schema, required = self._schema, True
        for token in pointer:
            declared = _as_mapping(schema.get("properties"))
            if token not in declared:
                return None
            required = required and schema.get("type") == "object" and token in _as_list(schema.get("required"))
            schema = _as_mapping(declared[token])
        return Property(pointer, schema, required)

    def find(self, reference: str, place: Place) -> Property:
        """Return the property that *reference*, a name or JSON Pointer, refers to; raise at *place* if missing."""
        pointer = to_pointer(reference)
        if prop := self.get(pointer):
            return prop
        raise place.error(f"there is no property '{reference}'", did_you_mean(reference, self._siblings(pointer)))

    def _siblings(self, pointer: Pointer) -> list[str]:
        *before, _ = pointer
        parent = self.get(tuple(before))
        names = _as_mapping(parent.schema.get("properties")) if parent else {}
        return [pointer_text((*before, name)) if before else name for name in names]


def to_pointer(reference: str) -> Pointer:
    """Return the pointer for *reference*: a property name, or a JSON Pointer ("" is the whole line)."""
    if reference and not reference.startswith("/"):
        return (reference,)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in reference.split("/")[1:])


def as_text(value: object) -> str:
    """Return the label value of a JSON value."""
    if value is None or value == "":
        return UNKNOWN
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    return next(name for kind, name in JSON_TYPES.items() if isinstance(value, kind))
