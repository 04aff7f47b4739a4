"""
The job for chDB, which is ClickHouse inside Python: the log into a table in memory, then a query for each metric.

    python -m bench.peers.by_chdb THREADS LOG

Rows out: what, labels, number.
"""

import json
import sys
from typing import Any

from chdb import session

from bench.peers.job import QUANTILES, REAL, TEXTS, TOKENS, WHOLE

_TYPES = dict.fromkeys(TEXTS, "LowCardinality(String)") | dict.fromkeys(WHOLE, "Int64") | dict.fromkeys(REAL, "Float64")


def count(threads: int, log: str) -> list[list[Any]]:
    """What *log* holds; no *threads* are as many as it likes."""
    engine = session.Session()

    def rows(query: str) -> list[list[Any]]:
        return [json.loads(line) for line in str(engine.query(query, "JSONCompactEachRow")).splitlines()]

    settings = {"input_format_skip_unknown_fields": 1, "output_format_json_quote_64bit_integers": 0}
    if threads:
        settings |= {"max_threads": threads, "max_insert_threads": threads, "max_parsing_threads": threads}
    for name, value in settings.items():
        engine.query(f"SET {name} = {value}")
    columns = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())
    engine.query("CREATE DATABASE bench")
    engine.query(f"CREATE TABLE bench.events ({columns}) ENGINE = Memory")
    engine.query(f"INSERT INTO bench.events SELECT * FROM file('{log}', 'JSONEachRow', '{columns}')")
    found = [
        *rows("SELECT 'llm_calls', model, status, count() FROM bench.events WHERE event = 'llm.call' GROUP BY ALL"),
        *rows("SELECT 'tool_calls', tool, status, count() FROM bench.events WHERE event = 'tool.call' GROUP BY ALL"),
        *rows(
            "SELECT 'runs', status, stop_reason, count() FROM bench.events WHERE event = 'run.complete' GROUP BY ALL"
        ),
    ]
    sums = ", ".join(f"sum({field})" for field in TOKENS.values())
    [numbers] = rows(f"SELECT {sums} FROM bench.events WHERE event = 'llm.call'")
    found += [["tokens", kind, number] for kind, number in zip(TOKENS, numbers, strict=True)]
    wanted = ", ".join(map(str, QUANTILES))
    for what, label, event in (("llm", "model", "llm.call"), ("tool", "tool", "tool.call")):
        # quantilesExact keeps every value, as DuckDB and Polars do; the default samples.
        query = f"SELECT {label}, quantilesExact({wanted})(duration_ms / 1000) FROM bench.events"
        for name, values in rows(f"{query} WHERE event = '{event}' GROUP BY {label}"):
            found += [[f"{what}_quantile", name, str(q), value] for q, value in zip(QUANTILES, values, strict=True)]
    return found


if __name__ == "__main__":
    json.dump(count(int(sys.argv[1]), sys.argv[2]), sys.stdout)
