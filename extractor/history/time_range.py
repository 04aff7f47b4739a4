"""
Pieces of log files in, the lines of a period out, and how many lie outside.

A line lies outside if it has a time that does; whatever else is wrong with it, it is then neither counted nor rejected.
A line without a time is passed on, to be rejected by those who know why.

Knows nothing of files or metrics.
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
    """From *since* on, and before *until*; in seconds since the epoch."""

    since: float = -inf
    until: float = inf

    @property
    def is_always(self) -> bool:
        """Whether no time lies outside."""
        return self == ALWAYS

    def holds(self, time: float | None) -> bool:
        """Whether *time* lies in it, or is unknown."""
        return time is None or self.since <= time < self.until


class Within(NamedTuple):
    """The pieces that are left, and how many lines and bytes were left out."""

    pieces: list[Piece]
    outside: int
    dropped: int


ALWAYS = Period()


def seconds_of(text: str) -> float | None:
    """
    The time that a person wrote: RFC 3339 with an offset, a date (its first moment in UTC), or epoch seconds.

    None if it is none of them, or, in seconds, before 1970 or after the year 9999.
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
    """What tells the event time of a line of *pack*, None if it has none."""
    if len(pack.time) != 1:
        return lambda line: time_of(line, pack)
    # To decode nothing but the time takes a third of the time of decoding all.
    timed = msgspec.defstruct("Timed", [("time", datetime | float | None, None)], rename={"time": pack.time[0]})
    decode = msgspec.json.Decoder(timed).decode

    def time(line: bytes) -> float | None:
        try:
            found = decode(line).time  # type: ignore[attr-defined]  # of the struct made above
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return time_of(line, pack)
        if isinstance(found, datetime):
            return found.timestamp() if found.tzinfo else None
        return found if found is not None and found >= 0 else None

    return time


def within(period: Period, pieces: Iterable[Piece], time: TimeOf) -> Within:
    """What of *pieces* lies in *period*, where *time* tells the time of a line."""
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
