"""
Objectives in, the alert rules on the extractor itself out.

Whoever trusts a number must learn when it is old, too low, or no longer there.

Knows nothing of agents but that their events are expected.
"""

from collections.abc import Iterator

from extractor import recordings as r
from extractor.alerts import Alert
from extractor.objectives import Objectives
from extractor.promql import beyond, quoted, said

_PERCENT = "{{ $value | humanizePercentage }}"
_SECONDS = "{{ $value | humanizeDuration }}"
_NUMBER = "{{ $value | humanize }}"
_INSTANCE = "{{ $labels.instance }}"


def alerts(objectives: Objectives, job: str) -> dict[str, tuple[Alert, ...]]:
    """Every alert on extractors, by its group; *job* is the job label they are scraped with."""
    return {"extractor": (*_health(job), *_reading(), *_telling(objectives))}


def _health(job: str) -> Iterator[Alert]:
    selector = f"up{{job={quoted(job)}}}"
    yield Alert(
        "ExtractorDown", f"{selector} == 0", "5m", "critical",
        f"The extractor {_INSTANCE} does not answer",
        "For 5 minutes it could not be scraped: it is stopped, not reachable, or still catching up after a start.",
    )  # fmt: skip
    yield Alert(
        "ExtractorAbsent", f"absent({selector})", "5m", "critical",
        "Prometheus scrapes no extractor",
        "There is no target with the job {{ $labels.job }}; no other alert about agents can fire.",
    )  # fmt: skip
    yield Alert(
        "ExtractorCheckpointsFailing", "increase(extractor_checkpoint_failures_total[10m]) > 0", "5m", "critical",
        f"The extractor {_INSTANCE} cannot save its state",
        "Checkpoints fail: the state directory is full, gone, or not writable. After a restart it would read all logs "
        "since the last good one again.",
    )  # fmt: skip
    saved = "extractor_checkpoint_timestamp_seconds"
    yield Alert(
        "ExtractorCheckpointOld", f"time() - ({saved} > 0) > 600", "5m", "warning",
        f"The extractor {_INSTANCE} has not saved its state for long",
        f"The last good checkpoint is {_SECONDS} old.",
    )  # fmt: skip


def _reading() -> Iterator[Alert]:
    yield Alert(
        "ExtractorFilesUnreadable", 'extractor_files{state="unreadable"} > 0', "5m", "warning",
        f"The extractor {_INSTANCE} cannot read log files",
        f"{_NUMBER} files or folders cannot be opened; nothing in them is counted.",
    )  # fmt: skip
    yield Alert(
        "ExtractorBehind", "min_over_time(extractor_behind_bytes[10m]) > 0 and extractor_behind_seconds > 120",
        "5m", "warning",
        f"The extractor {_INSTANCE} does not keep up",
        "For 10 minutes there was always something left to read, "
        "{{ $value | humanize1024 }}B at the least; what is shown is of the past.",
    )  # fmt: skip
    running = "sum by (job, instance) (agent_runs_in_progress) > 0"
    usual = "sum by (job, instance) (increase(extractor_events_total[30m] offset 1d)) > 0"
    yield Alert(
        "ExtractorNoEvents",
        f"time() - extractor_last_event_timestamp_seconds > 1800\nand on (job, instance)\n({running} or {usual})",
        "5m", "warning",
        f"The extractor {_INSTANCE} sees no new events",
        f"The latest event is {_SECONDS} old, though runs are open or there were events at this time of yesterday.",
    )  # fmt: skip


def _telling(objectives: Objectives) -> Iterator[Alert]:
    yield Alert(
        "ExtractorReloadFailed", "extractor_config_last_reload_successful == 0", "5m", "warning",
        f"The extractor {_INSTANCE} refused to reload",
        "Its configuration, schemas or prices are wrong; those from before are in force. It would not start with them.",
    )  # fmt: skip
    yield Alert(
        "ExtractorInternalErrors", "sum by (job, instance, where) (increase(extractor_internal_errors_total[15m])) > 0",
        "0m", "warning",
        f"The extractor {_INSTANCE} has an error of its own",
        "An exception was contained in {{ $labels.where }} within the last 15 minutes. The log has the traceback; "
        "please report it. A line that could not be counted is kept as a reject with the reason internal.",
    )  # fmt: skip
    for objective, broken in beyond(r.REJECTED, "reject_rate", objectives):
        yield Alert(
            "ExtractorRejectsRising", broken, "5m", "warning",
            f"The extractor {_INSTANCE} rejects lines",
            f"{_PERCENT} of the lines of the last 15 minutes were no valid events; {said(objective)}.",
        )  # fmt: skip
    yield Alert(
        "ExtractorLinesLost", "sum by (job, instance) (increase(extractor_lost_bytes_total[1h])) > 0", "0m", "warning",
        f"The extractor {_INSTANCE} missed lines",
        "In the last hour {{ $value | humanize1024 }}B of logs were gone before they were read; totals are too low.",
    )  # fmt: skip
    yield Alert(
        "ExtractorLabelsOverflow",
        "sum by (job, instance, metric, label) (increase(extractor_label_overflow_total[1h])) > 0", "0m", "info",
        "The label {{ $labels.label }} of {{ $labels.metric }} has too many values",
        f"About {_NUMBER} events of the last hour were counted under __other__. Does something put an id into a label?",
    )  # fmt: skip
    yield Alert(
        "ExtractorCallsUnpriced", f"{r.increase('model', 'extractor_unpriced_calls_total')} > 0", "0m", "info",
        "The price of the model {{ $labels.model }} is not known",
        f"About {_NUMBER} of its calls of the last hour have no cost; what is shown is too low.",
    )  # fmt: skip
