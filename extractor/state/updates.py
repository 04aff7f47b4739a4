"""
What events add to series: the values that `ingest.derive` makes and `state.state` takes.

*first* is the earliest slot of event time in which an event touched the series, even if it added nothing. An *exemplar*
is one of the events; of observations there is one for each bucket.

Knows nothing of either.
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
    A counter rises by *amount* (in the unit of the log); 0 only brings the series into being.

    *slots* says how much of it, as a float, is of which slot, if that was asked for and it is not all of the first.
    *seen* says whether an event had what is added, were it 0.
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
    Numbers (in the unit of the log) for a histogram or summary, each with its slot; none just makes the series.

    *places* says where in the series each is counted, if that is known: the bucket of a histogram, the HDR index of a
    summary.
    """

    metric: str
    labels: tuple[str, ...]
    numbers: Numbers
    slots: Slots
    first: int = 0
    places: NDArray[Any] | None = None
    exemplars: Sequence[tuple[int, Exemplar]] = ()


class Settings(NamedTuple):
    """Values of a gauge, or states of a state set, with the event time of each, in seconds, and its order."""

    metric: str
    labels: tuple[str, ...]
    values: Sequence[float | str]
    times: Sequence[float]
    orders: Sequence[Order]
    first: int = 0


Update = Increment | Observations | Settings


class Listener(Protocol):
    """Who is told of every update, once it is applied."""

    wanted: frozenset[str]
    """The metrics it wants to know the slots of."""

    def note(self, update: Update) -> None:
        """Take an update into account."""
        ...


class Nobody:
    """Listens to nothing."""

    wanted: frozenset[str] = frozenset()

    def note(self, update: Update) -> None:
        """Take no note."""
