"""
Collect errors of the lines and rejects of logs, for `extractor check`.

Rejects are grouped by file, reason and pointer, with their number and the first of each. Keys and event names that no
schema declares are counted, with the closest declared name. All of it is bounded, because lines may have any number of
keys.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from extractor.events.reader import Reason, decoded, lines_of
from extractor.ingest.pipeline import Rejected
from extractor.schema.model import Catalog, Pack
from extractor.schema.place import short
from extractor.schema.pointer import Pointer, found, pointer_text
from extractor.schema.properties import nearest, to_pointer
from extractor.tail.line_buffer import Blob, Piece, TooLong

_GROUPS = 10_000  # of rejects; also the limit for keys, and for event names
_LINE_BYTES = 200
_NAME = 80  # characters

_IN_PLACE = ("allOf", "anyOf", "oneOf", "if", "then", "else", "not")
"""Keywords of JSON Schema whose schemas apply to the same object."""

_OTHERS = ("additionalProperties", "unevaluatedProperties")
_DEEPEST = 8  # a schema may refer to itself

_MILLISECONDS, _MICROSECONDS, _NANOSECONDS = 1e11, 1e14, 1e17
"""Epoch times from each bound to the next are in that unit: as seconds they would be in year 5138 or later."""


@dataclass(slots=True)
class Group:
    """Rejects of one file with the same reason and pointer: their number, and the *first*, on line *number*."""

    first: Rejected
    number: int
    hint: str
    lines: int = 0


class Unread(NamedTuple):
    """
    A key of *events*, or an event name, that no schema declares, and its number of *lines*.

    *meant* is the closest declared name, empty if none is close.
    """

    name: str
    lines: int
    meant: str
    events: tuple[str, ...] = ()


class Survey:
    """Errors of the lines read with *catalog*; `reject` must be called before `folded`."""

    def __init__(self, catalog: Catalog) -> None:
        self._declared = {pack.name: _declared(pack) for pack in catalog.packs}
        self._groups: dict[tuple[str, Reason, str], Group] = {}
        self.begin()

    def begin(self) -> None:
        """Reset the counts of lines, when reading starts again; known rejects are kept, and not reported again."""
        self._numbers: dict[str, int] = {}  # number of the next line of each file
        self._pieces: dict[str, list[tuple[int, Piece]]] = {}
        self._packs: dict[str, Pack] = {}
        self._keys: Counter[tuple[str, str, Pointer]] = Counter()  # pack, event, key
        self._events: Counter[tuple[str, str]] = Counter()  # pack, event
        self._meant: dict[tuple[str, str, Pointer], str] = {}

    def feed(self, pack: Pack, path: str, pieces: Iterable[Piece]) -> None:
        """Process lines of the file at *path*."""
        self._packs[path] = pack
        for piece in pieces:
            number = self._numbers.get(path, 1) if piece.offset else 1
            self._pieces.setdefault(path, []).append((number, piece))
            self._numbers[path] = number + (piece.data.count(b"\n") if isinstance(piece, Blob) else 1)
            if not isinstance(piece, TooLong):
                for _, line in lines_of(piece.data):
                    self._look(pack, line)

    def folded(self) -> None:
        """Release the lines read so far, whose rejects were all reported."""
        self._pieces.clear()

    def reject(self, rejected: Rejected) -> None:
        """Count a rejected line."""
        reject = rejected.reject
        key = (rejected.path, reject.reason, short(reject.pointer))
        if key not in self._groups:
            if len(self._groups) >= _GROUPS:  # one group for all others of the file
                key = (rejected.path, reject.reason, "…")
            if key not in self._groups:
                hint = self._hint(rejected)
                first = rejected._replace(line=rejected.line[:_LINE_BYTES])
                self._groups[key] = Group(first, self._number(rejected.path, rejected.offset), hint)
        self._groups[key].lines += 1

    def rejects(self) -> list[Group]:
        """Return the groups of rejects, largest first."""
        return sorted(self._groups.values(), key=lambda group: -group.lines)

    def unread_keys(self) -> list[Unread]:
        """Return the keys that no schema of their events declares; those with a close match come first."""
        together: dict[tuple[str, Pointer], Unread] = {}
        for (pack, event, pointer), lines in self._keys.most_common():
            unread = together.get((pack, pointer), Unread(short(_text(pointer), _NAME), 0, ""))
            meant = unread.meant or self._meant[pack, event, pointer]
            events = (*unread.events, *([event] if event else []))
            together[pack, pointer] = Unread(unread.name, unread.lines + lines, meant, events)
        return _sorted(together.values())

    def unread_events(self) -> list[Unread]:
        """Return the event names that no schema describes."""
        return _sorted(
            Unread(short(name, _NAME), lines, nearest(name, self._declared[pack]) or "")
            for (pack, name), lines in self._events.items()
        )

    def _look(self, pack: Pack, line: bytes) -> None:
        document = decoded(line)
        if not isinstance(document, dict):
            return
        name = found(document, pack.event)
        declared = self._declared[pack.name]
        if isinstance(name, str) and name not in declared:
            key = (pack.name, name[:_NAME])
            if key in self._events or len(self._events) < _GROUPS:
                self._events[key] += 1
            return
        event = name if isinstance(name, str) else ""
        self._count(pack.name, event, (), document, declared[event])

    def _count(self, pack: str, event: str, above: Pointer, part: Mapping[str, Any], known: "_Keys") -> None:
        for key in part.keys() - known.names.keys():
            if any(pattern.search(key) for pattern in known.patterns):
                continue
            place = (pack, event, (*above, key[:_NAME]))
            if place not in self._keys:
                if len(self._keys) >= _GROUPS:
                    continue
                missing = [name for name in known.names if part.get(name) is None]
                self._meant[place] = nearest(key, missing) or ""
            self._keys[place] += 1
        for key, inner in known.nested.items():
            if isinstance(within := part.get(key), dict):
                self._count(pack, event, (*above, key), within, inner)

    def _number(self, path: str, offset: int) -> int:
        """Return the number of the line at *offset*."""
        for number, piece in reversed(self._pieces.get(path, [])):
            if piece.offset <= offset:
                return number + (piece.data.count(b"\n", 0, offset - piece.offset) if isinstance(piece, Blob) else 0)
        return 0

    def _hint(self, rejected: Rejected) -> str:
        pack = self._packs.get(rejected.path)
        if rejected.reject.reason is not Reason.BAD_TIME or pack is None:
            return ""
        time = found(decoded(rejected.line), pack.time)
        if isinstance(time, str) and time.isascii() and time.isdecimal():
            time = int(time[:_NAME])
        if isinstance(time, bool) or not isinstance(time, int | float):
            return ""
        units = ((_NANOSECONDS, "nanoseconds"), (_MICROSECONDS, "microseconds"), (_MILLISECONDS, "milliseconds"))
        unit = next((unit for least, unit in units if least <= time < _NANOSECONDS * 1000), "")
        return f"this looks like {unit}: write seconds" if unit else ""


class _Keys:
    """The keys that a schema declares for an object, and for the objects in it."""

    def __init__(self, schemas: Sequence[Any], root: Mapping[str, Any], depth: int = _DEEPEST) -> None:
        self.names: dict[str, list[Any]] = {}
        self.patterns: list[re.Pattern[str]] = []
        for schema in _about_the_same(schemas, root):
            for name, inner in _mapping(schema.get("properties")).items():
                self.names.setdefault(name, []).append(inner)
            # With a pattern that matches, or a schema for all other keys, no key is undeclared.
            self.patterns += map(_compiled, _mapping(schema.get("patternProperties")))
            if any(isinstance(schema.get(keyword), dict) for keyword in _OTHERS):
                self.patterns.append(re.compile(""))
        self.nested: dict[str, _Keys] = {
            name: _Keys(inner, root, depth - 1)
            for name, inner in self.names.items()
            if depth and _has_keys(inner, root)
        }


def _declared(pack: Pack) -> dict[str, _Keys]:
    """Return the keys that the schemas of *pack* declare, by event; under "", those of all events."""
    every = {name: _Keys([event.schema, _envelope(pack)], event.schema) for name, event in pack.events.items()}
    union = _Keys([], {})
    for each in every.values():
        union.names |= each.names
        union.patterns += each.patterns
    return every | {"": union}


def _envelope(pack: Pack) -> dict[str, Any]:
    """Return a schema of the properties that the pack itself reads."""
    places = [pack.event, pack.time, *([pack.run] if pack.run else [])]
    places += [pack.sequence.writer, pack.sequence.number] if pack.sequence else []
    schema: dict[str, Any] = {}
    for pointer in places:
        at = schema
        for token in pointer:
            at = at.setdefault("properties", {}).setdefault(token, {})
    return schema


def _about_the_same(schemas: Iterable[Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting, seen = list(schemas), set[int]()
    while waiting:
        schema = waiting.pop()
        if not isinstance(schema, Mapping) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        for keyword in _IN_PLACE:
            inner = schema.get(keyword)
            waiting += inner if isinstance(inner, list) else [inner]
        waiting += _mapping(schema.get("dependentSchemas")).values()
        if isinstance(reference := schema.get("$ref", schema.get("$dynamicRef")), str):
            referred = found(root, to_pointer(reference[1:])) if reference.startswith("#/") else None
            waiting.append({_OTHERS[0]: {}} if referred is None else referred)  # a remote schema may declare any key


def _has_keys(schemas: Sequence[Any], root: Mapping[str, Any]) -> bool:
    return any("properties" in schema for schema in _about_the_same(schemas, root))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error:  # JSON Schema's patterns are those of ECMAScript
        return re.compile("")


def _sorted(unread: Iterable[Unread]) -> list[Unread]:
    return sorted(unread, key=lambda each: (not each.meant, -each.lines, each.name))


def _text(pointer: Pointer) -> str:
    return pointer[0] if len(pointer) == 1 else pointer_text(pointer)
