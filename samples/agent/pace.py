"""
The agent's waiting, which is also where it can be stopped.

A signal that came between two waits is noticed at the next one, so that a run is cancelled where an agent spends its
time, in a call, and never in the middle of a line of its log.
"""

import signal
import time
from types import FrameType


class Stopped(BaseException):
    """Somebody wants the process to end."""


class Pace:
    """Waits that take *scale* times as long as asked for, and that SIGINT and SIGTERM end."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._stopped = False
        self._waiting = False

    def listen(self) -> None:
        """Take over the signals of this process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    def wait(self, seconds: float) -> None:
        """
        Wait for *seconds*, scaled.

        Raises:
            Stopped: a signal came, now or since the last wait.

        """
        self._waiting = True
        try:
            if self._stopped:
                raise Stopped
            time.sleep(seconds * self.scale)
        finally:
            self._waiting = False

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        # The second Ctrl-C must not tear what the first one is closing.
        if not self._stopped:
            self._stopped = True
            if self._waiting:
                raise Stopped
