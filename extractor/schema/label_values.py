"""
Convert text from a log to a label value that Prometheus can read.

The lexers of Prometheus end at a NUL: a NUL in a label fails the whole scrape, and every later one. All other UTF-8
characters are read as they are. Values are converted before they are counted, so that two values with the same result
are one series, not a duplicate.
"""

from collections.abc import Iterable

_NUL = "\0"
_REPLACEMENT = "\u2400"  # ␀; not U+FFFD, which PromQL refuses in a query unless it is escaped


def servable(text: str) -> str:
    """Return *text* with each NUL replaced by its symbol, U+2400."""
    return text.replace(_NUL, _REPLACEMENT)


def is_servable(text: str) -> bool:
    """Return whether *text* can be served unchanged."""
    return _NUL not in text


def restored(values: Iterable[str]) -> tuple[str, ...]:
    """Return the values of a label set from a checkpoint, whose version may not have converted them."""
    return tuple(map(servable, values))
