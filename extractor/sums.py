"""
Numbers in, their exact sum out.

Float addition is not associative, so a sum would depend on how the log was cut and merged. Every float is a fraction
with a power of two below it, and those add up exactly: a sum is an int or a `Fraction`, rounded once, when it is shown.

Knows nothing of metrics.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import fsum, inf

Exact = int | Fraction

_WIDE = 2**63


def exact_sum(values: Iterable[float]) -> Exact:
    """The exact sum of finite *values*, ints or floats."""
    numbers = list(values)
    total = sum(numbers)
    if isinstance(total, int):
        return total
    whole = 0
    if not set(map(type, numbers)) <= {float}:  # fsum would round an int that no float can hold
        whole = sum(number for number in numbers if isinstance(number, int))
        numbers = [number for number in numbers if not isinstance(number, int)]
    try:
        return whole + _partials(numbers)
    except OverflowError:  # fsum gives up where an intermediate sum passes the largest float
        return whole + sum(map(Fraction, numbers), Fraction(0))


def _partials(numbers: list[float]) -> Fraction:
    # fsum rounds the exact sum once. What it rounded away is the sum of the same numbers less its answer, so two or
    # three passes in C find floats that add up to the exact sum; a Fraction for each number costs 20 times as much.
    exact = Fraction(0)
    rest = list(numbers)
    while part := fsum(rest):
        exact += Fraction(part)
        rest.append(-part)
    return exact


def as_float(exact: Exact, per_unit: int = 1) -> float:
    """*exact* in base units, rounded once; *per_unit* of its own unit are one base unit."""
    try:
        return float(Fraction(exact, per_unit)) if per_unit != 1 else float(exact)
    except OverflowError:
        return inf if exact > 0 else -inf


def dump_exact(exact: Exact) -> int | str:
    """*exact* as a plain value: an int of 64 bits, else its digits."""
    return exact if isinstance(exact, int) and abs(exact) < _WIDE else str(exact)


def load_exact(dumped: int | str) -> Exact:
    """What `dump_exact` was given."""
    return dumped if isinstance(dumped, int) else Fraction(dumped)
