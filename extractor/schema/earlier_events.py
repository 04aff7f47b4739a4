"""
The values that look back on earlier events in, what they ask for out: loops, and the time since another event.

What other event types they name is proved in `schema.totals`.

Knows nothing of metrics.
"""

from collections.abc import Mapping
from typing import Any

from extractor.schema.lookback import Repetition, Span
from extractor.schema.place import Place
from extractor.schema.properties import LABEL_TYPES, Properties


def read_repetition(declared: Mapping[str, Any], properties: Properties, place: Place) -> Repetition:
    """The loop that is *declared* for the event with these *properties*."""
    names = [declared["of"]] if isinstance(declared["of"], str) else declared["of"]
    props = [properties.find(reference, place / "of") for reference in names]
    if any(not prop.types <= LABEL_TYPES for prop in props):
        raise (place / "of").error("not all of this is text", "name a hash of what is to be compared")
    if declared["times"] > declared["within"]:
        raise (place / "times").error("so many cannot be within fewer", "raise within")
    of = tuple(prop.pointer for prop in props)
    return Repetition(of, declared["times"], declared["within"], declared.get("unless"))


def read_span(since: str, key: str, properties: Properties, place: Place) -> Span:
    """The time *since* another event with the same *key*, for the event with these *properties*."""
    prop = properties.find(key, place / "key")
    if not prop.types <= LABEL_TYPES:
        raise (place / "key").error(f"'{key}' is no key", "name a text or an integer")
    return Span(since, prop.pointer)
