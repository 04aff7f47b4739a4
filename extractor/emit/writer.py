"""
Events without their end in, numbered lines out.

A writer has a name of its own and counts its lines from 1, so that a reader sees which lines are missing or come twice.
Threads wait for each other. A signal handler cannot wait for the code that it interrupted, and must not change the
number or the descriptor that this code uses: its lines are those of another writer, with both of its own. The same
goes for `__del__`, which Python may call at any time.
"""

import os
import sys
import threading
from collections.abc import Callable

from extractor.emit.appender import Appender


class Writer:
    """
    A sequence of numbered lines of one process.

    Args:
        appender: Returns a new appender for the file; each depth of interruption needs one.

    """

    def __init__(self, appender: Callable[[], Appender]) -> None:
        # The id of a process is not enough: in containers, several may have the same.
        name = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._line = f'%b,"writer":"{name}","seq":%d}}\n'.encode()
        self._appender = appender
        self._file = appender()
        self._lock = threading.RLock()
        self._is_busy = self._must_close = False
        self._nested: Writer | None = None
        self._seq = 0

    def write(self, event: bytes) -> None:
        """
        Append *event*, a JSON object without its closing brace, with the name of the writer and the number of the line.

        Raises:
            OSError: as `Appender.append`. The number is not used again, so that readers see the loss.
            ValueError: as `Appender.append`.

        """
        # A thread that holds the lock when the interpreter begins to shut down never releases it.
        if sys.is_finalizing() and not self._lock.acquire(blocking=False):
            raise BlockingIOError("another thread was writing when the interpreter shut down")
        with self._lock:
            if self._is_busy:
                self._nested_writer().write(event)
                return
            self._is_busy = True
            try:
                self._seq += 1
                self._file.append(self._line % (event, self._seq))
            finally:
                self._is_busy = False
                if self._must_close:
                    self.close()

    def close(self) -> None:
        """Close the file, if a line is being written then after it; the next line opens it again."""
        with self._lock:
            if self._nested is not None:
                self._nested.close()
            self._must_close = self._is_busy
            if self._is_busy:
                return
            self._is_busy = True
            try:
                self._file.close()
            finally:
                self._is_busy = False

    def abandon(self) -> None:
        """Close the file for good in the child of a fork, without the lock: its owner may not exist here."""
        self._file.abandon()
        if self._nested is not None:
            self._nested.abandon()

    def _nested_writer(self) -> "Writer":
        if self._nested is None:
            self._nested = Writer(self._appender)
        return self._nested
