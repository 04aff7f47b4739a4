"""
HDR counts in, percentile curves out: the value at each percentile, in finer steps towards the maximum.

The steps are those of the usual HdrHistogram plots: as many from 90 % to 99 % as from 99 % to 99.9 %.
"""

from math import log10
from typing import NamedTuple

from extractor.state.hdr import Pile

_STEPS = 10  # of a curve from one number of nines to the next
NINES = 5
"""What is shown goes up to so many nines: 99.999 %."""

_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)


class Curve(NamedTuple):
    """
    One line of a plot, and its numbers.

    It is of so many *values*. *points* are pairs of nines, -log10(1 - quantile), and the value there; they end where
    there is but one worse value. *quantiles* are the values at 0.5, 0.9, 0.99, 0.999 and 1.
    """

    name: str
    values: int
    points: tuple[tuple[float, float], ...]
    quantiles: tuple[float, ...]


def curve(name: str, pile: Pile) -> Curve | None:
    """The curve of all values in *pile*; None if there are none."""
    count = pile.count()
    if not count:
        return None
    last = min(log10(count), NINES)
    nines = [step / _STEPS for step in range(int(last * _STEPS) + 1)]
    if nines[-1] < last:
        nines.append(last)
    found = pile.quantiles([*(1 - 10**-each for each in nines), *_QUANTILES])
    assert found is not None
    return Curve(name, count, tuple(zip(nines, found, strict=False)), tuple(found[len(nines) :]))


def curves(piles: dict[str, Pile], most: int) -> list[Curve]:
    """A curve for each of *piles*, those with the most values first; of more than *most*, the rest are left out."""
    found = [made for name, pile in piles.items() if name and (made := curve(name, pile)) is not None]
    return sorted(found, key=lambda each: (-each.values, each.name))[:most]
