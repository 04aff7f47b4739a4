"""Rows of the tables that a pack declares, and the properties it recommends for its logs."""

from dataclasses import dataclass

from extractor.schema.pointer import Pointer


@dataclass(frozen=True, slots=True)
class ReportRow:
    """
    One row of the table that `replay` prints.

    The sum of *metric* over the series that match *where* (label to the values that match); with *ratio*, that sum
    divided by the sum of all series; with *by*, one number for each value of that label. Of a summary, the quantiles.
    """

    title: str
    metric: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ratio: bool = False
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """
    One row of the table that `report` prints: one number for a window of time.

    It is computed from the series of *metric* that match *where*: the sum of a counter or gauge, the mean of a
    histogram, the *quantile* of a summary. A sum is divided by that of all series of the metrics *over*, or, if
    *hourly*, by the hours of the window. With *by*, the number is the share of each value of that label. *objective* is
    the name of the limit that applies to it.
    """

    title: str
    metric: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    over: tuple[str, ...] = ()
    by: str | None = None
    quantile: float | None = None
    hourly: bool = False
    objective: str | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """
    What a log should contain for complete metrics.

    It is the property at *pointer* in events of the types *events*, or, without a pointer, such events at all.
    """

    name: str
    events: tuple[str, ...]
    pointer: Pointer | None = None
