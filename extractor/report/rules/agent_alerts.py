"""
Alert rules on agents, from objectives.

There are two kinds: a signal violates its objective, or it has changed since an hour or a day ago. An alert on a share,
a mean or a percentile needs at least three events, so that a single failed run in a quiet night alerts nobody.
docs/alerts.md describes each alert, and what to do, under its name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from extractor.exposition.samples import number_text
from extractor.report.objectives import Objectives
from extractor.report.rules import recordings as r
from extractor.report.rules.promql import beyond, earlier, latest, limits, number, selected, shifted, unknown_or_changed
from extractor.schema.objective import Objective, limit_text

Buckets = Mapping[str, tuple[float, ...]]
"""The upper bounds of the buckets of each histogram, ascending, without infinity."""

_PERCENT = "{{ $value | humanizePercentage }}"
_NUMBER = "{{ $value | humanize }}"
_COUNT = '{{ $value | printf "%.0f" }}'
_AGENT = "agent {{ $labels.agent }}"
_TOOL = "tool {{ $labels.tool }}"
_PAST = ("1h", "1d")
_BEFORE = "compared with the previous hour or the same hour yesterday"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert rule: it fires when *expr* has returned results for as long as *hold*."""

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram of durations: the objective on its 95th percentile, and its buckets as recorded by *level*."""

    objective: str
    metric: str
    recording: str
    level: str
    what: str


_RUN = Durations("latency_p95", "agent_run_duration_seconds", r.RUN_SECONDS, "agent", f"runs of {_AGENT}")
_LLM = Durations("llm_latency_p95", "agent_llm_call_duration_seconds", r.LLM_SECONDS, "agent", f"LLM calls of {_AGENT}")
_TOOL_CALL = Durations(
    "tool_latency_p95", "agent_tool_call_duration_seconds", r.TOOL_SECONDS, "tool", f"calls of {_TOOL}"
)


def alerts(objectives: Objectives, buckets: Buckets) -> dict[str, tuple[Alert, ...]]:
    """Return all alerts on agents, by group; one name may have several rules, one for each limit."""
    return {
        "agent-runs": (*_runs(objectives, buckets), *_stuck(objectives)),
        "agent-calls": (*_llm(objectives, buckets), *_tools(objectives, buckets), *_guards(objectives)),
        "agent-cost": (*_cost(objectives), *_burn(objectives)),
    }


def unwatched(objectives: Objectives, buckets: Buckets) -> Iterator[str]:
    """Yield a message for each limit without an alert: above the last bucket, durations cannot be distinguished."""
    for durations in (_RUN, _LLM, _TOOL_CALL):
        for objective, _ in limits(durations.objective, objectives):
            if _bound(durations, objective, buckets) is None:
                key = f"agents.{objective.agent}.{objective.name}" if objective.agent else objective.name
                yield f"no alert for {key} = {objective.limit_text()}: {durations.metric} has no bucket that high"


def _runs(objectives: Objectives, buckets: Buckets) -> Iterator[Alert]:
    failed = f'sum by (agent) ({r.RUN_ENDS}{{status!="ok"}}) >= 3'
    for objective, agents in limits("success_rate", objectives):
        yield Alert(
            "AgentSuccessRateLow", f"{beyond(r.OK, objective, agents)}\nand\n{failed}", "5m", "critical",
            f"Success rate of {_AGENT} is low",
            f"{_PERCENT} of the runs of {_AGENT} in the last hour ended with status ok; {_stated(objective)}.",
        )  # fmt: skip
    yield Alert(
        "AgentSuccessRateDropped", "\nor\n".join(shifted(r.OK, past, fell=True) for past in _PAST), "10m", "warning",
        f"Success rate of {_AGENT} dropped",
        f"The share of runs that ended with status ok dropped by {_PERCENT} (absolute), {_BEFORE}.",
    )  # fmt: skip
    shifts = (shifted(r.STOPS, past, where='{stop_reason!="completed"}') for past in _PAST)
    yield Alert(
        "AgentStopReasonsShifted", "\nor\n".join(shifts), "10m", "warning",
        f"Stop reasons of {_AGENT} shifted",
        "The share of runs with stop reason {{ $labels.stop_reason }} "
        f"rose by {_PERCENT} (absolute), {_BEFORE}.",
    )  # fmt: skip
    yield from _slow("AgentRunLatencyHigh", _RUN, f"Run latency of {_AGENT} is high", objectives, buckets)


def _slow(name: str, durations: Durations, summary: str, objectives: Objectives, buckets: Buckets) -> Iterator[Alert]:
    # Prometheus has only the bucket of a duration, and `histogram_quantile` interpolates in it. Values above the
    # first bound that is not below the limit have certainly taken too long.
    for objective, agents in limits(durations.objective, objectives):
        bound = _bound(durations, objective, buckets)
        if bound is None:
            continue
        everything, fast = (
            f"sum by ({durations.level}) ({selected(durations.recording, matcher, agents)})"
            for matcher in ('le="+Inf"', f'le="{number_text(bound)}"')
        )
        yield Alert(
            name, f"({everything} - {fast}) / {everything} > 0.05\nand\n{everything} - {fast} >= 3", "10m", "warning",
            summary,
            f"{_PERCENT} of the {durations.what} in the last 30 minutes took longer than "
            f"{limit_text(bound, objective.unit)}; the objective is a 95th percentile of {objective.direction} "
            f"{objective.limit_text()}.",
        )  # fmt: skip


def _bound(durations: Durations, objective: Objective, buckets: Buckets) -> float | None:
    """Return the first bucket bound that is not below the limit."""
    return next((bound for bound in buckets.get(durations.metric, ()) if bound >= objective.limit), None)


def _stuck(objectives: Objectives) -> Iterator[Alert]:
    signs = ("agent_llm_calls_total", "agent_tool_calls_total", "agent_steps_total", "agent_runs_started_total")
    active = "\n  or ".join(unknown_or_changed(sign, "15m") for sign in signs)
    # A new extractor may have read about runs opened long ago; they are given up within the run timeout.
    followed = f"on (job, instance) (max_over_time({r.EVENTS}[1d]) > 0)"
    yield Alert(
        "AgentRunsStuck",
        f"sum by (agent) ({latest('agent_runs_in_progress')} and {followed}) > 0\n"
        f"and\nsum by (agent) ({earlier('agent_runs_in_progress', '15m')}) > 0\nunless on (agent) (\n  {active}\n)",
        "5m", "warning",
        f"Runs of {_AGENT} are stuck",
        f"Open runs: {_COUNT}. No call, step or start of a run has been logged for at least 15 minutes.",
    )  # fmt: skip
    for objective, agents in limits("abandoned_rate", objectives):
        yield Alert(
            "AgentRunsAbandoned",
            f"{beyond(r.ABANDONED_SHARE, objective, agents)}\nand\n{r.ABANDONED} >= 3", "5m", "warning",
            f"Runs of {_AGENT} are abandoned",
            f"{_PERCENT} of the runs of {_AGENT} that ended or were abandoned in the last hour were abandoned; "
            f"{_stated(objective)}.",
        )  # fmt: skip


def _llm(objectives: Objectives, buckets: Buckets) -> Iterator[Alert]:
    yield from _slow("AgentLlmLatencyHigh", _LLM, f"LLM call latency of {_AGENT} is high", objectives, buckets)
    failed = f"sum by (agent) ({r.LLM_CALLS}{r.FAILED}) >= 3"
    for objective, agents in limits("llm_error_rate", objectives):
        yield Alert(
            "AgentLlmErrorRateHigh", f"{beyond(r.LLM_FAILED, objective, agents)}\nand\n{failed}", "5m", "critical",
            f"LLM error rate of {_AGENT} is high",
            f"{_PERCENT} of the LLM calls of {_AGENT} in the last 30 minutes failed or timed out; "
            f"{_stated(objective)}.",
        )  # fmt: skip


def _tools(objectives: Objectives, buckets: Buckets) -> Iterator[Alert]:
    yield from _slow("AgentToolLatencyHigh", _TOOL_CALL, f"Call latency of {_TOOL} is high", objectives, buckets)
    failed = f"sum by (agent) ({r.TOOL_CALLS}{r.FAILED}) >= 3"
    for objective, agents in limits("tool_error_rate", objectives):
        yield Alert(
            "AgentToolErrorRateHigh", f"{beyond(r.TOOL_FAILED, objective, agents)}\nand\n{failed}", "5m", "critical",
            f"Tool error rate of {_AGENT} is high",
            f"{_PERCENT} of the tool calls of {_AGENT} in the last 30 minutes failed or timed out; "
            f"{_stated(objective)}.",
        )  # fmt: skip
    yield Alert(
        "AgentToolErrorsSpiked", "\nor\n".join(shifted(r.ONE_TOOL_FAILED, past) for past in ("15m", "1d")),
        "5m", "warning",
        f"Error rate of {_TOOL} spiked",
        f"The share of failed calls rose by {_PERCENT} (absolute), "
        "compared with the previous 15 minutes or the same time yesterday.",
    )  # fmt: skip


def _guards(objectives: Objectives) -> Iterator[Alert]:
    for objective, agents in limits("loop_rate", objectives):
        yield Alert(
            "AgentLooping", f"{beyond(r.LOOP_SHARE, objective, agents)}\nand\n{r.LOOPS} >= 3", "5m", "warning",
            f"Loop rate of {_AGENT} is high",
            f"The number of loops detected in the last hour is {_PERCENT} of the number of runs started "
            f"(at least one is assumed); {_stated(objective)}.",
        )  # fmt: skip
    circuit = "{{ $labels.circuit }}"
    state = latest('agent_circuit_state{agent_circuit_state="open"}')
    yield Alert(
        "AgentCircuitOpen", f"max by (circuit) ({state}) == 1", "5m", "critical",
        f"Circuit breaker {circuit} is open",
        "It has been open for 5 minutes: the protected service is down, or its probes fail.",
    )  # fmt: skip
    yield Alert(
        "AgentCircuitFlapping", f"{r.CIRCUIT_OPENS} > 5", "0m", "warning",
        f"Circuit breaker {circuit} is flapping",
        f"It opened {_COUNT} times in the last hour.",
    )  # fmt: skip


def _cost(objectives: Objectives) -> Iterator[Alert]:
    for objective, agents in limits("cost_per_run", objectives):
        yield Alert(
            "AgentCostPerRunHigh", f"{beyond(r.RUN_COST, objective, agents)}\nand\n{r.COSTED_RUNS} >= 3",
            "10m", "warning",
            f"Cost per run of {_AGENT} is high",
            f"The mean cost of runs in the last hour is {_dollars(objective.limit)}; {_stated(objective)}.",
        )  # fmt: skip
    for objective, agents in limits("tokens_per_run", objectives):
        yield Alert(
            "AgentTokensPerRunHigh", f"{beyond(r.RUN_TOKENS, objective, agents)}\nand\n{r.COUNTED_RUNS} >= 3",
            "10m", "warning",
            f"Token usage per run of {_AGENT} is high",
            f"The mean token usage of runs in the last hour is {_NUMBER}; {_stated(objective)}.",
        )  # fmt: skip
    rises = (
        f"({r.RUN_TOKENS} / ({r.RUN_TOKENS} offset {past} > 0) - 1 > 0.2 "
        f"and {r.COUNTED_RUNS} >= 20 and {r.COUNTED_RUNS} offset {past} >= 20)"
        for past in _PAST
    )
    yield Alert(
        "AgentTokensPerRunRose", "\nor\n".join(rises), "10m", "warning",
        f"Token usage per run of {_AGENT} rose",
        f"The mean token usage of runs rose by {_PERCENT}, {_BEFORE}. Check for a new release.",
    )  # fmt: skip


def _burn(objectives: Objectives) -> Iterator[Alert]:
    for name, recording, title, what, severity in (
        ("cost_per_hour", r.COST, "AgentCostBurnHigh", "cost", "critical"),
        ("tokens_per_hour", r.TOKENS, "AgentTokenBurnHigh", "token usage", "warning"),
    ):
        for objective, agent in limits(name, objectives):
            # The budget of an agent is additional: the sum over all agents includes it.
            spent = f"sum({recording})" if objective.agent is None else selected(recording, agent)
            whose = "all agents" if objective.agent is None else _AGENT
            shown = _dollars(objective.limit) if recording == r.COST else f"{_NUMBER} tokens"
            yield Alert(
                title, f"{spent} > {number(objective.limit)}", "5m", severity,
                f"Hourly {what} of {whose} is high",
                f"The {what} in the last hour is {shown}; {_stated(objective)}.",
            )  # fmt: skip
    for recording, title, what, worth in (
        (r.COST, "AgentCostBurnRose", "cost", 1),
        (r.TOKENS, "AgentTokenBurnRose", "token usage", 100_000),
    ):
        yield Alert(
            # The series must exist a day ago, or the first day would be one long rise.
            title,
            f"{recording} / (max_over_time({recording}[1d] offset 1h) > 0) > 1.5\n"
            f"and\n{recording} > {worth}\nand\n{recording} offset 1d",
            "10m", "warning",
            f"Hourly {what} of {_AGENT} rose",
            f"The {what} in the last hour is {_NUMBER} times the highest hourly {what} of the previous day.",
        )  # fmt: skip


def _stated(objective: Objective) -> str:
    return f"the objective is {objective.direction} {objective.limit_text()}"


def _dollars(limit: float) -> str:
    """Return the template of an alert's value in dollars: to the cent, unless the *limit* is in cents itself."""
    form = "%.2f" if limit >= 0.1 else "%.4g"
    return f'${{{{ $value | printf "{form}" }}}}'
