"""
What was counted of a part of the logs: into a few bytes, out of them, and added up.

Adding parts up is free of order. Packed, what was counted of half a million lines of bench/gen.py (156 MB) was 0.47 MB
before runs carried totals, and is 3.3 MB with them: 0.3 MB are series, mostly the sliding windows, which do not grow
with the log; the rest are the runs.

Knows nothing of files or processes.
"""

import os
from typing import Any

import msgspec
import zstandard

from extractor.schema.model import Catalog
from extractor.state.state import MOST_SERIES_OF_PARTS, State
from extractor.state.stats import Stats


class Part:
    """The *state* and all else that was counted; *outside* is lines outside the period, *unfinished* is bytes."""

    def __init__(self, catalog: Catalog, *, window: float, run_timeout: float, run_linger: float) -> None:
        self._catalog = catalog
        self._like = {"window": window, "run_timeout": run_timeout, "run_linger": run_linger}
        self.state = State(
            catalog, window_seconds=window, run_timeout=run_timeout, run_linger=run_linger, limited=False
        )
        self.stats = Stats()
        self.outside = 0
        self.unfinished = 0
        self.troubles: list[str] = []

    @property
    def is_large(self) -> bool:
        """Whether it should be handed on rather than go on growing."""
        return self.state.held > MOST_SERIES_OF_PARTS

    def bound(self, floor: float) -> None:
        """Keep memory bounded; no event that is still to come is far before *floor*."""
        self.state.bound(MOST_SERIES_OF_PARTS, floor)

    def merge(self, other: "Part") -> None:
        """Add what *other* counted."""
        self.state.merge(other.state)
        self.stats.add(other.stats)
        self.outside += other.outside
        self.unfinished += other.unfinished
        self.troubles += other.troubles

    def dump(self) -> bytes:
        """All of it."""
        value = {
            "state": self.state.dump(),
            "stats": self.stats.dump(),
            "rest": [
                self.outside,
                self.unfinished,
                self.stats.earliest,
                [os.fsencode(text) for text in self.troubles],
            ],
        }
        return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(value))

    def load(self, dumped: bytes) -> "Part":
        """What `dump` gave, as a part like this one."""
        value: dict[str, Any] = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(dumped))
        part = Part(self._catalog, **self._like)
        part.state.load(value["state"])
        part.stats.load(value["stats"])
        part.outside, part.unfinished, part.stats.earliest, troubles = value["rest"]
        part.troubles = [os.fsdecode(text) for text in troubles]  # with names of files, which need not be UTF-8
        return part
