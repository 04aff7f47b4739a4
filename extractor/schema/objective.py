"""
All objectives: the signal, its unit, the direction of the limit, and the default limit.

The `signals` of a pack refer to them, so they are declared below the reader of objective files.
"""

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """The base unit of a limit."""

    SECONDS = "seconds"
    RATIO = "ratio"
    USD = "usd"
    TOKENS = "tokens"


class Direction(StrEnum):
    """The good side of the limit, which includes the limit itself."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


class Scope(StrEnum):
    """What a limit applies to; only limits for agents can be set for a single agent."""

    AGENT = "each agent"
    TOOL = "each tool"
    ALL = "all agents together"
    EXTRACTOR = "each extractor"


@dataclass(frozen=True, slots=True)
class Objective:
    """
    One limit on one signal.

    `name` is its key in the file, `signal` a description of the measured value. `limit` is in the base unit: seconds,
    dollars, tokens, or a ratio from 0 to 1. `agent` is the agent it applies to, or None for all.
    """

    name: str
    signal: str
    unit: Unit
    direction: Direction
    scope: Scope
    limit: float
    agent: str | None = None

    def holds(self, value: float) -> bool:
        """Return whether *value*, in the base unit, meets the limit; NaN, for no measurement, does."""
        return not (value > self.limit if self.direction is Direction.AT_MOST else value < self.limit)

    def limit_text(self) -> str:
        """Return the limit as written in the file, such as 2s, 5%, $0.50 or 50k."""
        return limit_text(self.limit, self.unit)


_MOST, _LEAST = Direction.AT_MOST, Direction.AT_LEAST

DEFAULTS = (
    Objective("success_rate", "share of runs that end with status ok", Unit.RATIO, _LEAST, Scope.AGENT, 0.95),
    Objective("latency_p95", "run duration, 95th percentile", Unit.SECONDS, _MOST, Scope.AGENT, 60.0),
    Objective("llm_latency_p95", "LLM call duration, 95th percentile", Unit.SECONDS, _MOST, Scope.AGENT, 30.0),
    Objective("tool_latency_p95", "tool call duration, 95th percentile", Unit.SECONDS, _MOST, Scope.TOOL, 10.0),
    Objective("tool_error_rate", "share of tool calls that fail or time out", Unit.RATIO, _MOST, Scope.AGENT, 0.05),
    Objective("llm_error_rate", "share of LLM calls that fail or time out", Unit.RATIO, _MOST, Scope.AGENT, 0.05),
    Objective("loop_rate", "loops detected per run started", Unit.RATIO, _MOST, Scope.AGENT, 0.05),
    Objective("abandoned_rate", "share of runs that begin and never end", Unit.RATIO, _MOST, Scope.AGENT, 0.02),
    Objective("cost_per_run", "mean cost of a run", Unit.USD, _MOST, Scope.AGENT, 0.5),
    Objective("tokens_per_run", "mean tokens of a run", Unit.TOKENS, _MOST, Scope.AGENT, 50_000.0),
    Objective("cost_per_hour", "cost of an hour", Unit.USD, _MOST, Scope.ALL, 10.0),
    Objective("tokens_per_hour", "tokens of an hour", Unit.TOKENS, _MOST, Scope.ALL, 5_000_000.0),
    Objective("reject_rate", "share of log lines that are rejected", Unit.RATIO, _MOST, Scope.EXTRACTOR, 0.01),
)
"""All objectives with their default limits, in order of display."""


def limit_text(value: float, unit: Unit) -> str:
    """Return *value* as written in the file."""
    match unit:
        case Unit.RATIO:
            return f"{value * 100:.6g}%"
        case Unit.USD:
            return f"${value:,.2f}" if value >= 0.01 or not value else f"${value:.6g}"
        case Unit.TOKENS:
            thousand, million = 1000, 1_000_000
            if value >= million:
                return f"{value / million:.6g}M"
            return f"{value / thousand:.6g}k" if value >= thousand else f"{value:.6g}"
        case Unit.SECONDS:
            return f"{value:.6g}s" if value >= 1 or not value else f"{value * 1000:.6g}ms"
