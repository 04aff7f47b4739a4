"""
Columns of events in, the one event that stands for each series out.

It is the one that `state.exemplars` would keep of all of them: the latest, then the one with the greatest value, then
with the greatest text. Times are those of slots, as the columns hold no others. Every step is a numpy operation over
all rows that are still in question; a row costs a few nanoseconds.

Knows nothing of series or lines.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from extractor.ingest.columns import Columns, Sources
from extractor.state.exact_sum import Floats
from extractor.state.exemplars import Exemplar, usable_texts

Integers = NDArray[np.int64]


class Chosen(NamedTuple):
    """Rows that were chosen, or to choose from: the code of what each stands for, and its value if not all have 1."""

    rows: Integers
    codes: Integers
    values: Floats | None = None

    def only(self, some: NDArray[np.bool_]) -> "Chosen":
        """*some* of them."""
        kept = some.nonzero()[0]  # and not the mask for each of them: mostly few are kept
        return Chosen(self.rows[kept], self.codes[kept], None if self.values is None else self.values[kept])


class Texts:
    """What events may say for the label *name* of an exemplar: all *texts*, empty if they cannot be shown."""

    def __init__(self, name: str, texts: Iterable[object]) -> None:
        self.texts = usable_texts(name, texts)
        self.known = np.array([bool(text) for text in self.texts], dtype=bool)
        self.all_known = bool(self.known.all())


class RunTexts:
    """The ids of *runs* as texts of labels, made once for all event types."""

    def __init__(self, runs: Iterable[str | None]) -> None:
        self._runs = list(runs)
        self._texts: dict[str, Texts] = {}

    def of(self, name: str) -> Texts:
        """The texts for the label *name*."""
        if name not in self._texts:
            self._texts[name] = Texts(name, self._runs)
        return self._texts[name]


class _Said(NamedTuple):
    """What the events say for one label: the place of each row's text, and the texts."""

    places: Integers
    of: Texts


class Choices:
    """Chooses among the rows of *columns*, whose runs are *runs*; *time_of* is the time of a slot."""

    def __init__(self, columns: Columns, runs: RunTexts, time_of: Callable[[int], float]) -> None:
        self._columns = columns
        self._runs = runs
        self._time_of = time_of
        self._slots = np.array(columns.slots)
        self._ascending = bool((self._slots[1:] >= self._slots[:-1]).all())
        self._texts: dict[tuple[str, int | None], _Said] = {}
        self._of_keys: dict[Sources, Chosen] = {}

    def of_keys(self, sources: Sources) -> Chosen:
        """The row that stands for each key, where all events have the same value."""
        if sources not in self._of_keys:
            codes = np.array(self._columns.places)
            self._of_keys[sources] = self.among(sources, Chosen(np.arange(len(codes)), codes))
        return self._of_keys[sources]

    def among(self, sources: Sources, asked: Chosen) -> Chosen:
        """
        Of the rows that are *asked* about the one that stands for each code, or several that are all alike.

        Rows with the same code are in the order in which they were read.
        """
        said = [self._said(source) for source in sources]
        if not any(each.of.all_known for each in said):
            asked = asked.only(np.logical_or.reduce([each.of.known[each.places[asked.rows]] for each in said]))
        if not len(asked.rows):
            return asked
        size = int(asked.codes.max()) + 1
        best = asked.only(self._latest(asked, size))
        if best.values is not None:
            best = best.only(_greatest(best.codes, best.values, size))
        for each in said:
            if np.bincount(best.codes).max() > 1:
                best = best.only(_greatest(best.codes, _ranks(each, best.rows), size))
        return best

    def exemplars(self, sources: Sources, chosen: Chosen) -> Iterator[tuple[int, Exemplar]]:
        """The rows that were *chosen*, as exemplars, each with its code."""
        said = [self._said(source) for source in sources]
        slots = self._slots[chosen.rows].tolist()
        times = {slot: self._time_of(slot) for slot in set(slots)}
        values = [1.0] * len(slots) if chosen.values is None else chosen.values.tolist()
        texts = zip(*(map(each.of.texts.__getitem__, each.places[chosen.rows].tolist()) for each in said), strict=True)
        shown = zip(map(times.__getitem__, slots), values, texts, strict=True)
        return zip(chosen.codes.tolist(), map(Exemplar._make, shown), strict=True)

    def _said(self, source: tuple[str, int | None]) -> _Said:
        if source not in self._texts:
            name, place = source
            if place is None:
                self._texts[source] = _Said(np.array(self._columns.runs), self._runs.of(name))
            else:
                self._texts[source] = _Said(np.array(self._columns.texts[place]), Texts(name, self._columns.words))
        return self._texts[source]

    def _latest(self, asked: Chosen, size: int) -> NDArray[np.bool_]:
        slots = self._slots[asked.rows]
        if not self._ascending:
            return _greatest(asked.codes, slots, size)
        latest = np.zeros(size, dtype=np.int64)
        latest[asked.codes] = slots  # the last assignment counts
        return np.asarray(slots == latest[asked.codes])


def _greatest(codes: Integers, keys: Integers | Floats, size: int) -> NDArray[np.bool_]:
    """Where the key is the greatest of its code."""
    greatest = np.full(size, keys.min())
    np.maximum.at(greatest, codes, keys)
    return np.asarray(keys == greatest[codes])


def _ranks(said: _Said, rows: Integers) -> Integers:
    """The rank, in the order of the text, of what each of *rows* says."""
    places = said.places[rows]
    there = np.zeros(len(said.of.texts), dtype=bool)
    there[places] = True
    ordered = sorted(np.flatnonzero(there).tolist(), key=said.of.texts.__getitem__)
    ranks = np.zeros(len(there), dtype=np.int64)
    ranks[ordered] = np.cumsum(said.of.known[ordered])  # what is empty is first, and alike
    return ranks[places]
