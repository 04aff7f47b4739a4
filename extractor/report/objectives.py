"""
Read objectives, limits on signals, from a TOML file.

`latency_p95 = "2s"` sets a limit. Objectives not in the file have a default, `"off"` removes an objective, and a table
`[agents.NAME]` overrides it for one agent. Alert rules and reports use the same values, so they always agree.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from math import inf, isfinite
from pathlib import Path
from typing import Any

from extractor.errors import ObjectivesError, UnreadableError
from extractor.files.text import read_text
from extractor.schema.documents import parse_toml
from extractor.schema.objective import DEFAULTS, Direction, Objective, Scope, Unit

_OFF = "off"
_LONGEST = 40  # characters of a limit, so that no float overflows and no regular expression is slow
_AGENTS = "agents"


# The name of a value, and how to write one.
_WORDS = {
    Unit.SECONDS: ("duration", '"500ms", "2s", "1.5m" or "1h"'),
    Unit.RATIO: ("percentage", '"5%"'),
    Unit.USD: ("amount in US dollars", '"$0.50"'),
    Unit.TOKENS: ("number of tokens", '50000, "50k" or "1.5M"'),
}
_FORMS = {
    Unit.SECONDS: re.compile(r"(?P<number>[0-9]*\.?[0-9]+) ?(?P<factor>ms|s|m|h)"),
    Unit.RATIO: re.compile(r"(?P<number>[0-9]*\.?[0-9]+) ?(?P<factor>%)"),
    Unit.USD: re.compile(r"\$ ?(?P<number>[0-9]*\.?[0-9]+)(?P<factor>)"),
    Unit.TOKENS: re.compile(r"(?P<number>[0-9]*\.?[0-9]+) ?(?P<factor>[kM]?)"),
}
_FACTORS: dict[str, int | Fraction] = {
    "": 1,
    "ms": Fraction(1, 1000),
    "s": 1,
    "m": 60,
    "h": 3600,
    "%": Fraction(1, 100),
    "k": 1000,
    "M": 10**6,
}

_KNOWN = {objective.name: objective for objective in DEFAULTS}


@dataclass(frozen=True, slots=True)
class Objectives:
    """
    All objectives, general and for single agents; iteration yields each that is not off.

    `stated` includes those that are off, with an infinite limit. A limit of an agent replaces the general one for that
    agent; limits for all agents together, such as `cost_per_hour`, still include it.
    """

    stated: tuple[Objective, ...] = DEFAULTS

    def __iter__(self) -> Iterator[Objective]:
        return (objective for objective in self.stated if isfinite(objective.limit))

    def get(self, name: str, agent: str | None = None) -> Objective | None:
        """Return the objective for *agent*, or the general one if it has none; None if the objective is off."""
        found = {objective.agent: objective for objective in self.stated if objective.name == name}
        objective = found.get(agent, found[None])
        return objective if isfinite(objective.limit) else None

    def of(self, name: str) -> tuple[Objective, ...]:
        """Return the objectives called *name*: the general one, then those of single agents."""
        return tuple(objective for objective in self if objective.name == name)

    def apart(self, name: str) -> tuple[str, ...]:
        """Return the agents that the general objective does not apply to, because they override it."""
        return tuple(o.agent for o in self.stated if o.name == name and o.agent is not None)


def load(path: Path) -> Objectives:
    """Return the objectives in the file at *path*; raise `ObjectivesError` if it is invalid."""
    try:
        text = read_text(path)
    except UnreadableError as error:
        raise ObjectivesError(str(path), "", error.message, error.hint) from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Objectives:
    """Return the objectives in *text*; raise `ObjectivesError`, which names *file*, if it is invalid."""
    try:
        document = parse_toml(text)
    except ValueError as error:
        hint = 'a line is KEY = "VALUE", such as latency_p95 = "2s"'
        raise ObjectivesError(file, "", f"this is not TOML: {error}", hint) from None
    agents = document.pop(_AGENTS, {})
    if not isinstance(agents, dict):
        raise ObjectivesError(file, _AGENTS, "this is no table", "write [agents.NAME] and the agent's objectives below")
    stated = _read(document, file, None)
    everybody = [stated.get(objective.name, objective) for objective in DEFAULTS]
    single: list[Objective] = []
    for agent, table in sorted(agents.items()):
        if not isinstance(table, dict):
            hint = f"write [agents.{agent}] and the agent's objectives below"
            raise ObjectivesError(file, f"{_AGENTS}.{agent}", "this is no table", hint)
        single.extend(_read(table, file, agent).values())
    return Objectives((*everybody, *single))


def _read(table: Mapping[str, Any], file: str, agent: str | None) -> dict[str, Objective]:
    stated: dict[str, Objective] = {}
    for name, value in table.items():
        place = name if agent is None else f"{_AGENTS}.{agent}.{name}"
        if (known := _KNOWN.get(name)) is None:
            near = get_close_matches(name, _KNOWN, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_KNOWN)}"
            raise ObjectivesError(file, place, "there is no such objective", hint)
        if agent is not None and known.scope not in {Scope.AGENT, Scope.ALL}:
            hint = f"write it above the first table; it is for {known.scope}"
            raise ObjectivesError(file, place, "this signal does not know its agent", hint)
        limit = _limit(value, known, file, place)
        scope = Scope.AGENT if agent is not None else known.scope
        stated[name] = replace(known, limit=limit, scope=scope, agent=agent)
    return stated


def _limit(value: object, known: Objective, file: str, place: str) -> float:
    unit = known.unit
    if value == _OFF:
        return inf if known.direction is Direction.AT_MOST else -inf
    # TOML's numbers have no unit; they are accepted where they are unambiguous.
    text = str(value) if isinstance(value, str) else f"${_plain(value)}" if unit is Unit.USD else _plain(value)
    plain = isinstance(value, str) or (unit in {Unit.USD, Unit.TOKENS} and not isinstance(value, bool))
    if len(text) > _LONGEST:
        raise ObjectivesError(file, place, f"this has {len(text):,} characters", f"write at most {_LONGEST}")
    found = _FORMS[unit].fullmatch(text) if plain else None
    if found is None:
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        what, example = _WORDS[unit]
        raise ObjectivesError(file, place, f"{shown} is no {what}", f'write {example}, or "off"')
    # A fraction, so that 99.9% is the float nearest to 0.999.
    limit = float(Fraction(found["number"]) * _FACTORS[found["factor"]])
    if unit is Unit.RATIO and known.direction is Direction.AT_LEAST and limit > 1:
        raise ObjectivesError(file, place, f'"{value}" can never be reached', "there is no more than 100%")
    return limit


def _plain(value: object) -> str:
    return f"{Decimal(str(value)):f}" if isinstance(value, float) else str(value)
