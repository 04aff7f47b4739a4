"""
Signals and limits in, PromQL text out.

One rule holds for every counter: its increase over a window is its value now minus its value at the start of the
window, where a series that did not exist counts from 0 if its extractor was running. Prometheus' own `increase()`
does not see the first value of a series, and the extractor exports a series only when an event has touched it, which
is to say with a first value above 0. It also takes the first value after a reset for new, and extrapolates.
"""

import json
from collections.abc import Iterator
from math import inf

from extractor.report.objectives import Objectives
from extractor.schema.objective import Direction, Objective

GAP = "5m"
"""The longest gap between two scrapes that expressions bridge, such as a restart of the extractor."""

_BEYOND = 0x10000  # what four digits can say


def latest(metric: str) -> str:
    """The last value of *metric*, also if the last scrapes failed."""
    return f"last_over_time({metric}[{GAP}])"


def earlier(metric: str, ago: str) -> str:
    """What `latest` was *ago*."""
    return f"last_over_time({metric}[{GAP}] offset {ago})"


def increase(metric: str, window: str) -> str:
    """
    How much each series of *metric* rose over *window*; nothing for an extractor that no longer answers.

    The cases, in this order: the value at the start is known; the series is new, and the same process of the extractor
    was scraped at the start; or nothing is known of the start (a new or restarted extractor, a long outage) or the
    counter fell (logs that were deleted before a restart are not counted again): then it counts from the lowest value
    within the window.
    """
    now, then = latest(metric), earlier(metric, window)
    process = "process_start_time_seconds"
    return (
        f"  {now} - {then} >= 0\n"
        f"  or ({now} unless {then}) and on (job, instance) ({latest(process)} == {earlier(process, window)})\n"
        f"  or {now} - min_over_time({metric}[{window}])"
    )


def unknown_or_changed(metric: str, ago: str) -> str:
    """The series of *metric* that are not known to have the value that they had *ago*."""
    now = latest(metric)
    return f"({now} unless {now} == {earlier(metric, ago)})"


def limits(name: str, objectives: Objectives) -> Iterator[tuple[Objective, str]]:
    """Each limit that the objective *name* sets, with the label matchers of those it holds for."""
    for objective in objectives.of(name):
        if objective.agent is not None:
            yield objective, f"agent={quoted(objective.agent)}"
        else:
            yield objective, ",".join(f"agent!={quoted(agent)}" for agent in objectives.apart(objective.name))


def beyond(signal: str, objective: Objective, matchers: str) -> str:
    """The values of *signal* that break *objective*."""
    sign = ">" if objective.direction is Direction.AT_MOST else "<"
    return f"{selected(signal, matchers)} {sign} {number(objective.limit)}"


def shifted(share: str, past: str, *, where: str = "", fell: bool = False) -> str:
    """
    By how much *share* is above what it was at *past* (below, if it *fell*).

    Only a difference of more than 5 points counts that is also above three standard deviations: `variance` is how much
    a share of so few events moves by chance alone.
    """
    variance = share.replace(":ratio_", ":variance_")
    now, then = f"{share}{where}", f"{share}{where} offset {past}"
    difference = f"{then} - {now}" if fell else f"{now} - {then}"
    return f"({difference} > 0.05 and {difference} > 3 * sqrt({variance} + {variance} offset {past}))"


def selected(signal: str, *matchers: str) -> str:
    """The series of *signal* that match; empty matchers match everything."""
    stated = ",".join(each for each in matchers if each)
    return f"{signal}{{{stated}}}" if stated else signal


def quoted(text: str) -> str:
    """*text* as a string of PromQL."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    # PromQL's strings are Go's, and stand in YAML: what YAML takes for the end of a line, or refuses, is escaped, too.
    if char.isascii():
        return json.dumps(char)[1:-1] if char != "\x7f" else r"\u007f"
    if char.isprintable() and char != "\ufffd":  # PromQL takes that one for a decoding error
        return char
    return f"\\u{ord(char):04x}" if ord(char) < _BEYOND else f"\\U{ord(char):08x}"


def number(value: float) -> str:
    """*value* as a number of PromQL."""
    assert value < inf
    return f"{value:.15g}"
