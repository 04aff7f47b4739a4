"""
A provider's usage object in, disjoint token counts out.

Anthropic counts input without what came from its cache, OpenAI and Ollama count it in. Here no token is counted twice:
`input_tokens` never includes cached ones, so the four counts add up to the tokens of the call. What a provider did not
report is absent, which is not the same as 0.

Knows nothing of models, prices or logs.
"""

from collections.abc import Mapping

NANOSECONDS_PER_MS = 1_000_000


def tokens(usage: object) -> dict[str, int]:
    """
    The token fields of an `llm.call` event from *usage*, an object or a mapping.

    Args:
        usage: `response.usage` of Anthropic or OpenAI (chat completions or responses), or Ollama's response itself.

    """
    prompt = _first(usage, "prompt_tokens", "prompt_eval_count")
    details = _get(usage, "prompt_tokens_details") or _get(usage, "input_tokens_details")
    cached = _first(details, "cached_tokens")
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
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _get(usage: object, name: str) -> object:
    try:
        return usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody's object; the agent goes on without the count
        return None
