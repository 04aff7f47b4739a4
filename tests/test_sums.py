"""A sum is exact: it does not depend on the order, or on how the numbers were spread."""

import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extractor.events.number_range import LARGEST, SMALLEST
from extractor.state.exact_sum import Exact, as_float, dump_exact, exact_sums, load_exact, rounded_sums

MOST = sys.float_info.max
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ORDINARY = st.floats(0, 1e6) | st.integers(0, 10**6).map(float) | st.integers(0, 10**9).map(lambda ms: ms / 1000)
NUMBERS = st.lists(st.one_of(FLOATS, ORDINARY, st.integers(-(2**53), 2**53).map(float)), max_size=40)


def sums(numbers: Sequence[float], groups: Sequence[int], size: int) -> list[Exact]:
    """The sums of the groups."""
    return exact_sums(np.array(numbers, dtype=np.float64), np.array(groups, dtype=np.int64), size)


def total(numbers: Sequence[float]) -> Exact:
    """The sum of one group."""
    return sums(numbers, [0] * len(numbers), 1)[0]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.one_of(FLOATS, ORDINARY), st.integers(0, 3)), max_size=40))
def test_sums_are_exact(numbers: list[tuple[float, int]]) -> None:
    """The sum of each group is that of the fractions its numbers stand for."""
    expected = [sum((Fraction(number) for number, of in numbers if of == group), Fraction(0)) for group in range(4)]
    assert expected == sums([number for number, _ in numbers], [group for _, group in numbers], 4)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.one_of(FLOATS, ORDINARY), st.integers(0, 3)), max_size=40))
@example([(sys.float_info.max, 0), (2.0**970, 0)])
@example([(sys.float_info.max, 0), (sys.float_info.max, 0), (-sys.float_info.max, 1), (-1e300, 1)])
def test_rounded_sums_are_the_exact_ones_rounded_once(numbers: list[tuple[float, int]]) -> None:
    """However large or small the numbers are, and whatever they add up to: what no float can hold is the largest."""
    values, groups = [number for number, _ in numbers], [group for _, group in numbers]

    found = rounded_sums(np.array(values, dtype=np.float64), np.array(groups, dtype=np.int64), 4)

    assert [as_float(number) for number in sums(values, groups, 4)] == found


@settings(max_examples=200, deadline=None)
@given(NUMBERS, st.lists(st.integers(0, 40), max_size=5), st.randoms(use_true_random=False))
def test_any_order_and_grouping_gives_the_same_sum(numbers: list[float], places: list[int], random: object) -> None:
    """Sums of parts, shuffled, add up to the sum of the whole."""
    shuffled = list(numbers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    edges = [0, *sorted(min(place, len(numbers)) for place in places), len(numbers)]

    parts = [total(shuffled[begin:end]) for begin, end in pairwise(edges)]
    random.shuffle(parts)  # type: ignore[attr-defined]

    assert total(numbers) == sum(parts)


@given(st.lists(st.integers(0, 2**45), max_size=20))
def test_integers_stay_integers(numbers: list[int]) -> None:
    """Integers add up as integers: counters of tokens cost no fractions."""
    assert (int, sum(numbers)) == (type(total(numbers)), total(numbers))


@pytest.mark.parametrize(
    "numbers",
    [[1.7e308, 1.7e308], [1.7e308, 1.7e308, -1.7e308], [-1.7e308] * 3, [1e308] * 100 + [-1e308] * 100 + [0.1]],
)
def test_sum_beyond_the_largest_float(numbers: list[float]) -> None:
    """Where a float sum would overflow, on the way or at the end, the exact one does not."""
    assert sum(map(Fraction, numbers)) == total(numbers)


def test_sum_of_many() -> None:
    """Many numbers with all their bits set add up exactly."""
    assert 300_001 * Fraction(1 - 2**-53) == total([1 - 2**-53] * 300_001)


def test_empty_sum_is_0() -> None:
    """No numbers add up to the integer 0."""
    assert 0 == total([])


@given(st.one_of(st.integers(), st.fractions()))
def test_dump(exact: Exact) -> None:
    """What was dumped loads as it was, and equal sums are dumped alike, whatever type they came as."""
    assert exact == load_exact(dump_exact(exact))
    assert dump_exact(exact) == dump_exact(Fraction(exact))


def test_shown_once_rounded() -> None:
    """A sum is rounded when it is shown, once: ten tenths of a cent are one cent."""
    assert 0.01 == as_float(total([1] * 10), 1000)
    assert 1.0 == as_float(total([0.1] * 10))


def test_sum_in_base_units() -> None:
    """Milliseconds are divided exactly before they are rounded: a third of a second is the nearest float."""
    assert 1 / 3 == as_float(Fraction(1000, 3), 1000)
    assert 0.25 == as_float(250, 1000)


@pytest.mark.parametrize(("exact", "shown"), [(10**400, MOST), (-(10**400), -MOST), (Fraction(10**400, 3), MOST)])
def test_too_large_to_show_is_the_largest(exact: int | Fraction, shown: float) -> None:
    """A sum that no float can hold, of numbers from before there were limits, is the largest float and no error."""
    assert shown == as_float(exact)
    assert shown == as_float(exact, 1000)


@settings(max_examples=300, deadline=None)
@given(st.floats(SMALLEST, LARGEST))
@example(SMALLEST)
@example(LARGEST)
def test_a_sum_of_accepted_numbers_fits(number: float) -> None:
    """2**64 of any number that is accepted fit into an integer of 256 bits with its sign, in units of 2**-112."""
    units = Fraction(number) * 2**112

    assert 1 == units.denominator
    assert units.numerator * 2**64 < 2**255
