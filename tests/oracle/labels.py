"""What stands in an event in, label values out; and which values have a name of their own past a limit."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.oracle.lines import Line
from tests.oracle.pack import Feed

UNKNOWN = "unknown"
OTHER = "__other__"


def text(value: Any) -> str:
    """What is written as the text of a label; empty if nothing is written. Prometheus cannot read a NUL."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\0", "␀")


def value_of(feed: Feed, label: str, event: Line) -> str:
    """The value that *event* gives a label of a metric, before any limit."""
    source = feed.sources[label]
    if not isinstance(source, str):
        return source["const"]
    written = text(event.values.get(source))
    if not written:
        return UNKNOWN
    declared = feed.type.labels.get(source, {})
    if "values" in declared:
        known = set(declared["values"].values()) | {declared["other"]}
        return declared["values"].get(written, written if written in known else declared["other"])
    return written


def admitted(touched: Iterable[tuple[int, str]], limit: int) -> set[str]:
    """
    The values of an open label that are told apart, of those that were *touched*, each with a slot.

    They are admitted in the order of the slot in which each was touched first; within a slot, in the order of their
    text.
    """
    first: dict[str, int] = {}
    for slot, value in touched:
        if value == OTHER:
            continue  # it is told apart from nothing, and takes no place
        first[value] = min(slot, first.get(value, slot))
    by_slot = sorted(first, key=lambda value: (first[value], value))
    return set(by_slot[:limit])


def carried(event: Line, names: Iterable[str]) -> Mapping[str, str]:
    """Those of the properties *names* that *event* has, as text."""
    assert event.type is not None
    return {name: found for name in names if event.type.has(name) and (found := text(event.values.get(name)))}
