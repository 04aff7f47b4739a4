"""
What a panel is, and the forms that its queries take.

Knows nothing of which panels there are, or of Grafana's JSON.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a panel draws."""

    NUMBER = "number"
    LINES = "lines"
    STACK = "stack"
    SHARES = "shares"
    STATES = "states"


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and what its series are called; *exemplars* shows single runs on top."""

    expr: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: *unit* is Grafana's name of it, *objective* the one whose limit is drawn."""

    title: str
    kind: Kind
    unit: str
    queries: tuple[Query, ...]
    objective: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A layer of the dashboard; each of its panels is *width* of the 24 columns wide."""

    title: str
    width: int
    panels: tuple[Panel, ...]


def number(title: str, unit: str, expr: str, objective: str | None = None) -> Panel:
    """One number over the time shown."""
    return Panel(title, Kind.NUMBER, unit, (Query(expr, ""),), objective)


def lines(title: str, unit: str, expr: str, legend: str, objective: str | None = None) -> Panel:
    """A line for each series."""
    return Panel(title, Kind.LINES, unit, (Query(expr, legend),), objective)


def rates(title: str, metric: str, by: str, where: str, unit: str = "opm") -> Panel:
    """How much came in a minute, by a label, on top of each other."""
    return Panel(title, Kind.STACK, unit, (Query(per_minute(metric, by, where), legend(by)),))


def shares(title: str, metric: str, by: str, where: str) -> Panel:
    """What came, by a label, as parts of the whole."""
    return Panel(title, Kind.SHARES, "opm", (Query(per_minute(metric, by, where), legend(by)),))


def per_minute(metric: str, by: str, where: str) -> str:
    """How much a counter rises in a minute, by a label."""
    selected = f"{metric}{{{where}}}" if where else metric
    return f"sum by ({by}) (rate({selected}[$__rate_interval])) * 60"


def share(part: str, whole: str, by: str = "", window: str = "$__rate_interval") -> str:
    """The part of the rate of *whole* that the rate of *part* is, by a label."""
    level = f" by ({by}) " if by else ""
    return f"sum{level}(rate({part}[{window}])) / sum{level}(rate({whole}[{window}]))"


def quantile(q: float, metric: str, where: str, by: str = "", window: str = "$__rate_interval") -> str:
    """A quantile of a histogram, by a label."""
    level = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, sum by ({level}) (rate({metric}_bucket{{{where}}}[{window}])))"


def quantiles(title: str, unit: str, metric: str, where: str, objective: str | None = None) -> Panel:
    """The median and the tail of a histogram, with exemplars."""
    queries = tuple(Query(quantile(q, metric, where), f"p{q * 100:.0f}", exemplars=True) for q in (0.5, 0.95, 0.99))
    return Panel(title, Kind.LINES, unit, queries, objective)


def p95(title: str, metric: str, where: str, by: str, objective: str | None = None) -> Panel:
    """The 95th percentile of a duration, a line for each value of a label, with exemplars."""
    queries = (Query(quantile(0.95, metric, where, by), legend(by), exemplars=True),)
    return Panel(title, Kind.LINES, "s", queries, objective)


def legend(by: str) -> str:
    """Series called by the values of their labels."""
    return " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
