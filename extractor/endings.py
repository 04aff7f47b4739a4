"""
Ends of runs: what the event that ends a run adds to which series, once the run is settled.

Knows nothing of runs.
"""

from typing import Any, NamedTuple


class Add(NamedTuple):
    """The end of a run adds its total at *place*, among those of the pack, to the series *labels* of *metric*."""

    metric: str
    labels: tuple[str, ...]
    place: int


class Ending(NamedTuple):
    """
    An event that ends its run, at *time* in seconds since the epoch.

    Beside each of *adds* stands in *own* the end event's own total, which counts instead; None if it has none.
    """

    time: float
    adds: tuple[Add, ...] = ()
    own: tuple[float | None, ...] = ()


def load_adds(dumped: list[Any]) -> tuple[Add, ...]:
    """What was dumped as plain lists."""
    return tuple(Add(metric, tuple(labels), place) for metric, labels, place in dumped)


def order_of(ending: Ending) -> tuple[float, str]:
    """What endings are sorted by: their time, and their text where that is the same."""
    return ending.time, repr(ending)
