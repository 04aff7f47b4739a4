"""
Alert rules on the extractor itself, from objectives.

They report when a number is outdated, too low, or missing.
"""

from collections.abc import Iterator

from extractor.report.objectives import Objectives
from extractor.report.rules import recordings as r
from extractor.report.rules.agent_alerts import Alert
from extractor.report.rules.promql import beyond, earlier, latest, limits, quoted

_PERCENT = "{{ $value | humanizePercentage }}"
_SECONDS = "{{ $value | humanizeDuration }}"
_COUNT = '{{ $value | printf "%.0f" }}'
_BYTES = "{{ $value | humanize1024 }}B"
_INSTANCE = "{{ $labels.instance }}"


def alerts(objectives: Objectives, job: str) -> dict[str, tuple[Alert, ...]]:
    """Return all alerts on extractors, by group; *job* is the job label they are scraped with."""
    return {"extractor": (*_health(job), *_reading(), *_reporting(objectives))}


def _health(job: str) -> Iterator[Alert]:
    selector = f"up{{job={quoted(job)}}}"
    yield Alert(
        "ExtractorDown", f"{selector} == 0", "5m", "critical",
        f"Extractor {_INSTANCE} is down",
        "It could not be scraped for 5 minutes: it is stopped, unreachable, or still catching up after a start.",
    )  # fmt: skip
    yield Alert(
        "ExtractorAbsent", f"absent({selector})", "5m", "critical",
        "No extractor is scraped",
        "There has been no target with the job {{ $labels.job }} for 5 minutes; no other alert can fire.",
    )  # fmt: skip
    saved = latest("extractor_checkpoint_timestamp_seconds")
    # After a failure the next checkpoint may succeed; and after a kill the counter of failures may fall back, which
    # looks like new ones.
    yield Alert(
        "ExtractorCheckpointsFailing",
        f"{r.CHECKPOINT_FAILURES} > 0\nand on (job, instance)\ntime() - {saved} > 60", "5m", "critical",
        f"Extractor {_INSTANCE} cannot save its state",
        "Checkpoints failed in the last 10 minutes, and the last good one is more than a minute old: the state "
        "directory is full, missing, or not writable. After a restart, all lines since the last good checkpoint are "
        "read again.",
    )  # fmt: skip
    yield Alert(
        "ExtractorCheckpointOld", f"time() - ({saved} > 0) > 600", "5m", "warning",
        f"Last checkpoint of extractor {_INSTANCE} is old",
        f"The last good checkpoint is {_SECONDS} old.",
    )  # fmt: skip


def _reading() -> Iterator[Alert]:
    unreadable = latest('extractor_files{state="unreadable"}')
    yield Alert(
        "ExtractorFilesUnreadable", f"{unreadable} > 0", "5m", "warning",
        f"Extractor {_INSTANCE} cannot read log files",
        f"Files or folders that cannot be opened: {_COUNT}. Their events are not counted.",
    )  # fmt: skip
    unread = "extractor_behind_bytes"
    yield Alert(
        "ExtractorBehind",
        f"min_over_time({unread}[10m]) > 0\nand\n{earlier(unread, '10m')}\n"
        f"and\n{latest('extractor_behind_seconds')} > 120",
        "5m", "warning",
        f"Extractor {_INSTANCE} is falling behind",
        f"At least {_BYTES} of logs have been unread for 10 minutes, "
        "and the latest event read is more than 2 minutes old.",
    )  # fmt: skip
    # A new extractor may have read about runs opened long ago: it must have followed some log since.
    running = f"sum by (job, instance) ({latest('agent_runs_in_progress')}) > 0"
    followed = f"max_over_time({r.EVENTS}[1d]) > 0"
    usual = f"{r.EVENTS} offset 1d > 0"
    yield Alert(
        "ExtractorNoEvents",
        f"time() - {latest('extractor_last_event_read_timestamp_seconds')} > 1800\n"
        f"and on (job, instance)\n({running} and {followed} or {usual})",
        "5m", "warning",
        f"Extractor {_INSTANCE} reads no new events",
        f"No event has been read for {_SECONDS}, although runs are open "
        "or events were read in the same 30 minutes yesterday.",
    )  # fmt: skip


def _reporting(objectives: Objectives) -> Iterator[Alert]:
    yield Alert(
        "ExtractorReloadFailed", f"{latest('extractor_config_last_reload_successful')} == 0", "5m", "warning",
        f"Extractor {_INSTANCE} failed to reload",
        "Its configuration, schemas or prices are invalid; the previous ones remain in effect. A restart would fail.",
    )  # fmt: skip
    yield Alert(
        "ExtractorInternalErrors", f"{r.INTERNAL_ERRORS} > 0", "0m", "warning",
        f"Extractor {_INSTANCE} has internal errors",
        "An unexpected exception was contained in {{ $labels.where }} in the last 15 minutes. Please report the "
        "traceback in the log. Lines that could not be counted are kept as rejects with the reason internal.",
    )  # fmt: skip
    for objective, _ in limits("reject_rate", objectives):
        yield Alert(
            "ExtractorRejectsRising", f"{beyond(r.REJECTED, objective, '')}\nand\n{r.REJECTS} >= 3", "5m", "warning",
            f"Reject rate of extractor {_INSTANCE} is high",
            f"{_PERCENT} of the lines read in the last 15 minutes were rejected; "
            f"the objective is {objective.direction} {objective.limit_text()}.",
        )  # fmt: skip
    yield Alert(
        "ExtractorLinesLost", f"{r.LOST_BYTES} > 0", "0m", "warning",
        f"Extractor {_INSTANCE} lost log lines",
        f"In the last hour, {_BYTES} of logs were lost before they were read; totals are too low.",
    )  # fmt: skip
    yield Alert(
        "ExtractorLabelsOverflow", f"{r.OVERFLOW} > 0", "0m", "info",
        "Label {{ $labels.label }} of {{ $labels.metric }} has too many values",
        f"Events counted under __other__ in the last hour: {_COUNT}. Check whether a label value contains an ID.",
    )  # fmt: skip
    yield Alert(
        "ExtractorCallsUnpriced", f"{r.UNPRICED} > 0", "0m", "info",
        "Price of model {{ $labels.model }} is unknown",
        f"Calls of unknown cost in the last hour: {_COUNT}. The reported cost is too low.",
    )  # fmt: skip
