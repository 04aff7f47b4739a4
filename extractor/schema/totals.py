"""Check declarations about runs that refer to other event types of the pack: they exist, and have the properties."""

from collections.abc import Iterable, Mapping

from extractor.schema.metrics import Declaration
from extractor.schema.model import EventType
from extractor.schema.place import Place, Problems
from extractor.schema.pointer import Pointer, pointer_text
from extractor.schema.properties import LABEL_TYPES, NUMBER_TYPES, Properties, did_you_mean


def check_runs(events: Mapping[str, EventType], declarations: Iterable[Declaration], unproved: set[str]) -> None:
    """
    Raise `SchemaError` unless the *events* of the pack have what its *declarations* about runs refer to.

    A total refers to event types and their numbers; a loop to all events of a type; a span to another event with the
    same key. Declarations that refer to events in *unproved* are skipped.
    """
    problems = Problems()
    for check in (_check_total, _check_repetition, _check_span):
        for declaration in declarations:
            if unproved.isdisjoint(_named(declaration)):
                with problems.collected():
                    check(events, declaration)
    problems.raise_any()


def _named(declaration: Declaration) -> Iterable[str]:
    """Yield the event types that *declaration* refers to."""
    value = declaration.feed.value
    if value.total is not None:
        yield from value.total.of
    if value.repeated is not None and value.repeated.unless is not None:
        yield value.repeated.unless
    if value.span is not None:
        yield value.span.since


def _check_total(events: Mapping[str, EventType], declaration: Declaration) -> None:
    total, place = declaration.feed.value.total, declaration.place / "value"
    if total is None:
        return
    for name in total.of:
        if name not in events:
            raise (place / "of").error(f"there is no event '{name}' in this pack", did_you_mean(name, events))
        for pointer in total.fields:
            _check_number(events[name], pointer, place / "field")


def _check_repetition(events: Mapping[str, EventType], declaration: Declaration) -> None:
    repeated, place = declaration.feed.value.repeated, declaration.place / "value" / "repeats"
    if repeated is None:
        return
    if declaration.feed.where:
        raise (declaration.place / "where").error("what is repeated counts whatever else it is", "drop it")
    if repeated.unless is not None and repeated.unless not in events:
        hint = did_you_mean(repeated.unless, events)
        raise (place / "unless").error(f"there is no event '{repeated.unless}' in this pack", hint)


def _check_span(events: Mapping[str, EventType], declaration: Declaration) -> None:
    span, place = declaration.feed.value.span, declaration.place / "value"
    if span is None:
        return
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
