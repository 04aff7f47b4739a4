"""
Text from anywhere in, text that a terminal only shows out.

File names, lines of logs and messages about them may hold escape sequences, line ends, or letters that turn the rest of
the line around.

Knows nothing of where text comes from.
"""


def printable(text: str) -> str:
    """*text* without what could drive a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
