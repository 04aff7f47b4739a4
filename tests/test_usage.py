"""What the token counts of a provider's usage object become."""

from collections import UserDict
from types import SimpleNamespace

import pytest

from extractor import emit

ANTHROPIC = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 50,
    "service_tier": "standard",
}
CHAT = {
    "prompt_tokens": 1042,
    "completion_tokens": 50,
    "total_tokens": 1092,
    "prompt_tokens_details": {"cached_tokens": 1000, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
RESPONSES = {
    "input_tokens": 1042,
    "input_tokens_details": {"cached_tokens": 1000},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 1092,
}
OLLAMA = {
    "model": "gemma",
    "done": True,
    "total_duration": 174560334,
    "load_duration": 101397084,
    "prompt_eval_count": 1042,
    "prompt_eval_cached_count": 1000,
    "prompt_eval_duration": 13074791,
    "eval_count": 50,
    "eval_duration": 52479709,
}


def as_object(usage):
    """*usage* as the objects of a provider's library."""
    return SimpleNamespace(
        **{key: as_object(value) if isinstance(value, dict) else value for key, value in usage.items()}
    )


@pytest.mark.parametrize("form", [dict, UserDict, as_object])
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (ANTHROPIC, [12, 50, 1000, 30]),
        (ANTHROPIC | {"cache_read_input_tokens": None, "cache_creation_input_tokens": 0}, [12, 50, None, 0]),
        (CHAT, [42, 50, 1000, None]),
        (CHAT | {"prompt_tokens_details": None}, [1042, 50, None, None]),
        (CHAT | {"prompt_tokens_details": {"cached_tokens": 0}}, [1042, 50, 0, None]),
        (RESPONSES, [42, 50, 1000, None]),
        (OLLAMA, [42, 50, 1000, None]),
        ({"prompt_eval_count": 11, "eval_count": 18}, [11, 18, None, None]),
        ({"input_tokens": True, "output_tokens": "many"}, [None, None, None, None]),
        ({}, [None, None, None, None]),
    ],
)
def test_tokens_are_disjoint(form, usage, expected):
    """Every provider's usage becomes the same counts, none of them twice; what was not reported is absent."""
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    counts = emit.tokens(form(usage))

    assert {name: number for name, number in zip(names, expected, strict=True) if number is not None} == counts
