"""
The job for DuckDB: the log into a table of the columns that are needed, then a query for each metric.

    python -m bench.peers.by_duckdb THREADS LOG

Rows out: what, labels, number.
"""

import json
import sys

import duckdb

from bench.peers.job import QUANTILES, REAL, TEXTS, TOKENS, WHOLE

_TYPES = dict.fromkeys(TEXTS, "VARCHAR") | dict.fromkeys(WHOLE, "BIGINT") | dict.fromkeys(REAL, "DOUBLE")


def count(threads: int, log: str) -> list[tuple[object, ...]]:
    """What *log* holds; no *threads* are as many as it likes."""
    database = duckdb.connect()
    database.execute("SET preserve_insertion_order = false")
    if threads:
        database.execute(f"SET threads = {threads}")
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in _TYPES.items())
    database.execute(f"CREATE TEMP TABLE events AS SELECT * FROM read_ndjson($1, columns = {{{columns}}})", [log])
    tokens = " UNION ALL ".join(
        f"SELECT 'tokens', '{kind}', sum({field})::BIGINT FROM events WHERE event = 'llm.call'"
        for kind, field in TOKENS.items()
    )
    queries = [
        "SELECT 'llm_calls', model, status, count(*) FROM events WHERE event = 'llm.call' GROUP BY ALL",
        "SELECT 'tool_calls', tool, status, count(*) FROM events WHERE event = 'tool.call' GROUP BY ALL",
        "SELECT 'runs', status, stop_reason, count(*) FROM events WHERE event = 'run.complete' GROUP BY ALL",
        tokens,
    ]
    rows: list[tuple[object, ...]] = [row for query in queries for row in database.execute(query).fetchall()]
    for what, label, event in (("llm", "model", "llm.call"), ("tool", "tool", "tool.call")):
        found = database.execute(
            f"SELECT {label}, quantile_disc(duration_ms / 1000, {list(QUANTILES)})"
            f" FROM events WHERE event = '{event}' GROUP BY ALL"
        ).fetchall()
        rows += [
            (f"{what}_quantile", name, str(quantile), value)
            for name, values in found
            for quantile, value in zip(QUANTILES, values, strict=True)
        ]
    return rows


if __name__ == "__main__":
    json.dump(count(int(sys.argv[1]), sys.argv[2]), sys.stdout)
