"""
Values in, quantiles out, as HdrHistogram with two significant digits shows them.

Its layout is published: values are whole numbers; up to 255 each is counted by itself; from there on, with every
doubling, twice as many are counted together, so that always 128 counts cover the upper half of what was reached.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, nan

LOWEST = Fraction(1, 10**9)
"""What the whole numbers count, in base units."""

HIGHEST = 2**62
"""Greater values are counted at this edge."""


def whole(value: Fraction) -> int:
    """A value in base units as the whole number that is recorded."""
    return min(ceil(value / LOWEST), HIGHEST)


def highest_alike(recorded: int) -> int:
    """The highest number that is counted together with *recorded*."""
    width = 1 << max(0, recorded.bit_length() - 8)
    return recorded // width * width + width - 1


def quantile(values: Iterable[Fraction], q: Fraction) -> float:
    """The value at rank ⌈q·n⌉, and at least 1; NaN if there are no values."""
    ascending = sorted(values)
    if not ascending:
        return nan
    rank = max(1, ceil(q * len(ascending)))
    return float(highest_alike(whole(ascending[rank - 1])) * LOWEST)
