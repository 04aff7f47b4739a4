"""
Concurrent requests for the same result in, one computation of it out.

A request gets a result that was computed after it arrived; all requests that arrive during a computation share the next
one. Nothing is computed for clients that have disconnected. So one result is computed at a time, and a request waits
for at most two computations of each kind.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """Makes things in a thread, for those who wait in the event loop."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._next: dict[Hashable, asyncio.Task[Any]] = {}
        self._waiting: Counter[Hashable] = Counter()

    async def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What *make* returns; what has an equal *key* is the same."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._make(key, make))
        self._waiting[key] += 1
        try:
            made: T = await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._next.get(key) is task:
                self._waiting[key] -= 1
            raise
        return made

    async def _make(self, key: Hashable, make: Callable[[], T]) -> T | None:
        async with self._one:
            del self._next[key]  # who asks from now on must not get what was true before
            return await asyncio.to_thread(make) if self._waiting.pop(key) else None
