"""
Exemplars: of each series, and of each bucket of a histogram, one recent event to look at.

Of two exemplars the later one is kept; of two at one time the one with the greater value, then with the greater text.
So it does not matter how the events were cut or in what order they came.

Knows nothing of metrics or text formats.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from extractor.schema.exemplar_labels import MOST
from extractor.schema.label_values import is_servable


class Exemplar(NamedTuple):
    """
    One event: its *time* in seconds since the epoch, and its *value* in the unit of the log.

    The time is that of the slot in which the event lies. *texts* stand beside the names of the exemplar's labels; the
    text is empty where the event has none.
    """

    time: float
    value: float
    texts: tuple[str, ...]


class Exemplars(dict[int, Exemplar]):
    """The exemplars of one series, by bucket; of a counter, at 0."""

    def note(self, place: int, exemplar: Exemplar) -> None:
        """Keep *exemplar* unless a later one is known."""
        known = self.get(place)
        if known is None or exemplar > known:
            self[place] = exemplar

    def merge(self, other: "Exemplars") -> None:
        """Keep the later ones of both."""
        for place, exemplar in other.items():
            self.note(place, exemplar)

    def dump(self) -> list[Any]:
        """All of them, as plain values."""
        return [[place, *exemplar] for place, exemplar in self.items()]

    def load(self, dumped: list[Any]) -> None:
        """Take over what `dump` gave."""
        for place, time, value, texts in dumped:
            kept = tuple(text if is_servable(text) else "" for text in texts)  # else every scrape would be refused
            if any(kept):
                self.note(place, Exemplar(time, value, kept))


def usable(name: str, text: object) -> str:
    """*text* as the value of the label *name* of an exemplar; empty if it cannot be one."""
    return usable_texts(name, [text])[0]


def usable_texts(name: str, texts: Iterable[object]) -> list[str]:
    """Each of *texts* as the value of the label *name* of an exemplar; empty if it cannot be one."""
    # An identifier that is cut off or changed leads nowhere.
    longest = MOST - len(name)
    return [text if isinstance(text, str) and len(text) <= longest and is_servable(text) else "" for text in texts]


def shown(exemplar: Exemplar, names: Sequence[str], per_unit: int) -> tuple[dict[str, str], float, float] | None:
    """
    The labels of *exemplar*, which have these *names*, its value in base units, and its time; None if it says nothing.

    Of labels that are too long together the first ones are shown.
    """
    labels, left = {}, MOST
    for name, text in zip(names, exemplar.texts, strict=True):
        if text and len(name) + len(text) <= left:
            left -= len(name) + len(text)
            labels[name] = text
    return (labels, exemplar.value / per_unit, exemplar.time) if labels else None
