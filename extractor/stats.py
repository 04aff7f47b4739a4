"""
The extractor's own counts: field, name and help on one line each.

Pure rooms return what happened; the rooms that own a `Stats` count it here. Everything counted can be seen on /metrics.

Knows nothing of how it is shown.
"""

from collections import Counter as Tally
from dataclasses import dataclass, field
from typing import NamedTuple


class Own(NamedTuple):
    """One of the extractor's own metrics: the field of `Stats`, its type, its name, its label if any, and its help."""

    field: str
    kind: str
    name: str
    label: str
    help: str


OWN = (
    Own("bytes_read", "counter", "extractor_read_bytes_total", "", "Bytes of log files read."),
    Own("lines_read", "counter", "extractor_read_lines_total", "", "Lines read, whatever became of them."),
    Own("blank_lines", "counter", "extractor_blank_lines_total", "", "Lines with nothing in them; skipped."),
    Own("events", "counter", "extractor_events_total", "", "Lines that were counted as events."),
    Own("rejects", "counter", "extractor_rejected_lines_total", "reason", "Lines that are no event, by reason."),
    Own("exact_lines", "counter", "extractor_exact_path_lines_total", "", "Lines that the fast path did not accept."),
    Own("late_events", "counter", "extractor_late_events_total", "", "Events older than the sliding window when read."),
    Own("happenings", "counter", "extractor_file_changes_total", "kind", "Happenings to log files, by kind."),
    Own("files", "gauge", "extractor_files", "state", "Log files known, by state."),
    Own("bytes_behind", "gauge", "extractor_behind_bytes", "", "Bytes in log files that are not read yet."),
)


@dataclass(slots=True)
class Stats:
    """The numbers behind `OWN`; those with a label are tallies by its values."""

    bytes_read: int = 0
    lines_read: int = 0
    blank_lines: int = 0
    events: int = 0
    rejects: Tally[str] = field(default_factory=Tally)
    exact_lines: int = 0
    late_events: int = 0
    happenings: Tally[str] = field(default_factory=Tally)
    files: dict[str, int] = field(default_factory=dict)
    bytes_behind: int = 0
