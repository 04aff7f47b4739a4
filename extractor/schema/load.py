"""
Load packs of schema files into a checked `Catalog`.

An event type and its metrics are one file. All errors in it are found on loading, and reported as `file#/json/pointer:
message` with a hint. Later code can rely on the catalog without checks.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from extractor.errors import SchemaError
from extractor.schema.agreement import check_report, merge
from extractor.schema.documents import read_object
from extractor.schema.envelope import check_envelope
from extractor.schema.metrics import Declaration, read_declarations
from extractor.schema.model import Catalog, EventType, Metric, Numbering, Pack, Violation
from extractor.schema.pack_files import SUFFIX, PackFiles, gather
from extractor.schema.place import Place, Problems, short
from extractor.schema.pointer import Pointer, found, pointer_text
from extractor.schema.pricing import read_pricing
from extractor.schema.properties import did_you_mean, to_pointer
from extractor.schema.report_rows import ReportRow
from extractor.schema.signals import check_release, check_signals, read_recommended, read_signals
from extractor.schema.totals import check_runs

_WHOLE = frozenset(
    {
        *("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains", "minProperties"),
        *("maxProperties", "limit", "times", "within"),
    }
)
"""Keywords whose value is an integer."""

_ENUMERATION = 120  # characters, for all values together

NOT_JSON_SCHEMA = "JSON Schema 2020-12 has no such keyword; ours stand at the root"


def default_pack() -> Path:
    """Return the folder of the default pack: in the package if installed, otherwise at the top of a checkout."""
    here = Path(__file__).parents[1]
    installed = here / "packs" / "agent"
    return installed if installed.is_dir() else here.parent / "schemas" / "agent"


def load(directories: Sequence[Path] = ()) -> Catalog:
    """
    Return the catalog of the default pack and of *directories*.

    A directory with a `pack.json` is a pack of its own, and replaces the pack of the same name. A directory without one
    adds its event types to the default pack, and replaces those of the same name.

    The `SchemaError` that is raised carries all other errors found. Errors that follow from another one are left out:
    declarations in a file with errors are unknown.
    """
    event_check, pack_check = _meta_schema("event.meta.json"), _meta_schema("pack.meta.json")
    problems, unproved = Problems(), set[str]()
    folders = [
        (folder, _read_events(folder, event_check, problems, unproved))
        for folder in gather(default_pack(), directories, pack_check, problems)
    ]
    for folder, (events, declared) in folders:
        with problems.collected():
            check_runs(events, declared, unproved)
        if folder.is_right and not unproved:
            with problems.collected():
                read_recommended(folder.declared.get("recommended", []), events, folder.place / "recommended")
    metrics: dict[str, Metric] | None = None
    with problems.collected():
        metrics = merge([each for _, (_, declared) in folders for each in declared])
    for folder, _ in folders:
        if metrics is not None and folder.is_right:
            _check_rows(folder, metrics, problems, unproved)
    problems.raise_any()
    assert metrics is not None
    return Catalog(tuple(_read_pack(folder.declared, events, folder.place) for folder, (events, _) in folders), metrics)


def _check_rows(folder: PackFiles, metrics: Mapping[str, Metric], problems: Problems, unproved: set[str]) -> None:
    declared, place = folder.declared, folder.place
    with problems.collected():
        check_report(map(_read_row, declared.get("report", [])), metrics, place / "report", unproved)
    with problems.collected():
        check_signals(read_signals(declared.get("signals", [])), metrics, place / "signals", unproved)
    if not unproved:
        with problems.collected():
            check_release(declared.get("release"), metrics, place / "release")


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
    """Return the numeric properties of each event type that metrics or prices use."""
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


def _read_events(
    folder: PackFiles, check: "_MetaSchema", problems: Problems, unproved: set[str]
) -> tuple[dict[str, EventType], list[Declaration]]:
    """Return the declarations of *folder*; add the names in files with errors to *unproved*."""
    events: dict[str, EventType] = {}
    declarations: list[Declaration] = []
    paths: list[Path] = []
    with problems.collected():
        paths = folder.event_files()
    for path in paths:
        schema: dict[str, Any] = {}
        before = len(problems.found)
        with problems.collected():
            schema = read_object(path)
            event, declared = _read_event(schema, path, folder, check)
            events[event.name] = event
            declarations.extend(declared)
        if len(problems.found) > before:
            metrics = schema.get("x-metrics")
            unproved |= {path.name.removesuffix(SUFFIX), *(metrics if isinstance(metrics, Mapping) else ())}
    return events, declarations


def _read_event(
    schema: dict[str, Any], path: Path, folder: PackFiles, check: "_MetaSchema"
) -> tuple[EventType, tuple[Declaration, ...]]:
    place, problems = Place(str(path)), Problems()
    check(schema, place)
    schema = _with_whole_numbers(schema)
    name = path.name.removesuffix(SUFFIX)
    if folder.is_right:
        with problems.collected():
            name = check_envelope(schema, folder.declared, place)
    with problems.collected():
        violation = _compile(schema, place)
        _check_examples(schema["examples"], violation, place / "examples")
    with problems.collected():
        declared = read_declarations(schema, place)
    with problems.collected():
        price = read_pricing(schema, place)
    problems.raise_any()
    event = EventType(
        name=name,
        file=str(path),
        description=schema.get("description", ""),
        run=schema.get("x-run"),
        schema=schema,
        feeds=tuple(declaration.feed for declaration in declared),
        violation=violation,
        price=price,
    )
    return event, declared


def _with_whole_numbers(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Return *value*, which conforms to the meta-schema, with an int wherever a keyword requires one."""
    # In JSON Schema 128.0 is an integer; in Python and msgspec it is not.
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
    problems = Problems()
    for index, example in enumerate(examples):
        with problems.collected():
            if wrong := violation(example):
                message = f"the example is not valid: {wrong.message}"
                raise (place / index / to_pointer(wrong.pointer)).error(message, "correct the example or the schema")
    problems.raise_any()


def _compile(schema: Mapping[str, Any], place: Place) -> Callable[[object], Violation | None]:
    # The $schema may be a path, for editors; the draft is always 2020-12.
    plain = {keyword: value for keyword, value in schema.items() if keyword != "$schema"}
    try:
        validator = jsonschema_rs.Draft202012Validator(
            plain, validate_formats=True, ignore_unknown_formats=False, offline=True
        )
    except jsonschema_rs.ValidationError as error:
        # Only the first sentence is meant for authors of schemas.
        raise (place / _tokens(error)).error(short(error.message.split(". ")[0])) from error

    def violation(line: object) -> Violation | None:
        # The library raises various exceptions for what JSON cannot hold (lone surrogates, unlimited nesting).
        try:
            if validator.is_valid(line):
                return None
            error = next(validator.iter_errors(line))
            pointer = _tokens(error)
            # The library reads numbers that JSON cannot hold (infinity, thousands of digits) as null.
            is_null = error.instance is None and found(line, pointer) is None
            message = "is not a number that can be held" if error.instance is None and not is_null else _message(error)
            return Violation(pointer_text(pointer), short(message))
        except Exception:  # noqa: BLE001 -- one line, however odd, must not end the program
            return Violation("", "cannot be validated")

    return violation


def _message(error: jsonschema_rs.ValidationError) -> str:
    """Return the error message; for an enumeration with all of its values, if they are short."""
    match error.kind:
        case jsonschema_rs.ValidationErrorKind.Enum(options=[*options, last]) if options:
            values = f"{', '.join(map(_json, options))} or {_json(last)}"
            if len(values) <= _ENUMERATION:
                return f"{_json(error.instance)} is not one of {values}"
    return error.message


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@cache  # jsonschema-rs never frees a validator of a schema that refers to itself, as these do: 280 KB each
def _meta_schema(name: str) -> "_MetaSchema":
    return _MetaSchema(name)


class _MetaSchema:
    """A meta-schema in the package; calling it with the content of a file raises `SchemaError` on a violation."""

    def __init__(self, name: str) -> None:
        self._document = read_object(Path(__file__).parent / "meta" / name)
        self._validator = jsonschema_rs.Draft202012Validator(self._document, offline=True)

    def __call__(self, declared: Mapping[str, Any], place: Place) -> None:
        if self._validator.is_valid(declared):
            return
        problems = Problems()
        # Each keyword on its own, since an error in one makes all of them unevaluated.
        for part in (declared, *({key: value} for key, value in declared.items())):
            for error in _telling(self._validator.iter_errors(part)):
                is_of_the_whole = error.kind.name == "required" and not error.instance_path
                if is_of_the_whole == (part is declared):
                    problems.found += self._said(error, place / _tokens(error))
        problems.raise_any()
        raise place.error(next(iter(self._validator.iter_errors(declared))).message)

    def _said(self, error: jsonschema_rs.ValidationError, where: Place) -> Iterator[SchemaError]:
        allowed = self._parent(error)
        match error.kind:
            case jsonschema_rs.ValidationErrorKind.AdditionalProperties(unexpected=names) if names:
                for name in names:
                    yield (where / name).error(f"unknown keyword '{name}'", did_you_mean(name, allowed["properties"]))
            case jsonschema_rs.ValidationErrorKind.UnevaluatedProperties(unexpected=names) if names:
                at_root = not error.instance_path
                for name in names:
                    hint = did_you_mean(name, self._document["properties"]) if at_root else NOT_JSON_SCHEMA
                    yield (where / name).error(f"unknown keyword '{name}'", hint)
            case jsonschema_rs.ValidationErrorKind.Enum(options=options):
                yield where.error(f"unknown word {json.dumps(error.instance)}", did_you_mean(error.instance, options))
            case jsonschema_rs.ValidationErrorKind.OneOfNotValid() | jsonschema_rs.ValidationErrorKind.Pattern():
                message = f"{short(json.dumps(error.instance))} is not in a form that is known here"
                yield where.error(message, allowed.get("description", ""))
            case jsonschema_rs.ValidationErrorKind.AnyOf(context=[[first, *_], *_]):
                yield where.error(short(first.message))
            case _:
                yield where.error(short(error.message), allowed.get("description", ""))

    def _parent(self, error: jsonschema_rs.ValidationError) -> Mapping[str, Any]:
        """Return the part of the meta-schema that *error* violates; empty if that is in JSON Schema's own."""
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


def _telling(errors: Iterable[jsonschema_rs.ValidationError]) -> list[jsonschema_rs.ValidationError]:
    """Return *errors* without consequences of others: any error in an object makes all of it unevaluated."""
    by_place: dict[Pointer, list[jsonschema_rs.ValidationError]] = {}
    for error in errors:
        by_place.setdefault(_tokens(error), []).append(error)
    above = {place[:length] for place in by_place for length in range(len(place))}
    telling = []
    for place, here in by_place.items():
        others = [error for error in here if error.kind.name != "unevaluatedProperties"]
        is_alone = place not in above and all(error.kind.name == "required" for error in others)
        telling += here if is_alone else others
    return telling


def _tokens(error: jsonschema_rs.ValidationError) -> Pointer:
    return tuple(str(token) for token in error.instance_path)
