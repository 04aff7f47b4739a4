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

from extractor.emit.interrupts import from_signal_handler, suppress

MAX_DEPTH = 100
MAX_CONTAINERS = 10_000  # a dozen objects that refer to each other would fill gigabytes

# A number beyond the largest double and a thousand nested brackets are valid JSON, but most readers refuse them.
_TOO_LARGE = re.compile(r"\d{309}")
_TOO_DEEP = 500
_SUSPECT = 309  # length from which a line may have either


def encode(value: Mapping[str, object]) -> bytes:
    """*value* as one JSON object without a line break, in UTF-8."""
    try:
        text = _ENCODER.encode(value)
        is_simple = len(text) < _SUSPECT or not (
            _TOO_LARGE.search(text) or text.count("[") + text.count("{") > _TOO_DEEP
        )
    except Exception as error:
        # An agent's own objects may raise anything when they are converted.
        if from_signal_handler(error):
            raise
        is_simple = False
    if not is_simple:
        plain = _Plain()
        text = _ENCODER.encode({_text(key): plain.of(item) for key, item in value.items()})
    # Lone surrogates become question marks: escaped they would be JSON by the grammar, and refused by most readers.
    return text.encode("utf-8", "replace")


def digest(value: object) -> str | None:
    """A short hash of *value*, equal for equal values whatever the order of their keys; None if it has none."""
    with suppress(Exception):
        return blake2b(json.dumps(_Plain().of(value), sort_keys=True).encode(), digest_size=8).hexdigest()
    return None


def as_name(value: object) -> str | None:
    """*value* as text, as schemas require of names; None if it is None."""
    plain = _Plain().of(value)
    return plain if plain is None or isinstance(plain, str) else _text(plain)


class _Plain:
    """Converts a value and all values in it to the types of JSON; cycles and what is beyond the limits become `...`."""

    def __init__(self) -> None:
        self._containers = 0
        self._above: list[int] = []  # ids of the containers around the current value

    def of(self, value: object) -> object:
        """The JSON value nearest to *value*; the name of its type if it raises."""
        if type(value) is str:
            return value
        depth = len(self._above)
        try:
            return self._of(value)
        except Exception as error:
            if from_signal_handler(error):
                raise
            del self._above[depth:]
            return f"<{type(value).__name__}>"

    def _of(self, value: object) -> object:  # noqa: PLR0911 - one return for each kind of value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.of(value.value)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int(value) if value.bit_length() < 1024 else hex(value)
        if isinstance(value, float):
            return float(value) if isfinite(value) else None
        if id(value) in self._above or len(self._above) > MAX_DEPTH or self._containers >= MAX_CONTAINERS:
            return "..."
        self._containers += 1
        self._above.append(id(value))
        plain: object
        if isinstance(value, Mapping):
            plain = {_text(key): self.of(item) for key, item in value.items()}
        elif isinstance(value, list | tuple):
            plain = [self.of(item) for item in value]
        else:
            plain = self.of(_nearest(value))
        self._above.pop()
        return plain


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
