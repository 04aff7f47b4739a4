"""
Store one recent event as exemplar of each series, and of each bucket of a histogram.

Of two exemplars the later one is kept; at equal times the one with the greater value, then with the greater texts. The
result therefore does not depend on how the events were cut or ordered.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from extractor.schema.exemplar_labels import MOST
from extractor.schema.label_values import is_servable


class Exemplar(NamedTuple):
    """
    One event: its *time* in seconds since the epoch, and its *value* in the unit of the log.

    The time is that of the slot of the event. *texts* are in the order of the label names of the exemplar; a text is
    empty where the event has none.
    """

    time: float
    value: float
    texts: tuple[str, ...]


class Exemplars(dict[int, Exemplar]):
    """The exemplars of one series, by bucket; a counter uses key 0."""

    def note(self, place: int, exemplar: Exemplar) -> None:
        """Keep *exemplar* unless a later one is stored."""
        known = self.get(place)
        if known is None or exemplar > known:
            self[place] = exemplar

    def merge(self, other: "Exemplars") -> None:
        """Keep the later exemplars of both."""
        for place, exemplar in other.items():
            self.note(place, exemplar)

    def dump(self) -> list[Any]:
        """Return all exemplars as plain values."""
        return [[place, *exemplar] for place, exemplar in self.items()]

    def load(self, dumped: list[Any]) -> None:
        """Restore what `dump` returned."""
        for place, time, value, texts in dumped:
            kept = tuple(text if is_servable(text) else "" for text in texts)  # an invalid text would fail every scrape
            if any(kept):
                self.note(place, Exemplar(time, value, kept))


def usable(name: str, text: object) -> str:
    """Return *text* as the value of the exemplar label *name*; empty if it cannot be one."""
    return usable_texts(name, [text])[0]


def usable_texts(name: str, texts: Iterable[object]) -> list[str]:
    """Return each of *texts* as the value of the exemplar label *name*; empty if it cannot be one."""
    # A truncated or changed identifier is useless.
    longest = MOST - len(name)
    return [text if isinstance(text, str) and len(text) <= longest and is_servable(text) else "" for text in texts]


def shown(exemplar: Exemplar, names: Sequence[str], per_unit: int) -> tuple[dict[str, str], float, float] | None:
    """
    Return the labels of *exemplar*, its value in base units and its time; None if it has no label.

    *names* are the names of its labels. If they are too long together, the first ones that fit are returned.
    """
    labels, left = {}, MOST
    for name, text in zip(names, exemplar.texts, strict=True):
        if text and len(name) + len(text) <= left:
            left -= len(name) + len(text)
            labels[name] = text
    return (labels, exemplar.value / per_unit, exemplar.time) if labels else None
