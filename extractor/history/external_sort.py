"""
Store values in any order of their steps and return them in the order of steps, using little memory.

Values are rows of a temporary, unnamed SQLite database. It stays in memory until it exceeds its cache, and disappears
with the process, however that ends. The order of values of the same step is not kept.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize
from zlib import compress, decompress

import msgspec

from extractor.errors import OutputError

HELD = 32 << 20
"""Bytes to hold in memory, once for the values and once to sort them."""


class Spill:
    """Plain values by step; at most *held* bytes of them stay in memory."""

    def __init__(self, held: int = HELD) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"PRAGMA cache_size = -{max(held >> 10, 1)}")
        self._database.execute("CREATE TABLE value (step INTEGER, body BLOB)")
        finalize(self, self._database.close)
        self.values = 0
        """How many values were put."""
        self.given = 0
        """How many values `items` has returned."""

    def put(self, step: int, value: Any) -> None:  # noqa: ANN401  # anything MessagePack can encode
        """Add *value* at *step*; raise `OutputError` if there is no room."""
        body = compress(msgspec.msgpack.encode(value), 1)
        with _errors():
            self._database.execute("INSERT INTO value VALUES (?, ?)", (step, body))
        self.values += 1

    def items(self) -> Iterator[tuple[int, Any]]:
        """Yield every value with its step, in ascending order; raise `OutputError` if there is no room to sort."""
        self.given = 0
        with _errors():
            for step, body in self._database.execute("SELECT step, body FROM value ORDER BY step"):
                self.given += 1
                yield step, msgspec.msgpack.decode(decompress(body))


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        message = f"cannot store what was read so far: {error}"
        raise OutputError(message, "set TMPDIR to a folder with more room") from error
