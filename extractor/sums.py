"""
Numbers in, their exact sum out.

Float addition is not associative, so a sum would depend on how the log was cut and merged. Every float is a fraction
with a power of two below it, and those add up exactly: a sum is an int or a `Fraction`, rounded once, when it is shown.

Knows nothing of metrics.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import inf

import numpy as np
from numpy.typing import NDArray

Exact = int | Fraction
Floats = NDArray[np.float64]

_WIDE = 2**63


def exact_sums(values: Floats, groups: NDArray[np.int64], size: int) -> list[Exact]:
    """
    The exact sum of the finite *values* of each group, of which there are *size*; *groups* has the group of each value.

    The values are cut, from their leading bits down, into integers so short that the sums of all of them are exact as
    floats. What is left of a value after some cuts is 0: it has 53 bits.
    """
    sums: list[Exact] = [0] * size
    # Zeros and integers, the common case, need one cut; other values need three or so.
    bits = 52 - len(values).bit_length()
    unit = 0 if _are_small(values, bits) else None
    while len(values):
        unit = int(np.frexp(np.abs(values).max())[1]) - bits if unit is None else unit
        cut = np.trunc(np.ldexp(values, -unit))
        weights = np.bincount(groups, weights=cut, minlength=size)
        scale = Fraction(2) ** unit if unit < 0 else 1 << unit
        for group in np.flatnonzero(weights).tolist():
            sums[group] += int(weights[group]) * scale
        rest = values - np.ldexp(cut, unit)
        left = np.flatnonzero(rest)
        values, groups, unit = rest[left], groups[left], None
    return sums


def _are_small(values: Floats, bits: int) -> bool:
    return len(values) > 0 and float(np.abs(values).max()) < 1 << bits


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Finite numbers and their exact sum."""

    array: Floats
    total: Exact = 0

    def __len__(self) -> int:
        return len(self.array)


def as_float(exact: Exact, per_unit: int = 1) -> float:
    """*exact* in base units, rounded once; *per_unit* of its own unit are one base unit."""
    try:
        return exact.numerator / (exact.denominator * per_unit)  # integers are divided exactly, and rounded once
    except OverflowError:
        return inf if exact > 0 else -inf


def dump_exact(exact: Exact) -> int | str:
    """*exact* as a plain value: an int of 64 bits, else its digits."""
    whole = int(exact)
    return whole if exact == whole and abs(whole) < _WIDE else str(exact)


def load_exact(dumped: int | str) -> Exact:
    """What `dump_exact` was given."""
    return dumped if isinstance(dumped, int) else Fraction(dumped)
