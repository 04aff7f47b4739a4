"""
Write a file of Prometheus rules from objectives.

The YAML is written by hand: it has four levels of names and text, and every text is quoted as JSON, which YAML
contains. Equal objectives give equal bytes, so that the file can be stored and compared.
"""

import json
from collections.abc import Iterator

from extractor.report.objectives import Objectives
from extractor.report.rules import agent_alerts, extractor_alerts
from extractor.report.rules.agent_alerts import Alert, Buckets
from extractor.report.rules.recordings import RECORDINGS, Recording

RUNBOOK = "docs/alerts.md"


def rules(objectives: Objectives, job: str, buckets: Buckets) -> str:
    """
    Return the recording and alert rules as the text of a rule file.

    *job* is the job label of the extractors, and *buckets* are those of their histograms.
    """
    lines = ["# Written by `extractor rules`; change the objectives instead.", "groups:", *_group("agent-signals")]
    for recording in RECORDINGS:
        lines.extend(_recording(recording))
    for group, members in (agent_alerts.alerts(objectives, buckets) | extractor_alerts.alerts(objectives, job)).items():
        lines.extend(_group(group))
        for alert in members:
            lines.extend(_alert(alert))
    return "\n".join(lines) + "\n"


def _group(name: str) -> Iterator[str]:
    yield f"  - name: {name}"
    yield "    rules:"


def _recording(recording: Recording) -> Iterator[str]:
    yield f"      - record: {recording.name}"
    yield from _expr(recording.expr)


def _alert(alert: Alert) -> Iterator[str]:
    yield f"      - alert: {alert.name}"
    yield from _expr(alert.expr)
    yield f"        for: {alert.hold}"
    yield "        labels:"
    yield f"          severity: {alert.severity}"
    yield "        annotations:"
    yield f"          summary: {_text(alert.summary)}"
    yield f"          description: {_text(alert.description)}"
    yield f"          runbook: {RUNBOOK}#{alert.name.lower()}"


def _expr(expr: str) -> Iterator[str]:
    yield "        expr: |-"
    for line in expr.split("\n"):
        yield f"          {line}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
