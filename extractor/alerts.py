"""
Objectives in, the alert rules on agents out.

Two kinds: a signal is beyond its objective, or it is not what it was an hour or a day ago. An alert on a share wants at
least three failures, so that the one run of a quiet night that failed wakes nobody. What an alert means and what to do
is in docs/alerts.md, under its name.

Knows nothing of YAML.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from extractor import recordings as r
from extractor.objectives import Objectives
from extractor.promql import beyond, grew, number, said, selected

_HOUR = 3600
_PERCENT = "{{ $value | humanizePercentage }}"
_SECONDS = "{{ $value | humanizeDuration }}"
_DOLLARS = '${{ $value | printf "%.2f" }}'
_NUMBER = "{{ $value | humanize }}"
_AGENT = "{{ $labels.agent }}"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule: it fires when *expr* has given something for as long as *hold*."""

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str


def alerts(objectives: Objectives) -> dict[str, tuple[Alert, ...]]:
    """Every alert on agents, by its group. One name may have several rules, one for each limit."""
    return {
        "agent-runs": (*_runs(objectives), *_stuck(objectives)),
        "agent-calls": (*_llm(objectives), *_tools(objectives), *_guards(objectives)),
        "agent-cost": (*_cost(objectives), *_burn(objectives)),
    }


def _runs(objectives: Objectives) -> Iterator[Alert]:
    failed = 'sum by (agent) (increase(agent_runs_total{status!="ok"}[1h])) > 2.5'
    for objective, broken in beyond(r.OK, "success_rate", objectives):
        yield Alert(
            "AgentSuccessRateLow", f"{broken}\nand\n{failed}", "5m", "critical",
            f"Too few runs of {_AGENT} succeed",
            f"{_PERCENT} of its runs of the last hour ended with status ok; {said(objective)}.",
        )  # fmt: skip
    yield Alert(
        "AgentSuccessRateDropped", grew(r.OK, "1h", "1d", fell=True), "10m", "warning",
        f"Fewer runs of {_AGENT} succeed than before",
        "The share of its runs that ended with status ok "
        f"is down by {_PERCENT} of all runs, against the hour before or the same hour of yesterday.",
    )  # fmt: skip
    yield Alert(
        "AgentStopReasonsShifted", grew(r.STOPS, "1h", "1d", '{stop_reason!="completed"}'), "10m", "warning",
        f"Runs of {_AGENT} stop for another reason than before",
        f"The share of its runs that stop because of {{{{ $labels.stop_reason }}}} is up by {_PERCENT} of all runs, "
        "against the hour before or the same hour of yesterday.",
    )  # fmt: skip
    for objective, broken in beyond(r.RUN_P95, "latency_p95", objectives):
        yield Alert(
            "AgentRunLatencyHigh", broken, "10m", "warning",
            f"Runs of {_AGENT} take too long",
            f"5% of its runs of the last 30 minutes took longer than {_SECONDS}; {said(objective)}.",
        )  # fmt: skip


def _stuck(objectives: Objectives) -> Iterator[Alert]:
    signs = ("agent_llm_calls_total", "agent_tool_calls_total", "agent_steps_total", "agent_runs_started_total")
    silent = "\n  or ".join(f"sum by (agent) (increase({sign}[15m])) > 0" for sign in signs)
    yield Alert(
        "AgentRunsStuck", f"sum by (agent) (agent_runs_in_progress) > 0\nunless on (agent) (\n  {silent}\n)",
        "5m", "warning",
        f"Runs of {_AGENT} are stuck",
        f"{_NUMBER} of its runs are open, and for 15 minutes none of them has logged a call or a step.",
    )  # fmt: skip
    for objective, broken in beyond(r.ABANDONED, "abandoned_rate", objectives):
        yield Alert(
            "AgentRunsAbandoned", broken, "5m", "warning",
            f"Runs of {_AGENT} begin and never end",
            f"{_PERCENT} of its runs that ended in the last hour were given up; {said(objective)}.",
        )  # fmt: skip


def _llm(objectives: Objectives) -> Iterator[Alert]:
    for objective, broken in beyond(r.LLM_P95, "llm_latency_p95", objectives):
        yield Alert(
            "AgentLlmLatencyHigh", broken, "10m", "warning",
            f"LLM calls of {_AGENT} take too long",
            f"5% of its LLM calls of the last 30 minutes took longer than {_SECONDS}; {said(objective)}.",
        )  # fmt: skip
    failed = 'sum by (agent) (increase(agent_llm_calls_total{status=~"error|timeout"}[30m])) > 2.5'
    for objective, broken in beyond(r.LLM_FAILED, "llm_error_rate", objectives):
        yield Alert(
            "AgentLlmErrorRateHigh", f"{broken}\nand\n{failed}", "5m", "critical",
            f"LLM calls of {_AGENT} fail",
            f"{_PERCENT} of its LLM calls of the last 30 minutes failed or timed out; {said(objective)}.",
        )  # fmt: skip


def _tools(objectives: Objectives) -> Iterator[Alert]:
    tool = "{{ $labels.tool }}"
    for objective, broken in beyond(r.TOOL_P95, "tool_latency_p95", objectives):
        yield Alert(
            "AgentToolLatencyHigh", broken, "10m", "warning",
            f"Calls of the tool {tool} take too long",
            f"5% of its calls of the last 30 minutes took longer than {_SECONDS}; {said(objective)}.",
        )  # fmt: skip
    failed = 'sum by (agent) (increase(agent_tool_calls_total{status=~"error|timeout"}[30m])) > 2.5'
    for objective, broken in beyond(r.TOOL_FAILED, "tool_error_rate", objectives):
        yield Alert(
            "AgentToolErrorRateHigh", f"{broken}\nand\n{failed}", "5m", "critical",
            f"Tool calls of {_AGENT} fail",
            f"{_PERCENT} of its tool calls of the last 30 minutes failed or timed out; {said(objective)}.",
        )  # fmt: skip
    yield Alert(
        "AgentToolErrorsSpiked", grew(r.ONE_TOOL_FAILED, "15m", "1d"), "5m", "warning",
        f"Calls of the tool {tool} fail more often than before",
        f"The share of its calls that fail is up by {_PERCENT} of all calls, "
        "against the 15 minutes before or the same time of yesterday.",
    )  # fmt: skip


def _guards(objectives: Objectives) -> Iterator[Alert]:
    several = f"{r.LOOPS} > 2.5"
    for objective, broken in beyond(r.LOOPING, "loop_rate", objectives):
        yield Alert(
            "AgentLooping", f"{broken}\nand\n{several}", "5m", "warning",
            f"{_AGENT} repeats itself",
            f"The loops detected in the last hour are {_PERCENT} of its runs started; {said(objective)}.",
        )  # fmt: skip
    circuit = "{{ $labels.circuit }}"
    yield Alert(
        "AgentCircuitOpen", 'max by (circuit) (agent_circuit_state{agent_circuit_state="open"}) == 1', "5m", "critical",
        f"The circuit breaker {circuit} is open",
        "It has let no call through for 5 minutes: what it protects is down, or its probes fail.",
    )  # fmt: skip
    yield Alert(
        "AgentCircuitFlapping", f"{r.increase('circuit', 'agent_circuit_opens_total')} > 5", "0m", "warning",
        f"The circuit breaker {circuit} opens again and again",
        f"It opened about {_NUMBER} times in the last hour.",
    )  # fmt: skip


def _cost(objectives: Objectives) -> Iterator[Alert]:
    for objective, broken in beyond(r.RUN_COST, "cost_per_run", objectives):
        yield Alert(
            "AgentCostPerRunHigh", broken, "10m", "warning",
            f"Runs of {_AGENT} cost too much",
            f"The mean cost of its runs of the last hour is {_DOLLARS}; {said(objective)}.",
        )  # fmt: skip
    for objective, broken in beyond(r.RUN_TOKENS, "tokens_per_run", objectives):
        yield Alert(
            "AgentTokensPerRunHigh", broken, "10m", "warning",
            f"Runs of {_AGENT} use too many tokens",
            f"Its runs of the last hour used {_NUMBER} tokens each; {said(objective)}.",
        )  # fmt: skip
    more = [f"{r.RUN_TOKENS} / ({r.RUN_TOKENS} offset {past}) - 1 > 0.2" for past in ("1h", "1d")]
    enough = [f"{r.RUNS}{offset} * {_HOUR} >= 20" for offset in ("", " offset 1h")]
    yield Alert(
        "AgentTokensPerRunRose", f"({more[0]} or {more[1]})\nand\n{enough[0]}\nand\n{enough[1]}", "10m", "warning",
        f"Runs of {_AGENT} use more tokens than before",
        f"Tokens per run are up by {_PERCENT}, against the hour before or the same hour of yesterday. A new release?",
    )  # fmt: skip


def _burn(objectives: Objectives) -> Iterator[Alert]:
    for name, record, title, much, shown, severity in (
        ("cost_per_hour", r.COST, "AgentCostBurnHigh", "much money", _DOLLARS, "critical"),
        ("tokens_per_hour", r.TOKENS, "AgentTokenBurnHigh", "many tokens", f"{_NUMBER} tokens", "warning"),
    ):
        for objective in objectives.of(name):
            who = "all agents together" if objective.agent is None else _AGENT
            rate = f"sum({record})" if objective.agent is None else selected(record, agent=objective.agent)
            yield Alert(
                title, f"{rate} * {_HOUR} > {number(objective.limit)}", "5m", severity,
                f"Too {much} spent by {who}",
                f"In the last hour it was {shown}; {said(objective)}.",
            )  # fmt: skip
    for record, title, what, worth in (
        (r.COST, "AgentCostBurnRose", "money", 1),
        (r.TOKENS, "AgentTokenBurnRose", "tokens", 100_000),
    ):
        highest = f"max_over_time({record}[1d] offset 1h)"
        yield Alert(
            # A day ago it must have been there, or the first day would be one long rise.
            title, f"{record} / {highest} > 1.5\nand\n{record} * {_HOUR} > {worth}\nand\n{record} offset 1d",
            "10m", "warning",
            f"{_AGENT} spends more {what} than in the busiest hour of the day before",
            f"In the last hour it was {_NUMBER} times as much.",
        )  # fmt: skip
