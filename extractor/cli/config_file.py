"""
A TOML file in, its keys with their values and line numbers out.

A table named after a command applies to that command only. Dotted keys and nested tables are equivalent:
`web.listen-address = …` is the same as `listen-address` in a table `[web]`, and `listen-address` in `[run.web]` the
same as `web.listen-address` in `[run]`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from extractor.errors import ConfigurationError, UnreadableError
from extractor.files.text import read_text
from extractor.schema.documents import parse_toml

Keys = tuple[str, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_HINT = 'write keys and values, as in poll-interval = 5 or state-dir = "/var/lib/extractor"'


@dataclass(frozen=True, slots=True)
class Place:
    """Where *file* says something: at *line*, 0 if that is not known, under the dotted *key*."""

    file: str
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    def error(self, message: str, hint: str = "") -> ConfigurationError:
        """The error to raise for this place."""
        return ConfigurationError(str(self), self.key, message, hint)


class Said(NamedTuple):
    """One key and its value: the command that it is for, empty for all that have it; and where it stands."""

    command: str
    key: str
    value: object
    place: Place


def read(path: Path, commands: Collection[str]) -> list[Said]:
    """What the file at *path* says; *commands* are the names that tables for one command may have."""
    file = Place(str(path))
    try:
        text = read_text(path)
    except UnreadableError as error:
        raise file.error(error.message, error.hint) from error
    try:
        document = parse_toml(text)
    except ValueError as error:
        found = re.search(r"at line (\d+)", str(error))
        at_end = len(text.splitlines()) if "at end of document" in str(error) else 0
        line = int(found[1]) if found else at_end
        raise Place(file.file, line).error(f"is not TOML: {error}", _HINT) from error
    lines = dict(_lines(text))
    said = []
    for keys, value in _leaves(document):
        line = next((lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in lines), 0)
        command = keys[0] if keys[0] in commands else ""
        key = ".".join(keys[1:] if command else keys)
        said.append(Said(command, key, value, Place(file.file, line, ".".join(keys))))
    return said


def _leaves(table: Mapping[str, object], above: Keys = ()) -> Iterator[tuple[Keys, object]]:
    for key, value in table.items():
        keys = (*above, *key.split("."))
        if isinstance(value, dict):
            yield from _leaves(value, keys)
        else:
            yield keys, value


def _lines(text: str) -> Iterator[tuple[Keys, int]]:
    """The lines at which keys stand; what looks like one within a text of many lines does no harm."""
    table: Keys = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = _split(found[1])
        elif found := _KEY.match(line):
            yield (*table, *_split(found[1])), number


def _split(dotted: str) -> Keys:
    parts = (part.strip("\"'") for part in re.findall(_PART, dotted))
    return tuple(key for part in parts for key in part.split("."))
