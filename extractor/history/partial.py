"""
The counts of a part of the logs: merged, and packed into few bytes.

Merging is independent of order. Packed, the counts of half a million lines of bench/gen.py (156 MB) take 3.3 MB: 0.3 MB
for series, mostly sliding windows, which do not grow with the log, and the rest for runs.
"""

import os
from typing import Any

import msgspec
import zstandard

from extractor.schema.model import Catalog
from extractor.state.state import MOST_SERIES_OF_PARTS, State
from extractor.state.stats import Stats


class Part:
    """The *state* and all other counts; *outside* is lines outside the period, *unfinished* is bytes."""

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
        """Whether it should be returned rather than grow further."""
        return self.state.held > MOST_SERIES_OF_PARTS

    def bound(self, floor: float) -> None:
        """Bound memory; no event still to come is far before *floor*."""
        self.state.bound(MOST_SERIES_OF_PARTS, floor)

    def merge(self, other: "Part") -> None:
        """Add the counts of *other*."""
        self.state.merge(other.state)
        self.stats.add(other.stats)
        self.outside += other.outside
        self.unfinished += other.unfinished
        self.troubles += other.troubles

    def dump(self) -> bytes:
        """Return the whole content, packed."""
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
        """Return a part like this one with what `dump` returned."""
        value: dict[str, Any] = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(dumped))
        part = Part(self._catalog, **self._like)
        part.state.load(value["state"])
        part.stats.load(value["stats"])
        part.outside, part.unfinished, part.stats.earliest, troubles = value["rest"]
        part.troubles = [os.fsdecode(text) for text in troubles]  # messages contain file names, which need not be UTF-8
        return part
