"""Numbered lines in, how many numbers are missing and how many came twice out."""

from collections.abc import Iterable
from fractions import Fraction
from math import inf

from tests.oracle.lines import Line
from tests.oracle.options import Options


def gaps_and_repeats(lines: Iterable[Line], options: Options, now: float) -> tuple[int, int]:
    """
    Over all writers, when event time is *now*; infinity if no line will come any more.

    Until event time has passed its limit, a number is not missing yet. Rejected lines set no limit: where only such
    have greater numbers, a number waits until the end.
    """
    by_writer: dict[str, dict[int, list[Line]]] = {}
    for line in lines:
        if line.writer is not None and line.number is not None:
            by_writer.setdefault(line.writer, {}).setdefault(line.number, []).append(line)
    slot = options.slot_of(Fraction(now)) if now < inf else inf
    counted = [_of_writer(numbers, options, slot) for numbers in by_writer.values()]
    return sum(gaps for gaps, _ in counted), sum(repeats for _, repeats in counted)


def _of_writer(numbers: dict[int, list[Line]], options: Options, now: float) -> tuple[int, int]:
    gaps = repeats = 0
    limit = inf  # the last slot in which a number may come: that of the earliest event with a greater one, and the next
    above = smallest = min(numbers)
    for number in sorted(numbers, reverse=True):
        is_past = limit < now or now == inf
        if above > number and is_past:
            gaps += above - number - 1
        lines = numbers[number]
        slots = [options.slot_of(line.time) if line.is_event else -inf for line in lines]
        if number != smallest and min(slots) > limit:
            gaps += is_past
        else:
            repeats += len(lines) - 1
        limit = min([limit, *(options.last_slot(line.time) for line in lines if line.is_event)])
        above = number
    return gaps, repeats
