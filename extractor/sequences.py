"""
The numbers that writers gave their lines in, gaps and repeats out.

A writer numbers its lines 1, 2, 3, …; so a number that is left out is a line that was lost, and one that comes again
is a line that was written or delivered twice. The first line seen of a writer may have any number.

Knows nothing of lines.
"""

from collections.abc import Iterable

_WRITERS = 10_000  # remembered; past that the one longest silent is forgotten
_NAME_LENGTH = 256  # of a writer; a longer one is no name, and ten thousand of a megabyte each would be ten gigabytes
_BEYOND = 2**63  # is no number of a line


class Sequences:
    """The last number of each writer."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def see(self, lines: Iterable[tuple[object, object]]) -> tuple[int, int]:
        """
        Take lines into account, in their order: the writer and the number of each, which may be anything.

        Returns how many numbers were left out, and how many came again.
        """
        gaps = repeats = 0
        for writer, these in by_writer(lines).items():
            last = self._last.pop(writer, these[0] - 1)
            if these != list(range(last + 1, last + 1 + len(these))):
                left_out, again, last = _compared(last, these)
                gaps, repeats = gaps + left_out, repeats + again
            self._last[writer] = max(last, these[-1])
        while len(self._last) > _WRITERS:
            del self._last[next(iter(self._last))]
        return gaps, repeats

    def dump(self) -> dict[str, int]:
        """The last number of each writer."""
        return dict(self._last)

    def load(self, dumped: dict[str, int]) -> None:
        """Take over what `dump` gave."""
        self._last = dict(dumped)


def numbered(writer: object, number: object) -> tuple[str, int] | None:
    """The writer and the number of a line that has both; None if one of them is none."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)  # JSON Schema calls 7.0 an integer too
    if not isinstance(writer, str) or not isinstance(number, int) or isinstance(number, bool):
        return None
    return (writer, number) if 0 < len(writer) <= _NAME_LENGTH and 0 <= number < _BEYOND else None


def by_writer(lines: Iterable[tuple[object, object]]) -> dict[str, list[int]]:
    """The numbers of each writer, in their order, of *lines* that have both."""
    numbers: dict[str, list[int]] = {}
    for writer, number in lines:
        if (known := numbered(writer, number)) is not None:
            numbers.setdefault(known[0], []).append(known[1])
    return numbers


def _compared(last: int, numbers: Iterable[int]) -> tuple[int, int, int]:
    gaps = repeats = 0
    for number in numbers:
        if number > last:
            gaps += number - last - 1
            last = number
        else:
            repeats += 1
    return gaps, repeats, last
