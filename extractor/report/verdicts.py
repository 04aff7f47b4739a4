"""
Compute the rows of the report: each signal now and before, and the verdicts by objectives.

An objective for each agent is judged per agent, like its alert, and one for each tool per tool, so that a failing quiet
agent is not masked by a busy one. Without a measurement no objective is broken.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from extractor.report.evaluate import EVERYTHING, Only, is_seen, number, shares, values
from extractor.report.objectives import Objectives
from extractor.report.windows import Cut
from extractor.schema.model import OTHER, UNKNOWN, Kind
from extractor.schema.objective import Objective, Scope
from extractor.schema.report_rows import Signal
from extractor.schema.signals import unit_of
from extractor.state.state import State

_WHOSE = {Scope.AGENT: "agent", Scope.TOOL: "tool"}
"""The label whose values an objective is judged for."""

Measured = float | dict[str, float] | None
"""A number, the shares of several values, or None without data."""


class Verdict(NamedTuple):
    """*value* compared with *objective*; *who* is the agent or tool, empty for all together."""

    objective: Objective
    who: str
    value: float

    @property
    def holds(self) -> bool:
        """Whether the objective is met."""
        return self.objective.holds(self.value)


class Row(NamedTuple):
    """
    One signal: its *value* in the current window, and in the *previous* one.

    *releases* are its values for the previous and the newest release, over all input. Values that cannot be compared
    are None. The cost of *unpriced* calls is missing. Where the logs cover only part of the previous window, an amount
    has no *previous* value but *rates*: the amounts per hour, before and now.
    """

    title: str
    unit: str
    value: Measured
    previous: Measured = None
    releases: tuple[Measured, Measured] = (None, None)
    verdicts: tuple[Verdict, ...] = ()
    unpriced: int = 0
    rates: tuple[float, float] | None = None

    @property
    def is_broken(self) -> bool:
        """Whether any objective is broken."""
        return not all(verdict.holds for verdict in self.verdicts)


class Releases(NamedTuple):
    """The newest release, and the one before it."""

    previous: str
    newest: str


def rows(
    cut: Cut, seconds: float, objectives: Objectives, unpriced: int = 0, covered: float | None = None
) -> Iterator[Row]:
    """
    Yield a row for each signal of every pack that had events; windows are *seconds* long.

    *covered* is how many seconds of the previous window the logs cover, None for all. The cost of *unpriced* calls is
    unknown.
    """
    done: set[Signal] = set()
    for pack in cut.whole.packs_seen():
        found = None if pack.release is None else _releases(cut.whole, pack.release)
        only = [{str(pack.release): name} for name in found or ()]
        for signal in pack.signals:
            if signal in done:
                continue
            done.add(signal)
            row = _row(signal, cut, (seconds if covered is None else covered, seconds), only, objectives)
            yield row._replace(unpriced=unpriced) if row.unit == "usd" else row


def rejected(lines: int, rejects: int, objectives: Objectives) -> Row:
    """Return the row for the share of rejected lines, over all input, because many of them have no time."""
    share = rejects / lines if lines else None
    objective = objectives.get("reject_rate")
    verdicts = () if share is None or objective is None else (Verdict(objective, "", share),)
    return Row("Rejected lines", "ratio", share, verdicts=verdicts)


def compared(cut: Cut) -> Releases | None:
    """
    Return the newest release by first appearance, and the one before; None without two of them.

    Only releases of the same agent are compared.
    """
    found = (_releases(cut.whole, pack.release) for pack in cut.whole.catalog.packs if pack.release is not None)
    return next((each for each in found if each is not None), None)


def _releases(whole: State, label: str) -> Releases | None:
    first: dict[str, tuple[int, str]] = {}
    agents: dict[str, set[str]] = {}
    for family in whole.families.values():
        names = family.metric.label_names
        if label not in names or family.metric.run is not None:  # its series are timed by epochs, not by slots
            continue
        place = names.index(label)
        for labels, touch in family.in_order():
            release = labels[place]
            if release in (UNKNOWN, OTHER):
                continue
            first[release] = min(first.get(release, (touch.first, release)), (touch.first, release))
            if "agent" in names:
                agents.setdefault(release, set()).add(labels[names.index("agent")])
    if not first:
        return None
    newest, *earlier = sorted(first, key=first.__getitem__, reverse=True)
    alike = (name for name in earlier if agents.get(name, set()) & agents.get(newest, set()))
    previous = next(alike, None)
    return None if previous is None else Releases(previous, newest)


def _row(
    signal: Signal, cut: Cut, lengths: tuple[float, float], compare: list[dict[str, str]], objectives: Objectives
) -> Row:
    covered, seconds = lengths
    unit = unit_of(signal, cut.whole.catalog.metrics)
    if not cut.events or not is_seen(signal, cut.whole):
        return Row(signal.title, unit, None)
    metric = cut.whole.catalog.metrics[signal.metric]
    is_amount = metric.kind in (Kind.COUNTER, Kind.GAUGE) and not signal.over and signal.by is None
    # In a partly covered window rates are correct, but amounts are not.
    is_partial = covered < seconds
    has_previous = not cut.is_first and metric.run != "open" and covered > 0
    rates = None
    if has_previous and is_partial and is_amount:
        has_previous = False
        if metric.kind is Kind.COUNTER:
            hourly = replace(signal, hourly=True)
            before, now = number(hourly, cut.previous, covered), number(hourly, cut.current, seconds)
            rates = None if before is None or now is None else (before, now)
    before_and_newest = [
        None if is_amount or not all(values(signal, cut.whole, label) for label in only)
        else _measured(signal, cut.whole, seconds, only)
        for only in compare
    ]  # fmt: skip
    return Row(
        signal.title,
        unit,
        _measured(signal, cut.current, seconds),
        _measured(signal, cut.previous, covered) if has_previous else None,
        (before_and_newest[0], before_and_newest[1]) if before_and_newest else (None, None),
        tuple(_verdicts(signal, cut.current, seconds, objectives)),
        rates=rates,
    )


def _measured(signal: Signal, state: State, seconds: float, only: Only = EVERYTHING) -> Measured:
    if signal.by is not None:
        return shares(signal, state, only) or None
    return number(signal, state, seconds, only)


def _verdicts(signal: Signal, state: State, seconds: float, objectives: Objectives) -> Iterator[Verdict]:
    return verdicts(
        signal,
        objectives,
        lambda label: values(signal, state, label),
        lambda label, who: number(signal, state, seconds, {label: who} if who else EVERYTHING),
    )


def verdicts(
    signal: Signal,
    objectives: Objectives,
    whose: Callable[[str], Iterable[str]],
    measured: Callable[[str, str], float | None],
) -> Iterator[Verdict]:
    """
    Yield the verdicts on *signal* by *objectives*.

    *whose* returns the values of a label, *measured* the number for one of them, or for all if it is empty.
    """
    if signal.objective is None:
        return
    stated = objectives.of(signal.objective)
    label = whose_label(signal, objectives)
    if label is None:
        judged = [(objective, objective.agent or "") for objective in stated]
        label = _WHOSE[Scope.AGENT]
    else:
        judged = [
            (objective, who)
            for who in whose(label)
            if (objective := objectives.get(signal.objective, who if label == "agent" else None)) is not None
        ]
    for objective, who in judged:
        value = measured(label, who)
        if value is not None:
            yield Verdict(objective, who, value)


def whose_label(signal: Signal, objectives: Objectives) -> str | None:
    """Return the label by whose values *signal* is judged; None if it is judged as a whole."""
    scope = next((o.scope for o in objectives.stated if o.name == signal.objective and o.agent is None), Scope.ALL)
    return _WHOSE.get(scope)
