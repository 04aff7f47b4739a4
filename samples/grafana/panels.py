"""
What the dashboard shows: its rows and panels, each with the queries it draws.

From the outside inwards: how it goes, the runs, what they are made of, and at last the extractor itself. Queries ask
for what the extractor serves, not for recorded rules, so that the dashboard works without them.

Knows nothing of Grafana's JSON.
"""

from samples.grafana.queries import (
    Kind,
    Panel,
    Query,
    Row,
    lines,
    number,
    p95,
    quantile,
    quantiles,
    rates,
    share,
    shares,
)

AGENT = 'agent=~"$agent"'
RELEASE = 'release=~"$release"'
MODEL = 'model=~"$model"'
TOOL = 'tool=~"$tool"'
RUN = f"{AGENT},{RELEASE}"
LLM = f"{AGENT},{MODEL},{RELEASE}"
CALL = f"{AGENT},{TOOL},{RELEASE}"
TOOLS = f"{TOOL},{RELEASE}"
FAILED = 'status=~"error|timeout"'

ROWS = (
    Row(
        "At a glance", 3,
        (
            number("Runs", "short", f"sum(increase(agent_runs_total{{{RUN}}}[$__range]))"),
            number(
                "Success rate", "percentunit",
                share(f'agent_runs_total{{{RUN},status="ok"}}', f"agent_runs_total{{{RUN}}}", window="$__range"),
                "success_rate",
            ),
            number("Run p95", "s", quantile(0.95, "agent_run_duration_seconds", RUN, window="$__range"), "latency_p95"),
            number(
                "Tool errors", "percentunit",
                share(
                    f"agent_tool_calls_total{{{CALL},{FAILED}}}", f"agent_tool_calls_total{{{CALL}}}", window="$__range"
                ),
                "tool_error_rate",
            ),
            number(
                "LLM errors", "percentunit",
                share(f"agent_llm_calls_total{{{LLM},{FAILED}}}", f"agent_llm_calls_total{{{LLM}}}", window="$__range"),
                "llm_error_rate",
            ),
            number(
                "Tokens per run", "short",
                share(f"agent_run_tokens_sum{{{RUN}}}", f"agent_run_tokens_count{{{RUN}}}", window="$__range"),
                "tokens_per_run",
            ),
            number(
                "Cost per hour", "currencyUSD", f"sum(rate(agent_cost_usd_total{{{LLM}}}[$__range])) * 3600",
                "cost_per_hour",
            ),
            number("In progress", "short", f"sum(agent_runs_in_progress{{{AGENT}}})"),
        ),
    ),
    Row(
        "Runs", 8,
        (
            rates("Runs by status", "agent_runs_total", "status", RUN),
            lines(
                "Success rate by agent", "percentunit",
                share(f'agent_runs_total{{{RUN},status="ok"}}', f"agent_runs_total{{{RUN}}}", "agent"), "{{agent}}",
                "success_rate",
            ),
            shares("Stop reasons", "agent_runs_total", "stop_reason", RUN),
            lines("Runs in progress", "short", f"sum by (agent) (agent_runs_in_progress{{{AGENT}}})", "{{agent}}"),
            lines("Active agents", "short", "sum by (agent_type) (agent_active_count)", "{{agent_type}}"),
            Panel(
                "Runs started and abandoned", Kind.LINES, "opm",
                (
                    Query(f"sum(rate(agent_runs_started_total{{{RUN}}}[$__rate_interval])) * 60", "started"),
                    Query(f"sum(rate(agent_runs_abandoned_total{{{RUN}}}[$__rate_interval])) * 60", "abandoned"),
                ),
            ),
            quantiles("Run duration", "s", "agent_run_duration_seconds", RUN, "latency_p95"),
            p95("Run p95 by agent", "agent_run_duration_seconds", RUN, "agent", "latency_p95"),
            p95("Run p95 by release", "agent_run_duration_seconds", RUN, "release", "latency_p95"),
            lines(
                "Run p95 of the last minutes, from HDR", "s",
                f'max by (agent, release) (agent_run_duration_quantile_seconds{{{RUN},quantile="0.95"}})',
                "{{agent}} {{release}}", "latency_p95",
            ),
            rates("Tasks by status", "agent_tasks_total", "status", AGENT),
            quantiles("Task duration", "s", "agent_task_duration_seconds", AGENT),
        ),
    ),
    Row(
        "What a run is made of", 6,
        (
            quantiles("Steps per run", "short", "agent_run_steps", RUN),
            quantiles("Tool calls per run", "short", "agent_run_tool_calls", RUN),
            quantiles("Tokens per run", "short", "agent_run_tokens", RUN, "tokens_per_run"),
            quantiles("Cost per run", "currencyUSD", "agent_run_cost_usd", RUN, "cost_per_run"),
            rates("Steps by type", "agent_steps_total", "type", RUN),
            lines(
                "Tool calls per run by release", "short",
                share(f"agent_run_tool_calls_sum{{{RUN}}}", f"agent_run_tool_calls_count{{{RUN}}}", "release"),
                "{{release}}",
            ),
            lines(
                "Tokens per run by release", "short",
                share(f"agent_run_tokens_sum{{{RUN}}}", f"agent_run_tokens_count{{{RUN}}}", "release"),
                "{{release}}", "tokens_per_run",
            ),
            lines(
                "Cost per run by release", "currencyUSD",
                share(f"agent_cost_usd_total{{{RUN}}}", f"agent_runs_total{{{RUN}}}", "release"),
                "{{release}}", "cost_per_run",
            ),
        ),
    ),
    Row(
        "Tools", 8,
        (
            rates("Tool calls", "agent_tool_calls_total", "tool", CALL),
            lines(
                "Tool errors by tool", "percentunit",
                share(f"agent_tool_calls_total{{{CALL},{FAILED}}}", f"agent_tool_calls_total{{{CALL}}}", "tool"),
                "{{tool}}", "tool_error_rate",
            ),
            rates("Tool errors by class", "agent_tool_errors_total", "error_class", TOOLS),
            quantiles("Tool call duration", "s", "agent_tool_call_duration_seconds", TOOLS, "tool_latency_p95"),
            p95("Tool p95 by tool", "agent_tool_call_duration_seconds", TOOLS, "tool", "tool_latency_p95"),
            lines(
                "Tool errors by agent", "percentunit",
                share(f"agent_tool_calls_total{{{CALL},{FAILED}}}", f"agent_tool_calls_total{{{CALL}}}", "agent"),
                "{{agent}}", "tool_error_rate",
            ),
        ),
    ),
    Row(
        "Language models", 8,
        (
            rates("LLM calls", "agent_llm_calls_total", "model", LLM),
            lines(
                "LLM errors by model", "percentunit",
                share(f"agent_llm_calls_total{{{LLM},{FAILED}}}", f"agent_llm_calls_total{{{LLM}}}", "model"),
                "{{model}}", "llm_error_rate",
            ),
            rates("LLM errors by class", "agent_llm_errors_total", "error_class", f"{MODEL},{RELEASE}"),
            quantiles("LLM call duration", "s", "agent_llm_call_duration_seconds", LLM, "llm_latency_p95"),
            p95("LLM p95 by model", "agent_llm_call_duration_seconds", LLM, "model", "llm_latency_p95"),
            p95("Time to first token, p95", "agent_llm_time_to_first_token_seconds", LLM, "model"),
        ),
    ),
    Row(
        "Tokens and cost", 8,
        (
            rates("Tokens a minute by type", "agent_token_usage_total", "token_type", LLM, "short"),
            rates("Tokens a minute by model", "agent_token_usage_total", "model", LLM, "short"),
            lines(
                "Tokens per hour", "short", f"sum(rate(agent_token_usage_total{{{LLM}}}[$__rate_interval])) * 3600",
                "all", "tokens_per_hour",
            ),
            lines(
                "Cost per hour by agent", "currencyUSD",
                f"sum by (agent) (rate(agent_cost_usd_total{{{LLM}}}[$__rate_interval])) * 3600", "{{agent}}",
            ),
            lines(
                "Cost per hour by model", "currencyUSD",
                f"sum by (model) (rate(agent_cost_usd_total{{{LLM}}}[$__rate_interval])) * 3600", "{{model}}",
            ),
            lines(
                "Cost per hour", "currencyUSD", f"sum(rate(agent_cost_usd_total{{{LLM}}}[$__rate_interval])) * 3600",
                "all", "cost_per_hour",
            ),
        ),
    ),
    Row(
        "Caches, loops, circuit breakers", 6,
        (
            lines(
                "Cache hits", "percentunit",
                f"sum by (cache) (rate(agent_cache_hits_total{{{RELEASE}}}[$__rate_interval])) / "
                f"(sum by (cache) (rate(agent_cache_hits_total{{{RELEASE}}}[$__rate_interval])) + "
                f"sum by (cache) (rate(agent_cache_misses_total{{{RELEASE}}}[$__rate_interval])))",
                "{{cache}}",
            ),
            rates("Loops detected", "agent_loop_detections_total", "agent, tool", CALL),
            rates("Circuit breakers opening", "agent_circuit_opens_total", "circuit", ""),
            Panel(
                "Circuit breakers", Kind.STATES, "short",
                (
                    Query(
                        'max by (circuit) (agent_circuit_state{agent_circuit_state="open"} * 2 '
                        'or agent_circuit_state{agent_circuit_state="half_open"})',
                        "{{circuit}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "The extractor", 6,
        (
            rates("Events", "extractor_events_total", "instance", ""),
            rates("Rejected lines", "extractor_rejected_lines_total", "reason", ""),
            lines("Not read yet", "bytes", "sum by (instance) (extractor_behind_bytes)", "{{instance}}"),
            lines(
                "Age of the latest event", "s",
                "time() - max by (instance) (extractor_last_event_timestamp_seconds)", "{{instance}}",
            ),
            lines(
                "Age of the last checkpoint", "s",
                "time() - max by (instance) (extractor_checkpoint_timestamp_seconds > 0)", "{{instance}}",
            ),
            rates("Bytes lost a minute", "extractor_lost_bytes_total", "kind", "", "bytes"),
            rates("Labels past their limit", "extractor_label_overflow_total", "metric, label", ""),
            rates("LLM calls without a price", "extractor_unpriced_calls_total", "model", MODEL),
        ),
    ),
)  # fmt: skip
"""The dashboard, from top to bottom."""
