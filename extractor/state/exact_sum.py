"""
Sum floats exactly.

Float addition is not associative, so a float sum would depend on how the log was cut and merged. Every float is a
fraction whose denominator is a power of two, and such fractions add up exactly. A sum is an int or a `Fraction`,
rounded once, when it is exposed.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import fsum, inf, isfinite

import numpy as np
from numpy.typing import NDArray

from extractor.events.number_range import SMALLEST

Exact = int | Fraction
Floats = NDArray[np.float64]

_WIDE = 2**63
_HIGHEST = sys.float_info.max
_POWERS = 1000  # of 2; these powers are floats


class TinyError(ValueError):
    """A nonzero number is smaller than `SMALLEST`."""


def refuse_tiny(values: Floats) -> None:
    """Raise `TinyError` if any of *values* is nonzero and smaller than `SMALLEST`; NaN means no number."""
    sizes = np.abs(values)
    if ((sizes < SMALLEST) & (sizes > 0)).any():
        raise TinyError


def exact_sums(values: Floats, groups: NDArray[np.int64], size: int) -> list[Exact]:
    """Return the exact sum of the finite *values* of each of *size* groups; *groups* holds the group of each value."""
    sums, unit = [0] * size, 0
    for weights, at in _cuts(values, groups, size):
        finer = max(unit - at, 0)
        if finer:
            sums, unit = [number << finer for number in sums], at
        for group in np.flatnonzero(weights).tolist():
            sums[group] += int(weights[group]) << (at - unit)
    if unit >= 0:
        return [number << unit for number in sums]
    scale = 1 << -unit
    return [Fraction(number, scale) if number else 0 for number in sums]


def rounded_sums(values: Floats, groups: NDArray[np.int64], size: int) -> list[float]:
    """Return the same sums, each rounded once to a finite number, and clamped to the largest float."""
    with np.errstate(over="ignore"):
        parts = [_scaled(weights, at) for weights, at in _cuts(values, groups, size)]
    if not parts:
        return [0.0] * size
    # Usually all values are integers; the others leave a sum of a few floats, which fsum rounds once.
    sums: list[float] = (parts[0] + 0.0).tolist()
    try:
        for group in np.flatnonzero(np.any(parts[1:], axis=0)).tolist() if parts[1:] else ():
            sums[group] = fsum([float(part[group]) for part in parts])
    except (OverflowError, ValueError):  # in an intermediate sum, or for a result beyond the float range
        sums = [inf]
    if not all(map(isfinite, sums)):
        exact = map(as_float, exact_sums(values, groups, size))
        sums = list(exact)
    return sums


def _cuts(values: Floats, groups: NDArray[np.int64], size: int) -> Iterator[tuple[Floats, int]]:
    """
    Yield sums by group that are exact as floats, with the power of 2 that scales them; together they are all sums.

    The values are cut, from their leading bits down, into integers short enough for exact sums. After a few cuts
    nothing is left of a value, which has 53 bits.
    """
    bits = 52 - len(values).bit_length()
    # Zeros and integers, the common case, need one cut; other values need three or so.
    at = 0 if _are_small(values, bits) else None
    while len(values):
        at = int(np.frexp(np.abs(values).max())[1]) - bits if at is None else at
        cut = np.trunc(_scaled(values, -at))
        yield np.asarray(np.bincount(groups, weights=cut, minlength=size), dtype=np.float64), at
        rest = values - _scaled(cut, at)
        left = np.flatnonzero(rest)
        values, groups, at = rest[left], groups[left], None


def _scaled(values: Floats, power: int) -> Floats:
    """Return *values* times 2 to the *power*."""
    if abs(power) < _POWERS:
        return values * 2.0**power  # as exact as ldexp, without a C call per value
    return np.asarray(np.ldexp(values, power), dtype=np.float64)


def _are_small(values: Floats, bits: int) -> bool:
    return len(values) > 0 and float(np.abs(values).max()) < 1 << bits


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Finite float64 numbers and their exact sum."""

    array: Floats
    total: Exact = 0

    def __len__(self) -> int:
        return len(self.array)


def as_exact(number: float) -> Exact:
    """Return *number* exactly."""
    return int(number) if number == int(number) else Fraction(number)


def as_float(exact: Exact, per_unit: int = 1) -> float:
    """Return *exact* in base units, rounded once; *per_unit* of its own unit are one base unit."""
    try:
        return exact.numerator / (exact.denominator * per_unit)  # int division is exact, and rounds once
    except OverflowError:  # older versions accepted numbers without limits
        return _HIGHEST if exact > 0 else -_HIGHEST


def dump_exact(exact: Exact) -> int | str:
    """Return *exact* as a plain value: an int of 64 bits, or else its digits."""
    whole = int(exact)
    return whole if exact == whole and abs(whole) < _WIDE else str(exact)


def load_exact(dumped: int | str) -> Exact:
    """Return the number that `dump_exact` was given."""
    return dumped if isinstance(dumped, int) else Fraction(dumped)
