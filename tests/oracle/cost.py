"""
A call in, what it costs out: what it says itself, or what its tokens cost by the price file.

The table of genai-prices is left out: no log of the tests has a model that is in it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.lines import Line

KINDS = ("input", "output", "cache_read", "cache_creation")


def price_table(toml: str) -> Mapping[str, Mapping[str, Any]]:
    """The prices by model in the text of a price file."""
    return tomllib.loads(toml, parse_float=Decimal)["models"]


def priced(event: Line, prices: Mapping[str, Mapping[str, Any]]) -> Line:
    """*event* with what it costs; it is unpriced if nobody knows."""
    price = event.type.price if event.type else None
    if price is None or event.values.get(price["cost"]) is not None:
        return event
    tokens = {kind: event.values.get(name) for kind, name in price["tokens"].items()}
    if all(count is None for count in tokens.values()):
        return event
    found = _price(event.values[price["model"]], prices)
    if found is None:
        return replace(event, is_unpriced=True)
    cost = float(_cost({kind: count or 0 for kind, count in tokens.items()}, found))
    return replace(event, values={**event.values, price["cost"]: cost})


def _price(model: str, prices: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    if model in prices:
        return prices[model]
    begins = [name for name in prices if name.endswith("*") and model.startswith(name[:-1])]
    return prices[max(begins, key=len)] if begins else None


def _cost(tokens: Mapping[str, int], price: Mapping[str, Any]) -> Fraction:
    whole = sum(count for kind, count in tokens.items() if kind != "output")
    in_force = {kind: price[kind] for kind in KINDS if kind in price}
    for tier in price.get("above", []):
        if whole > tier["input_tokens"]:
            in_force |= {kind: tier[kind] for kind in KINDS if kind in tier}
    return sum(
        (Fraction(in_force.get(kind, in_force["input"])) * count / 1_000_000 for kind, count in tokens.items()),
        Fraction(),
    )
