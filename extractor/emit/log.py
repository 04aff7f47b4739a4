"""
What an agent does in, one JSON object per line of a log file out.

Lines are whole and valid whatever happens: those of threads, processes and signal handlers never interleave, and what
JSON cannot say is put into words it can. No agent ever fails because of its log: a line that could not be written is
counted in `Log.dropped`, and the first one is reported through `logging`.

Knows nothing of schemas and metrics, and imports nothing outside the standard library.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from uuid import uuid4
from weakref import WeakSet

from extractor.emit.appender import Appender
from extractor.emit.calls import CURRENT, Run, Vocabulary
from extractor.emit.encode import as_name, encode
from extractor.emit.interrupts import from_signal_handler, suppress
from extractor.emit.writer import Writer

_STAMPED = frozenset({"ts", "event", "writer", "seq"})
_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NAME_BYTES = 200  # of the agent, in the name of a file, which may have 255


class Log(Vocabulary):
    """
    One log file, safe to share between threads and signal handlers, and to keep across a fork.

    Every line names its `writer`, one process and log, and has a `seq` that counts the lines of that writer from 1:
    a gap in it is a line that was lost. A field that is None is left out. A file that cannot be written is never an
    error, neither here nor later; each line tries again, and `dropped` counts those that were lost.

    Args:
        path: A file, or a directory for one file per process. A relative path is resolved now, not with each line.
        agent: What lines say where the run does not.
        release: As *agent*.
        clock: Seconds since the epoch.
        timer: Seconds that never jump.
        fields: Further fields for every line.

    Raises:
        TypeError: *path* is not a path.

    """

    dropped: int
    _has_warned: bool

    def __init__(
        self,
        path: str | bytes | os.PathLike[str],
        *,
        agent: str | None = None,
        release: str | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        **fields: object,
    ) -> None:
        self.timer = timer
        self._clock = clock
        self._path = _absolute(Path(os.fsdecode(path)))
        self._is_directory = os.fsdecode(path).endswith(os.sep)
        self._fields = _said({"agent": as_name(agent), "release": as_name(release), **fields})
        self._start()
        _logs().add(self)

    def event(self, name: str, /, **fields: object) -> None:
        """
        Write one line; `ts`, `event`, `writer` and `seq` are the log's own.

        Inside of `with log.run()`, in the same thread or task, the line belongs to that run.
        """
        try:
            run = CURRENT.get()
            if run is not None and run.log is self and "run_id" not in fields:
                fields = {**run.envelope, **fields}
            stamp = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="microseconds")[:-6] + "Z"
            self._writer.write(encode({"ts": stamp, "event": name, **self._fields, **_said(fields)})[:-1])
        except BaseException as error:
            if not isinstance(error, Exception) or from_signal_handler(error):
                # This is the agent's exception. The line may or may not be in the file; it is counted as lost.
                self.dropped += 1
                raise
            self.drop(error)

    def run(
        self,
        *,
        agent: str | None = None,
        release: str | None = None,
        agent_type: str | None = None,
        task: str | None = None,
        run_id: str | None = None,
        **fields: object,
    ) -> Run:
        """A run, to be used in a `with`; *fields* are on all of its lines."""
        who = {"run_id": as_name(run_id) or uuid4().hex, "agent": as_name(agent), "release": as_name(release)}
        ours = _said({**who, **fields})
        return Run(self, ours, _said({"agent_type": agent_type, "task": task}))

    def close(self) -> None:
        """Let go of the file; a later event opens it again."""
        self._writer.close()

    def drop(self, error: BaseException) -> None:
        """Count a line that was lost because of *error*, and log a warning for the first one."""
        # Without a lock: Python switches threads, and calls signal handlers, only after calls.
        self.dropped += 1
        has_warned, self._has_warned = self._has_warned, True
        if has_warned:
            return
        with suppress(Exception):  # handlers of `logging` belong to the agent and may raise
            logging.getLogger("extractor.emit").warning(
                "%r: lost a line, later losses are only counted: %r", os.fspath(self._path), error
            )

    def _start(self) -> None:
        self.dropped = 0
        self._has_warned = False
        agent = re.sub(r"[^\w.-]", "_", as_name(self._fields.get("agent")) or "agent").encode()[:_NAME_BYTES]
        name = f"{agent.decode(errors='ignore')}-{os.getpid()}.jsonl"
        self._writer = Writer(partial(Appender, self._path, name, directory=self._is_directory))

    def _restart(self) -> None:
        self._writer.abandon()
        self._start()


class Handler(logging.Handler):
    """
    Writes the records of `logging` that name an event: `logger.info("", extra={"event": "cache.hit"})`.

    Args:
        log: Where to.
        others: The event that all other records become; None drops them.

    """

    def __init__(self, log: Vocabulary, others: str | None = None) -> None:
        super().__init__()
        self._sink = log
        self._others = others

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record* with the fields of its `extra`; its text is the `message`."""
        try:
            fields = {str(name): value for name, value in vars(record).items() if name not in _RECORD}
            event = fields.pop("event", None)
            if event is None:
                if self._others is None:
                    return
                event = self._others
                fields |= {"level": record.levelname.lower(), "logger": record.name}
            if record.exc_info and record.exc_info[0]:
                fields.setdefault("error_class", record.exc_info[0].__name__)
            text = record.getMessage()
            self._sink.event(str(event), message=text or None, **fields)
        except Exception as error:
            if from_signal_handler(error):
                raise
            self.handleError(record)  # `logging` prints it to standard error, and the agent goes on


def subscriber(log: Vocabulary, rename: Mapping[str, str] | None = None) -> Callable[..., None]:
    """
    One function for an event bus, which writes all that it is called with.

    It takes a type and its data, an object with `type` and `data`, or a mapping. The time of the line is the time of
    the call: the clock of a bus is often monotonic.

    Args:
        log: A log, or a run to have its id on every line.
        rename: From the bus's words for events and fields to ours, such as `{"tool.call.end": "tool.call"}`.

    """
    ours = rename or {}

    def on_event(event: object, data: object = None, /) -> None:
        try:
            name, fields = _flat(event, data)
            fields = {ours.get(field, field): value for field, value in fields.items()}
        except Exception as error:  # the objects of a bus may raise
            if from_signal_handler(error):
                raise
            log.drop(error)
        else:
            log.event(ours.get(name, name), **fields)

    return on_event


def _flat(event: object, data: object) -> tuple[str, dict[str, object]]:
    """The name and the fields of an event, in any form that a subscriber takes."""
    if isinstance(event, Mapping):
        flat = {str(name): value for name, value in event.items() if name != "timestamp"}
        event = flat.pop("type", None) or flat.pop("event", None)
        data = flat.pop("data", flat)
    elif not isinstance(event, str):
        event, data = getattr(event, "type", None), getattr(event, "data", None)
    if not isinstance(data, Mapping):
        data = {"data": data}
    return str(getattr(event, "value", event)), {str(name): value for name, value in data.items()}


def _said(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None and name not in _STAMPED}


def _absolute(path: Path) -> Path:
    with suppress(OSError):  # the working directory was removed
        return path.absolute()
    return path


@cache
def _logs() -> WeakSet[Log]:
    """All logs of this process. In the child of a fork each starts anew, as a writer of its own."""
    logs: WeakSet[Log] = WeakSet()

    def restart() -> None:
        for log in logs:
            log._restart()  # noqa: SLF001 - its own module

    os.register_at_fork(after_in_child=restart)
    return logs
