"""The range of numbers that events may contain, so that sums are exact."""

SMALLEST, LARGEST = 1e-18, 1e18
"""
The range of magnitudes of numbers that are added up, besides 0.

It spans 180 bits: all numbers are multiples of 2**-112 and below 2**60. A sum of 2**64 numbers therefore fits into 236
bits and a sign, and is finite as a float.
"""


def is_in_range(number: float) -> bool:
    """Return whether *number* can be added up."""
    return number == 0 or SMALLEST <= abs(number) <= LARGEST
