"""
The numbers that writers gave their lines in, in any order; gaps and repeats out, at the end.

Where `sequences` answers at once and so must take lines in their order, this one remembers which numbers were seen, as
spans. However the lines of a writer were cut and merged, the same numbers are missing.

Knows nothing of lines.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from extractor.sequences import Sequences, by_writer

Span = tuple[int, int]
"""From the first number to the one after the last."""

_WRITERS = 50_000  # remembered; past that the one longest silent is settled
_MOST = 2**64 - 1
_SPANS = 50_000  # of one writer; past that the gap between the first two is settled, and order matters


class _Numbers:
    """What was seen of one writer."""

    __slots__ = ("lines", "settled", "spans")

    def __init__(self, lines: int = 0, settled: int = 0, spans: Iterable[Span] = ()) -> None:
        self.lines = lines
        self.settled = settled  # gaps between spans that are not told apart any more
        self.spans = list(spans)

    def add(self, other: "_Numbers") -> None:
        self.lines += other.lines
        self.settled += other.settled
        # What is in order, as it mostly is, only goes on where the last span ends.
        more = sorted(other.spans)
        joined: list[Span] = []
        if self.spans and more and self.spans[-1][0] <= more[0][0]:
            joined = self.spans
        else:
            more = sorted([*self.spans, *more])
        for begin, end in more:
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((begin, end))
        if (extra := len(joined) - _SPANS) > 0:
            self.settled += sum(after[0] - before[1] for before, after in pairwise(joined[: extra + 1]))
            joined[: extra + 1] = [(joined[0][0], joined[extra][1])]
        self.spans = joined

    @property
    def gaps(self) -> int:
        return self.settled + sum(after[0] - before[1] for before, after in pairwise(self.spans))

    @property
    def repeats(self) -> int:
        return max(self.lines + self.settled - sum(end - begin for begin, end in self.spans), 0)


class Spans(Sequences):
    """Every number of each writer; *gaps* and *repeats* are asked for at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, _Numbers] = {}
        self._settled = (0, 0)  # gaps and repeats of writers that are not remembered any more

    @property
    def gaps(self) -> int:
        """How many numbers nobody used, between the first and the last of each writer."""
        return self._settled[0] + sum(numbers.gaps for numbers in self._numbers.values())

    @property
    def repeats(self) -> int:
        """How many lines have a number that another line of the same writer had before."""
        return self._settled[1] + sum(numbers.repeats for numbers in self._numbers.values())

    def see(self, lines: Iterable[tuple[object, object]]) -> tuple[int, int]:
        """Take lines into account, in any order; what is missing is not known yet."""
        for writer, these in by_writer(lines).items():
            first = these[0]
            if these == list(range(first, first + len(these))):
                spans = [(first, first + len(these))]
            else:
                spans = [(number, number + 1) for number in set(these)]
            self._add(writer, _Numbers(len(these), 0, spans))
        return 0, 0

    def merge(self, other: "Spans") -> None:
        """Take into account what *other* saw."""
        self._settle(*other._settled)  # noqa: SLF001  # it is one of us
        for writer, numbers in other._numbers.items():  # noqa: SLF001
            self._add(writer, numbers)

    def dump(self) -> dict[str, Any]:
        """Everything seen, as plain values."""
        return {
            "settled": self._settled,
            "writers": {writer: [each.lines, each.settled, each.spans] for writer, each in self._numbers.items()},
        }

    def load(self, dumped: dict[str, Any]) -> None:
        """Take over what `dump` gave."""
        self._settled = tuple(dumped["settled"])
        self._numbers = {
            writer: _Numbers(lines, settled, [(begin, end) for begin, end in spans])
            for writer, (lines, settled, spans) in dumped["writers"].items()
        }

    def _add(self, writer: str, seen: _Numbers) -> None:
        numbers = self._numbers.pop(writer, None) or _Numbers()
        numbers.add(seen)
        self._numbers[writer] = numbers
        while len(self._numbers) > _WRITERS:
            oldest = self._numbers.pop(next(iter(self._numbers)))
            self._settle(oldest.gaps, oldest.repeats)

    def _settle(self, gaps: int, repeats: int) -> None:
        # What a part hands over must fit into 64 bits, whatever writers claim.
        self._settled = (min(self._settled[0] + gaps, _MOST), min(self._settled[1] + repeats, _MOST))
