"""
Build PromQL expressions for signals and limits.

One rule holds for every counter: its increase over a window is its current value minus its value at the start of the
window, where a series that did not exist counts from 0 if its extractor was running. Prometheus' own `increase()`
ignores the first value of a series, but the extractor exports a series only once an event has touched it, with a first
value above 0. `increase()` also counts the first value after a reset as new, and extrapolates.
"""

import json
from collections.abc import Iterator
from math import inf

from extractor.report.objectives import Objectives
from extractor.schema.objective import Direction, Objective

GAP = "5m"
"""The longest gap between two scrapes that expressions bridge, such as a restart of the extractor."""

_BEYOND = 0x10000  # the first code point beyond four hex digits


def latest(metric: str) -> str:
    """Return the last value of *metric*, even if the last scrapes failed."""
    return f"last_over_time({metric}[{GAP}])"


def earlier(metric: str, ago: str) -> str:
    """Return `latest` as of *ago*."""
    return f"last_over_time({metric}[{GAP}] offset {ago})"


def increase(metric: str, window: str) -> str:
    """
    Return the increase of each series of *metric* over *window*; none for an extractor that no longer answers.

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
    """Return the series of *metric* that are not known to have the value that they had *ago*."""
    now = latest(metric)
    return f"({now} unless {now} == {earlier(metric, ago)})"


def limits(name: str, objectives: Objectives) -> Iterator[tuple[Objective, str]]:
    """Yield each limit of the objective *name*, with label matchers for what it applies to."""
    for objective in objectives.of(name):
        if objective.agent is not None:
            yield objective, f"agent={quoted(objective.agent)}"
        else:
            yield objective, ",".join(f"agent!={quoted(agent)}" for agent in objectives.apart(objective.name))


def beyond(signal: str, objective: Objective, matchers: str) -> str:
    """Return the values of *signal* that violate *objective*."""
    sign = ">" if objective.direction is Direction.AT_MOST else "<"
    return f"{selected(signal, matchers)} {sign} {number(objective.limit)}"


def shifted(share: str, past: str, *, where: str = "", fell: bool = False) -> str:
    """
    Return by how much *share* is above its value at *past* (below, if it *fell*).

    Only differences of more than 5 points and of more than three standard deviations count: `variance` is how much a
    share of so few events varies by chance.
    """
    variance = share.replace(":ratio_", ":variance_")
    now, then = f"{share}{where}", f"{share}{where} offset {past}"
    difference = f"{then} - {now}" if fell else f"{now} - {then}"
    return f"({difference} > 0.05 and {difference} > 3 * sqrt({variance} + {variance} offset {past}))"


def selected(signal: str, *matchers: str) -> str:
    """Return the series of *signal* that match; empty matchers match everything."""
    stated = ",".join(each for each in matchers if each)
    return f"{signal}{{{stated}}}" if stated else signal


def quoted(text: str) -> str:
    """Return *text* as a PromQL string."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    # PromQL's strings are Go's, in YAML: characters that end a line in YAML, or are invalid there, are escaped, too.
    if char.isascii():
        return json.dumps(char)[1:-1] if char != "\x7f" else r"\u007f"
    if char.isprintable() and char != "\ufffd":  # which PromQL treats as a decoding error
        return char
    return f"\\u{ord(char):04x}" if ord(char) < _BEYOND else f"\\U{ord(char):08x}"


def number(value: float) -> str:
    """Return *value* as a PromQL number."""
    assert value < inf
    return f"{value:.15g}"
