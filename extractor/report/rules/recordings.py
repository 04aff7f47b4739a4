"""
The recording rules: what alerts compare, computed once.

Names follow Prometheus' level:metric:operations, where the level lists the remaining labels. A share has a second rule
for its variance: how much a share of so few events varies by chance, absent below ten events. Without it every quiet
night would look like an anomaly.
"""

from dataclasses import dataclass

from extractor.report.rules.promql import increase

_SECONDS = {"10m": 600, "15m": 900, "30m": 1800, "1h": 3600}
_ENOUGH = 10


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


def _increase(name: str, level: str, metric: str) -> Recording:
    """Return the increase of *metric*, by the labels of *level*, over the window at the end of *name*."""
    return Recording(name, f"sum by ({level}) (\n{increase(metric, _window(name))}\n)")


def _rate(name: str, increased: str) -> Recording:
    """Return an increase, per second."""
    return Recording(name, f"{increased} / {_SECONDS[_window(name)]}")


def _sum(name: str, level: str, increased: str) -> Recording:
    return Recording(name, f"sum by ({level}) ({increased})")


def _share(name: str, level: str, part: str, whole: str, join: str = "") -> Recording:
    """Return the ratio of *part* to *whole*, both increases; absent where the whole is 0."""
    return Recording(name, f"sum by ({level}) ({part}) /{join} ({whole} > 0)")


def _variance(share: str, whole: str, join: str = "") -> Recording:
    name = share.replace(":ratio_", ":variance_")
    return Recording(name, f"{share} * (1 - {share}) /{join} ({whole} >= {_ENOUGH})")


def _p95(name: str, buckets: str) -> Recording:
    return Recording(name, f"histogram_quantile(0.95, {buckets})")


def _mean(name: str, level: str, total: str, count: str) -> Recording:
    return Recording(name, f"sum by ({level}) (\n{increase(total, _window(name))}\n) / ({count} > 0)")


def _window(name: str) -> str:
    return name[-3:] if name[-3:] in _SECONDS else name[-2:]


FAILED = '{status=~"error|timeout"}'
_OF_ONE_AGENT = " on (agent) group_left ()"

RUN_ENDS = "agent_status_stop_reason:agent_runs:increase1h"
RUNS = "agent:agent_runs:increase1h"
STARTED = "agent:agent_runs_started:increase1h"
OK = "agent:agent_runs_ok_per_runs:ratio_rate1h"
STOPS = "agent_stop_reason:agent_runs_per_runs:ratio_rate1h"
RUN_SECONDS = "agent_le:agent_run_duration_seconds_bucket:increase30m"
COSTED_RUNS = "agent:agent_run_cost_usd_count:increase1h"
RUN_COST = "agent:agent_run_cost_usd:mean_rate1h"
COUNTED_RUNS = "agent:agent_run_tokens_count:increase1h"
RUN_TOKENS = "agent:agent_run_tokens:mean_rate1h"
ABANDONED = "agent:agent_runs_abandoned:increase1h"
ABANDONED_SHARE = "agent:agent_runs_abandoned_per_runs:ratio_increase1h"
LOOPS = "agent:agent_loop_detections:increase1h"
LOOP_SHARE = "agent:agent_loop_detections_per_runs_started:ratio_increase1h"
LLM_CALLS = "agent_status:agent_llm_calls:increase30m"
LLM_FAILED = "agent:agent_llm_calls_failed_per_llm_calls:ratio_rate30m"
LLM_SECONDS = "agent_le:agent_llm_call_duration_seconds_bucket:increase30m"
TOOL_CALLS = "agent_status:agent_tool_calls:increase30m"
TOOL_FAILED = "agent:agent_tool_calls_failed_per_tool_calls:ratio_rate30m"
ONE_TOOL_CALLS = "tool_status:agent_tool_calls:increase15m"
ONE_TOOL_FAILED = "tool:agent_tool_calls_failed_per_tool_calls:ratio_rate15m"
TOOL_SECONDS = "tool_le:agent_tool_call_duration_seconds_bucket:increase30m"
CIRCUIT_OPENS = "circuit:agent_circuit_opens:increase1h"
COST = "agent:agent_cost_usd:increase1h"
TOKENS = "agent:agent_token_usage:increase1h"
LINES = "job_instance:extractor_read_lines:increase15m"
REJECTS = "job_instance:extractor_rejected_lines:increase15m"
REJECTED = "job_instance:extractor_rejected_lines_per_read_lines:ratio_rate15m"
EVENTS = "job_instance:extractor_events:increase30m"
CHECKPOINT_FAILURES = "job_instance:extractor_checkpoint_failures:increase10m"
INTERNAL_ERRORS = "job_instance_where:extractor_internal_errors:increase15m"
LOST_BYTES = "job_instance:extractor_lost_bytes:increase1h"
OVERFLOW = "job_instance_metric_label:extractor_label_overflow:increase1h"
UNPRICED = "model:extractor_unpriced_calls:increase1h"

RECORDINGS = (
    _increase(RUN_ENDS, "agent, status, stop_reason", "agent_runs_total"),
    _sum(RUNS, "agent", RUN_ENDS),
    _rate("agent:agent_runs:rate1h", RUNS),
    _increase(STARTED, "agent", "agent_runs_started_total"),
    _rate("agent:agent_runs_started:rate1h", STARTED),
    _share(OK, "agent", f'{RUN_ENDS}{{status="ok"}}', RUNS),
    _variance(OK, RUNS),
    _share(STOPS, "agent, stop_reason", RUN_ENDS, RUNS, _OF_ONE_AGENT),
    _variance(STOPS, RUNS, _OF_ONE_AGENT),
    _increase(RUN_SECONDS, "agent, le", "agent_run_duration_seconds_bucket"),
    _p95("agent:agent_run_duration_seconds:p95_rate30m", RUN_SECONDS),
    _increase(COSTED_RUNS, "agent", "agent_run_cost_usd_count"),
    _mean(RUN_COST, "agent", "agent_run_cost_usd_sum", COSTED_RUNS),
    _increase(COUNTED_RUNS, "agent", "agent_run_tokens_count"),
    _mean(RUN_TOKENS, "agent", "agent_run_tokens_sum", COUNTED_RUNS),
    _increase(ABANDONED, "agent", "agent_runs_abandoned_total"),
    # Abandoned runs began long ago: the whole is all runs that ended or were abandoned in the same hour.
    Recording(ABANDONED_SHARE, f"{ABANDONED} / ({ABANDONED} + ({RUNS} or {ABANDONED} * 0) > 0)"),
    _increase(LOOPS, "agent", "agent_loop_detections_total"),
    # A run that began before the hour can loop, and an agent may log the ends of its runs alone.
    Recording(LOOP_SHARE, f"{LOOPS} / clamp_min({STARTED} or {RUNS} or {LOOPS} * 0, 1)"),
    _increase(LLM_CALLS, "agent, status", "agent_llm_calls_total"),
    _rate("agent:agent_llm_calls:rate30m", f"sum by (agent) ({LLM_CALLS})"),
    _share(LLM_FAILED, "agent", LLM_CALLS + FAILED, f"sum by (agent) ({LLM_CALLS})"),
    _increase(LLM_SECONDS, "agent, le", "agent_llm_call_duration_seconds_bucket"),
    _p95("agent:agent_llm_call_duration_seconds:p95_rate30m", LLM_SECONDS),
    _increase(TOOL_CALLS, "agent, status", "agent_tool_calls_total"),
    _rate("agent:agent_tool_calls:rate30m", f"sum by (agent) ({TOOL_CALLS})"),
    _share(TOOL_FAILED, "agent", TOOL_CALLS + FAILED, f"sum by (agent) ({TOOL_CALLS})"),
    _increase(ONE_TOOL_CALLS, "tool, status", "agent_tool_calls_total"),
    _rate("tool:agent_tool_calls:rate15m", f"sum by (tool) ({ONE_TOOL_CALLS})"),
    _share(ONE_TOOL_FAILED, "tool", ONE_TOOL_CALLS + FAILED, f"sum by (tool) ({ONE_TOOL_CALLS})"),
    _variance(ONE_TOOL_FAILED, f"sum by (tool) ({ONE_TOOL_CALLS})"),
    _increase(TOOL_SECONDS, "tool, le", "agent_tool_call_duration_seconds_bucket"),
    _p95("tool:agent_tool_call_duration_seconds:p95_rate30m", TOOL_SECONDS),
    _increase(CIRCUIT_OPENS, "circuit", "agent_circuit_opens_total"),
    _increase(COST, "agent", "agent_cost_usd_total"),
    _rate("agent:agent_cost_usd:rate1h", COST),
    _increase(TOKENS, "agent", "agent_token_usage_total"),
    _rate("agent:agent_token_usage:rate1h", TOKENS),
    _increase(LINES, "job, instance", "extractor_read_lines_total"),
    _rate("job_instance:extractor_read_lines:rate15m", LINES),
    _increase(REJECTS, "job, instance", "extractor_rejected_lines_total"),
    _share(REJECTED, "job, instance", REJECTS, LINES),
    _increase(EVENTS, "job, instance", "extractor_events_total"),
    _increase(CHECKPOINT_FAILURES, "job, instance", "extractor_checkpoint_failures_total"),
    _increase(INTERNAL_ERRORS, "job, instance, where", "extractor_internal_errors_total"),
    _increase(LOST_BYTES, "job, instance", "extractor_lost_bytes_total"),
    _increase(OVERFLOW, "job, instance, metric, label", "extractor_label_overflow_total"),
    _increase(UNPRICED, "model", "extractor_unpriced_calls_total"),
)
"""Every recording rule; each uses only those before it."""
