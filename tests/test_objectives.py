"""What an objective is: a limit in base units, a side on which all is well, and an error that says what to write."""

from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.errors import ObjectivesError
from extractor.report.objectives import Objectives, load, parse
from extractor.schema.objective import DEFAULTS, Direction, Objective, Scope, Unit, limit_text

SAMPLE = Path("samples/objectives.toml")
UNITS = {objective.unit: objective.name for objective in reversed(DEFAULTS) if objective.direction is Direction.AT_MOST}


def only(text: str, name: str, agent: str | None = None) -> Objective:
    """The objective *name* that *text* states for *agent*."""
    found = parse(text, "o.toml").get(name, agent)
    assert found is not None
    return found


def test_an_empty_file_states_the_defaults():
    """What a file leaves out has its default."""
    assert Objectives() == parse("", "o.toml")


def test_the_sample_states_the_defaults():
    """The sample, which is how users learn the keys, names every objective with its default."""
    assert Objectives() == load(SAMPLE)
    for objective in DEFAULTS:
        assert f"\n{objective.name} = " in SAMPLE.read_text()


@pytest.mark.parametrize(
    ("written", "name", "limit"),
    [
        ('"500ms"', "latency_p95", 0.5), ('"2s"', "latency_p95", 2.0), ('"2 s"', "latency_p95", 2.0),
        ('"1.5m"', "latency_p95", 90.0), ('"1h"', "latency_p95", 3600.0), ('".5s"', "latency_p95", 0.5),
        ('"5%"', "tool_error_rate", 0.05), ('"99.9%"', "success_rate", 0.999), ('"0%"', "loop_rate", 0.0),
        ('"$0.50"', "cost_per_run", 0.5), ("0.5", "cost_per_run", 0.5), ("2", "cost_per_run", 2.0),
        ("1e-5", "cost_per_run", 0.00001), ('"8.9k"', "tokens_per_run", 8900.0), ("5000", "tokens_per_run", 5000.0),
        ('"1.5M"', "tokens_per_hour", 1_500_000.0),
    ],
)  # fmt: skip
def test_a_limit_is_in_base_units(written: str, name: str, limit: float):
    """A limit is the float nearest to what was written, in seconds, dollars, tokens, or a ratio."""
    assert limit == only(f"{name} = {written}", name).limit


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency_p95 = 2", 'o.toml: latency_p95: 2 is no duration (write "500ms", "2s", "1.5m" or "1h", or "off")'),
        ('latency_p95 = "2 sec"', 'o.toml: latency_p95: "2 sec" is no duration (write '),
        ('latency_p95 = "-2s"', 'o.toml: latency_p95: "-2s" is no duration (write '),
        ("tool_error_rate = 0.05", 'o.toml: tool_error_rate: 0.05 is no percentage (write "5%", or "off")'),
        ('success_rate = "101%"', 'o.toml: success_rate: "101%" can never be reached (there is no more than 100%)'),
        ("tokens_per_run = true", "o.toml: tokens_per_run: true is no number of tokens (write 50000, "),
        ("tokens_per_run = nan", "o.toml: tokens_per_run: nan is no number of tokens (write 50000, "),
        ('cost_per_run = "5€"', 'o.toml: cost_per_run: "5€" is no amount in US dollars (write "$0.50", or "off")'),
        ('latency_p59 = "2s"', "o.toml: latency_p59: there is no such objective (did you mean latency_p95?)"),
        ('colour = "red"', "o.toml: colour: there is no such objective (there are success_rate, latency_p95, "),
        ("agents = 1", "o.toml: agents: this is no table (write [agents.NAME] and the agent's objectives below)"),
        ('[agents]\na = "2s"', "o.toml: agents.a: this is no table (write [agents.a] and the agent's "),
        ('[agents.a]\nlatncy_p95 = "2s"', "o.toml: agents.a.latncy_p95: there is no such objective (did you mean "),
        ('[agents.a]\nreject_rate = "2%"', "o.toml: agents.a.reject_rate: this signal does not know its agent (write "),
        (f'latency_p95 = "{"9" * 400}s"', "o.toml: latency_p95: this has 401 characters (write at most 40)"),
        (f'latency_p95 = "{"9" * 900_000}"', "o.toml: latency_p95: this has 900,000 characters (write at most 40)"),
        ("tokens_per_run = 1e300", "o.toml: tokens_per_run: this has 301 characters (write at most 40)"),
        (f"tokens_per_run = {'9' * 400}", "o.toml: tokens_per_run: this has 400 characters (write at most 40)"),
        (f"tokens_per_run = {'9' * 5000}", "o.toml: this is not TOML: Exceeds the limit (4300 digits)"),
        (f"a = {'[' * 5000}", "o.toml: this is not TOML: it is nested more than 100 levels deep (a line is"),
        (f"{'a.' * 5000}a = 1", "o.toml: this is not TOML: it is nested more than 100 levels deep (a line is"),
        ("latency_p95 2s", "o.toml: this is not TOML: Expected '=' after a key in a key/value pair (at line 1, "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, said: str):
    """An error names the file and the key, says what is wrong there and what to write instead."""
    with pytest.raises(ObjectivesError) as raised:
        parse(text, "o.toml")

    assert str(raised.value).startswith(said)
    assert str(raised.value).endswith(")")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    """A file that is not there, or not text, is named with the reason."""
    (tmp_path / "binary.toml").write_bytes(b"\xff")

    with pytest.raises(ObjectivesError, match=r"none\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "none.toml")
    with pytest.raises(ObjectivesError, match=r"binary\.toml: cannot be read: it is not UTF-8 text"):
        load(tmp_path / "binary.toml")


def test_an_agent_may_have_its_own_limit():
    """A limit in an agent's table holds for that agent alone, and in place of the one for everybody."""
    text = 'latency_p95 = "2s"\n[agents.slow]\nlatency_p95 = "1m"'

    assert (2.0, 2.0, 60.0) == tuple(only(text, "latency_p95", agent).limit for agent in (None, "other", "slow"))
    assert ("slow",) == parse(text, "o.toml").apart("latency_p95")
    assert () == parse(text, "o.toml").apart("cost_per_run")


def test_an_objective_may_be_off():
    """What is off is not there, for everybody or for one agent."""
    objectives = parse('latency_p95 = "off"\n[agents.a]\nsuccess_rate = "off"', "o.toml")

    assert None is objectives.get("latency_p95")
    assert None is objectives.get("latency_p95", "a")
    assert None is objectives.get("success_rate", "a")
    assert Objectives().get("success_rate") == objectives.get("success_rate", "b")
    assert [o for o in DEFAULTS if o.name != "latency_p95"] == list(objectives)


def test_a_budget_of_an_agent_is_its_own():
    """A limit for all agents together is, in an agent's table, a limit for that agent."""
    objective = only('[agents.a]\ncost_per_hour = "$2"', "cost_per_hour", "a")

    assert (2.0, Scope.AGENT, "a") == (objective.limit, objective.scope, objective.agent)
    assert Scope.ALL is only("", "cost_per_hour").scope


@given(st.sampled_from(DEFAULTS), st.floats(allow_nan=False))
def test_the_limit_itself_holds(objective: Objective, value: float):
    """A value holds on its side of the limit and at the limit; nothing measured breaks nothing."""
    assert objective.holds(objective.limit)
    assert objective.holds(nan)
    assert objective.holds(inf if objective.direction is Direction.AT_LEAST else -inf)
    if value != objective.limit:
        other = objective.limit - (value - objective.limit)
        assert objective.holds(value) != objective.holds(other)


@given(st.sampled_from(Unit), st.integers(0, 999), st.sampled_from([0, 1, 2, 3]))
def test_a_limit_is_shown_as_it_is_written(unit: Unit, digits: int, exponent: int):
    """The text of a limit, written into the file, gives the limit."""
    limit = digits * 10.0**exponent / (1000 if unit in {Unit.SECONDS, Unit.RATIO} else 100)
    name = UNITS[unit]

    assert pytest.approx(limit) == only(f'{name} = "{limit_text(limit, unit).replace(",", "")}"', name).limit
