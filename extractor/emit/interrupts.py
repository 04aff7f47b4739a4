"""
An exception in; out, whether a signal handler raised it.

Python calls a signal handler between two steps of whatever the main thread is doing, and an exception of the handler
is raised there: a time limit that has passed, a task that was revoked. Such an exception is meant for the agent. Code
that catches errors of its own must not catch it, and `except OSError` would: `TimeoutError` is one.
"""

import contextlib
from inspect import CO_VARARGS
from itertools import pairwise
from types import FrameType, TracebackType


class suppress(contextlib.suppress):  # noqa: N801 - named as what it extends
    """`contextlib.suppress` that does not suppress exceptions of signal handlers."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is not None and from_signal_handler(error):
            return False
        return super().__exit__(kind, error, traceback)


def from_signal_handler(error: BaseException) -> bool:
    """Whether a signal handler raised *error* after it had interrupted the code that caught it."""
    traceback = error.__traceback__
    while traceback is not None:
        if _is_handler(traceback.tb_frame):
            return True
        traceback = traceback.tb_next
    return False


def _is_handler(frame: FrameType) -> bool:
    # A handler is called with the number of the signal and the frame that it interrupted, which is its caller's.
    # `signal.getsignal` cannot tell: a handler may install another one before it raises.
    code, values = frame.f_code, frame.f_locals
    arguments = [values.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & CO_VARARGS:
        arguments += values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
    return any(
        type(number) is int and interrupted is not None and interrupted is frame.f_back
        for number, interrupted in pairwise(arguments)
    )
