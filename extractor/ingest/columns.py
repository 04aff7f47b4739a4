"""
Events of one type in, columns of numbers kept: what was read and is not counted yet.

An event is cut into a *key*, everything that decides which series it touches, and a row of numbers. Equal keys are kept
once. Arrays, because a number kept as an object costs the time and the memory of three.

Knows nothing of metrics.
"""

from array import array
from collections.abc import Iterable, Sequence
from math import nan
from struct import error, pack
from typing import TypeVar

from extractor.state.event_order import OrderColumns

K = TypeVar("K")

Key = tuple[object, ...]
"""What decides which series an event touches, as raw values."""

Sources = tuple[tuple[str, int | None], ...]
"""The labels of exemplars: the name of each, and its place among the texts of a row; None for the run."""

_KEPT = 10_000  # keys kept from fold to fold; free text in a label property must not grow the memory


class Places(dict[K, int]):
    """Each key with its place, in the order in which they were first asked for."""

    def __missing__(self, key: K) -> int:
        place = self[key] = len(self)
        return place


Keys = Places[Key]
RunIds = Places[str | None]


class Texts:
    """
    A column of texts, empty where there is none: the bytes of all of them, and how many each has.

    So no text of a line need be kept: that is what its memory is used again for.
    """

    __slots__ = ("data", "lengths")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.data = bytearray()
        self.lengths = array("q")
        self.extend(list(texts))

    def extend(self, texts: Sequence[str]) -> None:
        """Add *texts*; raises `TypeError`, and adds none, if one is no text."""
        data = "".join(texts).encode()
        lengths = array("q", map(len, texts))
        if len(data) != sum(lengths):  # there are characters of several bytes
            lengths = array("q", [len(text.encode()) for text in texts])
        self.data += data
        self.lengths += lengths

    def clear(self) -> None:
        """Forget them."""
        self.data = bytearray()
        del self.lengths[:]


class Columns:
    """
    The rows of events of one type, *width* numbers each, NaN where there is none.

    `places` says which of `keys` each row has, `slots` the slot of its time; `times`, in seconds since the epoch, are
    kept if it is *timed*, and `orders`, which tell events of one time apart; `runs` are the places of the runs' ids
    among those of the pack, and `texts` those of texts, a number of *texts* for each row, among `words`. `marks` are
    columns of values by which events are compared. `unpriced` are the rows whose cost is unknown.
    """

    __slots__ = (
        "keys", "marks", "numbers", "orders", "places", "runs", "slots", "texts", "timed", "times",
        "unpriced", "words",
    )  # fmt: skip

    def __init__(self, width: int, *, timed: bool, texts: int = 0, marks: int = 0) -> None:
        self.timed = timed
        self.keys: Keys = Places()
        self.places = array("q")
        self.slots = array("q")
        self.runs = array("q")
        self.times = array("d")
        self.orders = OrderColumns()
        self.numbers = [array("d") for _ in range(width)]
        self.words: Places[object] = Places()
        self.texts = [array("q") for _ in range(texts)]
        self.marks = [Texts() for _ in range(marks)]
        self.unpriced: list[int] = []

    def add(  # noqa: PLR0913  # everything about one event
        self,
        key: Key,
        slot: int,
        time: float,
        numbers: Iterable[float | None],
        *,
        texts: Iterable[object] = (),
        marks: Iterable[str] = (),
    ) -> None:
        """Add one event."""
        for column, number in enumerate(numbers):
            self.numbers[column].append(nan if number is None else float(number))
        for kept, mark in zip(self.marks, marks, strict=True):
            kept.extend([mark])
        self.places.append(self.keys[key])
        self.slots.append(slot)
        if self.timed:
            self.times.append(time)
        for words, text in zip(self.texts, texts, strict=True):
            words.append(self.words[text])

    def fill(self, column: int, numbers: Iterable[float]) -> None:
        """Put *numbers* in the place of those of a column."""
        self.numbers[column] = array("d", numbers)

    def clear(self) -> None:
        """Forget the rows; and the keys, when there are many."""
        del self.places[:], self.slots[:], self.times[:], self.runs[:]
        self.orders.clear()
        for column in self.numbers:
            del column[:]
        for words in self.texts:
            del words[:]
        self.words.clear()
        for mark in self.marks:
            mark.clear()
        self.unpriced = []
        if len(self.keys) > _KEPT:
            self.keys = Places()


def floats(numbers: Sequence[float | None]) -> bytes:
    """*numbers* as a column has them."""
    try:
        return pack(f"{len(numbers)}d", *numbers)  # half the time of what array does itself
    except error:  # one is None
        return pack(f"{len(numbers)}d", *[nan if number is None else number for number in numbers])


def integers(numbers: Sequence[int]) -> bytes:
    """The same of integers."""
    return pack(f"{len(numbers)}q", *numbers)
