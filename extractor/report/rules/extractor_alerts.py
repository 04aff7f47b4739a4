"""
Objectives in, the alert rules on the extractor itself out.

They report when a number is old, too low, or no longer there.
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
    """Every alert on extractors, by its group; *job* is the job label they are scraped with."""
    return {"extractor": (*_health(job), *_reading(), *_reporting(objectives))}


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
        "For 5 minutes there has been no target with the job {{ $labels.job }}; no other alert can fire.",
    )  # fmt: skip
    saved = latest("extractor_checkpoint_timestamp_seconds")
    # After a failure the next checkpoint may be good; and after a kill the counter of failures may fall back, which
    # looks like new ones.
    yield Alert(
        "ExtractorCheckpointsFailing",
        f"{r.CHECKPOINT_FAILURES} > 0\nand on (job, instance)\ntime() - {saved} > 60", "5m", "critical",
        f"The extractor {_INSTANCE} cannot save its state",
        "Checkpoints have failed in the last 10 minutes, and the last good one is older than a minute: the state "
        "directory is full, gone, or not writable. After a restart all lines since the last good one are read again.",
    )  # fmt: skip
    yield Alert(
        "ExtractorCheckpointOld", f"time() - ({saved} > 0) > 600", "5m", "warning",
        f"The extractor {_INSTANCE} has not saved its state for long",
        f"The last good checkpoint is {_SECONDS} old.",
    )  # fmt: skip


def _reading() -> Iterator[Alert]:
    unreadable = latest('extractor_files{state="unreadable"}')
    yield Alert(
        "ExtractorFilesUnreadable", f"{unreadable} > 0", "5m", "warning",
        f"The extractor {_INSTANCE} cannot read log files",
        f"Files or folders that cannot be opened: {_COUNT}. What is written there is not counted.",
    )  # fmt: skip
    unread = "extractor_behind_bytes"
    yield Alert(
        "ExtractorBehind",
        f"min_over_time({unread}[10m]) > 0\nand\n{earlier(unread, '10m')}\n"
        f"and\n{latest('extractor_behind_seconds')} > 120",
        "5m", "warning",
        f"The extractor {_INSTANCE} does not keep up",
        f"For 10 minutes there was always something left to read, {_BYTES} at the least, "
        "and the latest event read is more than 2 minutes old.",
    )  # fmt: skip
    # A new extractor may have read of runs that were open long ago: it must have followed some log since.
    running = f"sum by (job, instance) ({latest('agent_runs_in_progress')}) > 0"
    followed = f"max_over_time({r.EVENTS}[1d]) > 0"
    usual = f"{r.EVENTS} offset 1d > 0"
    yield Alert(
        "ExtractorNoEvents",
        f"time() - {latest('extractor_last_event_read_timestamp_seconds')} > 1800\n"
        f"and on (job, instance)\n({running} and {followed} or {usual})",
        "5m", "warning",
        f"The extractor {_INSTANCE} sees no new events",
        f"No event has been read for {_SECONDS}, though runs are open, "
        "or events were read in the 30 minutes before this time of yesterday.",
    )  # fmt: skip


def _reporting(objectives: Objectives) -> Iterator[Alert]:
    yield Alert(
        "ExtractorReloadFailed", f"{latest('extractor_config_last_reload_successful')} == 0", "5m", "warning",
        f"The extractor {_INSTANCE} refused to reload",
        "Its configuration, schemas or prices are wrong; those from before are in force. It would not start with them.",
    )  # fmt: skip
    yield Alert(
        "ExtractorInternalErrors", f"{r.INTERNAL_ERRORS} > 0", "0m", "warning",
        f"The extractor {_INSTANCE} has an error of its own",
        "An exception was contained in {{ $labels.where }} within the last 15 minutes. The log has the traceback; "
        "please report it. A line that could not be counted is kept as a reject with the reason internal.",
    )  # fmt: skip
    for objective, _ in limits("reject_rate", objectives):
        yield Alert(
            "ExtractorRejectsRising", f"{beyond(r.REJECTED, objective, '')}\nand\n{r.REJECTS} >= 3", "5m", "warning",
            f"The extractor {_INSTANCE} rejects lines",
            f"{_PERCENT} of the lines of the last 15 minutes were no valid events; "
            f"the objective is {objective.direction} {objective.limit_text()}.",
        )  # fmt: skip
    yield Alert(
        "ExtractorLinesLost", f"{r.LOST_BYTES} > 0", "0m", "warning",
        f"The extractor {_INSTANCE} missed lines",
        f"In the last hour {_BYTES} of logs were gone before they were read; totals are too low.",
    )  # fmt: skip
    yield Alert(
        "ExtractorLabelsOverflow", f"{r.OVERFLOW} > 0", "0m", "info",
        "The label {{ $labels.label }} of {{ $labels.metric }} has too many values",
        f"Events of the last hour that were counted under __other__: {_COUNT}. Does something put an id into a label?",
    )  # fmt: skip
    yield Alert(
        "ExtractorCallsUnpriced", f"{r.UNPRICED} > 0", "0m", "info",
        "The price of the model {{ $labels.model }} is not known",
        f"Its calls of the last hour that have no cost: {_COUNT}. What is shown is too low.",
    )  # fmt: skip
