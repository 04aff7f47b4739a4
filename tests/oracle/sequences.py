"""Numbered lines in, how many numbers are missing and how many came twice out."""

from collections.abc import Iterable
from math import inf

from tests.oracle.lines import Line
from tests.oracle.options import Options


def gaps_and_repeats(lines: Iterable[Line], options: Options, *, is_over: bool) -> tuple[int, int]:
    """
    Over all writers; *is_over* if no line will come any more.

    As long as one may come, a number waits that only rejected lines follow: these set no limit.
    """
    by_writer: dict[str, dict[int, list[Line]]] = {}
    for line in lines:
        if line.writer is not None and line.number is not None:
            by_writer.setdefault(line.writer, {}).setdefault(line.number, []).append(line)
    counted = [_of_writer(numbers, options, is_over=is_over) for numbers in by_writer.values()]
    return sum(gaps for gaps, _ in counted), sum(repeats for _, repeats in counted)


def _of_writer(numbers: dict[int, list[Line]], options: Options, *, is_over: bool) -> tuple[int, int]:
    gaps = repeats = 0
    limit = inf  # the last slot in which a number may come: that of the earliest event with a greater one, and the next
    above = None
    smallest = min(numbers)
    for number in sorted(numbers, reverse=True):
        if above is not None and (is_over or limit < inf):
            gaps += above - number - 1
        lines = numbers[number]
        slots = [options.slot_of(line.time) if line.is_event else -inf for line in lines]
        if above is not None and number != smallest and min(slots) > limit:
            gaps += 1
        else:
            repeats += len(lines) - 1
        limit = min([limit, *(options.last_slot(line.time) for line in lines if line.is_event)])
        above = number
    return gaps, repeats
