"""
JSON Schemas in, msgspec Structs out: the part of a schema that can be decoded and validated in one pass.

A Struct accepts only what its schema accepts. Where a keyword cannot be said in msgspec's types to the letter, the
schema is `Beyond` them, and its lines take the exact path whole.

Knows nothing of lines, metrics or files.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from math import nan
from typing import Annotated, Any, Literal, Union
from weakref import WeakValueDictionary

import msgspec

from extractor.schema.model import EventType, Pack
from extractor.schema.pointer import Pointer
from extractor.schema.run_specs import run_fields

Object = msgspec.Struct

# Attributes that every Struct has.
_TIME, _RUN, _WRITER, _NUMBER = "time", "run", "writer", "number"
_TWO = 2  # pointers to properties of the line itself
_EXACT = 2**53 - 1  # above it an integer and its float may differ, and orjson and msgspec with them
_ANNOTATIONS = {"title", "description", "default", "examples", "deprecated", "$comment"}
_ROOT = _ANNOTATIONS | {"$schema", "$id", "type", "properties", "required", "additionalProperties"}
_SCALAR = str | int | float | bool | None
_BOUNDS = {"minimum": "ge", "exclusiveMinimum": "gt", "maximum": "le", "exclusiveMaximum": "lt"}
_LENGTHS = {"minLength": "min_length", "maxLength": "max_length"}


class Beyond(Exception):  # noqa: N818  # a verdict, not an error: the schema takes the exact path whole
    """The schema uses what a Struct cannot say."""


_KNOWN: WeakValueDictionary[str, type[Object]] = WeakValueDictionary()
"""
The Structs in use, by all that they are made of, so that a reload of the same schemas makes none.

msgspec keeps the last 64 unions of Structs for ever, and the collector of garbage comes to see the others only now and
then: 130 kB a reload, up to 30 MB (measured).
"""


class Decoder:
    """Decodes events of *structs*, told apart by their names."""

    def __init__(self, structs: Iterable[type[Object]], pack: Pack) -> None:
        # With one Struct alone, msgspec would not ask for the event's name. No line can be this one: a name is text
        # that anybody may write, but no integer lies between 0 and 1.
        never = Annotated[int, msgspec.Meta(gt=0, lt=1)]
        nothing = _made("Nothing", [("never", never)], tag_field=pack.event[0], tag="\0")
        union: Any = Union[(*structs, nothing)]  # built at run time
        self._decoder: Any = msgspec.json.Decoder(union)

    def lines(self, blob: bytes) -> list[Object] | None:
        """The objects in *blob*, however they are spread over its lines; None if one is refused."""
        try:
            objects: list[Object] = self._decoder.decode_lines(blob)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return objects

    def line(self, line: bytes) -> Object | None:
        """The object that is *line*; None if it is refused."""
        try:
            decoded: Object = self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return decoded


def everywhere(pack: Pack) -> dict[Pointer, str]:
    """The attributes that the Structs of all event types of *pack* have: time, writer, number, run and run fields."""
    names = {pack.time: _TIME}
    if pack.sequence is not None:
        names |= {pack.sequence.writer: _WRITER, pack.sequence.number: _NUMBER}
    if pack.run is not None:
        names[pack.run] = _RUN
        names |= {pointer: f"r{place}" for place, pointer in enumerate(run_fields(pack)) if pointer not in names}
    return names


def property_names(event: EventType) -> list[str]:
    """The properties that *event* declares."""
    properties: Any = event.schema.get("properties", {})
    return list(properties)


def struct_of(
    event: EventType,
    pack: Pack,
    names: Mapping[Pointer, str],
    *,
    numbers: Collection[Pointer] = (),
    texts: Collection[Pointer] = (),
) -> type[Object]:
    """
    The Struct of *event*; its tag is the event's name.

    It has *texts* also where these may be anything. Of *numbers*, those absent are NaN; all else is None.
    """
    schema: Any = event.schema
    unknown = {key for key in schema if not key.startswith("x-")} - _ROOT
    required = set(schema.get("required", ()))
    properties = {name: {} if each is True else each for name, each in schema.get("properties", {}).items()}
    extra = schema.get("additionalProperties", True)
    if (
        unknown
        or schema.get("type") != "object"
        or not isinstance(extra, bool)
        or False in properties.values()
        or not _are_apart(pack)
        or not required <= set(properties)
        or len(pack.event) != 1
        or pack.time not in names
        or pack.time[0] not in required
        or pack.event[0] not in required
        or properties[pack.event[0]].keys() - _ANNOTATIONS != {"const"}
        or (pack.sequence is not None and len(pack.sequence.writer + pack.sequence.number) != _TWO)
        or (pack.run is not None and not _is_run(pack.run, properties))
    ):
        raise Beyond
    fields: list[Any] = []
    for (name,), field in names.items():
        anything = not properties[name].keys() - _ANNOTATIONS
        wanted = (name,) in texts
        if (name,) == pack.event or (anything and extra and name not in required and not wanted):
            continue  # what may be anything needs no field; msgspec skips it faster than it decodes it
        if anything and wanted:
            kind: Any = _SCALAR  # a list or an object takes the exact path: as a text it is nothing
        else:
            kind = _time_type(properties[name]) if (name,) == pack.time else _type(properties[name])
        absent = nan if (name,) in numbers else None
        fields.append((field, kind) if name in required else (field, kind, absent))
    # A line's writer and number need not be declared to be seen.
    free = [pack.sequence.writer, pack.sequence.number] if pack.sequence is not None and extra else []
    free = [pointer for pointer in free if pointer not in names]
    fields += [(everywhere(pack)[pointer], Any, None) for pointer in free]
    names = {**names, **{pointer: everywhere(pack)[pointer] for pointer in free}}
    known = {field[0] for field in fields}
    try:
        made = _made(
            "Event",
            fields,
            tag_field=pack.event[0],
            tag=event.name,
            rename={field: name for (name,), field in names.items() if field in known},
            # Where the type does not declare the property, the attribute is a constant of the class.
            namespace={name: None for pointer, name in everywhere(pack).items() if pointer not in names},
            forbid_unknown_fields=not extra,
            kw_only=True,
            gc=False,
        )
        msgspec.json.Decoder(made)
    except (TypeError, ValueError) as error:
        raise Beyond from error  # a name with a quotation mark, say
    return made


def _are_apart(pack: Pack) -> bool:
    """Whether event, time, run, writer and number stand in different places, as attributes of a Struct do."""
    sequence = [pack.sequence.writer, pack.sequence.number] if pack.sequence is not None else []
    places = [pack.event, pack.time, *([pack.run] if pack.run is not None else []), *sequence]
    return len(places) == len(set(places))


def _made(name: str, fields: list[Any], **options: Any) -> type[Object]:  # noqa: ANN401  # those of `defstruct`
    """A Struct, which is the same as long as one of its like is in use."""
    like = repr((name, fields, sorted(options.items())))
    struct = _KNOWN.get(like)
    if struct is None:
        struct = _KNOWN[like] = msgspec.defstruct(name, fields, **options)
    return struct


def _is_run(pointer: Pointer, properties: Mapping[str, Any]) -> bool:
    # Only text is a run's id; where it may be something else, the exact path tells.
    if len(pointer) != 1:
        return False
    kinds = properties.get(pointer[0], {"type": "string"}).get("type", ())
    return set([kinds] if isinstance(kinds, str) else kinds) <= {"string", "null"}


def _time_type(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401  # a type made at run time
    types = {
        "string": Annotated[datetime, msgspec.Meta(tz=True)],
        "number": Annotated[float, msgspec.Meta(ge=0, le=_EXACT)],
    }
    return _union(schema, types, set())


def _type(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401  # a type made at run time
    if "const" in schema or "enum" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        if schema.keys() - _ANNOTATIONS - {"enum", "const"} or not all(isinstance(item, str) for item in values):
            raise Beyond
        return Literal[tuple(values)]
    lengths = {ours: schema[theirs] for theirs, ours in _LENGTHS.items() if theirs in schema}
    # typing takes Meta(ge=0.0) and Meta(ge=0) for the same and gives back the first, which msgspec refuses for an int.
    bounds = {ours: _integral(schema[theirs]) for theirs, ours in _BOUNDS.items() if theirs in schema}
    if len(bounds) > 1 or any(abs(bound) > _EXACT for bound in bounds.values()):
        raise Beyond
    limits = {"ge": -_EXACT, "le": _EXACT}
    if "gt" in bounds:
        del limits["ge"]
    if "lt" in bounds:
        del limits["le"]
    if any(not isinstance(bound, int) for bound in bounds.values()) and "integer" in str(schema.get("type")):
        raise Beyond
    if any(length > _EXACT for length in lengths.values()):
        raise Beyond
    number = msgspec.Meta(**(limits | bounds))
    types = {
        "string": Annotated[str, msgspec.Meta(**lengths)],
        "integer": Annotated[int, number],
        "number": Annotated[float, number],
        "null": None,
    }
    return _union(schema, types, _LENGTHS.keys() | _BOUNDS.keys())


def _integral(bound: Any) -> Any:  # noqa: ANN401  # an int or a float, as it comes
    return int(bound) if bound == int(bound) else bound


def _union(schema: Mapping[str, Any], types: Mapping[str, Any], keywords: Iterable[str]) -> Any:  # noqa: ANN401
    named = schema.get("type", ())
    wanted = [named] if isinstance(named, str) else list(named)
    if schema.keys() - _ANNOTATIONS - set(keywords) - {"type"} or not wanted or not set(wanted) <= set(types):
        raise Beyond
    if {"integer", "number"} <= set(wanted):
        wanted.remove("integer")
    return Union[tuple(types[name] for name in wanted)]  # noqa: UP007  # built at run time
