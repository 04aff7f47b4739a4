"""Check that an event's schema has the envelope of its pack, and return the event's name."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from extractor.schema.pack_files import SUFFIX
from extractor.schema.place import Place, Problems
from extractor.schema.properties import Properties, Property, to_pointer


def check_envelope(schema: Mapping[str, Any], pack: Mapping[str, Any], place: Place) -> str:
    """Return the event's name; raise unless *schema* declares event, time and run where *pack* finds them in a line."""
    properties, problems = Properties(schema), Problems()
    name = PurePath(place.file).name.removesuffix(SUFFIX)
    with problems.collected():
        name = _check_name(_find(properties, pack, "event", place), place)
    with problems.collected():
        _check_required(_find(properties, pack, "time", place), "time", place)
    with problems.collected():
        run = _find(properties, pack, "run", place) if "run" in pack else None
        _check_run(schema, run, place)
    problems.raise_any()
    return name


def _check_name(event: Property, place: Place) -> str:
    name = event.schema.get("const")
    if not isinstance(name, str) or not name:
        at = place / _in_schema(event)
        raise at.error("the event has no name", 'write {"const": "tool.call"}, with the name that agents write')
    file, problems = PurePath(place.file).name, Problems()
    if file != name + SUFFIX:
        with problems.collected():
            at = place / _in_schema(event) / "const"
            raise at.error(f"the event '{name}' is in the file {file}", f"name the file {name}{SUFFIX}")
    with problems.collected():
        _check_required(event, "event", place)
    problems.raise_any()
    return name


def _check_run(schema: Mapping[str, Any], run: Property | None, place: Place) -> None:
    if "x-run" in schema:
        if run is None:
            raise (place / "x-run").error("the pack does not say where a line's run stands", 'add "run" to pack.json')
        _check_required(run, "run", place)
    for metric, declared in schema.get("x-metrics", {}).items():
        match declared.get("value"):
            case {"run": "open" | "abandoned"} if schema.get("x-run") != "start":
                hint = 'declare it where "x-run" is "start"; its labels are those of the start'
                raise (place / "x-metrics" / metric / "value").error("this event does not start a run", hint)
            case {"run": "count" | "sum"} if schema.get("x-run") != "end":
                hint = 'declare it where "x-run" is "end"; its labels are those of the end'
                raise (place / "x-metrics" / metric / "value").error("this event does not end a run", hint)
            case {"repeats": _} | {"since": _} if run is None:
                hint = 'add "run" to pack.json'
                message = "the pack does not say where a line's run stands"
                raise (place / "x-metrics" / metric / "value").error(message, hint)


def _find(properties: Properties, pack: Mapping[str, Any], keyword: str, place: Place) -> Property:
    found = properties.get(to_pointer(pack[keyword]))
    if found is None:
        message = f"there is no property '{pack[keyword]}', where the pack finds the {keyword} of a line"
        raise (place / "properties").error(message, "declare it")
    return found


def _check_required(found: Property, keyword: str, place: Place) -> None:
    if not found.required:
        hint = f"add '{found.pointer[-1]}' to required"
        raise (place / "required").error(f"a line may be without its {keyword}", hint)


def _in_schema(found: Property) -> tuple[str, ...]:
    return tuple(token for name in found.pointer for token in ("properties", name))
