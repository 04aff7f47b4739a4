"""
A signal and its limits in, the PromQL of who is beyond them out.

Knows nothing of which signals there are.
"""

import json
from collections.abc import Iterator
from math import inf

from extractor.objectives import Direction, Objective, Objectives

_BEYOND = 0x10000  # what four digits can say


def beyond(signal: str, name: str, objectives: Objectives) -> Iterator[tuple[Objective, str]]:
    """For each limit that the objective *name* sets, itself and the expression of who is beyond it."""
    for objective in objectives.of(name):
        sign = ">" if objective.direction is Direction.AT_MOST else "<"
        if objective.agent is not None:
            chosen = selected(signal, agent=objective.agent)
        else:
            others = ",".join(f"agent!={quoted(agent)}" for agent in objectives.apart(objective.name))
            chosen = f"{signal}{{{others}}}" if others else signal
        yield objective, f"{chosen} {sign} {number(objective.limit)}"


def grew(share: str, short: str, long: str, where: str = "", *, fell: bool = False) -> str:
    """By how much *share* is above what it was (below, if it *fell*): by five points, and three standard deviations."""
    variance = share.replace(":ratio_", ":variance_")
    parts = []
    for past in (short, long):
        now, then = f"{share}{where}", f"{share}{where} offset {past}"
        grew = f"{then} - {now}" if fell else f"{now} - {then}"
        parts.append(f"({grew} > 0.05 and {grew} > 3 * sqrt({variance} + {variance} offset {past}))")
    return "\nor\n".join(parts)


def said(objective: Objective) -> str:
    """The limit in words, for the description of an alert."""
    return f"the objective is {objective.direction} {objective.limit_text()}"


def selected(signal: str, *, agent: str) -> str:
    """The *signal* of one agent."""
    return f"{signal}{{agent={quoted(agent)}}}"


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
