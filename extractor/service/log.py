"""
The extractor's own log: lines on standard error, written with Python's `logging`.

Messages may contain names of files and text out of logs, so whatever could control a terminal or look like another line
is escaped, in every format. Warnings of libraries are logged like our own, each kind once.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from extractor.service.escapes import printable

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""The levels, and the priorities of syslog and the journal."""

FORMS = ("auto", "text", "json", "journald")

_NAME = "extractor"
_KINDS = 100  # of messages: some libraries put what varies into the text that should not


class _Formatter(logging.Formatter):
    """Formats a record as one line of printable characters; *now* is the wall clock."""

    def __init__(self, form: str, now: Callable[[], float]) -> None:
        super().__init__()
        self._form = form if form != "auto" else ("journald" if _is_journal() else "text")
        self._now = now

    def format(self, record: logging.LogRecord) -> str:
        at = record.levelno
        level = "error" if at >= logging.ERROR else "warning" if at >= logging.WARNING else record.levelname.lower()
        text, fields = record.getMessage(), getattr(record, "fields", {"logger": record.name})
        if record.name != _NAME:
            cause = f" {record.exc_info[1]!r}" if record.exc_info and record.exc_info[1] else ""
            text = f"{record.name}: {text}{cause} (logged once)"
        if self._form == "journald":  # which has its own clock
            return f"<{PRIORITIES[level]}>{printable(text)}"
        stamp = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            shown = {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}
            return json.dumps({"time": stamp, "level": level, "message": printable(text)} | shown)
        return f"{stamp} {level.upper():7} {printable(text)}"


class _Handler(logging.Handler):
    """
    Writes a line for each of our records, and for each kind of warning of a library.

    What cannot be written is lost: the program goes on when nobody reads its log.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write
        self._kinds: set[tuple[str, str]] = set()
        self.addFilter(self._is_new)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # closed, full, or nobody reads it
            self._write(self.format(record))

    def _is_new(self, record: logging.LogRecord) -> bool:
        kind = (record.name, str(record.msg))
        if record.name == _NAME or kind in self._kinds or record.levelno < logging.WARNING:
            return record.name == _NAME
        if len(self._kinds) >= _KINDS:
            self._kinds.clear()
        self._kinds.add(kind)
        return True


class Log(logging.LoggerAdapter[logging.Logger]):
    """
    Logs what is of *level* or more severe in the format *form*; may be used from any thread.

    Keywords of `info`, `warning` and `error` are fields of the JSON format. A problem that recurs is logged once and
    counted, and its end is logged once.
    """

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        *,
        level: str = "info",
        form: str = "auto",
        now: Callable[[], float] = time.time,
    ) -> None:
        # Not in the tree of loggers: each `Log` has a handler and a level of its own.
        logger = logging.Logger(_NAME)  # noqa: LOG001
        super().__init__(logger)
        self._now = now
        self._lock = threading.Lock()
        self._troubles: dict[str, tuple[str, int]] = {}
        self._handler = _Handler(write or _to_stderr)
        logger.addHandler(self._handler)
        self.set(level=level, form=form)

    def set(self, *, level: str, form: str) -> None:
        """Change the level and the format."""
        self._handler.setLevel(level.upper())
        self._handler.setFormatter(_Formatter(form, self._now))

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Make fields of all keywords."""
        return msg, {"extra": {"fields": kwargs}}

    def trouble(self, key: str, text: str, level: str = "warning", **fields: object) -> None:
        """Log a problem that may recur: the same *text* of the same *key* is logged once, until it is over."""
        with self._lock:
            logged, times = self._troubles.get(key, ("", 0))
            self._troubles[key] = (text, times + 1)
        if logged != text:
            self.logger.log(logging.getLevelNamesMapping()[level.upper()], text, extra={"fields": fields})

    def over(self, key: str, text: str) -> None:
        """Log the end of the problem of this *key*, if there was one."""
        with self._lock:
            _, times = self._troubles.pop(key, ("", 0))
        if times:
            self.info(f"{text} (it failed {times} times)" if times > 1 else text, times=times)

    def relay(self) -> Callable[[], None]:
        """Log what libraries log, until the function that is returned is called."""
        root = logging.getLogger()
        root.addHandler(self._handler)
        return lambda: root.removeHandler(self._handler)

    def troubles(self, prefix: str) -> list[str]:
        """Return the keys of the problems that are not over and begin with *prefix*, without it."""
        with self._lock:
            return [key.removeprefix(prefix) for key in self._troubles if key.startswith(prefix)]


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _is_journal() -> bool:
    """Whether standard error leads to the journal, which gives its device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
