"""
Ends of runs: what the event that ends a run adds to which series, once the run is settled.

Knows nothing of runs.
"""

from typing import Any, NamedTuple


class Add(NamedTuple):
    """
    What the end of a run adds to the series *labels* of *metric*.

    That is *own*, the end event's own total, or, if it has none, the run's total at *place* among those of the pack.
    """

    metric: str
    labels: tuple[str, ...]
    place: int
    own: float | None


class Ending(NamedTuple):
    """An event that ends its run, at *time* in seconds since the epoch."""

    time: float
    adds: tuple[Add, ...] = ()


def load_ending(dumped: list[Any]) -> Ending:
    """The ending that was dumped as a plain list."""
    time, adds = dumped
    return Ending(time, tuple(Add(metric, tuple(labels), place, own) for metric, labels, place, own in adds))


def order_of(ending: Ending) -> tuple[float, str]:
    """What endings are sorted by: their time, and their text where that is the same."""
    return ending.time, repr(ending.adds)
