"""
Select the lines of a period from pieces of log files, and count the lines outside.

A line with a time outside the period is neither counted nor rejected, even if it is invalid. A line without a time is
kept, and rejected later.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

import msgspec

from extractor.events.reader import lines_of, rfc_3339, time_of
from extractor.schema.model import Pack
from extractor.tail.line_buffer import Blob, Piece, TooLong

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

_YEAR_10000 = 253_402_300_800

TimeOf = Callable[[bytes], float | None]


class Period(NamedTuple):
    """From *since*, inclusive, until *until*, exclusive; in seconds since the epoch."""

    since: float = -inf
    until: float = inf

    @property
    def is_always(self) -> bool:
        """Whether all times are inside."""
        return self == ALWAYS

    def holds(self, time: float | None) -> bool:
        """Return whether *time* is inside, or unknown."""
        return time is None or self.since <= time < self.until


class Within(NamedTuple):
    """The remaining pieces, and the numbers of lines and bytes outside."""

    pieces: list[Piece]
    outside: int
    dropped: int


ALWAYS = Period()


def seconds_of(text: str) -> float | None:
    """
    Return the time in *text*: RFC 3339 with an offset, a date (its start in UTC), or epoch seconds.

    None if it is none of these, or, in seconds, before 1970 or after the year 9999.
    """
    if _DATE.fullmatch(text):
        try:
            return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return None
    time = rfc_3339(text)
    if time is not None:
        return time
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < _YEAR_10000 else None


def timer(pack: Pack) -> TimeOf:
    """Return a function that returns the event time of a line of *pack*, None if it has none."""
    if len(pack.time) != 1:
        return lambda line: time_of(line, pack)
    # Decoding only the time takes a third of the time of decoding the whole line.
    timed = msgspec.defstruct("Timed", [("time", datetime | float | None, None)], rename={"time": pack.time[0]})
    decode = msgspec.json.Decoder(timed).decode

    def time(line: bytes) -> float | None:
        try:
            found = decode(line).time  # type: ignore[attr-defined]  # a field of the struct defined above
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return time_of(line, pack)
        if isinstance(found, datetime):
            return found.timestamp() if found.tzinfo else None
        return found if found is not None and found >= 0 else None

    return time


def within(period: Period, pieces: Iterable[Piece], time: TimeOf) -> Within:
    """Return the lines of *pieces* in *period*; *time* returns the time of a line."""
    left: list[Piece] = []
    dropped = outside = 0
    for piece in pieces:
        if isinstance(piece, TooLong):
            left.append(piece)
            continue
        begin = 0
        for start, line in lines_of(piece.data):
            if period.holds(time(line)):
                continue
            end = piece.data.find(b"\n", start) + 1 or len(piece.data)
            if begin < start:
                left.append(Blob(piece.data[begin:start], piece.offset + begin))
            begin = end
            dropped += end - start
            outside += 1
        if not begin:
            left.append(piece)
        elif begin < len(piece.data):
            left.append(Blob(piece.data[begin:], piece.offset + begin))
    return Within(left, outside, dropped)
