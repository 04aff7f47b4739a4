"""
The recording rules: what alerts compare and dashboards draw, computed once for both.

Names are Prometheus' level:metric:operations, where the level is the labels that are left. A share has a second rule,
its variance: how much a share of so few calls moves by chance alone, absent below ten. Without it every quiet night
would look like an anomaly.

Knows nothing of objectives.
"""

from dataclasses import dataclass

_HOUR = 3600
_SHORT = 900
_ENOUGH = 10


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


def _rate(name: str, level: str, metric: str, window: str) -> Recording:
    return Recording(name, f"sum by ({level}) (rate({metric}[{window}]))")


def _share(name: str, level: str, metric: str, where: str, whole: str) -> Recording:
    """The part of *whole*, a recorded rate, that *metric* with the labels *where* is; absent where there is nothing."""
    window = name.rpartition("rate")[2]
    return Recording(name, f"sum by ({level}) (rate({metric}{where}[{window}])) / ({whole} > 0)")


def increase(level: str, metric: str, window: str = "1h") -> str:
    """
    By how much *metric* rose, its first value included.

    A counter whose labels are open begins with its first event, and `increase` does not see that one. If the extractor
    was there a *window* ago and the series was not, all of it is new.
    """
    born = f"({metric} unless {metric} offset {window}) and on (job, instance) (up offset {window})"
    return f"sum by ({level}) ({born} or increase({metric}[{window}]))"


def _variance(share: str, whole: str, seconds: int, join: str = "") -> Recording:
    name = share.replace(":ratio_", ":variance_")
    return Recording(name, f"{share} * (1 - {share}) /{join} ({whole} * {seconds} >= {_ENOUGH})")


def _p95(name: str, level: str, metric: str) -> Recording:
    window = name.rpartition("rate")[2]
    return Recording(name, f"histogram_quantile(0.95, sum by ({level}, le) (rate({metric}_bucket[{window}])))")


def _mean(name: str, level: str, metric: str) -> Recording:
    window = name.rpartition("rate")[2]
    both = (f"sum by ({level}) (rate({metric}_{part}[{window}]))" for part in ("sum", "count"))
    return Recording(name, "{} / ({} > 0)".format(*both))


_FAILED = '{status=~"error|timeout"}'

RUNS = "agent:agent_runs:rate1h"
STARTED = "agent:agent_runs_started:rate1h"
OK = "agent:agent_runs_ok_per_runs:ratio_rate1h"
STOPS = "agent_stop_reason:agent_runs_per_runs:ratio_rate1h"
RUN_P95 = "agent:agent_run_duration_seconds:p95_rate30m"
RUN_COST = "agent:agent_run_cost_usd:mean_rate1h"
RUN_TOKENS = "agent:agent_run_tokens:mean_rate1h"
GIVEN_UP = "agent:agent_runs_abandoned:increase1h"
ABANDONED = "agent:agent_runs_abandoned_per_runs:ratio_increase1h"
LOOPS = "agent:agent_loop_detections:increase1h"
LOOPING = "agent:agent_loop_detections_per_runs_started:ratio_increase1h"
LLM_CALLS = "agent:agent_llm_calls:rate30m"
LLM_FAILED = "agent:agent_llm_calls_failed_per_llm_calls:ratio_rate30m"
LLM_P95 = "agent:agent_llm_call_duration_seconds:p95_rate30m"
TOOL_CALLS = "agent:agent_tool_calls:rate30m"
TOOL_FAILED = "agent:agent_tool_calls_failed_per_tool_calls:ratio_rate30m"
ONE_TOOL_CALLS = "tool:agent_tool_calls:rate15m"
ONE_TOOL_FAILED = "tool:agent_tool_calls_failed_per_tool_calls:ratio_rate15m"
TOOL_P95 = "tool:agent_tool_call_duration_seconds:p95_rate30m"
COST = "agent:agent_cost_usd:rate1h"
TOKENS = "agent:agent_token_usage:rate1h"
LINES = "job_instance:extractor_read_lines:rate15m"
REJECTED = "job_instance:extractor_rejected_lines_per_read_lines:ratio_rate15m"

RECORDINGS = (
    _rate(RUNS, "agent", "agent_runs_total", "1h"),
    _rate(STARTED, "agent", "agent_runs_started_total", "1h"),
    _share(OK, "agent", "agent_runs_total", '{status="ok"}', RUNS),
    _variance(OK, RUNS, _HOUR),
    Recording(
        STOPS,
        f"sum by (agent, stop_reason) (rate(agent_runs_total[1h])) / on (agent) group_left () ({RUNS} > 0)",
    ),
    _variance(STOPS, RUNS, _HOUR, " on (agent) group_left ()"),
    _p95(RUN_P95, "agent", "agent_run_duration_seconds"),
    _mean(RUN_COST, "agent", "agent_run_cost_usd"),
    _mean(RUN_TOKENS, "agent", "agent_run_tokens"),
    Recording(GIVEN_UP, increase("agent", "agent_runs_abandoned_total")),
    # Runs that are given up began long ago: the whole is what ended in the same hour, in one way or the other.
    Recording(ABANDONED, f"{GIVEN_UP} / ({GIVEN_UP} + ({RUNS} * {_HOUR} or {GIVEN_UP} * 0) > 0)"),
    Recording(LOOPS, increase("agent", "agent_loop_detections_total")),
    # One long run may have begun before the hour, and loop.
    Recording(LOOPING, f"{LOOPS} / ({STARTED} * {_HOUR} >= 1 or {LOOPS} * 0 + 1)"),
    _rate(LLM_CALLS, "agent", "agent_llm_calls_total", "30m"),
    _share(LLM_FAILED, "agent", "agent_llm_calls_total", _FAILED, LLM_CALLS),
    _p95(LLM_P95, "agent", "agent_llm_call_duration_seconds"),
    _rate(TOOL_CALLS, "agent", "agent_tool_calls_total", "30m"),
    _share(TOOL_FAILED, "agent", "agent_tool_calls_total", _FAILED, TOOL_CALLS),
    _rate(ONE_TOOL_CALLS, "tool", "agent_tool_calls_total", "15m"),
    _share(ONE_TOOL_FAILED, "tool", "agent_tool_calls_total", _FAILED, ONE_TOOL_CALLS),
    _variance(ONE_TOOL_FAILED, ONE_TOOL_CALLS, _SHORT),
    _p95(TOOL_P95, "tool", "agent_tool_call_duration_seconds"),
    _rate(COST, "agent", "agent_cost_usd_total", "1h"),
    _rate(TOKENS, "agent", "agent_token_usage_total", "1h"),
    _rate(LINES, "job, instance", "extractor_read_lines_total", "15m"),
    _share(REJECTED, "job, instance", "extractor_rejected_lines_total", "", LINES),
)
"""Every recording rule; each uses only those before it."""
