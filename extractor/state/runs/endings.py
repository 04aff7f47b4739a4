"""
Ends of runs: what the event that ends a run adds to which series, once the run is settled.

Knows nothing of runs.
"""

from typing import Any, NamedTuple

from extractor.schema.label_values import restored
from extractor.state.event_order import FIRST, Order


class Add(NamedTuple):
    """The end of a run adds its total at *place*, among those of the pack, to the series *labels* of *metric*."""

    metric: str
    labels: tuple[str, ...]
    place: int


class Ending(NamedTuple):
    """
    An event that ends its run: its run is known to end at *time*, when the slot of the event begins.

    Beside each of *adds* stands in *own* the end event's own total, which counts instead; None if it has none. *exact*
    is the time of the event itself and *order* its order among those of that time; times are seconds since the epoch.
    """

    time: float
    adds: tuple[Add, ...] = ()
    own: tuple[float | None, ...] = ()
    exact: float = 0.0
    order: Order = FIRST


def load_adds(dumped: list[Any]) -> tuple[Add, ...]:
    """What was dumped as plain lists."""
    return tuple(Add(metric, restored(labels), place) for metric, labels, place in dumped)


def order_of(ending: Ending) -> tuple[object, ...]:
    """What endings are sorted by: the order of their events, and their text where that is the same."""
    return ending.exact or ending.time, ending.order, repr(ending)
