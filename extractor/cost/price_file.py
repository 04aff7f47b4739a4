"""
Read a user's file of prices.

It is TOML, or JSON if its name ends in `.json`. Each table under `models` is for one name, or for all names that begin
with the part before its `*`. It holds dollars per million tokens, or `like`, the name of a model with the same prices.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from extractor.cost.rates import Rate, Tariff
from extractor.errors import PricesError, UnreadableError
from extractor.files.text import read_text
from extractor.schema.documents import parse as parse_json
from extractor.schema.documents import parse_toml

_KINDS = ("input", "output", "cache_read", "cache_creation")
_ABOVE = "above"
_START = "input_tokens"
_LIKE = "like"
_ANY = "*"
_HIGHEST = Decimal(1_000_000)  # a dollar per token: a higher price has the wrong unit
_FINEST = -12
_TOML_HINT = 'write [models."NAME"] and below it input = 3 and output = 15, in dollars per million tokens'
_JSON_HINT = 'write {"models": {"NAME": {"input": 3, "output": 15}}}, in dollars per million tokens'


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The content of *file* by name: prices, or the name of a model with the same prices."""

    file: str
    models: Mapping[str, Tariff | str] = field(default_factory=dict)

    def find(self, model: str) -> str | None:
        """Return the name in the file that matches *model*: itself, or else its longest prefix; None if missing."""
        if model in self.models and not model.endswith(_ANY):
            return model
        begins = [name for name in self.models if name.endswith(_ANY) and model.startswith(name[:-1])]
        return max(begins, key=len, default=None)

    def likes(self) -> Iterator[tuple[str, str]]:
        """Return an iterator over the names that refer to other models, and these."""
        return ((name, said) for name, said in self.models.items() if isinstance(said, str))

    def error(self, name: str, message: str, hint: str = "") -> PricesError:
        """Return the error to raise for the entry *name*."""
        return PricesError(self.file, f"models.{_quoted(name)}", message, hint)


def load(path: Path) -> PriceFile:
    """Return the prices in the file at *path*; raise `PricesError` if it is invalid."""
    try:
        text = read_text(path)
    except UnreadableError as error:
        raise PricesError(str(path), "", error.message, error.hint) from error
    return parse(text, str(path))


def parse(text: str, file: str) -> PriceFile:
    """
    Return the prices in *text*; raise `PricesError`, which names *file*, if it is invalid.

    The text is JSON if *file* ends in `.json`, otherwise TOML.
    """
    is_json = file.lower().endswith(".json")
    hint = _JSON_HINT if is_json else _TOML_HINT
    whole = _Place(file)
    # Decimal numbers are exact: 0.1 is a tenth.
    document = parse_json(text, whole, hint, Decimal) if is_json else _read_toml(text, whole)
    if not isinstance(document, dict) or "models" not in document:
        raise whole.error("has no models", hint)
    for key in document.keys() - {"models"}:
        raise (whole / key).error("there is no such key", hint)
    models = whole / "models"
    if not isinstance(document["models"], dict):
        raise models.error("this is no table", hint)
    return PriceFile(file, {name: _model(said, models / name, name) for name, said in document["models"].items()})


def _read_toml(text: str, whole: "_Place") -> object:
    try:
        return parse_toml(text, Decimal)
    except ValueError as error:
        raise whole.error(f"is not TOML: {error}", _TOML_HINT) from error


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    key: str = ""

    def __truediv__(self, step: str | int) -> "_Place":
        return _Place(self.file, f"{self.key}.{_quoted(str(step))}" if self.key else _quoted(str(step)))

    def error(self, message: str, hint: str = "") -> PricesError:
        return PricesError(self.file, self.key, message, hint)


def _quoted(step: str) -> str:
    """Return *step* as a TOML key."""
    bare = step.isascii() and step.replace("-", "").replace("_", "").isalnum()
    return step if bare else json.dumps(step, ensure_ascii=False)


def _model(said: object, place: _Place, name: str) -> Tariff | str:
    if not name or _ANY in name[:-1]:
        raise place.error("this is no name of a model", 'a * may only stand at the end, as in "gpt-*"')
    if not isinstance(said, dict):
        raise place.error("this is no table", "write input and output, in dollars per million tokens")
    if _LIKE in said:
        _refuse_others(said, (_LIKE,), place)
        if not isinstance(said[_LIKE], str) or not said[_LIKE]:
            raise (place / _LIKE).error("this is no name of a model", f'write {_LIKE} = "gpt-4o", say')
        return str(said[_LIKE])
    _refuse_others(said, (*_KINDS, _ABOVE, _LIKE), place)
    for kind in _KINDS[:2]:
        if kind not in said:
            raise place.error(f"{kind} is missing", f"write {kind} = 3, in dollars per million tokens; 0 if it is free")
    levels = [(-1, _prices(said, place)), *_tiers(said.get(_ABOVE, []), place / _ABOVE)]
    # A level lists only changes. Cached tokens cost as much as input until a level has their price.
    stated: dict[str, Decimal] = {}
    steps: dict[str, list[tuple[int, Decimal]]] = {kind: [] for kind in _KINDS}
    for start, prices in levels:
        stated |= prices
        for kind in _KINDS:
            steps[kind].append((start, stated.get(kind, stated["input"])))
    fresh, output, read, created = (Rate(steps[kind][0][1], tuple(steps[kind][1:])) for kind in _KINDS)
    return Tariff(fresh, output, read, created)


def _tiers(said: object, place: _Place) -> list[tuple[int, dict[str, Decimal]]]:
    hint = f"write a table for each tier: {_START} = 200000 and the prices of a call with more input"
    if not isinstance(said, list):
        raise place.error("this is no list of tiers", hint)
    tiers: list[tuple[int, dict[str, Decimal]]] = []
    for index, tier in enumerate(said):
        here = place / index
        if not isinstance(tier, dict):
            raise here.error("this is no table", hint)
        _refuse_others(tier, (_START, *_KINDS), here)
        start = tier.get(_START)
        if not isinstance(start, int) or isinstance(start, bool) or not 0 <= start < 2**50:
            raise (here / _START).error("this is no number of tokens", hint)
        if tiers and start <= tiers[-1][0]:
            raise (here / _START).error("a tier begins after the one before", "sort the tiers by input_tokens")
        tiers.append((start, _prices(tier, here)))
    return tiers


def _prices(said: Mapping[str, Any], place: _Place) -> dict[str, Decimal]:
    return {kind: _price(said[kind], place / kind) for kind in _KINDS if kind in said}


def _price(said: object, place: _Place) -> Decimal:
    if isinstance(said, bool) or not isinstance(said, int | Decimal):
        shown = json.dumps(said, default=str)
        raise place.error(f"{shown} is no price", "write dollars per million tokens as a number: 0.15")
    price = Decimal(said)
    if not price.is_finite() or not 0 <= price <= _HIGHEST:
        raise place.error(f"{said} is no price", f"a price is from 0 to {_HIGHEST} dollars per million tokens")
    exponent = price.as_tuple().exponent
    if isinstance(exponent, int) and exponent < _FINEST:
        raise place.error(f"{said} is too fine a price", f"{-_FINEST} digits after the point are enough")
    return price


def _refuse_others(said: Mapping[str, Any], known: tuple[str, ...], place: _Place) -> None:
    for key in said:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise (place / key).error("there is no such key", hint)
