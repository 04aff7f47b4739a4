"""
What is known of runs in, proved: the event types that are named there exist, and have the properties that are summed.

What cannot be seen in the file of one event type is proved here, for one pack.

Knows nothing of how the declarations are written.
"""

from collections.abc import Iterable, Mapping

from extractor.catalog import EventType
from extractor.declarations import Declaration
from extractor.places import Place
from extractor.pointers import Pointer, pointer_text
from extractor.properties import LABEL_TYPES, NUMBER_TYPES, Properties, did_you_mean


def check_totals(events: Mapping[str, EventType], declarations: Iterable[Declaration]) -> None:
    """Raise unless every total of *declarations*, of one pack, names event types of *events* and numbers of theirs."""
    for declaration in declarations:
        total, place = declaration.feed.value.total, declaration.place / "value"
        if total is None:
            continue
        for name in total.of:
            if name not in events:
                raise (place / "of").error(f"there is no event '{name}' in this pack", did_you_mean(name, events))
            for pointer in total.fields:
                _check_number(events[name], pointer, place / "field")


def check_repetitions(events: Mapping[str, EventType], declarations: Iterable[Declaration]) -> None:
    """Raise unless the loops of *declarations*, of one pack, are of all events of a type, and reported by *events*."""
    for declaration in declarations:
        repeated, place = declaration.feed.value.repeated, declaration.place / "value" / "repeats"
        if repeated is None:
            continue
        if declaration.feed.where:
            raise (declaration.place / "where").error("what is repeated counts whatever else it is", "drop it")
        if repeated.unless is not None and repeated.unless not in events:
            hint = did_you_mean(repeated.unless, events)
            raise (place / "unless").error(f"there is no event '{repeated.unless}' in this pack", hint)


def check_spans(events: Mapping[str, EventType], declarations: Iterable[Declaration]) -> None:
    """Raise unless the times of *declarations*, of one pack, are since other *events* that have the key, too."""
    for declaration in declarations:
        span, place = declaration.feed.value.span, declaration.place / "value"
        if span is None:
            continue
        if declaration.feed.where:
            raise (declaration.place / "where").error("the time since another event is that of all", "drop it")
        if "seconds" not in declaration.metric.name.split("_"):
            raise declaration.place.error("the time since another event is in seconds", "put _seconds into the name")
        since = events.get(span.since)
        if since is None:
            hint = did_you_mean(span.since, events)
            raise (place / "since").error(f"there is no event '{span.since}' in this pack", hint)
        if declaration.feed in since.feeds:
            raise (place / "since").error("this is the event itself", "name the one that begins what it ends")
        prop = Properties(since.schema).get(span.key)
        if prop is None or not prop.types <= LABEL_TYPES:
            message = f"'{span.since}' has no property '{pointer_text(span.key)}' that is a key"
            raise (place / "key").error(message, "declare it alike in both")


def _check_number(event: EventType, pointer: Pointer, place: Place) -> None:
    reference = pointer_text(pointer)
    prop = Properties(event.schema).get(pointer)
    if prop is None:
        names = event.schema.get("properties")
        hint = did_you_mean(pointer[0], names) if isinstance(names, Mapping) and len(pointer) == 1 else ""
        raise place.error(f"'{event.name}' has no property '{reference}'", hint)
    if not prop.types <= NUMBER_TYPES | {"null"} or not prop.types & NUMBER_TYPES:
        raise place.error(f"'{reference}' of '{event.name}' is not a number", "sum numbers")
    if not prop.is_never_negative():
        hint = 'give the property "minimum": 0'
        raise place.error(f"'{reference}' of '{event.name}' may be negative", hint)
