"""
Updates: what events add to series, as returned by `ingest.derive` and applied by `state.state`.

*first* is the earliest slot of event time in which an event touched the series, even if it added nothing. An *exemplar*
is one of the events; observations have one for each bucket.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from extractor.state.event_order import Order
from extractor.state.exact_sum import Exact, Numbers
from extractor.state.exemplars import Exemplar

Slots = NDArray[np.int64]


class Increment(NamedTuple):
    """
    A counter increases by *amount*, in the unit of the log; an amount of 0 only creates the series.

    *slots* holds the amount per slot as floats, if requested and not all of it is in *first*. *seen* is set if an event
    had the amount, even if it was 0.
    """

    metric: str
    labels: tuple[str, ...]
    events: int
    amount: Exact
    first: int = 0
    exemplar: Exemplar | None = None
    slots: Sequence[tuple[int, float]] = ()
    seen: bool = True


class Observations(NamedTuple):
    """
    Numbers, in the unit of the log, for a histogram or summary, each with its slot; none only creates the series.

    *places* holds where each number is counted, if known: the bucket of a histogram, the HDR index of a summary.
    """

    metric: str
    labels: tuple[str, ...]
    numbers: Numbers
    slots: Slots
    first: int = 0
    places: NDArray[Any] | None = None
    exemplars: Sequence[tuple[int, Exemplar]] = ()


class Settings(NamedTuple):
    """Values of a gauge, or states of a state set, each with its event time in seconds and its order."""

    metric: str
    labels: tuple[str, ...]
    values: Sequence[float | str]
    times: Sequence[float]
    orders: Sequence[Order]
    first: int = 0


Update = Increment | Observations | Settings


class Listener(Protocol):
    """Called with every update once it is applied."""

    wanted: frozenset[str]
    """Metrics whose increments must have slots."""

    def note(self, update: Update) -> None:
        """Process an applied update."""
        ...


class Nobody:
    """A listener that ignores all updates."""

    wanted: frozenset[str] = frozenset()

    def note(self, update: Update) -> None:
        """Ignore the update."""
