"""
The name of a model in, what its calls cost out.

A user's file comes first, then the table of the package `genai-prices`. A model of which neither knows the price has
none, which is not the same as 0.

Knows nothing of events, logs or metrics.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Self

from extractor.cost.price_file import PriceFile, load
from extractor.cost.rates import ModelPrice

INSTALL = "pip install 'agent-extractor[cost]'"
MISSING = f"genai-prices is not installed: only models of a price file have a price ({INSTALL})"

_REMEMBERED = 1000  # names come out of logs: there may be any number of them


class Prices:
    """The prices of models by the names that events have for them."""

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
        """The prices, those of the file at *path* before all others."""
        return cls(None if path is None else load(path))

    def of(self, model: str) -> ModelPrice | None:
        """What calls of *model* cost; None if that is not known."""
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
    """Whether `genai-prices` is installed; what it means if not is in `MISSING`."""
    return find_spec("genai_prices") is not None


def _from_table(model: str) -> ModelPrice | None:
    from extractor.cost import price_table  # noqa: PLC0415  # a quarter of a second, which most never need

    return price_table.find(model)
