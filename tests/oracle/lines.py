"""The bytes of a file in, its lines out, each with what it is: blank, a reject with its reason, or an event."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from typing import Any

from tests.oracle import times
from tests.oracle.options import SECOND, Options
from tests.oracle.pack import EventType, Pack

LEVELS = 1023
SMALLEST = Decimal("1e-18")
LARGEST = Decimal("1e18")


@dataclass(frozen=True)
class Line:
    """A line, and what it is. *reason* is that of a reject, empty for an event."""

    file: int
    offset: int
    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)
    type: EventType | None = None
    time: int = 0
    writer: str | None = None
    number: int | None = None
    is_unpriced: bool = False
    """Whether it is a call of unknown cost."""

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return self.reason == "blank"

    @property
    def is_event(self) -> bool:
        """Whether it counts."""
        return not self.reason


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The offset and the content of each line that has ended."""
    offset = 0
    while (end := data.find(b"\n", offset)) >= 0:
        yield offset, data[offset:end].removesuffix(b"\r")
        offset = end + 1


class _NoEventError(Exception):
    """The line is no event, for this reason."""


def read(file: int, data: bytes, pack: Pack, options: Options, clock: int) -> Iterator[Line]:
    """The lines of a file; *clock* is the time of the host."""
    for offset, content in split(data):
        values: Mapping[str, Any] = {}
        found, time, reason = None, 0, ""
        try:
            values = _object(content, options)
            found, time = _event(values, pack, options, clock)
        except _NoEventError as error:
            reason = str(error)
        yield Line(file, offset, reason, values, found, time, *_numbering(values, pack))


def _object(content: bytes, options: Options) -> Mapping[str, Any]:
    if not content.strip():
        raise _NoEventError("blank")
    if len(content) > options.max_line_bytes:
        raise _NoEventError("too_long")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _NoEventError("bad_encoding") from None
    try:
        values = parse(text)
    except ValueError:
        raise _NoEventError("not_json") from None
    if not isinstance(values, dict):
        raise _NoEventError("not_object")
    return values


def _event(values: Mapping[str, Any], pack: Pack, options: Options, clock: int) -> tuple[EventType, int]:
    name = values.get(pack.event)
    if not isinstance(name, str):
        raise _NoEventError("no_event")
    if name not in pack.types:
        raise _NoEventError("unknown_event")
    found = pack.types[name]
    time = times.microseconds(values.get(pack.time))
    if time is None or time < 0 or time > clock + options.max_clock_skew * SECOND:
        raise _NoEventError("bad_time")
    if not found.validator.is_valid(values) or not _can_be_held(values, found):
        raise _NoEventError("invalid")
    return found, time


def _can_be_held(values: Mapping[str, Any], found: EventType) -> bool:
    numbers = {name: value for name, value in values.items() if found.is_number(name) and value is not None}
    return all(isfinite(number) for number in numbers.values() if not isinstance(number, str)) and all(
        numbers[name] == 0 or SMALLEST <= abs(Decimal(repr(numbers[name]))) <= LARGEST
        for name in numbers.keys() & found.amounts
    )


def _numbering(values: Mapping[str, Any], pack: Pack) -> tuple[str | None, int | None]:
    writer, number = values.get(pack.writer), values.get(pack.number)
    numbered = (
        isinstance(writer, str)
        and 1 <= len(writer) <= 256
        and isinstance(number, int)
        and not isinstance(number, bool)
        and 0 <= number < 2**63
    )
    return (writer, number) if numbered else (None, None)


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\(u[dD][89a-fA-F]..)|\\.", re.DOTALL)


def parse(text: str) -> Any:
    """The JSON value that *text* is; ValueError if it is none. Whole numbers are int, however they are written."""
    level = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        level += 1 if bracket in "[{" else -1
        if level > LEVELS:
            raise ValueError("too many levels")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 10 * LEVELS)
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_no_number)
    finally:
        sys.setrecursionlimit(limit)
    if any(match[1] for match in _ESCAPE.finditer(text)):
        raise ValueError("a lone surrogate")
    return value


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _number(text: str) -> int | float:
    value = float(text)
    if not value.is_integer():  # infinity is what no double can hold
        return value
    return int(text) if text.lstrip("-").isdecimal() else int(value)
