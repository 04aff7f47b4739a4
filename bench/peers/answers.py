"""
What a program printed in, what it counted out; and in what two of them differ.

Rows are JSON lists (what, labels, number); expositions are Prometheus text. The words of stop reasons are told apart as
the default pack does it, since the peers keep the agents' own.

Knows nothing of how the programs are run.
"""

import json
from math import inf, isclose
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench.peers.job import LLM_BOUNDS, TOOL_BOUNDS

Labels = tuple[str, ...]
Counted = dict[Labels, float]

_REASONS = json.loads(Path("schemas/agent/run.complete.schema.json").read_text())["x-labels"]["stop_reason"]
_BOUNDS = {"llm": LLM_BOUNDS, "tool": TOOL_BOUNDS}
# Of the default pack: the metric, what it is called in the job, and the labels of the job.
_OURS = {
    "agent_llm_calls_total": ("llm_calls", ("model", "status")),
    "agent_tool_calls_total": ("tool_calls", ("tool", "status")),
    "agent_token_usage_total": ("tokens", ("token_type",)),
    "agent_runs_total": ("runs", ("status", "stop_reason")),
    "agent_llm_call_duration_seconds_bucket": ("llm_bucket", ("model", "le")),
    "agent_tool_call_duration_seconds_bucket": ("tool_bucket", ("tool", "le")),
}
_THEIRS = {
    "llm_calls": ("llm_calls", ("model", "status")),
    "tool_calls": ("tool_calls", ("tool", "status")),
    "tokens": ("tokens", ("type",)),
    "runs": ("runs", ("status", "stop_reason")),
    "llm_seconds_bucket": ("llm_bucket", ("model", "le")),
    "tool_seconds_bucket": ("tool_bucket", ("tool", "le")),
}


def of_extractor(text: str) -> Counted:
    """What the exposition of the default pack says of the job; labels that the job has not are added up."""
    return _exposition(text, _OURS)


def of_exposition(text: str) -> Counted:
    """What an exposition with the names of the job says."""
    return _exposition(text, _THEIRS | {f"{name}_total": row for name, row in _THEIRS.items()})


def of_rows(text: str) -> Counted:
    """What rows say; buckets that hold only their own values are added up."""
    counted: Counted = {}
    for what, *labels, number in json.loads(text):
        kind, _, rest = what.partition("_")
        if rest == "alone":
            for bound in (*_BOUNDS[kind], inf):
                if float(labels[1]) <= bound:
                    _add(counted, (f"{kind}_bucket", labels[0], _bound(bound)), number)
        else:
            _add(counted, (what, *labels), number)
    return counted


def differences(truth: Counted, found: Counted) -> list[str]:
    """
    In what *found* is not *truth*, in words; nothing if they agree.

    The truth has buckets. Of quantiles each must lie in the bucket that holds its rank.
    """
    compared = {"llm_calls", "tool_calls", "tokens", "runs"}
    wrong = []
    for what in ("llm", "tool"):
        quantiles = {labels: value for labels, value in found.items() if labels[0] == f"{what}_quantile"}
        names = {labels[1] for labels in truth if labels[0] == f"{what}_calls"}
        if not quantiles:
            compared.add(f"{what}_bucket")
        elif names != {labels[1] for labels in quantiles}:
            wrong.append(f"{what}_quantile: not of every {what}")
        wrong += [
            f"{labels}: {value} is not in the bucket of its rank"
            for labels, value in quantiles.items()
            if not _in_bucket(truth, what, labels[1], float(labels[2]), value)
        ]
    for labels in sorted(truth.keys() | found.keys()):
        one, other = truth.get(labels, 0.0), found.get(labels, 0.0)
        if labels[0] in compared and not isclose(one, other, rel_tol=1e-12):
            wrong.append(f"{labels}: {other:,.0f} and not {one:,.0f}")
    return wrong


def _in_bucket(truth: Counted, what: str, name: str, quantile: float, value: float) -> bool:
    def reached(bound: float) -> float:
        return truth.get((f"{what}_bucket", name, _bound(bound)), 0.0)

    bounds = (*_BOUNDS[what], inf)
    below = max((bound for bound in bounds if bound < value), default=0.0)
    above = min(bound for bound in bounds if bound >= value)
    # One more or less: the programs differ in what they call the quantile of a whole number of values.
    return reached(below) - 1 <= quantile * reached(inf) <= reached(above) + 1


def _exposition(text: str, names: dict[str, tuple[str, Labels]]) -> Counted:
    counted: Counted = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in names:
                what, wanted = names[sample.name]
                values = (sample.labels[label] for label in wanted)
                labels = [_bound(float(v)) if label == "le" else v for label, v in zip(wanted, values, strict=True)]
                _add(counted, (what, *labels), sample.value)
    return counted


def _add(counted: Counted, labels: Labels, number: float) -> None:
    if labels[0] == "runs" and labels[2] not in _REASONS["values"].values():
        labels = (*labels[:2], _REASONS["values"].get(labels[2], _REASONS["other"]))
    if number:  # a series that exists at 0 is no difference
        counted[labels] = counted.get(labels, 0.0) + number


def _bound(bound: float) -> str:
    return f"{bound:g}"
