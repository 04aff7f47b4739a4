"""
Contain unexpected exceptions: count them by place, and report each kind once.

A log, a schema or a request must not end the process. An exception that can be contained ends here: it is counted, and
reported once with its traceback.
"""

import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from extractor.state.stats import Stats

_KINDS = 100  # reported at most; a kind is a type and a place in our code, so there are few


class InternalErrors:
    """Count contained exceptions in *stats*; *report* is called with a sentence and the lines of the traceback."""

    def __init__(self, stats: Stats, report: Callable[[str, list[str]], None] = lambda _text, _lines: None) -> None:
        self._stats = stats
        self._report = report
        self._lock = threading.Lock()
        self._reported: set[tuple[str, str]] = set()

    def contain(self, where: str, error: BaseException, what: str = "") -> None:
        """Count *error*, raised at *where* (one of `stats.PLACES`) by *what*; report the first of its kind."""
        kind = (where, f"{type(error).__name__} {_place(error)}")
        with self._lock:
            self._stats.internal_errors[where] += 1
            if kind in self._reported or len(self._reported) >= _KINDS:
                return
            self._reported.add(kind)
        by = f" by {what}" if what else ""
        text = f"internal error in {where}{by}: {origin(error)}; it is counted, and logged this once: please report it"
        lines = [line for part in traceback.format_exception(error) for line in part.splitlines()]
        self._report(text, lines)


def origin(error: BaseException) -> str:
    """Return the type of *error*, its message and its place in the code, in one line."""
    message = " ".join(str(error).split())[:200]
    where = _place(error)
    return f"{type(error).__name__}{f': {message}' if message else ''}{f' at {where}' if where else ''}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
