import json
import math
import sys
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from genai_prices.types import ModelPrice as TheirPrice
from genai_prices.types import TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from extractor.errors import PricesError
from extractor.price_files import load, parse
from extractor.prices import Prices
from extractor.tariffs import ModelPrice, Rate, Tariff

NAN = math.nan
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()
MODELS = [(provider, model) for provider in providers for model in provider.models]


def cost(price, *calls, times=NOON):
    """What *calls* cost, each of input, output, cache_read and cache_creation."""
    columns = np.array(calls, np.float64).reshape(-1, 4).T
    return price.cost(*columns, times).tolist()


def their_cost(provider, model, call, time):
    """The float nearest to what genai-prices says of *call*; not a number if its tokens have no price there."""
    fresh, written, read, created = call
    # Their input contains what is cached.
    counts = {"input_tokens": fresh + read + created, "output_tokens": written}
    usage = Usage(**counts, cache_read_tokens=read, cache_write_tokens=created)
    theirs = model.calc_price(usage, provider, genai_request_timestamp=datetime.fromtimestamp(time, UTC))
    prices = theirs.model_price
    free = (counts["input_tokens"] and prices.input_mtok is None) or (written and prices.output_mtok is None)
    return NAN if free else float(theirs.total_price)


def prices_of(model):
    """The prices of *model*, whenever they are valid."""
    return [model.prices] if isinstance(model.prices, TheirPrice) else [each.prices for each in model.prices]


def starts_of(model):
    """The numbers of input tokens beyond which a price of *model* changes."""
    tiered = [price for prices in prices_of(model) for price in vars(prices).values() if isinstance(price, TieredPrices)]
    return sorted({tier.start for price in tiered for tier in price.tiers})


STARTS = sorted({start for _, model in MODELS for start in starts_of(model)})
COUNTS = st.one_of(
    st.integers(0, 1000),
    st.integers(0, 10**9),
    st.sampled_from(STARTS).flatmap(lambda start: st.integers(start - 2, start + 2)),
)
CALLS = st.tuples(COUNTS, COUNTS, st.just(0) | COUNTS, st.just(0) | COUNTS)
# Prices of the table change at midnight, and at whole and half hours.
TIMES = st.builds(
    lambda halves, beside: datetime(2025, 6, 1, tzinfo=UTC).timestamp() + halves * 1800 + beside,
    st.integers(0, 2 * 365 * 48),
    st.sampled_from([0, -0.5, 0.5]),
)


@given(st.sampled_from(MODELS), st.lists(st.tuples(CALLS, TIMES), min_size=1, max_size=8))
def test_any_calls_agree_with_genai_prices(listed, calls):
    """For any usage and time the cost is the float nearest to what genai-prices says."""
    price = price_of(*listed)
    expected = [their_cost(*listed, call, time) for call, time in calls]

    if price is None:
        assert all(each == 0 or math.isnan(each) for each in expected)
    else:
        times = np.array([time for _, time in calls])
        np.testing.assert_array_equal(expected, cost(price, *(call for call, _ in calls), times=times))


def test_every_model_agrees_with_genai_prices():
    """Each model of its table costs what genai-prices says, on both sides of each tier, with and without a cache."""
    for listed in MODELS:
        price = price_of(*listed)
        calls = [(1234, 567, 0, 0), (12, 345, 6789, 1011)]
        for start in starts_of(listed[1]):
            calls += [(start, 7, 0, 0), (start - 300, 7, 100, 201)]
        expected = [their_cost(*listed, call, NOON) for call in calls]

        assert (expected if price is not None else [0 if listed[1].prices == TheirPrice() else 0]) is not None
        if price is not None:
            np.testing.assert_array_equal(expected, cost(price, *calls), err_msg=price.source)
