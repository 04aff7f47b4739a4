"""Numbered lines in, how many numbers are missing and how many came twice out."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from math import inf

from tests.oracle.lines import Line
from tests.oracle.options import Options


def gaps_and_repeats(lines: Iterable[Line], options: Options, now: float) -> tuple[int, int]:
    """
    Over all writers, when event time is *now*; infinity if no line will come any more.

    Until event time has passed its limit, a number is not missing yet, and its lines are no repeats yet. Rejected lines
    set no limit: where only such have greater numbers, a number waits until the end.
    """
    by_writer: dict[str, dict[int, list[Line]]] = {}
    for line in lines:
        if line.writer is not None and line.number is not None:
            by_writer.setdefault(line.writer, {}).setdefault(line.number, []).append(line)
    slot = options.slot_of(Fraction(now)) if now < inf else inf
    counted = [_of_writer(numbers, options, slot) for numbers in by_writer.values()]
    return sum(gaps for gaps, _ in counted), sum(repeats for _, repeats in counted)


def _of_writer(numbers: dict[int, list[Line]], options: Options, now: float) -> tuple[int, int]:
    limits: dict[int, float] = {}  # of a number: the last slot in which it comes in time
    limit = inf
    for number in sorted(numbers, reverse=True):
        limits[number] = limit
        limit = min([limit, *(options.last_slot(line.time) for line in numbers[number] if line.is_event)])
    in_time = sorted(number for number in numbers if _first(numbers[number], options) <= limits[number])
    repeats = sum(
        len(numbers[number]) - 1
        for number in in_time
        if _is_past(min(limits[number], _limit_of(numbers[number], options)), now)
    )
    gaps = 0
    for below, above in pairwise(in_time):
        # Between two that came in time, what came late has its own limit, and what nobody brought that of the next.
        known = [number for number in numbers if below < number < above]
        for lower, upper in pairwise([below, *sorted(known), above]):
            limit = min(limits[upper], _limit_of(numbers[upper], options))
            gaps += (upper - lower - 1) * _is_past(limit, now)
        gaps += sum(_is_past(limits[number], now) for number in known)
    return gaps, repeats


def _first(lines: list[Line], options: Options) -> float:
    return min(options.slot_of(line.time) if line.is_event else -inf for line in lines)


def _limit_of(lines: list[Line], options: Options) -> float:
    return min((options.last_slot(line.time) for line in lines if line.is_event), default=inf)


def _is_past(limit: float, now: float) -> bool:
    return limit < now or now == inf
