"""
Decide what one line is, an `Event` or a `Reject`: the exact path.

All lines pass the same checks in the same order, and the first one that fails is the reason of the reject. Bad input
raises nothing. Other paths that read lines may accept only lines that this one accepts.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from math import isfinite

import orjson

from extractor.events.number_range import is_in_range
from extractor.schema.model import EventType, Pack
from extractor.schema.pointer import found, pointer_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):?(\d\d))", re.ASCII
)
_MICROSECONDS = 6  # decimals of a second
_MINUTES = 60  # of an hour
_DIGITS = 19  # fit into 64 bits

DEEP = 500
"""
Number of opening brackets above which no other path may accept a line.

How deep the standard library can read depends on the version of Python and on the caller, but a verdict must not. Lines
with more brackets are judged only here, and lines that only the standard library can read must have fewer.
"""


class Reason(StrEnum):
    """
    Why a line is rejected, in the order of the checks.

    `INTERNAL` is no verdict on the line: counting it raised an unexpected exception.
    """

    TOO_LONG = "too_long"
    BAD_ENCODING = "bad_encoding"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    NO_EVENT = "no_event"
    UNKNOWN_EVENT = "unknown_event"
    BAD_TIME = "bad_time"
    INVALID = "invalid"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Event:
    """A valid line: its type, its time in seconds since the epoch, its run id if any, and the decoded line."""

    type: EventType
    time: float
    run: str | None
    line: dict[str, object]


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected line: the reason, a JSON Pointer into the line, and a message."""

    reason: Reason
    pointer: str
    message: str


def read_line(line: bytes, pack: Pack, latest: float) -> Event | Reject:  # noqa: PLR0911  # one return a reason
    """
    Return the event in *line*, which has no newline, or the reject, by the schemas of *pack*.

    A time after *latest*, in seconds since the epoch, is a reject: one writer with a wrong clock must not move the
    sliding window of all others.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return Reject(Reason.BAD_ENCODING, "", f"byte {error.start} is not UTF-8")
    decoded = _decoded(text)
    if isinstance(decoded, Reject):
        return decoded
    if not isinstance(decoded, dict):
        return Reject(Reason.NOT_OBJECT, "", f"a line must be a JSON object, this is {_kind(decoded)}")
    name = found(decoded, pack.event)
    if not isinstance(name, str):
        what = "is missing" if name is None else f"must be a string, this is {_kind(name)}"
        return Reject(Reason.NO_EVENT, pointer_text(pack.event), f"the event's name {what}")
    event = pack.events.get(name)
    if event is None:
        return Reject(Reason.UNKNOWN_EVENT, pointer_text(pack.event), f"no schema describes {name[:80]!r}")
    time = _time(found(decoded, pack.time), latest)
    if isinstance(time, str):
        return Reject(Reason.BAD_TIME, pointer_text(pack.time), time)
    violation = event.violation(decoded)
    if violation is not None:
        return Reject(Reason.INVALID, violation.pointer, violation.message)
    for pointer in pack.numbers[name]:
        number = found(decoded, pointer)
        if isinstance(number, int | float) and not is_in_range(number):
            message = f"{_short(number)} cannot be added up; a number is 0, or its size is from 1e-18 to 1e18"
            return Reject(Reason.INVALID, pointer_text(pointer), message)
    run = found(decoded, pack.run) if pack.run else None
    return Event(event, time, run if isinstance(run, str) else None, decoded)


def _decoded(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # orjson rejects a number that overflows a float, such as 1e999, though it is JSON, and msgspec does not check
        # one that it skips. The standard library accepts it; what that accepts beyond JSON (NaN, lone surrogates) is
        # rejected here.
        if is_deep(text.encode()):
            return Reject(Reason.NOT_JSON, "", str(error))
        try:
            decoded = json.loads(text, parse_constant=_refuse, parse_int=_integer, object_pairs_hook=_checked)
            _refuse_surrogates(decoded)
        except (ValueError, RecursionError):
            return Reject(Reason.NOT_JSON, "", str(error))
        return decoded


def decoded(line: bytes) -> object:
    """Return the JSON value of *line*; None if it is invalid or has a number beyond a double. Not for verdicts."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def is_deep(line: bytes) -> bool:
    """Return whether *line* may be nested so deep that it must be judged here."""
    return len(line) > 2 * DEEP and line.count(b"[") + line.count(b"{") > DEEP


def _checked(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Check all pairs, because the dict drops the first value of a repeated key.
    for key, value in pairs:
        key.encode()
        _refuse_surrogates(value)
    return dict(pairs)


def _refuse_surrogates(decoded: object) -> None:
    waiting = [decoded]
    while waiting:
        match waiting.pop():
            case str() as text:
                text.encode()
            case list() as found:
                waiting += found  # objects are checked by `_checked`


def _integer(digits: str) -> float:
    # Like orjson: an integer beyond 64 bits is a float.
    return int(digits) if len(digits) < _DIGITS else float(digits)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")


def _time(raw: object, latest: float) -> float | str:
    if raw is None:
        return "the event's time is missing"
    time = rfc_3339(raw) if isinstance(raw, str) else _epoch(raw)
    if time is None:
        return f"{_short(raw)} is neither RFC 3339 with an offset nor epoch seconds as a number"
    if time < 0:
        return f"{_short(raw)} is before 1970: is it a time that was never set?"
    if time > latest:
        return f"{_short(raw)} is further in the future than the allowed clock skew"
    return time


def _short(raw: object) -> str:
    # A nested value may be too deep for `repr`.
    return _kind(raw) if isinstance(raw, list | dict) else repr(raw)[:80]


def _epoch(raw: object) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return float(raw) if isfinite(raw) and raw >= 0 else None


def rfc_3339(text: str) -> float | None:
    """
    Return the seconds since the epoch of an RFC 3339 time with offset, to the microsecond; None if invalid.

    The colon of the offset may be missing, as in the output of `strftime("%z")`.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    *parts, fraction, _, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, parts)
    leap = second == 60  # a leap second ends its minute; POSIX time cannot represent it
    try:
        if int(minutes or 0) >= _MINUTES:
            return None
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        zone = timezone(-offset if sign == "-" else offset)
        time = datetime(year, month, day, hour, minute, second - leap, tzinfo=zone)
        micros = _microseconds(fraction or "")
        return (time - _EPOCH + timedelta(seconds=leap, microseconds=micros)).total_seconds()
    except (ValueError, OverflowError):
        return None


def _microseconds(fraction: str) -> int:
    # Half a microsecond is rounded up, and further digits are ignored, as in the fast path.
    digits = fraction.ljust(_MICROSECONDS + 1, "0")
    return int(digits[:_MICROSECONDS]) + (digits[_MICROSECONDS] >= "5")


def lines_of(blob: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a blob with their offsets in it, without the newline and a carriage return before it."""
    start = 0
    while start < len(blob):
        end = blob.find(b"\n", start)
        if end < 0:
            end = len(blob)
        yield start, blob[start : end - 1] if blob[end - 1 : end] == b"\r" and end > start else blob[start:end]
        start = end + 1


def numbering(line: object, pack: Pack) -> tuple[object, object]:
    """Return the raw writer and number of a decoded line."""
    if pack.sequence is None:
        return None, None
    return found(line, pack.sequence.writer), found(line, pack.sequence.number)


def number_of(line: bytes, pack: Pack) -> tuple[object, object]:
    """Return the raw writer and number of a line, valid or not: a rejected line is not a lost one."""
    if pack.sequence is None:
        return None, None
    try:
        decoded = _decoded(line.decode())
    except UnicodeDecodeError:
        return None, None
    return numbering(decoded, pack)


def time_of(line: bytes, pack: Pack) -> float | None:
    """Return the event time of a line, valid or not; None if it has none. For ordering files, not for verdicts."""
    try:
        raw = found(_decoded(line.decode()), pack.time)
    except ValueError:
        return None
    return rfc_3339(raw) if isinstance(raw, str) else _epoch(raw)
