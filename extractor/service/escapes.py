"""
Text from anywhere in, text that a terminal only shows out.

File names, lines of logs and messages about them may hold escape sequences, line ends, or letters that turn the rest of
the line around.

Knows nothing of where text comes from.
"""

import json


def printable(text: str) -> str:
    """*text* without what could drive a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def harmless(text: str, *, on_terminal: bool) -> str:
    """*text* of several lines as it is to be written, which on a terminal is without what could drive it."""
    return "\n".join(map(printable, text.split("\n"))) if on_terminal else text


def printable_json(text: str) -> str:
    """*text*, which is JSON, as JSON that says the same without what could drive a terminal."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
