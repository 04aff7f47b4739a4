"""
What a running extractor has to say in, lines on standard error out.

Quiet when all is well. A trouble that comes again and again is said once and counted, and its end is said once. What is
said may hold names of files and text out of logs, so what could drive a terminal or look like another line is escaped,
in every form.

Knows nothing of what it is told.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from extractor.escapes import printable

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""The levels, and what syslog and the journal call them."""

_KINDS = 100  # of messages: some libraries put what varies into what should not

FORMS = ("auto", "text", "json", "journald")


class Log:
    """
    Says what is of *level* or worse, each a line for *write*, in the form *form*; *now* is the wall clock.

    May be used from any thread. What cannot be written is lost: nothing ends because nobody listens.
    """

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        *,
        level: str = "info",
        form: str = "auto",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._write = write or _to_stderr
        self._now = now
        self._lock = threading.Lock()
        self._troubles: dict[str, tuple[str, int]] = {}
        self.set(level=level, form=form)

    def set(self, *, level: str, form: str) -> None:
        """From now on say what is of *level* or worse, in the form *form*."""
        self._least = PRIORITIES[level]
        self._form = form if form != "auto" else ("journald" if _is_journal() else "text")

    def info(self, text: str, **fields: object) -> None:
        """What is good to know; *fields* are for programs, which find them in JSON."""
        self.say("info", text, **fields)

    def warning(self, text: str, **fields: object) -> None:
        """What someone should look at."""
        self.say("warning", text, **fields)

    def error(self, text: str, **fields: object) -> None:
        """What was to be done and was not."""
        self.say("error", text, **fields)

    def trouble(self, key: str, text: str, level: str = "warning", **fields: object) -> None:
        """What may come again: of the same *key* the same *text* is said once, and counted, until it is over."""
        with self._lock:
            said, times = self._troubles.get(key, ("", 0))
            self._troubles[key] = (text, times + 1)
        if said != text:
            self.say(level, text, **fields)

    def over(self, key: str, text: str) -> None:
        """If there was a trouble of this *key*, it has ended."""
        with self._lock:
            _, times = self._troubles.pop(key, ("", 0))
        if times:
            self.say("info", f"{text} (it failed {times} times)" if times > 1 else text, times=times)

    def troubles(self, prefix: str) -> list[str]:
        """The keys of the troubles that are not over and begin with *prefix*, without it."""
        with self._lock:
            return [key.removeprefix(prefix) for key in self._troubles if key.startswith(prefix)]

    def say(self, level: str, text: str, **fields: object) -> None:
        """Say *text*, if *level* is bad enough."""
        if PRIORITIES[level] <= self._least:
            with suppress(OSError, ValueError):  # closed, full, or nobody reads it
                self._write(self._line(level, text, fields))

    def _line(self, level: str, text: str, fields: dict[str, object]) -> str:
        if self._form == "journald":  # which has its own clock
            return f"<{PRIORITIES[level]}>{printable(text)}"
        stamp = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            said = {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}
            return json.dumps({"time": stamp, "level": level, "message": printable(text)} | said)
        return f"{stamp} {level.upper():7} {printable(text)}"


class Relay(logging.Handler):
    """Takes what libraries say with Python's `logging` into *log*: each kind of message once, with its first text."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._heard: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, unless the like was said."""
        kind = f"{record.name}: {record.msg}"
        if kind in self._heard:
            return
        if len(self._heard) >= _KINDS:
            self._heard.clear()
        self._heard.add(kind)
        cause = f" {record.exc_info[1]!r}" if record.exc_info and record.exc_info[1] else ""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._log.say(level, f"{record.name}: {record.getMessage()}{cause} (said once)", logger=record.name)


def relay(log: Log) -> Callable[[], None]:
    """Take what libraries say into *log*, until what is returned is called."""
    handler = Relay(log)
    logging.getLogger().addHandler(handler)
    return lambda: logging.getLogger().removeHandler(handler)


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _is_journal() -> bool:
    """Whether standard error leads to the journal, which says so by device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
