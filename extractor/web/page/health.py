"""
The extractor's own counts in, the rows of its health table out.

Lost or endangered data is marked as a problem; other rows are informational.
"""

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from extractor.report.summary import Figure, shown
from extractor.state.state import State
from extractor.state.stats import Stats

_OLD_CHECKPOINT = 120.0  # seconds
_MODELS = 3  # that are named


class Vital(NamedTuple):
    """One row: what it is about, its value in words, whether that is well, and what it means where it is not."""

    title: str
    value: str
    well: bool = True
    note: str = ""


class Moment(NamedTuple):
    """
    What is counted nowhere: why there is no scrape, and why files are not watched.

    *now* and when the process *started* are by the wall clock, in seconds since the epoch.
    """

    not_ready: str
    watching: str
    now: float
    started: float


def vitals(state: State, stats: Stats, moment: Moment, *, keeps: bool) -> Iterator[Vital]:
    """The rows; *keeps* says whether there is a state directory."""
    yield Vital("Ready", "no" if moment.not_ready else "yes", not moment.not_ready, moment.not_ready)
    if state.watermark > -inf:
        yield Vital("Latest event", f"{ago(moment.now - state.watermark)}")
    else:
        yield Vital("Latest event", "none yet")
    yield from _checkpoints(stats, moment, keeps=keeps)
    yield Vital("Lines read", number(stats.lines_read))
    yield _trouble("Internal errors", stats.internal_errors.total(), "Contained and logged. Please report them.")
    yield _trouble(
        "Rejected lines not kept",
        stats.lost_rejects,
        "Deleted because of --max-reject-bytes, or not written because of a disk error.",
    )
    yield _trouble("Sequence gaps", stats.gaps, "Sequence numbers missing from the logs.")
    yield _trouble(
        "Sequence repeats", stats.repeats, "Sequence numbers found more than once: are lines or logs duplicated?"
    )
    folded = sum(state.overflow().values())
    most = max(state.overflow().items(), key=lambda item: item[1], default=(("", ""), 0))[0]
    yield _trouble(
        "Label overflow", folded, f"Values above the limit became __other__, most of {most[1] or '*'} in {most[0]}."
    )
    named = ", ".join(model for model, _ in stats.unpriced.most_common(_MODELS))
    yield _trouble("Calls without a price", stats.unpriced.total(), f"Excluded from costs: {named}.")
    yield _trouble("Runs evicted", state.shed_runs(), "More than --max-open-runs were open.")
    yield _trouble("Bytes lost", stats.lost_bytes.total(), "Removed before they were read.")
    yield _trouble("Late events", stats.late_events, "Older than the sliding window when read.", well=True)
    if moment.watching:
        yield Vital("Watching", "polling", well=False, note=moment.watching)


def _checkpoints(stats: Stats, moment: Moment, *, keeps: bool) -> Iterator[Vital]:
    if not keeps:
        yield Vital("Checkpoint", "none", note="No --state-dir: the logs are read again after a restart.")
        return
    if stats.saved_at:
        well = moment.now - max(stats.saved_at, moment.started) < _OLD_CHECKPOINT
        yield Vital("Checkpoint", ago(moment.now - stats.saved_at), well, "" if well else "The last one is old.")
    else:
        yield Vital("Checkpoint", "none yet")
    yield _trouble(
        "Checkpoint failures", stats.failed_saves, "Events since the last checkpoint are read again after a restart."
    )


def _trouble(title: str, count: int, note: str, *, well: bool = False) -> Vital:
    return Vital(title, number(count), well or not count, note if count else "")


def number(count: int) -> str:
    """A count as people read it."""
    return f"{count:,}"


def ago(seconds: float) -> str:
    """How long ago something was, in words; the clocks of agents may be a little ahead."""
    if seconds < 1:
        return "just now"
    day = 86400
    return (
        f"{seconds / day:,.1f} days ago"
        if seconds >= day
        else f"{shown(Figure('', '', round(seconds), 'seconds'))} ago"
    )
