"""
A function in, processes out that were killed before each of its system calls, one after the other.

Knows nothing of what the function does.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_KILLED, _DONE, _FAILED = 9, 0, 1
_MODULES = {"posix", "fcntl", "_io"}


def crashes(act: Callable[[], object], prepare: Callable[[], object]) -> Iterator[int]:
    """
    The numbers of the calls before which a process that does *act* was killed, each just after that.

    *prepare* is called before each. It ends once *act* came to its end.
    """
    step = 0
    while True:
        step += 1
        prepare()
        if not _dies(act, step):
            return
        yield step


def _dies(act: Callable[[], object], step: int) -> bool:
    """Whether a process that does *act* got as far as its call number *step*, and was killed there."""
    child = os.fork()
    if child == 0:
        code = _FAILED
        try:
            sys.setprofile(_Killer(step))
            act()
            sys.setprofile(None)
            code = _DONE
        except BaseException:  # noqa: BLE001  # the parent must not go on twice
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {_KILLED, _DONE}, "it failed, as told on standard error"
    return code == _KILLED


class _Killer:
    """Counts calls into the system, and ends the process at one of them, with no more ado than kill -9."""

    def __init__(self, step: int) -> None:
        self._left = step

    def __call__(self, _frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call":
            return
        owner = getattr(called, "__self__", None)
        if called.__module__ in _MODULES or type(owner).__module__ == "_io":
            self._left -= 1
            if self._left == 0:
                os._exit(_KILLED)
