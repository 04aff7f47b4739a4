"""
Untrusted text in, text that is safe to print on a terminal out.

File names, log lines and messages about them may contain escape sequences, line breaks or bidirectional control
characters.
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
