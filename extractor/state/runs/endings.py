"""Ends of runs: what an end event adds to series once the run is settled."""

from typing import Any, NamedTuple

from extractor.schema.label_values import restored
from extractor.state.event_order import FIRST, Order


class Add(NamedTuple):
    """Add the total at index *place*, among those of the pack, to the series *labels* of *metric*."""

    metric: str
    labels: tuple[str, ...]
    place: int


class Ending(NamedTuple):
    """
    An event that ends its run at *time*, the start of the slot of the event.

    For each of *adds*, *own* holds the total in the end event itself, which takes precedence; None if it has none.
    *exact* is the time of the event, and *order* its order among events of the same time. Times are in seconds since
    the epoch.
    """

    time: float
    adds: tuple[Add, ...] = ()
    own: tuple[float | None, ...] = ()
    exact: float = 0.0
    order: Order = FIRST


def load_adds(dumped: list[Any]) -> tuple[Add, ...]:
    """Return the adds for the plain lists of a dump."""
    return tuple(Add(metric, restored(labels), place) for metric, labels, place in dumped)


def order_of(ending: Ending) -> tuple[object, ...]:
    """Return the sort key of endings: the order of their events, then their text."""
    return ending.exact or ending.time, ending.order, repr(ending)
