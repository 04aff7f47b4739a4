"""Quantiles are those of HdrHistogram: never below the true one, and within the stated relative error above it."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from extractor.state.exact_sum import Numbers
from extractor.state.hdr import RELATIVE_ERROR, Counts, Window, indexes_of, quantiles, rank
from extractor.state.series import Summary

HIGHEST = 2**62 / 1e9  # base units
WANTED = (0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
FINEST = 1e-7
SECONDS = st.floats(FINEST, HIGHEST, allow_nan=False)
VALUES = st.lists(st.one_of(SECONDS, st.floats(0.0005, 900)), min_size=1, max_size=200)


def counted(values: list[float], per_unit: int = 1) -> Counts:
    """All of *values* in one `Counts`."""
    counts = Counts()
    counts.add(indexes_of(values, per_unit)[0])
    return counts


def true_quantile(values: list[float], quantile: float) -> float:
    """The smallest value that the part *quantile* of all does not exceed."""
    return sorted(values)[max(1, ceil(Fraction(str(quantile)) * len(values))) - 1]


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_relative_error(values: list[float]) -> None:
    """Every quantile is at or above the true one, by at most the stated part of it."""
    found = quantiles([counted(values)], WANTED)

    assert found is not None
    for quantile, seen in zip(WANTED, found, strict=True):
        true = true_quantile(values, quantile)
        # Half a billionth is lost when a value is brought to the resolution; the rest is the comparison's own rounding.
        assert (true - 0.5e-9) * (1 - 1e-12) <= seen <= (true * (1 + RELATIVE_ERROR) + 1e-9) * (1 + 1e-12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, FINEST), min_size=1, max_size=50))
def test_absolute_error_of_tiny_values(values: list[float]) -> None:
    """Below a ten-millionth a quantile is off by at most a billionth; what is below that resolution is raised to it."""
    found = quantiles([counted(values)], WANTED)

    assert found is not None
    for quantile, seen in zip(WANTED, found, strict=True):
        assert abs(seen - true_quantile(values, quantile)) <= 1.0001e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=100))
def test_equals_hdrhistogram(numbers: list[int]) -> None:
    """With values in its own unit, every answer is the one that HdrHistogram gives (its quantile 0 is a lower edge)."""
    histogram = HdrHistogram(1, 2**62, 2)
    for number in numbers:
        histogram.record_value(int(float(number)))
    # Its rank is the product rounded to the nearest: asked for our rank, it must say what we say.
    ranks = [max(1, ceil(Fraction(str(quantile)) * len(numbers))) for quantile in WANTED[1:]]
    expected = [histogram.get_value_at_percentile(100 * rank / len(numbers)) / 1e9 for rank in ranks]

    assert expected == quantiles([counted([float(number) for number in numbers], 10**9)], WANTED[1:])


@pytest.mark.parametrize("power", range(62))
def test_powers_of_two_and_their_neighbours(power: int) -> None:
    """At the edges of HdrHistogram's buckets nothing slips into the next one."""
    histogram = HdrHistogram(1, 2**62, 2)
    for number in {2**power - 1, 2**power, 2**power + 1}:
        exact = int(float(number))
        expected = histogram.get_highest_equivalent_value(exact) / 1e9

        assert [expected] == quantiles([counted([float(exact)], 10**9)], [0.5])


@pytest.mark.parametrize(
    ("value", "clamped", "shown"),
    [(0.0, 0, 0.0), (1e-12, 1, 1e-9), (1e-9, 0, 1e-9), (1e300, 1, HIGHEST), (HIGHEST * 2, 1, HIGHEST)],
)
def test_outside_the_range_is_clamped_and_counted(value: float, clamped: int, shown: float) -> None:
    """A value outside the range is kept at its edge, and counted; 0 is in the range."""
    indexes, count = indexes_of([value])
    counts = Counts()
    counts.add(indexes)
    found = quantiles([counts], [0.5])

    assert clamped == count
    assert found is not None
    assert shown == pytest.approx(found[0], rel=RELATIVE_ERROR)


def test_clamping_leaves_the_others_alone() -> None:
    """One value outside the range changes no other."""
    inside, _ = indexes_of([0.5, 2.0, 30.0])
    all_four, clamped = indexes_of([0.5, 1e300, 2.0, 30.0])

    assert 1 == clamped
    assert inside.tolist() == np.delete(all_four, 1).tolist()


def test_fractions_are_kept() -> None:
    """0.7 ms is not 0 ms, nor 1 ms: HdrHistogram itself would drop the fraction."""
    found = quantiles([counted([0.7], 1000)], [0.5])

    assert found is not None
    assert 0.0007 == pytest.approx(found[0], rel=RELATIVE_ERROR)


@pytest.mark.parametrize("per_unit", [1, 1000, 10**6, 10**9])
def test_unit_of_the_log(per_unit: int) -> None:
    """The same time in any unit has the same quantile."""
    assert quantiles([counted([1.5])], WANTED) == quantiles([counted([1.5 * per_unit], per_unit)], WANTED)


def test_nothing_has_no_quantile() -> None:
    """Without values there is no quantile, rather than 0."""
    assert quantiles([], WANTED) is None
    assert quantiles([Counts()], WANTED) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6), st.permutations(range(6)))
def test_merge_in_any_order(parts: list[list[float]], order: list[int]) -> None:
    """Counts of parts, merged in any order, are the counts of all values."""
    merged = Counts()
    for place in order:
        if place < len(parts):
            merged.merge(counted(parts[place]))

    assert counted([value for part in parts for value in part]) == merged


def test_many_small_additions() -> None:
    """What is added a value at a time is what is added at once."""
    values = [0.001 * (7 * number % 101) for number in range(500)]
    one_by_one = Counts()
    for value in values:
        one_by_one.add(indexes_of([value])[0])

    assert counted(values) == one_by_one


TIMED = st.lists(st.tuples(st.floats(0.001, 100), st.integers(-3, 60)), max_size=60)


def window_of(pairs: list[tuple[float, int]], size: int) -> Window:
    """A window that saw *pairs* of value and slot one by one, in their order."""
    window, newest = Window(size), -(10**9)
    for value, slot in pairs:
        newest = max(newest, slot)
        window.add(indexes_of([value])[0], np.array([slot]), newest)
    return window


@settings(max_examples=150, deadline=None)
@given(TIMED, st.integers(1, 20))
def test_window_holds_the_last_slots(pairs: list[tuple[float, int]], size: int) -> None:
    """Only values in the last slots count, whatever the order in which they came."""
    assume(pairs)
    newest = max(slot for _, slot in pairs)
    expected = [value for value, slot in pairs if slot > newest - size]

    found = quantiles(window_of(pairs, size).counts(newest), [1.0])

    assert quantiles([counted(expected)], [1.0]) == found
    assert len(expected) == sum(int(part.pairs()[1].sum()) for part in window_of(pairs, size).counts(newest))


@settings(max_examples=150, deadline=None)
@given(TIMED, TIMED, st.integers(1, 20))
def test_windows_merge_in_any_order(one: list[tuple[float, int]], two: list[tuple[float, int]], size: int) -> None:
    """Two windows merged either way are the window that saw everything, in any order."""
    assume(one or two)
    newest = max(slot for _, slot in one + two)
    forth, back = window_of(one, size), window_of(two, size)
    forth.merge(window_of(two, size), newest)
    back.merge(window_of(one, size), newest)

    whole = window_of(sorted(one + two), size).slots(newest)

    assert whole == forth.slots(newest)
    assert whole == back.slots(newest)


def test_window_of_one_addition_over_many_slots() -> None:
    """Values of several slots in one addition are spread over them, and those too old are left out."""
    values = [1.0, 2.0, 3.0, 4.0]
    window = Window(3)
    window.add(indexes_of(values)[0], np.array([7, 10, 8, 10]), 10)

    assert {8: counted([3.0]), 10: counted([2.0, 4.0])} == window.slots(10)
    assert {10: counted([2.0, 4.0])} == window.slots(12)
    assert {} == window.slots(13)


def test_stated_error_is_that_of_two_digits() -> None:
    """A quantile is wrong by less than one percent, which is what the documents say."""
    assert ceil(100 * RELATIVE_ERROR) == 1


def test_a_rare_series_does_not_keep_what_was_read_with_it() -> None:
    """Of the indexes of a whole fold a series keeps its own, and not all of them alive."""
    fold, series = np.arange(1000, dtype=np.uint16), Summary(30)

    series.observe(Numbers(np.ones(2)), np.zeros(2, dtype=np.int64), 0, 1, fold[5:7])

    _, recent = series.all.unadded()
    assert [[5, 6]] == [indexes.tolist() for indexes in recent]
    assert not any(np.shares_memory(fold, indexes) for indexes in recent)


def test_few_values():
    """Of six calls of 1 ms and one of a minute, one in seven is slow: the 0.9 is a minute, and the 0.85 is 1 ms."""
    found = quantiles([counted([0.001] * 6 + [60.0])], (0.85, 0.9))

    assert found is not None
    assert [0.001, 60] == [round(each) or round(each, 3) for each in found]


@given(st.integers(1, 1000), st.integers(1, 100))
def test_the_rank_is_that_of_the_number_as_it_is_written(thousandths: int, hundreds: int):
    """0.55 of 100 is 55, though the float is a little more than that."""
    assert max(1, -(-thousandths * hundreds // 10)) == rank(thousandths / 1000, 100 * hundreds)
