"""
Any value in, JSON that every reader accepts out.

Agents log what they have at hand: exceptions, paths, decimals, dataclasses, NaN, half a surrogate pair. JSON has none
of these, and one invalid line costs the whole event, so each becomes the nearest thing JSON can say.

Knows nothing of events and files.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from math import isfinite
from numbers import Integral, Real
from typing import Any

from extractor.interrupts import from_signal_handler, suppress

MAX_DEPTH = 100

# A number beyond the largest double is JSON by the grammar, but most readers refuse it.
_TOO_LARGE = re.compile(r"\d{309}")


def encode(value: Mapping[str, object]) -> bytes:
    """*value* as one JSON object without a line break, in UTF-8."""
    try:
        text = _ENCODER.encode(value)
        simple = len(text) < 309 or not _TOO_LARGE.search(text)
    except Exception as error:
        # An agent's own objects may raise anything when they are asked what they are.
        if from_signal_handler(error):
            raise
        simple = False
    if not simple:
        text = _ENCODER.encode(_plain(value))
    # Lone surrogates become question marks: escaped they would be JSON by the grammar, and refused by most readers.
    return text.encode("utf-8", "replace")


def digest(value: object) -> str | None:
    """A short hash of *value*, equal for equal values whatever the order of their keys; None if it has none."""
    with suppress(Exception):
        return blake2b(json.dumps(_plain(value), sort_keys=True).encode(), digest_size=8).hexdigest()
    return None


def _plain(value: object, above: tuple[int, ...] = ()) -> object:  # noqa: PLR0911 - one return for each kind of value
    """*value* in the types of JSON all the way down; *above* are the ids of the containers it is in."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, above)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() < 1024 else hex(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if id(value) in above or len(above) > MAX_DEPTH:
        return "..."
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return {_text(key): _plain(item, above) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, above) for item in value]
    with suppress(Exception):
        return _plain(_nearest(value), above)
    return f"<{type(value).__name__}>"


def _nearest(value: object) -> object:
    """What JSON can say for *value*, which it cannot; one level only."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    for kinds, said in _SAID:
        if isinstance(value, kinds):
            return said(value)
    return _text(value)


def _number(value: Real | Decimal) -> float | None:
    try:
        return float(value) if isfinite(value) else None
    except (OverflowError, ValueError):  # a fraction beyond every float, a signalling NaN
        return None


def _text(value: object) -> str:
    with suppress(Exception):
        return str(value)
    return f"<{type(value).__name__}>"


_SAID: tuple[tuple[Any, Callable[[Any], object]], ...] = (
    (Enum, lambda value: value.value),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    (Integral, int),
    ((Real, Decimal), _number),
    ((bytes, bytearray), lambda value: value.decode("utf-8", "replace")),
    (Mapping, dict),
    (AbstractSet, lambda value: sorted(value, key=_text)),
    (Collection, list),
    (BaseException, repr),
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_nearest)
