"""
Units of systemd in, what systemd understands by them out; written after systemd.syntax(7) and systemd.service(5).

Knows nothing of who wrote the unit.
"""

import re
from collections import defaultdict

SPECIFIERS = {"%": "%"}


def settings(text: str) -> dict[str, list[str]]:
    """The values of each setting, in their order, whatever the section."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        if line and line[0] not in "#;[":
            name, value = line.split("=", 1)
            found[name].append(value.strip())
    return found


def words(value: str) -> list[str]:
    """*value* split at blanks outside of quotes, without quotes and backslashes, % filled in."""
    found: list[str] = []
    quote, current = "", None
    characters = iter(value)
    for each in characters:
        if each == "\\":
            current = (current or "") + next(characters)
        elif quote:
            quote, current = ("", current) if each == quote else (quote, (current or "") + each)
        elif each in "\"'":
            quote, current = each, current or ""
        elif each in " \t":
            if current is not None:
                found.append(current)
            current = None
        else:
            current = (current or "") + each
    assert not quote, value
    return [filled(each) for each in [*found, *([] if current is None else [current])]]


def filled(word: str) -> str:
    """*word* with its specifiers replaced; one that is not known here is a fault."""
    return re.sub("%(.?)", lambda match: SPECIFIERS[match[1]], word)


def command(value: str) -> list[str]:
    """The command that ExecStart= says: in its arguments $ starts the name of a variable unless it is doubled."""
    program, *arguments = words(value)
    for each in arguments:
        assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", each), f"{each} would be replaced"
    return [program, *(each.replace("$$", "$") for each in arguments)]
