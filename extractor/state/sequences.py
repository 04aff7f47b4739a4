"""
Find gaps and repeats in the sequence numbers of log lines.

A writer numbers its lines 1, 2, 3, … A number that is left out is a lost line; a number that repeats is a line written
or delivered twice. Lines may be read in any order: a number is missing if it has not come by the time of a greater one
plus a linger. Old numbers are decided by this rule, and never changed again (docs/numbers.md).

Times are slots. Numbers are stored as spans: consecutive numbers in one slot, one line each.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor
from typing import Any, NamedTuple

MOST_WRITERS = 10_000
"""Maximum number of writers; beyond it, the one that was silent for longest is decided and dropped."""

_NAME_LENGTH = 256  # of a writer; bounds memory: ten thousand names of a megabyte each would be ten gigabytes
_BEYOND = 2**63  # exclusive upper bound of numbers
_MOST = 2**64 - 1  # in a checkpoint
_SPANS = 50_000  # per writer; beyond it, the older half is decided at once
_GAPS = 1000  # stored per writer; a line that fills an older one counts as a repeat
_UNTIMED = -1 << 62  # before every slot: a line without a time is never late, and makes no other one late


class Span(NamedTuple):
    """The numbers from *begin* to before *end*, one line each, all in *slot*."""

    begin: int
    end: int
    slot: int


@dataclass(slots=True)
class _Writer:
    """
    State of one writer: *spans* that are not decided, in the order in which they were read.

    All numbers below *decided* are decided, and the last of them exists. *lowest* is the smallest number that came in
    time; *missing* holds the ranges missing among the decided ones.
    """

    spans: list[Span] = field(default_factory=list)
    decided: int | None = None
    lowest: int | None = None
    missing: list[tuple[int, int]] = field(default_factory=list)


class Sequences:
    """
    The numbers of all writers, at most *most* of them.

    `gaps` and `repeats` count the decided ones since the last `take`.
    """

    def __init__(self, most: int = MOST_WRITERS) -> None:
        self.gaps = 0
        self.repeats = 0
        self._most = most
        self._settled: int | None = None
        self._writers: dict[str, _Writer] = {}

    def see(self, lines: Iterable[tuple[object, object]], slot: int | None) -> None:
        """Add lines of one *slot*, None without a time, as pairs of raw writer and raw number."""
        for name, numbers in by_writer(lines).items():
            first = numbers[0]
            in_order = numbers == list(range(first, first + len(numbers)))
            found = [(first, first + len(numbers))] if in_order else [(number, number + 1) for number in numbers]
            self._add(name, [Span(*each, _UNTIMED if slot is None else slot) for each in found])

    def settle(self, slot: int, reach: int) -> None:
        """Decide the numbers up to *slot*, which can no longer change; a number may come *reach* slots late."""
        if slot == self._settled:
            return  # later lines are decided with the next slot
        self._settled = slot
        for writer in self._writers.values():
            self._decide(writer, slot, reach)

    def finish(self, reach: int) -> None:
        """Decide all numbers, at the end of input."""
        for writer in self._writers.values():
            self._decide(writer, None, reach)

    def take(self) -> tuple[int, int]:
        """Return and reset the numbers of gaps and repeats."""
        taken = self.gaps, self.repeats
        self.gaps = self.repeats = 0
        return taken

    def merge(self, other: "Sequences") -> None:
        """Add the numbers of *other*."""
        self._count(other.gaps, other.repeats)
        for name, theirs in other._writers.items():  # noqa: SLF001  # an object of the same class
            self._add(name, theirs.spans)
            mine = self._writers[name]
            if theirs.decided is not None and theirs.lowest is not None:
                mine.decided = max(theirs.decided, mine.decided or 0)
                mine.lowest = theirs.lowest if mine.lowest is None else min(theirs.lowest, mine.lowest)
                mine.missing = sorted({*mine.missing, *theirs.missing})[-_GAPS:]

    def dump(self) -> list[Any]:
        """Return the whole content as plain values."""
        known = {
            name: [[*each.spans], each.decided, each.lowest, [*each.missing]] for name, each in self._writers.items()
        }
        return [self.gaps, self.repeats, known]

    def load(self, dumped: list[Any] | dict[str, int], slots: float = 1) -> None:
        """
        Restore what `dump` returned; one slot of it spans *slots* current slots.

        The oldest format is a mapping from writer to its last number.
        """
        if isinstance(dumped, dict):
            self._writers = {name: _Writer(decided=last + 1, lowest=0) for name, last in dumped.items()}
            return
        self.gaps, self.repeats, known = dumped
        self._writers = {
            name: _Writer(
                [Span(begin, end, slot if slot == _UNTIMED else floor(slot * slots)) for begin, end, slot in spans],
                decided,
                lowest,
                [(begin, end) for begin, end in missing],
            )
            for name, (spans, decided, lowest, missing) in known.items()
        }

    def __len__(self) -> int:
        return len(self._writers)

    def _add(self, name: str, spans: Iterable[Span]) -> None:
        writer = self._writers.pop(name, None) or _Writer()
        self._writers[name] = writer  # last, as the most recently active
        for span in spans:
            rest = self._late(writer, span)
            if rest is None:
                continue
            last = writer.spans[-1] if writer.spans else None
            if last is not None and (last.end, last.slot) == (rest.begin, rest.slot):
                writer.spans[-1] = last._replace(end=rest.end)
            else:
                writer.spans.append(rest)
        if len(writer.spans) > _SPANS:
            self._decide(writer, sorted(span.slot for span in writer.spans)[_SPANS // 2], 0)
        while len(self._writers) > self._most:
            self._decide(self._writers.pop(next(iter(self._writers))), None, 0)

    def _late(self, writer: _Writer, span: Span) -> Span | None:
        """Return the undecided rest of *span*; count the decided part as repeats, unless it fills gaps."""
        if writer.decided is None or writer.lowest is None or span.begin >= writer.decided:
            return span
        end = min(span.end, writer.decided)
        known = end - max(span.begin, writer.lowest)
        filled = sum(max(min(end, after) - max(span.begin, before), 0) for before, after in writer.missing)
        self._count(0, max(known - filled, 0))
        return span._replace(begin=end) if end < span.end else None

    def _decide(self, writer: _Writer, slot: int | None, reach: int) -> None:
        """Decide the numbers of *writer* up to the greatest in *slot* or before; all of them if *slot* is None."""
        if slot is None:
            upto = max((span.end for span in writer.spans), default=None)
        else:
            upto = max((span.end for span in writer.spans if _UNTIMED < span.slot <= slot), default=None)
        if upto is None or (writer.decided is not None and upto <= writer.decided):
            return
        spans = sorted(writer.spans)
        begin = spans[0].begin if writer.decided is None else writer.decided
        if _are_in_order(spans, begin):
            writer.lowest = begin if writer.lowest is None else writer.lowest
        else:
            self._look_at(writer, [part for part in _parts(spans, reach) if part.begin < upto], begin, upto)
        writer.decided = upto
        writer.spans = [
            span._replace(begin=max(span.begin, upto)) for span in writer.spans if span.end > upto
        ]  # in the order in which they were read

    def _look_at(self, writer: _Writer, parts: list["_Part"], begin: int, upto: int) -> None:
        came = [part for part in parts if part.in_time]
        if writer.lowest is None:
            writer.lowest = min((part.begin for part in came), default=None)
        if writer.lowest is None:
            return
        self._count(0, sum((part.lines - 1) * (min(part.end, upto) - part.begin) for part in came))
        edges = [(begin, max(begin, writer.lowest)), *((part.begin, part.end) for part in came), (upto, upto)]
        gaps = [(before, after) for (_, before), (after, _) in pairwise(edges) if before < after]
        self._count(sum(after - before for before, after in gaps), 0)
        writer.missing = [*writer.missing, *gaps][-_GAPS:]

    def _count(self, gaps: int, repeats: int) -> None:
        # Two lines numbered 1 and 2**63 - 1 make a huge gap, and may recur.
        self.gaps, self.repeats = min(self.gaps + gaps, _MOST), min(self.repeats + repeats, _MOST)


class _Part(NamedTuple):
    """Numbers that have *lines* lines each; *in_time* is set if one of these came in time."""

    begin: int
    end: int
    lines: int
    in_time: bool


def _are_in_order(spans: list[Span], begin: int) -> bool:
    """Return whether the numbers from *begin* on have one line each, in ascending order of slots."""
    return spans[0].begin == begin and all(
        before.end == after.begin and before.slot <= after.slot for before, after in pairwise(spans)
    )


def _parts(spans: list[Span], reach: int) -> Iterator[_Part]:
    """Yield the parts of *spans* in ascending order."""
    edges = sorted({edge for span in spans for edge in (span.begin, span.end - 1, span.end)}, reverse=True)
    by_end = sorted(spans, key=lambda span: span.end)
    greater = sorted((span for span in spans if span.slot > _UNTIMED), key=lambda span: span.end)
    covering: list[tuple[int, int]] = []  # a heap of the slot and the begin of spans
    begins: list[int] = []  # a heap of their begins, the greatest first
    earliest: int | None = None  # slot of a greater number
    found: list[_Part] = []
    for end, begin in pairwise(edges):
        while by_end and by_end[-1].end >= end:
            span = by_end.pop()
            heapq.heappush(covering, (span.slot, span.begin))
            heapq.heappush(begins, -span.begin)
        while begins and -begins[0] >= end:
            heapq.heappop(begins)
        while covering and covering[0][1] >= end:
            heapq.heappop(covering)
        while greater and greater[-1].end - 1 >= end:
            slot = greater.pop().slot
            earliest = slot if earliest is None else min(earliest, slot)
        if begins:
            in_time = earliest is None or covering[0][0] <= earliest + reach
            found.append(_Part(begin, end, len(begins), in_time))
    return reversed(found)


def numbered(writer: object, number: object) -> tuple[str, int] | None:
    """Return the writer and the number of a line; None if either is invalid."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)  # in JSON Schema, 7.0 is an integer
    if not isinstance(writer, str) or not isinstance(number, int) or isinstance(number, bool):
        return None
    return (writer, number) if 0 < len(writer) <= _NAME_LENGTH and 0 <= number < _BEYOND else None


def by_writer(lines: Iterable[tuple[object, object]]) -> dict[str, list[int]]:
    """Return the valid numbers of each writer in *lines*, in order."""
    numbers: dict[str, list[int]] = {}
    for writer, number in lines:
        if (known := numbered(writer, number)) is not None:
            numbers.setdefault(known[0], []).append(known[1])
    return numbers
