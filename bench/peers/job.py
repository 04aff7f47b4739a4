"""
The job that every program is given, as far as the programs written in Python share it.

Of `llm.call`: calls by model and status, tokens by type, seconds by model. Of `tool.call`: calls by tool and status,
seconds by tool. Of `run.complete`: runs by status and stop reason. Seconds are the buckets of a histogram (with the
bounds of the default pack), or quantiles where the program has no histogram.

Knows nothing of the programs.
"""

LLM_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 120, 300, 600)
TOOL_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
QUANTILES = (0.5, 0.9, 0.99)
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}
# What a table of events holds; a data engine is told the types, which is faster than to let it guess them.
TEXTS = ("event", "model", "tool", "status", "stop_reason")
WHOLE = tuple(TOKENS.values())
REAL = ("duration_ms",)
