"""
A rejected line in, its entry in `rejects.jsonl` out, and back.

An entry is a JSON object on a line of its own: the number of the first checkpoint that counts it, the file, offset,
reason, pointer and message, and the rejected line. The number identifies the entries of a checkpoint even if files were
copied, renamed or edited since. Files may be edited or damaged, so every value is validated.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, TypeVar

from extractor.ingest.pipeline import Rejected
from extractor.service.escapes import printable_json

LONGEST = 64 << 20
"""Bytes of a line that are held in memory; a longer one is no entry."""

_T = TypeVar("_T", str, int)

_FIRST = b'{"checkpoint": '
_NUMBER, _NO_NUMBER = re.compile(rb"\{%b(\d{1,18})," % _FIRST[1:]), re.compile(rb"\{%b\d*" % _FIRST[1:])
_NOTHING = b"\0 \t\r\n\v\f"


class Unreadable(Exception):  # noqa: N818  # a finding, not an error of the program
    """A line is no entry, and why."""


class Entry(NamedTuple):
    """What an entry says: where the line stood, why it was rejected, and the line; of one too long, its head."""

    file: str
    offset: int
    reason: str
    line: bytes


class Line(NamedTuple):
    """
    A line of the file: its number, from 1, where it begins and ends, and its bytes without the line break.

    Of a line over `LONGEST` bytes *text* is only the beginning, and *is_whole* is false. *is_ended* tells whether there
    is a line break.
    """

    number: int
    start: int
    end: int
    text: bytes
    is_whole: bool
    is_ended: bool

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return self.is_whole and not self.text.strip(_NOTHING)

    @property
    def is_begun(self) -> bool:
        """Whether it is the first bytes of an entry, and ends before they say anything."""
        return not self.is_ended and (_FIRST.startswith(self.text) or _NO_NUMBER.fullmatch(self.text) is not None)


def lines_of(file: BinaryIO) -> Iterator[Line]:
    """The lines of *file*, blank ones too, in bounded memory."""
    start = number = 0
    while text := file.readline(LONGEST):
        number += 1
        end, piece = start + len(text), text
        while not piece.endswith(b"\n") and (piece := file.readline(LONGEST)):
            end += len(piece)
        is_whole = end == start + len(text)
        yield Line(number, start, end, text.removesuffix(b"\n"), is_whole, is_ended=(piece or text).endswith(b"\n"))
        start = end


def entry_of(rejected: Rejected, number: int) -> bytes:
    """The line, with its end, that keeps *rejected* from checkpoint *number* on."""
    reject = rejected.reject
    entry: dict[str, Any] = {
        "checkpoint": number,
        "file": rejected.path,
        "offset": rejected.offset,
        "reason": str(reject.reason),
        "pointer": reject.pointer,
        "message": reject.message,
    }
    try:
        entry["line"] = rejected.line.decode()
    except UnicodeDecodeError:
        entry["line_base64"] = b64encode(rejected.line).decode()
    return printable_json(json.dumps(entry, ensure_ascii=False)).encode() + b"\n"


def checkpoint_of(line: Line) -> int | None:
    """The number of the first checkpoint that counts the entry; None if it does not say, as in earlier versions."""
    if found := _NUMBER.match(line.text):
        return int(found[1])
    if b'"checkpoint"' not in line.text:
        return None
    try:
        number = _decoded(line).get("checkpoint")  # somebody has edited it
    except Unreadable:
        return None
    return number if isinstance(number, int) else None


def read_entry(line: Line) -> Entry:
    """What *line* says. Raises `Unreadable`."""
    entry = _decoded(line)
    file, offset, reason = _value(entry, "file", str), _value(entry, "offset", int), _value(entry, "reason", str)
    kept = _kept(entry)
    if offset < 0:
        raise Unreadable("'offset' is negative")
    if b"\n" in kept:
        raise Unreadable("it contains more than one line")
    return Entry(file, offset, reason, kept)


def _kept(entry: dict[str, Any]) -> bytes:
    if "line" in entry:
        try:
            return _value(entry, "line", str).encode()
        except UnicodeEncodeError:
            raise Unreadable("'line' contains an unpaired surrogate") from None
    if "line_base64" not in entry:
        raise Unreadable("'line' is missing")
    try:
        return b64decode(_value(entry, "line_base64", str), validate=True)
    except ValueError as error:
        raise Unreadable(f"'line_base64' is not base64: {error}") from None


def _value(entry: dict[str, Any], key: str, kind: type[_T]) -> _T:
    if key not in entry:
        raise Unreadable(f"'{key}' is missing")
    value = entry[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Unreadable(f"'{key}' is not {'a string' if kind is str else 'an integer'}")
    return value


def _decoded(line: Line) -> dict[str, Any]:
    if not line.is_whole:
        raise Unreadable(f"it is longer than {LONGEST >> 20} MiB")
    try:
        text = line.text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"byte {error.start} is not UTF-8") from None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not JSON: {error}") from None
    if not isinstance(entry, dict):
        raise Unreadable("it is not a JSON object")
    return entry
