"""
Find the price of a model by name: in a user's file first, then in the table of the package `genai-prices`.

A model in neither has no price, which differs from a price of 0.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Self

from extractor.cost.price_file import PriceFile, load
from extractor.cost.rates import ModelPrice

INSTALL = "pip install 'agent-extractor[cost]'"
MISSING = f"genai-prices is not installed: only models of a price file have a price ({INSTALL})"

_REMEMBERED = 1000  # names come from logs, so their number is unlimited


class Prices:
    """
    The prices of models, by their names in events.

    Raises `PricesError` if the file refers to models without a price.
    """

    def __init__(self, stated: PriceFile | None = None) -> None:
        self._stated = stated or PriceFile("")
        self._remembered: dict[str, ModelPrice | None] = {}
        for name, other in self._stated.likes():
            if not has_table():
                raise self._stated.error(name, "what it is like is not known without genai-prices", INSTALL)
            if _from_table(other) is None:
                raise self._stated.error(name, f'genai-prices has no price for "{other}"', "say the prices instead")

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Return the prices; those in the file at *path* take precedence."""
        return cls(None if path is None else load(path))

    def of(self, model: str) -> ModelPrice | None:
        """Return the price of calls of *model*; None if it is unknown."""
        try:
            return self._remembered[model]
        except KeyError:
            price = self._find(model)
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        self._remembered[model] = price
        return price

    def _find(self, model: str) -> ModelPrice | None:
        name = self._stated.find(model)
        said = model if name is None else self._stated.models[name]
        if isinstance(said, str):
            return _from_table(said) if has_table() else None
        return ModelPrice(f"{self._stated.file}: {name}", [said])


def has_table() -> bool:
    """Return whether `genai-prices` is installed; `MISSING` describes the consequence if it is not."""
    return find_spec("genai_prices") is not None


def _from_table(model: str) -> ModelPrice | None:
    from extractor.cost import price_table  # noqa: PLC0415  # the import takes a quarter of a second, and is rarely needed

    return price_table.find(model)
