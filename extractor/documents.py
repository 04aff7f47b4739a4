"""
A JSON file in, its object out, read strictly.

Standard readers keep the last of two equal keys without a word; here a key that appears twice is an error, and so are
NaN and Infinity.

Knows nothing of what the object says.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from extractor.places import Place


def read_object(path: Path) -> dict[str, Any]:
    """The object in the file at *path*."""
    place = Place(str(path))
    try:
        text = path.read_bytes().decode()
        document = json.loads(text, object_pairs_hook=_read_pairs, parse_constant=_refuse_constant)
    except OSError as error:
        raise place.error(f"cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise place.error("is nested too deep") from error
    except ValueError as error:
        raise place.error(f"is not JSON: {error}") from error
    _refuse_repeated(document, place)
    if not isinstance(document, dict):
        raise place.error("is not a JSON object", "write {…}")
    return document


class _Repeated:
    """Stands where an object had *key* twice; the reader of pairs does not know yet where that is."""

    def __init__(self, key: str) -> None:
        self.key = key


def _read_pairs(pairs: list[tuple[str, object]]) -> dict[str, object] | _Repeated:
    document: dict[str, object] = {}
    for key, value in pairs:
        if key in document:
            return _Repeated(key)
        document[key] = value
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeated(value: object, place: Place) -> None:
    match value:
        case _Repeated():
            raise (place / value.key).error(f"the key '{value.key}' appears twice", "keep one of them")
        case Mapping():
            for key, inner in value.items():
                _refuse_repeated(inner, place / key)
        case list():
            for index, inner in enumerate(value):
                _refuse_repeated(inner, place / index)
