"""
Text from a log in, text that Prometheus can read as the value of a label out.

Its lexers end at a NUL: one in a label refuses the whole scrape, and every later one. All other characters of UTF-8 are
read as they are. What is changed here is changed before it is counted, so that two values that come out alike are one
series and not the same series twice.
"""

from collections.abc import Iterable

_NUL = "\0"
_REPLACEMENT = "\u2400"  # ␀; not U+FFFD, which PromQL refuses in a query unless it is escaped


def servable(text: str) -> str:
    """*text* with the symbol for a NUL, U+2400, in place of each NUL."""
    return text.replace(_NUL, _REPLACEMENT)


def is_servable(text: str) -> bool:
    """Whether *text* can be served as it is."""
    return _NUL not in text


def restored(values: Iterable[str]) -> tuple[str, ...]:
    """The values of a label set out of a checkpoint, which may be of a version that served them as they were."""
    return tuple(map(servable, values))
