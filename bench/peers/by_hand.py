"""
The job as the write-ups do it: one loop, and calls of prometheus_client for each event.

    python -m bench.peers.by_hand json|orjson LOG

Knows nothing of extractor: what it counts is what the others are held against.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from bench.peers.job import LLM_BOUNDS, TOKENS, TOOL_BOUNDS

PARSERS: dict[str, Callable[[bytes], Any]] = {"json": json.loads, "orjson": orjson.loads}


def count(log: Path, parse: Callable[[bytes], Any]) -> bytes:
    """The exposition of what *log* holds."""
    registry = CollectorRegistry()
    llm_calls = Counter("llm_calls", "Calls of a model.", ["model", "status"], registry=registry)
    tool_calls = Counter("tool_calls", "Calls of a tool.", ["tool", "status"], registry=registry)
    tokens = Counter("tokens", "Tokens used.", ["type"], registry=registry)
    runs = Counter("runs", "Runs ended.", ["status", "stop_reason"], registry=registry)
    llm_seconds = Histogram("llm_seconds", "Time of a model.", ["model"], buckets=LLM_BOUNDS, registry=registry)
    tool_seconds = Histogram("tool_seconds", "Time of a tool.", ["tool"], buckets=TOOL_BOUNDS, registry=registry)
    with log.open("rb") as lines:
        for line in lines:
            event = parse(line)
            match event["event"]:
                case "llm.call":
                    llm_calls.labels(event["model"], event["status"]).inc()
                    llm_seconds.labels(event["model"]).observe(event["duration_ms"] / 1000)
                    for kind, field in TOKENS.items():
                        tokens.labels(kind).inc(event.get(field, 0))
                case "tool.call":
                    tool_calls.labels(event["tool"], event["status"]).inc()
                    tool_seconds.labels(event["tool"]).observe(event["duration_ms"] / 1000)
                case "run.complete":
                    runs.labels(event["status"], event["stop_reason"]).inc()
    return generate_latest(registry)


if __name__ == "__main__":
    sys.stdout.buffer.write(count(Path(sys.argv[2]), PARSERS[sys.argv[1]]))
