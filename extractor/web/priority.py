"""
Lets scrapes and the page take priority over ingestion.

Both run Python code and share the interpreter lock: in parallel, each would take twice as long. A response is short and
a client waits for it, so reading pauses meanwhile. So that reading makes progress however many requests arrive, it
waits in total no longer than it has worked.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_AT_MOST = 1.0  # seconds


class Turns:
    """
    The turns of one thread that goes on for long, and of others that are short.

    *clock* is seconds that never jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._short = 0  # how many are being done
        self._lock = threading.Lock()
        self._free = threading.Event()
        self._free.set()
        self._ended = clock()
        self._worked = 0.0  # seconds of work that were not waited for yet

    @contextmanager
    def short(self) -> Iterator[None]:
        """What is done within is short, and others should give way."""
        with self._lock:
            self._short += 1
            self._free.clear()
        try:
            yield
        finally:
            with self._lock:
                self._short -= 1
                if not self._short:
                    self._free.set()

    def give_way(self) -> None:
        """Wait while something short is being done, but no longer than was worked so far."""
        if self._free.is_set():
            return
        began = self._clock()
        worked = min(self._worked + began - self._ended, _AT_MOST)
        if worked > 0:
            self._free.wait(worked)
            self._ended = self._clock()
            self._worked = worked - (self._ended - began)
