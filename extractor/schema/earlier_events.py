"""
Read the values that depend on earlier events: loops, and the time since another event.

`schema.totals` checks the other event types that they name.
"""

from collections.abc import Mapping
from typing import Any

from extractor.schema.lookback import Repetition, Span
from extractor.schema.place import Place
from extractor.schema.properties import LABEL_TYPES, Properties


def read_repetition(declared: Mapping[str, Any], properties: Properties, place: Place) -> Repetition:
    """Return the loop *declared* for the event with these *properties*; raise `SchemaError` if it is invalid."""
    names = [declared["of"]] if isinstance(declared["of"], str) else declared["of"]
    props = [properties.find(reference, place / "of") for reference in names]
    if any(not prop.types <= LABEL_TYPES for prop in props):
        raise (place / "of").error("not all of this is text", "name a hash of what is to be compared")
    if declared["times"] > declared["within"]:
        raise (place / "times").error("so many cannot be within fewer", "raise within")
    of = tuple(prop.pointer for prop in props)
    return Repetition(of, declared["times"], declared["within"], declared.get("unless"))


def read_span(since: str, key: str, properties: Properties, place: Place) -> Span:
    """Return the span since the last event *since* with the same *key*; raise `SchemaError` if it is invalid."""
    prop = properties.find(key, place / "key")
    if not prop.types <= LABEL_TYPES:
        raise (place / "key").error(f"'{key}' is no key", "name a text or an integer")
    return Span(since, prop.pointer)
