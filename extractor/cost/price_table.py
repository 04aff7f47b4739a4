"""
Find the price of a model by name in the table of the package `genai-prices`.

The network is not used. This module takes a quarter of a second to import and needs an optional package, so it must be
imported only where a price is needed.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import inf

from genai_prices import types
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot

from extractor.cost.rates import ModelPrice, Rate, Tariff

_PROVIDER = re.compile(r"([^/:]+)[/:](.+)")
_BEDROCK = re.compile(r"(?:[a-z-]+\.)?[a-z][a-z0-9]*\.[a-z]")  # us.anthropic.claude-…, amazon.nova-…
_NOT_PROVIDERS = {"models": "google"}  # prefix of Google's own names
_PER_THOUSAND = -3


def find(model: str) -> ModelPrice | None:
    """Return the price of calls of *model*; None if the table has none."""
    for provider_id, name in _readings(model):
        # A new one each time, because a snapshot caches every name that is looked up.
        snapshot = DataSnapshot(providers, from_auto_update=False)
        try:
            provider, found = snapshot.find_provider_model(name, None, provider_id, None)
        except LookupError:
            continue
        if (price := price_of(provider, found)) is not None:
            return price
    return None


def price_of(provider: types.Provider, model: types.ModelInfo) -> ModelPrice | None:
    """Return the price of calls of *model*; None if it is not charged by token."""
    tariffs = _tariffs(model)
    # The table also has models that are charged by the minute or the page, and some without a price.
    return ModelPrice(f"{provider.id}/{model.id}", tariffs) if any(any(each.rates()) for each in tariffs) else None


def _readings(model: str) -> Iterator[tuple[str | None, str]]:
    """Yield the interpretations of *model*: a provider, if it contains one, and the provider's name for the model."""
    if match := _PROVIDER.fullmatch(model):
        yield _NOT_PROVIDERS.get(match[1], match[1]), match[2]
    yield None, model
    if _BEDROCK.match(model):
        yield "aws", model


def _tariffs(model: types.ModelInfo) -> list[Tariff]:
    if isinstance(model.prices, types.ModelPrice):
        return [_tariff(model.prices, None)]
    return [_tariff(conditional.prices, conditional.constraint) for conditional in model.prices]


def _tariff(
    prices: types.ModelPrice, constraint: types.StartDateConstraint | types.TimeOfDateConstraint | None
) -> Tariff:
    return Tariff(
        input=_rate(prices.input_mtok),
        output=_rate(prices.output_mtok),
        cache_read=_rate(prices.cache_read_mtok),
        cache_creation=_rate(prices.cache_write_mtok),
        per_call=_per_call(prices.requests_kcount),
        since=_midnight(constraint.start_date) if isinstance(constraint, types.StartDateConstraint) else -inf,
        daily=(
            (_second_of_day(constraint.start_time), _second_of_day(constraint.end_time))
            if isinstance(constraint, types.TimeOfDateConstraint)
            else None
        ),
    )


def _rate(price: Decimal | types.TieredPrices | None) -> Rate | None:
    if isinstance(price, types.TieredPrices):
        return Rate(price.base, tuple((tier.start, tier.price) for tier in price.tiers))
    return None if price is None else Rate(price)


def _per_call(price: Decimal | types.TieredPrices | None) -> Decimal:
    """Return the price of one call; the table has it for a thousand calls, without tiers."""
    return price.scaleb(_PER_THOUSAND) if isinstance(price, Decimal) else Decimal(0)


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def _second_of_day(clock: time) -> float:
    """Return the second of the day in UTC, the default for a time without a zone."""
    at = datetime.combine(date(1970, 1, 2), clock if clock.tzinfo else clock.replace(tzinfo=UTC))
    return at.timestamp() % 86_400
