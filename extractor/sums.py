"""
Numbers in, their exact sum out.

Float addition is not associative, so a sum would depend on how the log was cut and merged. Every float is a fraction
with a power of two below it, and those add up exactly: a sum is an int or a `Fraction`, rounded once, when it is shown.

Knows nothing of metrics.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import fsum, inf

import numpy as np
from numpy.typing import NDArray

Exact = int | Fraction

_WIDE = 2**63


def exact_sum(values: Sequence[float]) -> Exact:
    """The exact sum of finite *values*, ints or floats."""
    if not values:
        return 0
    total: object = None if isinstance(values[0], float) else sum(values)
    if isinstance(total, int):
        return total
    return Numbers(values).total


class Numbers:
    """Finite numbers, ints or floats, and what is computed from them once however many series they go to."""

    __slots__ = ("_total", "array", "values")

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values
        self.array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
        self._total: Exact | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def total(self) -> Exact:
        """Their exact sum."""
        if self._total is None:
            self._total = self._sum()
        return self._total

    def _sum(self) -> Exact:
        sizes = np.abs(self.array)
        largest = float(sizes.max(initial=0.0))
        if largest == 0:
            return 0
        if largest >= 2**53:  # it may be an int that no float can hold; and fsum gives up on the largest floats
            return sum(map(Fraction, self.values), Fraction(0))
        # fsum rounds the exact sum once. What it rounded away is the sum of the same numbers less its answer: a
        # multiple of the smallest unit in the last place among them, and when it is less than 2**53 of those, a float.
        # So two passes in C, about 40 ns a number, give the exact sum; a Fraction for each number takes 20 times as
        # long.
        unit = float(np.spacing(sizes[sizes > 0].min()))
        part = fsum(self.values)
        rest = fsum([*self.values, -part])
        if abs(rest) < 2**53 * unit:
            return Fraction(part) + Fraction(rest)
        return sum(map(Fraction, self.values), Fraction(0))


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
