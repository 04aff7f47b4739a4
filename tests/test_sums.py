"""A sum is exact: it does not depend on the order, or on how the numbers were spread."""

from fractions import Fraction
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.sums import as_float, exact_sum

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.lists(st.one_of(FLOATS, st.integers(-(2**63), 2**64)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(NUMBERS)
def test_sum_is_exact(numbers: list[float]) -> None:
    """The sum is that of the fractions the numbers stand for."""
    assert sum(map(Fraction, numbers), Fraction(0)) == exact_sum(numbers)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, st.lists(st.integers(0, 40), max_size=5), st.randoms(use_true_random=False))
def test_any_order_and_grouping_gives_the_same_sum(numbers: list[float], places: list[int], random: object) -> None:
    """Sums of parts, shuffled, add up to the sum of the whole."""
    shuffled = list(numbers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    edges = [0, *sorted(min(place, len(numbers)) for place in places), len(numbers)]

    parts = [exact_sum(shuffled[begin:end]) for begin, end in pairwise(edges)]
    random.shuffle(parts)  # type: ignore[attr-defined]

    assert exact_sum(numbers) == sum(parts)


@given(st.lists(st.integers(), max_size=20))
def test_integers_stay_integers(numbers: list[int]) -> None:
    """Integers, however large, add up as integers: counters of tokens cost no fractions."""
    total = exact_sum(numbers)

    assert (int, sum(numbers)) == (type(total), total)


@pytest.mark.parametrize(
    "numbers",
    [[1.7e308, 1.7e308], [1.7e308, 1.7e308, -1.7e308], [-1.7e308] * 3, [1e308] * 100 + [-1e308] * 100 + [0.1]],
)
def test_sum_beyond_the_largest_float(numbers: list[float]) -> None:
    """Where a float sum would overflow, on the way or at the end, the exact one does not."""
    assert sum(map(Fraction, numbers)) == exact_sum(numbers)


def test_empty_sum_is_0() -> None:
    """No numbers add up to the integer 0."""
    assert 0 == exact_sum([])


def test_shown_once_rounded() -> None:
    """A sum is rounded when it is shown, once: ten tenths of a cent are one cent."""
    assert 0.01 == as_float(exact_sum([1] * 10), 1000)
    assert 1.0 == as_float(exact_sum([0.1] * 10))


def test_sum_in_base_units() -> None:
    """Milliseconds are divided exactly before they are rounded: a third of a second is the nearest float."""
    assert 1 / 3 == as_float(Fraction(1000, 3), 1000)
    assert 0.25 == as_float(250, 1000)


@pytest.mark.parametrize(("exact", "shown"), [(10**400, inf), (-(10**400), -inf), (Fraction(10**400, 3), inf)])
def test_too_large_to_show_is_infinite(exact: int | Fraction, shown: float) -> None:
    """A sum that no float can hold is shown as infinity, not as an error."""
    assert shown == as_float(exact)
    assert shown == as_float(exact, 1000)
