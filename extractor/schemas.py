"""
Packs of schema files in, a proved `Catalog` out.

An event type and its metrics are one file. Whatever can be wrong in it is found here, at load, and said as
`file#/json/pointer: message`, with what to write instead; after that, no room has to doubt the catalog.

Knows nothing of lines and series.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from extractor.agreement import check_report, merge
from extractor.catalog import Catalog, EventType, Numbering, Pack, Violation
from extractor.declarations import Declaration, read_declarations
from extractor.documents import read_object
from extractor.envelope import check_envelope
from extractor.packfiles import PackFiles, gather
from extractor.places import Place, short
from extractor.pointers import Pointer, found, pointer_text
from extractor.pricing import read_pricing
from extractor.properties import did_you_mean, to_pointer
from extractor.reporting import ReportRow
from extractor.signals import check_signals, read_recommended, read_signals
from extractor.totals import check_repetitions, check_spans, check_totals

_WHOLE = frozenset(
    {
        *("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains", "minProperties"),
        *("maxProperties", "limit", "times", "within"),
    }
)
"""Keywords whose value is a whole number."""

NOT_JSON_SCHEMA = "JSON Schema 2020-12 has no such keyword; ours stand at the root"


def default_pack() -> Path:
    """The folder of the default pack: inside the package once installed, at the top of a checkout."""
    here = Path(__file__).parent
    installed = here / "packs" / "agent"
    return installed if installed.is_dir() else here.parent / "schemas" / "agent"


def load(directories: Sequence[Path] = ()) -> Catalog:
    """
    The catalog of the default pack and of *directories*.

    A directory with a `pack.json` is a pack of its own, and replaces the pack of the same name. A directory without
    one adds its event types to the default pack, and replaces those of the same name.
    """
    event_check, pack_check = _meta_schema("event.meta.json"), _meta_schema("pack.meta.json")
    packs = []
    declarations: list[Declaration] = []
    for folder in gather(default_pack(), directories, pack_check):
        events, declared = _read_events(folder, event_check)
        check_totals(events, declared)
        check_repetitions(events, declared)
        check_spans(events, declared)
        packs.append((_read_pack(folder.declared, events, folder.place), folder.place))
        declarations.extend(declared)
    metrics = merge(declarations)
    for pack, place in packs:
        check_report(pack.report, metrics, place / "report")
        check_signals(pack, metrics, place)
    return Catalog(packs=tuple(pack for pack, _ in packs), metrics=metrics)


def _read_pack(declared: Mapping[str, Any], events: Mapping[str, EventType], place: Place) -> Pack:
    return Pack(
        name=declared["name"],
        event=to_pointer(declared["event"]),
        time=to_pointer(declared["time"]),
        run=to_pointer(declared["run"]) if "run" in declared else None,
        sequence=_read_sequence(declared["sequence"]) if "sequence" in declared else None,
        patterns=tuple(declared["files"]),
        events=events,
        report=tuple(_read_row(row) for row in declared.get("report", [])),
        signals=read_signals(declared.get("signals", [])),
        release=declared.get("release"),
        recommended=read_recommended(declared.get("recommended", []), events, place / "recommended"),
        numbers=_numbers(events),
    )


def _numbers(events: Mapping[str, EventType]) -> dict[str, tuple[Pointer, ...]]:
    """Where the lines of each event type have numbers that something is made of."""
    found: dict[str, list[Pointer]] = {name: [] for name in events}
    for name, event in events.items():
        for feed in event.feeds:
            found[name] += [pointer for _, pointer in feed.value.fields]
            if (total := feed.value.total) is not None:
                found[name] += [total.own] if total.own is not None else []
                for of in total.of:
                    found[of] += total.fields
        if event.price is not None:
            found[name] += [event.price.cost, *(pointer for pointer in event.price.tokens if pointer is not None)]
    return {name: tuple(dict.fromkeys(pointers)) for name, pointers in found.items()}


def _read_sequence(declared: Mapping[str, Any]) -> Numbering:
    return Numbering(writer=to_pointer(declared["writer"]), number=to_pointer(declared["number"]))


def _read_row(declared: Mapping[str, Any]) -> ReportRow:
    return ReportRow(
        title=declared["title"],
        metric=declared["metric"],
        where=tuple((label, tuple(texts)) for label, texts in declared.get("where", {}).items()),
        ratio=declared.get("ratio", False),
        by=declared.get("by"),
    )


def _read_events(folder: PackFiles, check: "_MetaSchema") -> tuple[dict[str, EventType], list[Declaration]]:
    events: dict[str, EventType] = {}
    declarations: list[Declaration] = []
    for path in folder.event_files():
        schema, place = read_object(path), Place(str(path))
        check(schema, place)
        schema = _with_whole_numbers(schema)
        name = check_envelope(schema, folder.declared, place)
        violation = _compile(schema, place)
        _check_examples(schema["examples"], violation, place / "examples")
        declared = read_declarations(schema, place)
        events[name] = EventType(
            name=name,
            file=str(path),
            description=schema.get("description", ""),
            run=schema.get("x-run"),
            schema=schema,
            feeds=tuple(declaration.feed for declaration in declared),
            violation=violation,
            price=read_pricing(schema, place),
        )
        declarations.extend(declared)
    return events, declarations


def _with_whole_numbers(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """*value*, which conforms to the meta-schema, with an int wherever a keyword asks for one."""
    # JSON Schema takes 128.0 for an integer; Python and msgspec do not.
    match value:
        case dict():
            return {
                key: int(inner)
                if key in _WHOLE and isinstance(inner, float) and inner.is_integer()
                else _with_whole_numbers(inner)
                for key, inner in value.items()
            }
        case list():
            return [_with_whole_numbers(inner) for inner in value]
        case _:
            return value


def _check_examples(examples: Sequence[object], violation: Callable[[object], Violation | None], place: Place) -> None:
    for index, example in enumerate(examples):
        if wrong := violation(example):
            message = f"the example is not valid: {wrong.message}"
            raise (place / index / to_pointer(wrong.pointer)).error(message, "correct the example or the schema")


def _compile(schema: Mapping[str, Any], place: Place) -> Callable[[object], Violation | None]:
    # An editor's $schema may be a path; the draft is 2020-12 whatever it says.
    plain = {keyword: value for keyword, value in schema.items() if keyword != "$schema"}
    try:
        validator = jsonschema_rs.Draft202012Validator(
            plain, validate_formats=True, ignore_unknown_formats=False, offline=True
        )
    except jsonschema_rs.ValidationError as error:
        # What follows the first sentence is advice to programmers.
        raise (place / _tokens(error)).error(short(error.message.split(". ")[0])) from error

    def violation(line: object) -> Violation | None:
        # The library refuses what JSON cannot hold (lone surrogates, endless nesting) by raising all sorts of errors.
        try:
            if validator.is_valid(line):
                return None
            error = next(validator.iter_errors(line))
            pointer = _tokens(error)
            # The library reads as null what no JSON number can say: infinity, or thousands of digits.
            is_null = error.instance is None and found(line, pointer) is None
            message = "is not a number that can be held" if error.instance is None and not is_null else error.message
            return Violation(pointer_text(pointer), short(message))
        except Exception:  # noqa: BLE001 -- one line, however odd, must not end the program
            return Violation("", "cannot be validated")

    return violation


@cache  # jsonschema-rs never frees a validator of a schema that refers to itself, as these do: 280 KB each
def _meta_schema(name: str) -> "_MetaSchema":
    return _MetaSchema(name)


class _MetaSchema:
    """A meta-schema shipped in the package; called with what a file says, it raises where that does not conform."""

    def __init__(self, name: str) -> None:
        self._document = read_object(Path(__file__).parent / "schemas_meta" / name)
        self._validator = jsonschema_rs.Draft202012Validator(self._document, offline=True)

    def __call__(self, declared: Mapping[str, Any], place: Place) -> None:
        errors = list(self._validator.iter_errors(declared))
        if not errors:
            return
        # A wrong keyword makes its whole object unevaluated; the error behind that is the one to tell.
        telling = [error for error in errors if error.kind.name != "unevaluatedProperties"]
        error = (telling or errors)[0]
        where = place / _tokens(error)
        allowed = self._parent(error)
        match error.kind:
            case jsonschema_rs.ValidationErrorKind.AdditionalProperties(unexpected=[first, *_]):
                raise (where / first).error(f"unknown keyword '{first}'", did_you_mean(first, allowed["properties"]))
            case jsonschema_rs.ValidationErrorKind.UnevaluatedProperties(unexpected=[first, *_]):
                at_root = not error.instance_path
                hint = did_you_mean(first, self._document["properties"]) if at_root else NOT_JSON_SCHEMA
                raise (where / first).error(f"unknown keyword '{first}'", hint)
            case jsonschema_rs.ValidationErrorKind.Enum(options=options):
                raise where.error(f"unknown word {json.dumps(error.instance)}", did_you_mean(error.instance, options))
            case jsonschema_rs.ValidationErrorKind.OneOfNotValid() | jsonschema_rs.ValidationErrorKind.Pattern():
                message = f"{short(json.dumps(error.instance))} is not in a form that is known here"
                raise where.error(message, allowed.get("description", ""))
            case jsonschema_rs.ValidationErrorKind.AnyOf(context=[[first, *_], *_]):
                raise where.error(short(first.message))
            case _:
                raise where.error(short(error.message), allowed.get("description", ""))

    def _parent(self, error: jsonschema_rs.ValidationError) -> Mapping[str, Any]:
        """The part of the meta-schema that *error* breaks; empty where JSON Schema's own meta-schema is broken."""
        part: Any = self._document
        for step in error.evaluation_path[:-1]:
            if step == "$ref":
                reference = part["$ref"]
                if not reference.startswith("#/$defs/"):
                    return {}
                part = self._document["$defs"][reference.removeprefix("#/$defs/")]
            else:
                part = part[step]
        return part if isinstance(part, Mapping) else {}


def _tokens(error: jsonschema_rs.ValidationError) -> Pointer:
    return tuple(str(token) for token in error.instance_path)
