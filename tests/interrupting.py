"""
Runs a function once for each point at which Python could call a signal handler, and calls a handler there.

CPython looks for signals after calls, at the start of functions and at the end of loops. Real signals arrive at such
points by chance, and rarely at those that matter; here each of them has its turn.
"""

import dis
import gc
import sys
from collections.abc import Callable
from itertools import count
from signal import SIGALRM
from types import FrameType
from typing import Any

from extractor.emit import appender, calls, encode, interrupts, log, usage, writer

FILES = {str(module.__file__) for module in (appender, calls, log, interrupts, encode, usage, writer)}

Handler = Callable[[int, FrameType], None]
Interrupted = Callable[[Callable[[], object], Handler], None]
"""Calls the function, and the handler while it runs."""


def at_each_point(run: Callable[[Interrupted], None]) -> int:
    """Call *run* for one point after the other, until the function it interrupts ends before; return how many."""
    gc.collect()
    gc.disable()  # Python ignores what a handler raises while an object is deleted
    try:
        for point in count():
            trace = _Trace(point)
            run(trace.interrupted)
            if trace.points <= point:
                return point
    finally:
        gc.enable()
    raise AssertionError


class _Trace:
    """Counts the points, and calls the handler at the one of this number."""

    def __init__(self, point: int) -> None:
        self.points = 0
        self._point = point
        self._before: dict[FrameType, str] = {}
        self._handler: Handler

    def interrupted(self, work: Callable[[], object], handler: Handler) -> None:
        """As `Interrupted`."""
        self._handler = handler
        # From Python 3.12 on, instructions are traced only if they are when tracing begins.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._called)
        try:
            work()
        finally:
            sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        frame.f_trace = self._stepped  # first, or Python 3.13 does not trace the instructions
        frame.f_trace_opcodes = True
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            before = self._before.get(frame, "")
            self._before[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if before.startswith(("CALL", "RESUME", "JUMP_BACKWARD")):
                self.points += 1
                if self.points == self._point + 1:
                    self._handler(int(SIGALRM), sys._getframe())
        return self._stepped
