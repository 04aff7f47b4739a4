"""
Read JSON and TOML files strictly.

Standard JSON readers keep the last of two equal keys, and accept NaN, 1e999, lone surrogates and unlimited nesting;
each of these would fail later, far from its cause. Here each is an error with its place. The TOML reader raises several
types of exceptions, which become `ValueError`.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

from extractor.errors import ExtractorError, UnreadableError
from extractor.files.text import read_text
from extractor.schema.place import Place

_DEEPEST = 100  # levels; validators recurse, and some fail at 250
_TOO_DEEP = f"it is nested more than {_DEEPEST} levels deep"
_DIGITS = 309  # of the largest whole number that a double can hold
_LARGEST = float.fromhex("0x1.fffffffffffffp+1023")


class At(Protocol):
    """A place in a file: `at / step` is one step deeper, and `error` returns the exception to raise."""

    def __truediv__(self, step: str | int, /) -> "At":
        """Return the place one step deeper."""

    def error(self, message: str, hint: str = "") -> ExtractorError:
        """Return the exception to raise."""


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in the file at *path*; raise `SchemaError` if it is invalid."""
    place = Place(str(path))
    try:
        text = read_text(path)
    except UnreadableError as error:
        raise place.error(error.message, error.hint) from error
    document = parse(text, place)
    if not isinstance(document, dict):
        raise place.error("is not a JSON object", "write {…}")
    return document


def parse(text: str, at: At, hint: str = "", parse_float: Callable[[str], Any] = float) -> Any:  # noqa: ANN401
    """Return the value of the JSON *text*; raise errors at their place below *at*, with *hint*."""
    try:
        document = json.loads(
            text,
            object_pairs_hook=_read_pairs,
            parse_constant=lambda name: _Wrong(f"{name} is not a JSON number"),
            parse_int=_read_integer,
            parse_float=lambda digits: _read_fraction(digits, parse_float),
        )
    except RecursionError as error:
        raise at.error(_TOO_DEEP, hint) from error
    except ValueError as error:
        raise at.error(f"is not JSON: {error}", hint) from error
    _check(document, at, 0)
    return document


def parse_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the table of the TOML *text*; raise `ValueError` for any error in it."""
    try:
        document = tomllib.loads(text, parse_float=parse_float)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except ArithmeticError as error:
        raise ValueError("a number is too large") from error
    waiting: list[tuple[object, int]] = [(document, 0)]
    while waiting:  # iterative: a long dotted key makes as many nested tables
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(_TOO_DEEP)
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(each, depth + 1) for each in inner]
    return document


class _Wrong:
    """Placeholder for an invalid value, because the JSON reader reports no place; *key* is an invalid key."""

    def __init__(self, message: str, hint: str = "", key: str | None = None) -> None:
        self.message = message
        self.hint = hint
        self.key = key


def _read_pairs(pairs: list[tuple[str, object]]) -> dict[str, object] | _Wrong:
    document: dict[str, object] = {}
    for key, value in pairs:
        if key in document:
            return _Wrong(f"the key '{key}' appears twice", "keep one of them", key)
        document[key] = value
    return document


def _read_integer(digits: str) -> int | _Wrong:
    if len(digits.lstrip("-")) <= _DIGITS and abs(number := int(digits)) <= _LARGEST:
        return number
    return _Wrong("the number is too large", f"write one that is at most {_LARGEST:.2g}")


def _read_fraction(digits: str, parse_float: Callable[[str], Any]) -> Any:  # noqa: ANN401  # the result of *parse_float*
    try:
        return parse_float(digits)
    except ArithmeticError:
        return _Wrong("the number is too large or too small", "write fewer digits")


def _check(value: object, at: At, depth: int) -> None:
    if depth > _DEEPEST:
        raise at.error(_TOO_DEEP, "nest less")
    match value:
        case _Wrong():
            raise (at if value.key is None else at / value.key).error(value.message, value.hint)
        case str():
            _check_text(value, at)
        case float() if not isfinite(value):
            raise at.error("the number is too large", f"write one that is at most {_LARGEST:.2g}")
        case Mapping():
            for key, inner in value.items():
                _check_text(key, at / key)
                _check(inner, at / key, depth + 1)
        case list():
            for index, inner in enumerate(value):
                _check(inner, at / index, depth + 1)


def _check_text(text: str, at: At) -> None:
    if "\0" in text:
        raise at.error("the text has a NUL, which Prometheus cannot read", "remove \\u0000")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise at.error("the text has half of a surrogate pair, which is no character", "write both halves")
