"""The options of the extractor that change what is counted, with their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil

SECOND = 1_000_000
"""Microseconds; all times are whole numbers of them."""


@dataclass(frozen=True)
class Options:
    """Lengths are in seconds."""

    quantile_window: Fraction = Fraction(300)
    run_timeout: Fraction = Fraction(3600)
    run_linger: Fraction = Fraction(5)
    max_clock_skew: Fraction = Fraction(300)
    max_line_bytes: int = 1024 * 1024
    prices: Mapping[str, Mapping] = field(default_factory=dict)
    """The table `models` of a price file, numbers as Decimal."""

    @property
    def slot(self) -> Fraction:
        """The length of a slot in microseconds."""
        return self.quantile_window * SECOND / 30

    def of_report(self, window: int) -> "Options":
        """The same with the slots of a report: a whole fraction of a thirtieth of its *window*, at most 10 s."""
        return replace(self, quantile_window=Fraction(window, ceil(Fraction(window, 300))))

    @property
    def part(self) -> Fraction:
        """The length of one of the parts into which the time-out is cut, in microseconds."""
        return self.run_timeout * SECOND / 20

    @property
    def grace(self) -> Fraction:
        """The linger and a slot, in microseconds."""
        return self.run_linger * SECOND + self.slot

    def slot_of(self, time: Fraction | int) -> int:
        """The slot in which *time* lies."""
        return time // self.slot

    def begin(self, time: Fraction | int) -> Fraction:
        """The begin of the slot in which *time* lies."""
        return self.slot_of(time) * self.slot

    def last_slot(self, time: Fraction | int) -> int:
        """The last slot that still counts for what is at *time*: with the defaults, its own and the next."""
        return self.slot_of(self.begin(time) + self.grace)
