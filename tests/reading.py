"""
Lines in, what the extractor makes of them out; and packs made of a few words.

Knows nothing of files that are followed.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from extractor.exposition import samples
from extractor.exposition import text as exposition
from extractor.ingest.pipeline import Pipeline, Rejected
from extractor.schema.load import load
from extractor.schema.model import Catalog
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.state.updates import Listener
from extractor.tail.line_buffer import Blob

T0 = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where the tests' events begin."""

ENVELOPE = {"ts": {"type": ["string", "number"]}, "run_id": {"type": "string"}}


@cache
def default_catalog() -> Catalog:
    """The default pack; proving it takes a while, so it is done once."""
    return load()


def line(event: str, at: float = 0.0, **fields: Any) -> bytes:
    """A line of the default pack's envelope, *at* seconds after `T0`, without its newline."""
    return json.dumps({"event": event, "ts": T0 + at, "run_id": "run-1"} | fields).encode()


def tool_call(at: float = 0.0, **fields: Any) -> bytes:
    """A valid `tool.call`."""
    return line("tool.call", at, **({"tool": "search", "status": "ok", "duration_ms": 250} | fields))


def llm_call(at: float = 0.0, **fields: Any) -> bytes:
    """A valid `llm.call`."""
    return line("llm.call", at, **({"model": "m", "status": "ok", "duration_ms": 1000} | fields))


class Reader:
    """A pipeline into a state of its own."""

    def __init__(self, catalog: Catalog, *, latest: Callable[[], float] = lambda: inf, **options: Any) -> None:
        self.catalog = catalog
        self.state = State(catalog, **options)
        self.stats = Stats()
        self.rejected: list[Rejected] = []
        self._latest = latest
        self._pipeline = Pipeline(self.state, self.stats, latest, self.rejected.append)
        self._offset = 0

    def listen(self, listener: Listener) -> None:
        """Tell *listener* of every update of what is read from now on."""
        self._pipeline = Pipeline(self.state, self.stats, self._latest, self.rejected.append, listener=listener)

    def blob(self, data: bytes) -> None:
        """Read whole lines and fold."""
        pack = self.catalog.default_pack
        self._pipeline.feed(pack, "agent.jsonl", [Blob(data, self._offset)])
        self._offset += len(data)
        self._pipeline.fold()

    def lines(self, lines: Iterable[bytes]) -> None:
        """Read *lines*, which come without their newlines, in one blob."""
        data = b"".join(item + b"\n" for item in lines)
        if data:
            self.blob(data)


def read(lines: Iterable[bytes], catalog: Catalog | None = None, **options: Any) -> State:
    """The state of one pass over *lines*."""
    reader = Reader(catalog or default_catalog(), **options)
    reader.lines(lines)
    return reader.state


def text(state: State, *, openmetrics: bool = False) -> str:
    """The exposition of *state*."""
    return exposition.text(state, threading.Lock(), openmetrics=openmetrics)


Sampled = dict[tuple[str, ...], float]


def sampled(state: State, name: str) -> Sampled:
    """The samples of this *name*: label values, in the order of the exposition, to the number."""
    return {tuple(labels.values()): value for sample, labels, value in samples.of_state(state) if sample == name}


def event_schema(
    name: str,
    properties: Mapping[str, object],
    metrics: Mapping[str, object],
    example: Mapping[str, object],
    **keywords: object,
) -> dict[str, object]:
    """The schema of an event with the envelope of the default pack; what *example* has is required unless said."""
    return {
        "type": "object",
        "required": ["event", "ts", "run_id"],
        "properties": {"event": {"const": name}, **ENVELOPE, **properties},
        "examples": [{"event": name, "ts": T0, "run_id": "run-1", **example}],
        "x-metrics": metrics,
    } | keywords


def write_pack(folder: Path, *schemas: Mapping[str, Any], **pack: object) -> Catalog:
    """The catalog of a pack of these event types in place of the default one; *pack* goes into its `pack.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    declared = {"name": "agent", "event": "/event", "time": "/ts", "run": "/run_id", "files": ["*.jsonl"]} | pack
    (folder / "pack.json").write_text(json.dumps(declared))
    for schema in schemas:
        name = schema["examples"][0]["event"]
        (folder / f"{name}.schema.json").write_text(json.dumps(schema))
    return load((folder,))
