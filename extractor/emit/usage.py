"""
A provider's usage object in, disjoint token counts out.

Anthropic counts input without what came from its cache, OpenAI and Ollama count it in. Here no token is counted twice:
`input_tokens` never includes cached ones, so the four counts add up to the tokens of the call. What a provider did not
report is absent, which is not the same as 0.

Knows nothing of models, prices or logs.
"""

from collections.abc import Mapping
from typing import cast

from extractor.emit.interrupts import from_signal_handler

NANOSECONDS_PER_MS = 1_000_000
_BEYOND = 2**64  # is no count, and may be more than a float can hold


def tokens(usage: object) -> dict[str, int]:
    """
    The token fields of an `llm.call` event from *usage*, an object or a mapping.

    Args:
        usage: `response.usage` of Anthropic or OpenAI (chat completions or responses), or Ollama's response itself.

    """
    prompt = _first(usage, "prompt_tokens", "prompt_eval_count")
    cached = _first(_get(usage, "prompt_tokens_details"), "cached_tokens")
    if cached is None:
        cached = _first(_get(usage, "input_tokens_details"), "cached_tokens")
    if cached is None:
        cached = _first(usage, "prompt_eval_cached_count")
    if prompt is None and cached is not None:
        prompt = _first(usage, "input_tokens")
    if prompt is not None:
        counts = {
            "input_tokens": max(0, prompt - (cached or 0)),
            "output_tokens": _first(usage, "completion_tokens", "eval_count", "output_tokens"),
            "cache_read_input_tokens": cached,
        }
    else:
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        counts = {name: _first(usage, name) for name in names}
    return {name: count for name, count in counts.items() if count is not None}


def duration_ms(usage: object) -> float | None:
    """How long the provider says the call took: Ollama does, in nanoseconds; the others do not."""
    nanoseconds = _first(usage, "total_duration")
    return None if nanoseconds is None else nanoseconds / NANOSECONDS_PER_MS


def _first(usage: object, *names: str) -> int | None:
    """The first of *names* that holds a count; None, a mock or a bool is not one."""
    for name in names:
        value = _get(usage, name)
        kind = type(value)  # `isinstance` asks the object, which may raise
        if issubclass(kind, int) and kind is not bool and 0 <= (count := cast("int", value)) < _BEYOND:
            return count
    return None


def _get(usage: object, name: str) -> object:
    try:
        return usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)
    except Exception as error:
        # A property of somebody's object; the agent goes on without the count.
        if from_signal_handler(error):
            raise
        return None
