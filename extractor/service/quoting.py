"""
Words in, their quoted form in a systemd unit out.

systemd splits a value at blanks, unquotes it, and expands %; in a command also $ and a lone ;.
"""

import re

from extractor.errors import UnitError

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./$\[\]-]+", re.ASCII)
_UNFIT = re.compile(r"[\"'\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\ud800-\udfff]")


def word(text: str) -> str:
    """*text* as one word of a setting that is a list of words, such as paths."""
    if _CONTROL.search(text):
        raise UnitError(f"{text!r} cannot be written in a unit", "rename it: no line breaks, only valid UTF-8")
    text = text.replace("%", "%%")
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def bound(path: str) -> str:
    """*path* as a word of a setting in which a colon, unless it is quoted, ends a path."""
    return _quoted(path.replace("%", "%%")) if ":" in path else word(path)


def command(program: str, arguments: list[str]) -> str:
    """The command *program* with *arguments*."""
    if _UNFIT.search(program):
        raise UnitError(f"systemd starts no program whose path holds a quote or a backslash: {program}", "rename it")
    # Nothing is filled in for $ in the path of the program.
    return " ".join([word(program), *(word(each.replace("$", "$$")) for each in arguments)])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
