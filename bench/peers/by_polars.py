"""
The job for Polars: a lazy scan of the log, and a query for each metric, all collected at once.

    python -m bench.peers.by_polars LOG

The threads are POLARS_MAX_THREADS. Rows out: what, labels, number.
"""

import json
import sys

import polars as pl

from bench.peers.job import QUANTILES, REAL, TEXTS, TOKENS, WHOLE

_TYPES = dict.fromkeys(TEXTS, pl.String) | dict.fromkeys(WHOLE, pl.Int64) | dict.fromkeys(REAL, pl.Float64)


def count(log: str) -> list[tuple[object, ...]]:
    """What *log* holds."""
    events = pl.scan_ndjson(log, schema=_TYPES)
    llm, tool = events.filter(pl.col("event") == "llm.call"), events.filter(pl.col("event") == "tool.call")
    runs = events.filter(pl.col("event") == "run.complete")
    seconds = [pl.col("duration_ms").quantile(q, "lower").truediv(1000).alias(str(q)) for q in QUANTILES]
    frames = pl.collect_all(
        [
            llm.group_by("model", "status").len(),
            tool.group_by("tool", "status").len(),
            runs.group_by("status", "stop_reason").len(),
            llm.select(pl.col(field).sum().alias(kind) for kind, field in TOKENS.items()),
            llm.group_by("model").agg(seconds),
            tool.group_by("tool").agg(seconds),
        ],
        engine="streaming",
    )
    found: list[tuple[object, ...]] = []
    for what, frame in zip(("llm_calls", "tool_calls", "runs"), frames[:3], strict=True):
        found += [(what, *row) for row in frame.rows()]
    found += [("tokens", kind, number) for kind, number in frames[3].row(0, named=True).items()]
    for what, frame in zip(("llm_quantile", "tool_quantile"), frames[4:], strict=True):
        for name, *values in frame.rows():
            found += [(what, name, str(quantile), value) for quantile, value in zip(QUANTILES, values, strict=True)]
    return found


if __name__ == "__main__":
    json.dump(count(sys.argv[1]), sys.stdout)
