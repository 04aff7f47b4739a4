"""
Many who want the same in, one making of it out.

Who asks gets what was made after the question, never before; but all who ask while another is being made share the next
one. So whatever number of clients asks, and however fast they go away again, one thing is made at a time, and an answer
is at most two makings away for each kind that is asked for.

Knows nothing of what is made.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """Makes things in a thread, for those who wait in the event loop."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._next: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What *make* returns; what has an equal *key* is the same."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._make(key, make))
        made: T = await asyncio.shield(task)
        return made

    async def _make(self, key: Hashable, make: Callable[[], T]) -> T:
        async with self._one:
            del self._next[key]  # who asks from now on must not get what was true before
            return await asyncio.to_thread(make)
