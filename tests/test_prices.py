import math
import pickle
import re
import subprocess
import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from genai_prices.types import ModelPrice as TheirPrice
from genai_prices.types import StartDateConstraint, TieredPrices, TimeOfDateConstraint
from hypothesis import given
from hypothesis import strategies as st

from extractor.cost.costs import MISSING, Prices
from extractor.cost.price_file import load, parse
from extractor.cost.price_table import price_of
from extractor.cost.rates import ModelPrice, Rate, Tariff
from extractor.errors import PricesError

NAN = math.nan
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()
MODELS = [(provider, model) for provider in providers for model in provider.models]


def cost(price, *calls, times=NOON):
    """What *calls* cost, each of input, output, cache_read and cache_creation."""
    columns = np.array(calls, np.float64).reshape(-1, 4).T
    return price.cost(*columns, times).tolist()


def source(prices, name):
    """Where the price of *name* is from."""
    price = prices.of(name)
    assert price is not None, name
    return price.source


def their_cost(listed, call, at):
    """The float nearest to what genai-prices says of *call*; not a number if its tokens have no price there."""
    provider, model = listed
    fresh, written, read, created = call
    # Their input contains what is cached.
    counts = {"input_tokens": fresh + read + created, "output_tokens": written}
    usage = Usage(**counts, cache_read_tokens=read, cache_write_tokens=created)
    theirs = model.calc_price(usage, provider, genai_request_timestamp=datetime.fromtimestamp(at, UTC))
    prices = theirs.model_price
    free = (counts["input_tokens"] and prices.input_mtok is None) or (written and prices.output_mtok is None)
    return NAN if free else float(theirs.total_price)


def prices_of(model):
    """The prices of *model*, whenever they are valid."""
    return [model.prices] if isinstance(model.prices, TheirPrice) else [each.prices for each in model.prices]


def starts_of(model):
    """The numbers of input tokens beyond which a price of *model* changes."""
    tiered = [
        price for prices in prices_of(model) for price in vars(prices).values() if isinstance(price, TieredPrices)
    ]
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
    expected = [their_cost(listed, call, at) for call, at in calls]

    if price is None:
        assert all(math.isnan(each) or not any(call) for each, (call, _) in zip(expected, calls, strict=True))
    else:
        times = np.array([at for _, at in calls])
        np.testing.assert_array_equal(expected, cost(price, *(call for call, _ in calls), times=times))


def edges_of(model):
    """The times, in seconds since 1970, at which a price of *model* begins or ends."""
    edges = set()
    for each in model.prices if isinstance(model.prices, list) else []:
        match each.constraint:
            case StartDateConstraint(start_date=day):
                edges.add(datetime.combine(day, time(), UTC).timestamp())
            case TimeOfDateConstraint(start_time=start, end_time=end):
                edges.update(datetime.combine(date(2026, 10, 1), clock).timestamp() for clock in (start, end))
    return sorted(edges)


def test_every_model_agrees_with_genai_prices():
    """Each model of its table costs what genai-prices says, on both sides of each tier and change, cached or not."""
    for listed in MODELS:
        calls_at = [(call, NOON) for call in ((1234, 567, 0, 0), (12, 345, 6789, 1011))]
        for start in starts_of(listed[1]):
            calls_at += [((start, 7, 0, 0), NOON), ((start - 300, 7, 100, 201), NOON)]
        for edge in edges_of(listed[1]):
            calls_at += [((12, 345, 6789, 1011), edge - 1), ((12, 345, 6789, 1011), edge)]
        calls, times = zip(*calls_at, strict=True)
        expected = [their_cost(listed, call, at) for call, at in calls_at]
        price = price_of(*listed)
        found = [NAN] * len(calls) if price is None else cost(price, *calls, times=np.array(times))

        np.testing.assert_array_equal(expected, found)


def test_names_mean_what_they_mean_to_genai_prices():
    """A plain name is resolved as genai-prices does without a provider."""
    prices = Prices()
    for provider, model in MODELS:
        if not re.search(r"[/:]", model.id):
            try:
                theirs = calc_price(Usage(), model.id)
            except LookupError:
                continue
            if price_of(theirs.provider, theirs.model) is not None:
                assert f"{theirs.provider.id}/{theirs.model.id}" == source(prices, model.id), provider.id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"),
        ("CLAUDE-SONNET-4-0", "anthropic/claude-sonnet-4-0"),
        ("anthropic/claude-sonnet-4-0", "anthropic/claude-sonnet-4-0"),
        ("anthropic:claude-sonnet-4-0", "anthropic/claude-sonnet-4-0"),
        ("azure/gpt-4o", "azure/gpt-4o"),
        ("vertex_ai/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("openrouter/anthropic/claude-sonnet-4", "openrouter/anthropic/claude-sonnet-4"),
        ("openrouter:anthropic/claude-sonnet-4", "openrouter/anthropic/claude-sonnet-4"),
        ("bedrock/us.anthropic.claude-3-haiku-20240307-v1:0", "aws/regional.anthropic.claude-3-haiku-20240307-v1:0"),
        ("us.anthropic.claude-3-haiku-20240307-v1:0", "aws/regional.anthropic.claude-3-haiku-20240307-v1:0"),
        ("amazon.nova-lite-v1:0", "aws/amazon.nova-lite-v1:0"),
    ],
)
def test_names_with_a_provider(name, expected):
    """A name may begin with its provider, and Amazon's names are known as such."""
    assert expected == source(Prices(), name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        ":",
        "gpt-99",
        "nobody/gpt-4o",
        "ollama/llama3.1",
        "llama3.1:8b",
        "mistral:7b",
        "whisper-1",
        "a.b",
        "x" * 999,
    ],
)
def test_unknown_model_has_no_price(name):
    """A model that is unknown, or not paid by the token, has no price; it is not free."""
    assert Prices().of(name) is None


FLAT = ModelPrice("flat", [Tariff(Rate(Decimal(3)), Rate(Decimal(15)), Rate(Decimal("0.3")), Rate(Decimal("3.75")))])


@pytest.mark.parametrize(
    ("call", "dollars"),
    [
        ((1_000_000, 0, 0, 0), 3),
        ((0, 1_000_000, 0, 0), 15),
        ((0, 0, 1_000_000, 0), 0.3),
        ((0, 0, 0, 1_000_000), 3.75),
        ((1, 1, 1, 1), 0.00002205),
        ((100, NAN, NAN, NAN), 0.0003),
        ((0, 0, 0, 0), 0),
        ((NAN, NAN, NAN, NAN), NAN),
        ((1.5, 1, 0, 0), NAN),
        ((-1, 1, 0, 0), NAN),
        ((math.inf, 1, 0, 0), NAN),
        ((1e300, 1, 0, 0), NAN),
    ],
)
def test_counts_to_dollars(call, dollars):
    """Each kind has its price; an absent count is 0. Without any, or with one that is no count, the cost is unknown."""
    np.testing.assert_array_equal([dollars], cost(FLAT, call))


def test_no_calls_cost_nothing():
    """No calls in, no costs out."""
    assert [] == cost(FLAT, times=np.array([]))


def test_kind_without_a_price_is_not_free():
    """A call with tokens of a kind without a price has no cost; cached ones are then input."""
    price = ModelPrice("embedding", [Tariff(input=Rate(Decimal(2)))])

    np.testing.assert_array_equal([4e-6, NAN, 6e-6], cost(price, (2, 0, NAN, NAN), (2, 1, 0, 0), (1, 0, 1, 1)))


PRICES = st.decimals(0, 1000, places=2) | st.decimals(0, 10, places=17)
RATES = st.builds(
    lambda base, tiers: Rate(base, tuple(sorted(tiers.items()))),
    PRICES,
    st.dictionaries(st.integers(0, 10**6), PRICES, max_size=3),
)
TARIFFS = st.builds(
    Tariff,
    RATES,
    RATES,
    st.none() | RATES,
    st.none() | RATES,
    per_call=st.just(Decimal(0)) | PRICES,
    since=st.integers(0, 10).map(lambda days: days * 86_400.0),
    daily=st.none() | st.tuples(*[st.integers(0, 23).map(lambda hour: hour * 3600.0)] * 2),
)
ANY_CALLS = st.lists(
    st.tuples(
        st.tuples(*[st.just(NAN) | st.integers(0, 2**50)] * 4), st.integers(0, 12 * 24).map(lambda h: h * 3600.0)
    ),
    max_size=8,
)


def exact_cost(tariffs, call, at):
    """The rules of docs/cost.md, one by one and in fractions."""
    if all(math.isnan(count) for count in call):
        return NAN
    fresh, written, read, created = (0 if math.isnan(count) else count for count in call)
    chosen = tariffs[0]
    for tariff in tariffs:
        start, end = tariff.daily or (0, 86_400)
        clock = at % 86_400
        in_time = start <= clock < end if start <= end else clock >= start or clock < end
        if at >= tariff.since and in_time:
            chosen = tariff
    total = Fraction(chosen.per_call)
    rates = (chosen.input, chosen.output, chosen.cache_read or chosen.input, chosen.cache_creation or chosen.input)
    for count, rate in zip((fresh, written, read, created), rates, strict=True):
        price = rate.base
        for start, higher in rate.tiers:
            if fresh + read + created > start:
                price = higher
        total += Fraction(price) * count / 10**6
    return float(total)


@given(st.lists(TARIFFS, min_size=1, max_size=3), ANY_CALLS)
def test_cost_is_exact_whatever_the_batch(tariffs, calls):
    """Any prices, counts and times: each call costs the float nearest to its exact cost, alone and among others."""
    price = ModelPrice("any", tariffs)
    expected = [exact_cost(tariffs, call, at) for call, at in calls]
    times = np.array([at for _, at in calls])

    np.testing.assert_array_equal(expected, cost(price, *(call for call, _ in calls), times=times))
    for each, (call, at) in zip(expected, calls, strict=True):
        np.testing.assert_array_equal([each], cost(price, call, times=at))


def test_price_at_the_time_of_the_call():
    """A price that changes is the one at the time of the call, not of the reading."""
    day, night = 86_400 * 10.0 + 12 * 3600, (22 * 3600.0, 6 * 3600.0)
    tariffs = [Tariff(Rate(Decimal(4))), Tariff(Rate(Decimal(2)), since=day), Tariff(Rate(Decimal(1)), daily=night)]
    price = ModelPrice("changing", tariffs)
    midnight = day + 43_200
    times = [day - 1, day, midnight - 7201, midnight - 7200, midnight, midnight + 6 * 3600 - 1, midnight + 6 * 3600]

    assert price.depends_on_time
    assert [4, 2, 2, 1, 1, 1, 2] == cost(price, *[(10**6, 0, 0, 0)] * 7, times=np.array(times))


def test_price_can_be_handed_to_another_process():
    """Prices can be pickled, and cost the same afterwards."""
    prices = pickle.loads(pickle.dumps(Prices(parse('[models.mine]\nlike = "gpt-4o"\n', "p.toml"))))

    assert cost(Prices().of("gpt-4o"), (1, 2, 3, 4)) == cost(prices.of("mine"), (1, 2, 3, 4))


def test_names_are_remembered_within_bounds():
    """However many names the logs have, only some are remembered, and a price is the same when it is found again."""
    prices = Prices()
    first = source(prices, "gpt-4o")
    for number in range(1100):
        assert prices.of(f"unknown-{number}") is None

    assert first == source(prices, "gpt-4o")
    assert prices.of("gpt-4o") is prices.of("gpt-4o")
    assert 1000 >= len(prices._remembered)


FILE = """
[models."*"]
input = 1
output = 2

[models."gpt-*"]
input = 0.1
output = 20
cache_read = 0.01

[models."gpt-4o"]
input = 1.25
output = 10
above = [
    {input_tokens = 100, input = 2.5, output = 15},
    {input_tokens = 200, cache_read = 0.5},
]

[models.deployed]
like = "azure/gpt-4o"
"""
AS_JSON = """{"models": {
    "*": {"input": 1, "output": 2},
    "gpt-*": {"input": 0.1, "output": 20, "cache_read": 0.01},
    "gpt-4o": {"input": 1.25, "output": 10, "above": [
        {"input_tokens": 100, "input": 2.5, "output": 15}, {"input_tokens": 200, "cache_read": 0.5}]},
    "deployed": {"like": "azure/gpt-4o"}}}"""


def test_file_of_prices(tmp_path):
    """A file, TOML or JSON, comes before the table: its exact names first, then its longest beginning."""
    (tmp_path / "p.toml").write_text(FILE)
    (tmp_path / "p.json").write_text(AS_JSON)
    prices = Prices.load(tmp_path / "p.toml")

    assert load(tmp_path / "p.toml").models == load(tmp_path / "p.json").models
    assert [0.1, 20, 0.01, 0.1] == [cost(prices.of("gpt-5"), row)[0] for row in (np.eye(4) * 10**6).tolist()]
    assert [1.0] == cost(prices.of("claude-sonnet-4-0"), (10**6, 0, 0, 0))
    assert f"{tmp_path}/p.toml: gpt-4o" == source(prices, "gpt-4o")
    assert "azure/gpt-4o" == source(prices, "deployed")
    assert "openai/gpt-4o" == source(Prices.load(), "gpt-4o")


def test_tiers_of_a_file():
    """A tier is for all tokens of a call with more input, cached included; what it does not say stays as it was."""
    price = Prices(parse(FILE, "p.toml")).of("gpt-4o")
    calls = [(100, 1, 0, 0), (50, 1, 51, 0), (0, 0, 0, 201), (0, 0, 201, 0), (150, 0, 51, 0)]
    millionths = [100 * 1.25 + 10, 101 * 2.5 + 15, 201 * 2.5, 201 * 0.5, 150 * 2.5 + 51 * 0.5]

    assert [each / 10**6 for each in millionths] == cost(price, *calls)


X = "[models.x]\n"
X12 = f"{X}input = 1\noutput = 2\n"
TIER = "write a table for each tier: input_tokens = 200000 and the prices of a call with more input"
TOML = 'write [models."NAME"] and below it input = 3 and output = 15, in dollars per million tokens'
SMALL = "a price is from 0 to 1000000 dollars per million tokens"
NUMBER = "write dollars per million tokens as a number: 0.15"
TABLE = "write input and output, in dollars per million tokens"
OUTPUT = "write output = 3, in dollars per million tokens; 0 if it is free"
KEYS = "there are input, output, cache_read, cache_creation, above, like"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("x = ", "is not TOML: Invalid value (at end of document)", TOML),
        ("", "has no models", TOML),
        ("models = 3", "models: this is no table", TOML),
        ("[model.x]\n[models]", "model: there is no such key", TOML),
        ("[models]\nx = 3", "models.x: this is no table", TABLE),
        (
            "[models.'a*b']",
            'models."a*b": this is no name of a model',
            'a * may only stand at the end, as in "gpt-*"',
        ),
        (X + "input = 3", "models.x: output is missing", OUTPUT),
        (X + "inptu = 3", "models.x.inptu: there is no such key", "did you mean input?"),
        (X + "dollars = 3", "models.x.dollars: there is no such key", KEYS),
        (X + 'input = "3"\noutput = 1', 'models.x.input: "3" is no price', NUMBER),
        (X + "input = true\noutput = 1", "models.x.input: true is no price", NUMBER),
        (X + "input = -1\noutput = 1", "models.x.input: -1 is no price", SMALL),
        (X + "input = nan\noutput = 1", "models.x.input: NaN is no price", SMALL),
        (
            X + "input = 1e-13\noutput = 1",
            "models.x.input: 1E-13 is too fine a price",
            "12 digits after the point are enough",
        ),
        (X12 + "above = 3", "models.x.above: this is no list of tiers", TIER),
        (X12 + "above = [3]", "models.x.above.0: this is no table", TIER),
        (X12 + "above = [{input = 2}]", "models.x.above.0.input_tokens: this is no number of tokens", TIER),
        (
            X12 + "above = [{input_tokens = 2}, {input_tokens = 2}]",
            "models.x.above.1.input_tokens: a tier begins after the one before",
            "sort the tiers by input_tokens",
        ),
        (X + "like = 3", "models.x.like: this is no name of a model", 'write like = "gpt-4o", say'),
        (X + "like = 'y'\ninput = 3", "models.x.input: there is no such key", "there are like"),
        (X + "like = 'gpt-99'", 'models.x: genai-prices has no price for "gpt-99"', "say the prices instead"),
    ],
)
def test_wrong_file_of_prices(text, message, hint):
    """What is wrong in a file is said with the place and what to write instead."""
    with pytest.raises(PricesError) as caught:
        Prices(parse(text, "p.toml"))

    assert f"p.toml: {message} ({hint})" == str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "p.json: is not JSON: Expecting property name"),
        ("[" * 100_000, "p.json: it is nested more than 100 levels deep"),
        ('{"models": {"x": {"input": "\\ud800"}}}', "p.json: models.x.input: the text has half of a surrogate pair"),
        ('{"models": {"\\u0000": {"input": 1, "output": 1}}}', 'p.json: models."\\u0000": the text has a NUL'),
        ('{"models": {"x": {"input": 1e999, "output": 1}}}', "p.json: models.x.input: 1E+999 is no price"),
        (f'{{"models": {{"x": {{"input": {"9" * 5000}}}}}}}', "p.json: models.x.input: the number is too large"),
        (
            '{"models": {"x": {"input": 1e99999999999999999999}}}',
            "p.json: models.x.input: the number is too large or too",
        ),
        ("[]", 'p.json: has no models (write {"models": {"NAME": {"input": 3, "output": 15}}}, in dollars per million'),
        ('{"models": {}, "models": {}}', "p.json: models: the key 'models' appears twice"),
        ('{"models": {"x": {"input": NaN}}}', "p.json: models.x.input: NaN is not a JSON number"),
        ('{"models": {"x": {"input": null, "output": 1}}}', "p.json: models.x.input: null is no price"),
    ],
)
def test_wrong_json_of_prices(text, message):
    """So it is in JSON."""
    with pytest.raises(PricesError) as caught:
        parse(text, "p.json")

    assert str(caught.value).startswith(message)


def test_file_that_cannot_be_read(tmp_path):
    """A file that is not there, or no text, is an error that names it."""
    (tmp_path / "bytes").write_bytes(b"\xff")

    for name, reason in (("none", "No such file or directory"), ("bytes", "it is not UTF-8 text")):
        with pytest.raises(PricesError, match=f"{name}: cannot be read: {reason}"):
            Prices.load(tmp_path / name)


def test_without_genai_prices(monkeypatch):
    """Where the package is not installed only a file has prices; what is like others cannot be, and that is said."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices = Prices(parse("[models.mine]\ninput = 1\noutput = 2", "p.toml"))

    assert [3e-6] == cost(prices.of("mine"), (1, 1, 0, 0))
    assert prices.of("gpt-4o") is None
    assert "pip install 'agent-extractor[cost]'" in MISSING
    with pytest.raises(PricesError, match=r"p.toml: models.x: .* \(pip install 'agent-extractor\[cost\]'\)"):
        Prices(parse("[models.x]\nlike = 'gpt-4o'", "p.toml"))


def test_package_is_imported_when_a_price_is_looked_for():
    """Who never asks for a price from the table does not pay for its import."""
    program = (
        "import sys; from extractor.cost.costs import Prices; from extractor.cost.price_file import parse\n"
        "prices = Prices(parse('[models.mine]\\ninput = 1\\noutput = 2', 'p.toml')); prices.of('mine')\n"
        "before = 'genai_prices' in sys.modules; prices.of('gpt-4o'); print(before, 'genai_prices' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "False True\n" == done.stdout


def test_example_of_the_documentation():
    """The example file of docs/cost.md can be read, and every name in it has a price."""
    found = re.search(r"```toml\n(.*?)```", Path("docs/cost.md").read_text(), re.DOTALL)
    assert found
    stated = parse(found[1], "prices.toml")

    assert all(Prices(stated).of(name.rstrip("*")) is not None for name in stated.models)
