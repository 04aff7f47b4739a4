"""
Numbers, times and texts out of logs in, what stands on the page out.

Knows nothing of what they are about.
"""

from collections.abc import Iterable
from datetime import datetime
from html import escape

from extractor.report import Figure, shown


def text(words: str) -> str:
    """Text from a log, as text in a page: no markup, and what no eye can see, or turns the direction, spelled out."""
    return escape(plain(words))


def plain(words: str) -> str:
    """*words* with what is not printable spelled out."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in words)


def paths(names: Iterable[str]) -> str:
    """A list of paths."""
    return ", ".join(f"<code>{text(name)}</code>" for name in names)


def clock(time: float) -> str:
    """The time of the day, where the extractor runs."""
    return f"{datetime.fromtimestamp(time).astimezone():%H:%M}"


def duration(seconds: float) -> str:
    """A duration."""
    return shown(Figure("", "", seconds, "seconds")) if seconds else "0"
