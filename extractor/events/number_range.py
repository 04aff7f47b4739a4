"""A number in, whether an event may carry it out: what is added up exactly has to fit."""

SMALLEST, LARGEST = 1e-18, 1e18
"""
The magnitudes of numbers that are added up, besides 0.

Between them lie 180 bits: all of them are multiples of 2**-112 and below 2**60. So a sum of 2**64 numbers fits into 236
bits and a sign, and as a float it is finite.
"""


def is_in_range(number: float) -> bool:
    """Whether *number* can be added up."""
    return number == 0 or SMALLEST <= abs(number) <= LARGEST
