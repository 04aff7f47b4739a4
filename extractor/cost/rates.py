"""
Compute the exact cost of calls, in dollars, from numbers of tokens.

A price is a decimal number of dollars per million tokens, so the cost of a call is a whole number of a small unit. It
is computed in floats where they are exact, in integers where they are not, and rounded once, to the nearest float: a
call costs the same alone and among a million others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import chain, count
from math import inf

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MILLION = 10**6
_DAY = 86_400
_EXACT = 2**53  # below it floats hold every whole number
_EXACT_POWER = 10**22  # the largest power of ten that is a float
_MOST_TOKENS = 10**18  # events have no larger numbers; the sum of three such counts is far above the start of any tier


@dataclass(frozen=True, slots=True)
class Rate:
    """
    Dollars per million tokens of one kind.

    A tier is a number of input tokens, including cached ones, and the price of all tokens of this kind in a call that
    has more input than that. The tiers are in ascending order.
    """

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def above(self, start: int) -> Decimal:
        """Return the price for a call with just over *start* input tokens; for -1, with none."""
        return next((price for reached, price in reversed(self.tiers) if reached <= start), self.base)


@dataclass(frozen=True, slots=True)
class Tariff:
    """
    The prices of a model, and when they apply.

    Cached tokens without a price of their own are priced as input tokens. `since` is a time in seconds since the epoch,
    `daily` an interval of each day, in seconds after midnight UTC, that may contain midnight.
    """

    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_creation: Rate | None = None
    per_call: Decimal = Decimal(0)
    since: float = -inf
    daily: tuple[float, float] | None = None

    def holds(self, times: Floats) -> NDArray[np.bool_]:
        """Return whether the prices apply at each of *times* (float64, in seconds since the epoch)."""
        holds = times >= self.since
        if self.daily is not None:
            start, end = self.daily
            clock = np.mod(times, _DAY)
            holds &= ((clock >= start) | (clock < end)) if end < start else ((clock >= start) & (clock < end))
        return holds

    def rates(self) -> tuple[Rate | None, ...]:
        """Return the price of each kind: input, output, cache_read, cache_creation."""
        return self.input, self.output, self.cache_read or self.input, self.cache_creation or self.input


class ModelPrice:
    """
    The price of calls of one model; `source` describes where it is from.

    The last of *tariffs* that applies at the time of a call is used, or else the first one.
    """

    def __init__(self, source: str, tariffs: Sequence[Tariff]) -> None:
        self.source = source
        self._tariffs = tuple(tariffs)
        self._tables = [_Table(tariff) for tariff in tariffs]

    @property
    def depends_on_time(self) -> bool:
        """Whether the times passed to `cost` make a difference."""
        return len(self._tariffs) > 1

    def cost(
        self,
        input_tokens: Floats,
        output_tokens: Floats,
        cache_read: Floats,
        cache_creation: Floats,
        times: Floats | float,
    ) -> Floats:
        """
        Return the cost of each call in US dollars, as the float nearest to the exact cost; shape (n,).

        The kinds do not overlap. NaN is an absent count, and counts as 0. The cost is NaN for a call
        without any count, with one that is no whole number of tokens, and with tokens of a kind that has no price.

        Args:
            input_tokens: Numbers of input tokens, without cached ones; float64, shape (n,), as for the other kinds.
            output_tokens: Numbers of output tokens, including those of reasoning.
            cache_read: Numbers of input tokens read from the cache.
            cache_creation: Numbers of input tokens written to the cache.
            times: Times of the calls, in seconds since the epoch; shape (n,), or one for all.

        """
        counts = np.stack((input_tokens, output_tokens, cache_read, cache_creation)).astype(np.float64, copy=False)
        absent = np.isnan(counts)
        unknown = absent.all(axis=0)
        counts[absent] = 0
        # A single check suffices in the usual case that all counts are valid.
        wrong = (counts < 0) | (counts > _MOST_TOKENS) | (counts != np.floor(counts))
        if wrong.any():
            unknown |= wrong.any(axis=0)
            counts[wrong] = 0
        dollars = self._dollars(counts, times)
        dollars[unknown] = np.nan
        return dollars

    def _dollars(self, counts: Floats, times: Floats | float) -> Floats:
        if not self.depends_on_time:
            return self._tables[0].dollars(counts)
        size = counts.shape[1]
        times = np.broadcast_to(np.asarray(times, np.float64), size)
        chosen = np.zeros(size, np.intp)
        for index, tariff in enumerate(self._tariffs):
            chosen[tariff.holds(times)] = index
        dollars = np.empty(size)
        for index in np.unique(chosen).tolist():
            rows = np.flatnonzero(chosen == index)
            dollars[rows] = self._tables[index].dollars(counts[:, rows])
        return dollars


class _Table:
    """The prices of one tariff as whole numbers of a unit: a row for each level of input, a column for each kind."""

    def __init__(self, tariff: Tariff) -> None:
        rates = tariff.rates()
        self._unpriced = [kind for kind, rate in enumerate(rates) if rate is None]
        starts = sorted({start for rate in rates if rate for start, _ in rate.tiers})
        levels = [[rate.above(start) if rate else Decimal(0) for rate in rates] for start in (-1, *starts)]
        digits = max(_digits(price) for price in (tariff.per_call, *chain.from_iterable(levels)))
        self._starts = np.array(starts, np.float64)
        self._units = [[_units(price, digits) for price in level] for level in levels]
        self._call = _units(tariff.per_call * _MILLION, digits)
        self._per_dollar = _MILLION * 10**digits
        self._prices = np.array(self._units, np.float64)
        self._limit = _EXACT if self._per_dollar <= _EXACT_POWER else 0

    def dollars(self, counts: Floats) -> Floats:
        """Return the cost of calls with *counts*, which has a row for each kind, in dollars."""
        levels: NDArray[np.intp] | None = None
        if len(self._starts):
            levels = np.searchsorted(self._starts, counts[0] + counts[2] + counts[3], side="left")
        units = np.full(counts.shape[1], float(self._call))
        for kind, tokens in enumerate(counts):
            units += tokens * (self._prices[0, kind] if levels is None else self._prices[levels, kind])
        dollars = units / float(self._per_dollar)
        # Nothing is negative, so values below the limit were never rounded on the way.
        for row in np.flatnonzero(units >= self._limit).tolist():
            prices = self._units[0 if levels is None else levels[row]]
            exact = sum(price * int(tokens) for price, tokens in zip(prices, counts[:, row].tolist(), strict=True))
            dollars[row] = (exact + self._call) / self._per_dollar
        for kind in self._unpriced:
            dollars[counts[kind] > 0] = np.nan
        return dollars


def _digits(price: Decimal) -> int:
    """Return the number of decimals, without trailing zeros."""
    part = Fraction(price).denominator
    return next(digits for digits in count() if 10**digits % part == 0)


def _units(price: Decimal, digits: int) -> int:
    return int(Fraction(price) * 10**digits)
