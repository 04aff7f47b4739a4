"""What becomes of values that JSON does not have."""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extractor import emit
from extractor.emit.encode import digest, encode


@dataclass
class Answer:
    """What an agent may have at hand."""

    text: object


class Unprintable:
    """What fails when it is asked for its text."""

    def __str__(self):
        raise RuntimeError


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, Decimal("NaN"), Decimal("sNaN"), Decimal("0.1"), Unprintable(), object]),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.datetimes(),
    st.timedeltas(),
    st.fractions(),
    st.builds(Path, st.just("a/b")),
    st.builds(ValueError, st.text()),
)
keys = st.one_of(st.text(st.characters(exclude_categories=())), st.integers(), st.none(), st.tuples(st.integers()))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner),
        st.dictionaries(keys, inner),
        st.builds(Answer, inner),
        st.frozensets(st.one_of(st.integers(), st.text())),
    ),
    max_leaves=10,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.text(st.characters(exclude_categories=())), values))
def test_any_value_is_one_valid_line(fields, tmp_path):
    """Whatever an agent passes, one line comes out, which also a strict reader accepts, with the event's name on it."""
    file = tmp_path / "a.jsonl"
    file.unlink(missing_ok=True)
    log = emit.Log(file)
    log.event("cache.hit", **fields)

    lines = file.read_bytes().split(b"\n")

    assert 2 == len(lines)
    assert ("cache.hit", 1) == (orjson.loads(lines[0])["event"], orjson.loads(lines[0])["seq"])
    assert 0 == log.dropped


def test_nan_is_null_and_cycles_end():
    """What has no JSON becomes null or an ellipsis, in its place; the rest of the line is kept."""
    cycle: list[object] = []
    cycle.append(cycle)
    line = {"a": float("nan"), "b": [float("inf")], "c": cycle, "d": Decimal("1.5"), "e": {2, 1}, "f": "\ud800"}

    expected = {"a": None, "b": [None], "c": ["..."], "d": 1.5, "e": [1, 2], "f": "?"}

    assert expected == json.loads(encode(line))
    assert {"a": hex(10**5000)} == json.loads(encode({"a": 10**5000}))


def test_a_hash_of_arguments_does_not_depend_on_order():
    """Equal arguments have equal hashes, also with keys in another order and with sets; others have others."""
    assert digest({"a": {1, 2}, "b": "x"}) == digest({"b": "x", "a": {2, 1}})
    assert digest({"a": 1}) != digest({"a": 2})
