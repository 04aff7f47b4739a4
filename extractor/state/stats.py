"""
The extractor's own metrics: field, name and help text, one per line.

Pure modules return what happened; modules that own a `Stats` count it here. All counts are exposed on /metrics.
"""

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from math import inf
from typing import Any, NamedTuple

from extractor.schema.label_values import servable

UNPRICED_MODELS = 100
"""Maximum number of unpriced models counted by name, because the names come from logs."""

REFUSALS = ("busy", "full", "host", "slow_reader", "slow_request", "tls", "unauthorized")
"""Reasons for refusing a request or connection; described in docs/web.md."""

PLACES = ("checkpoint", "follow", "merge", "page", "read", "rejects", "reload", "scrape", "settle", "tail", "trends")
"""Places where unexpected exceptions are contained; docs/guarantees.md describes the consequences."""

OTHER = "__other__"


class Own(NamedTuple):
    """One of the extractor's own metrics: field of `Stats`, type, name, label if any, and help text."""

    field: str
    kind: str
    name: str
    label: str
    help: str


_MOST = 2**64 - 1  # in a checkpoint

OWN = (
    Own("bytes_read", "counter", "extractor_read_bytes_total", "", "Bytes of log files read."),
    Own("lines_read", "counter", "extractor_read_lines_total", "", "Lines read, including blank and rejected ones."),
    Own("blank_lines", "counter", "extractor_blank_lines_total", "", "Blank lines skipped."),
    Own("events", "counter", "extractor_events_total", "", "Lines counted as events."),
    Own("rejects", "counter", "extractor_rejected_lines_total", "reason", "Lines rejected, by reason."),
    Own("internal_errors", "counter", "extractor_internal_errors_total", "where", "Unexpected exceptions contained."),
    Own("requeued", "counter", "extractor_requeued_lines_total", "", "Rejected lines counted later by requeue."),
    Own("exact_lines", "counter", "extractor_exact_path_lines_total", "", "Lines not handled by the fast path."),
    Own("late_events", "counter", "extractor_late_events_total", "", "Events older than the sliding window when read."),
    Own("gaps", "counter", "extractor_sequence_gaps_total", "", "Sequence numbers missing from the logs."),
    Own("repeats", "counter", "extractor_sequence_repeats_total", "", "Lines with a reused sequence number."),
    Own("unpriced", "counter", "extractor_unpriced_calls_total", "model", "Calls of unknown cost, by model."),
    Own(
        "lost_rejects",
        "counter",
        "extractor_lost_rejects_total",
        "",
        "Rejected lines not kept: beyond --max-reject-bytes, failed to write, or deleted from disk.",
    ),
    Own("heard_at", "gauge", "extractor_last_event_read_timestamp_seconds", "", "Time an event was last read."),
    Own("saves", "counter", "extractor_checkpoints_total", "", "Checkpoints saved."),
    Own("failed_saves", "counter", "extractor_checkpoint_failures_total", "", "Checkpoints that failed."),
    Own("saved_at", "gauge", "extractor_checkpoint_timestamp_seconds", "", "Time of the last good checkpoint."),
    Own("stall", "gauge", "extractor_checkpoint_stall_seconds", "", "Time the last checkpoint blocked reading."),
    Own("reloaded", "gauge", "extractor_config_last_reload_successful", "", "Whether the last reload was successful."),
    Own(
        "reloaded_at",
        "gauge",
        "extractor_config_last_reload_success_timestamp_seconds",
        "",
        "Time of the last successful reload.",
    ),
    Own("happenings", "counter", "extractor_file_changes_total", "kind", "Changes to log files, by kind."),
    Own("lost_bytes", "counter", "extractor_lost_bytes_total", "kind", "Bytes lost before they were read, by kind."),
    Own("refusals", "counter", "extractor_web_refusals_total", "reason", "Requests and connections rejected."),
    Own(
        "bad_web_configs",
        "counter",
        "extractor_web_config_failures_total",
        "",
        "Web configuration reloads that failed.",
    ),
    Own("files", "gauge", "extractor_files", "state", "Log files, by state."),
    Own("bytes_behind", "gauge", "extractor_behind_bytes", "", "Bytes in log files not read yet."),
)

_OF_PROCESS = (
    "internal_errors",
    "lost_rejects",
    "saves",
    "failed_saves",
    "refusals",
    "bad_web_configs",
    "reloaded",
    "reloaded_at",
)


@dataclass(slots=True)
class Stats:
    """
    The numbers behind `OWN`; those with a label are tallies by its values.

    File changes are first counted in `noted`, and exposed once that is saved. Lines are read again after a restart, but
    file changes happen only once, and a counter must not decrease.
    """

    bytes_read: int = 0
    lines_read: int = 0
    blank_lines: int = 0
    events: int = 0
    rejects: Tally[str] = field(default_factory=Tally)
    internal_errors: Tally[str] = field(default_factory=lambda: Tally(dict.fromkeys(PLACES, 0)))
    requeued: int = 0
    exact_lines: int = 0
    late_events: int = 0
    gaps: int = 0
    repeats: int = 0
    unpriced: Tally[str] = field(default_factory=Tally)
    lost_rejects: int = 0
    heard_at: float = 0.0
    saves: int = 0
    failed_saves: int = 0
    saved_at: float = 0.0
    stall: float = 0.0
    reloaded: int = 1
    reloaded_at: float = 0.0
    happenings: Tally[str] = field(default_factory=Tally)
    lost_bytes: Tally[str] = field(default_factory=Tally)
    noted: dict[str, Tally[str]] = field(default_factory=lambda: {"happenings": Tally(), "lost_bytes": Tally()})
    refusals: Tally[str] = field(default_factory=lambda: Tally(dict.fromkeys(REFUSALS, 0)))
    bad_web_configs: int = 0
    files: dict[str, int] = field(default_factory=dict)
    bytes_behind: int = 0
    earliest: float = inf  # event time for log messages: no metric, and not in checkpoints

    def note(self, kind: str, lost: int) -> None:
        """Count a change of a file, which lost *lost* bytes."""
        self.noted["happenings"][kind] += 1
        self.noted["lost_bytes"][kind] += lost

    def refuse(self, reason: str) -> None:
        """Count a refused request or connection."""
        self.refusals[reason] += 1

    def count_bad_web_config(self) -> None:
        """Count a changed web configuration that cannot be used."""
        self.bad_web_configs += 1

    def number(self, gaps: int, repeats: int) -> None:
        """Add to the numbers of sequence gaps and repeats."""
        self.gaps, self.repeats = self.gaps + gaps, self.repeats + repeats

    def unpriced_calls(self, calls: Tally[str]) -> None:
        """Count calls without a price, by model for a limited number of models."""
        for name, number in calls.items():
            model = servable(name)
            known = model in self.unpriced or len(self.unpriced) < UNPRICED_MODELS
            self.unpriced[model if known else OTHER] += number

    def unshown(self) -> dict[str, Tally[str]]:
        """Return the counts that are noted but not exposed yet."""
        return {name: Tally(tally) for name, tally in self.noted.items()}

    def show(self, noted: Mapping[str, Tally[str]]) -> None:
        """Expose the counts in *noted*, which `unshown` returned before they were saved."""
        for name, tally in noted.items():
            getattr(self, name).update(tally)
            self.noted[name].subtract(tally)

    def dump(self) -> dict[str, Any]:
        """Return all counters, including noted counts, as plain values."""
        counters = {own.field: getattr(self, own.field) for own in OWN if own.kind == "counter"}
        for name, tally in self.noted.items():
            counters[name] = counters[name] + tally
        return {name: _storable(value) for name, value in counters.items()}

    def begin_anew(self) -> "Stats":
        """Reset all fields before a checkpoint is loaded; return the previous values."""
        before = replace(self)
        for each in fields(self):
            fresh = each.default if each.default_factory is MISSING else each.default_factory()
            setattr(self, each.name, fresh)
        return before

    def keep(self, before: "Stats") -> None:
        """Restore from *before* the counts of the process, which no log reproduces."""
        for name in _OF_PROCESS:
            setattr(self, name, getattr(before, name))

    def add(self, other: "Stats") -> None:
        """Add the counters of *other*."""
        self.earliest = min(self.earliest, other.earliest)
        for own in OWN:
            if own.kind == "counter":
                mine, more = getattr(self, own.field), getattr(other, own.field)
                if isinstance(mine, Tally):
                    mine.update(more)
                else:
                    setattr(self, own.field, mine + more)

    def load(self, dumped: dict[str, Any]) -> None:
        """Restore what `dump` returned."""
        for name, value in dumped.items():
            if isinstance(value, dict):
                tally = getattr(self, name)
                for key, count in value.items():
                    tally[servable(key)] += count
            else:
                setattr(self, name, value)


def _storable(value: Any) -> Any:  # noqa: ANN401  # a number, or a tally
    # Two lines numbered 1 and 2**64 - 1 leave a gap of that size, but integers in a checkpoint have at most
    # 64 bits.
    if isinstance(value, Tally):
        return {name: _storable(count) for name, count in value.items()}
    return min(value, _MOST)
