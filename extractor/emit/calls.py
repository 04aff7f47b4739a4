"""
Runs, steps, tool calls and model calls in, their events out.

Each is a context manager that times itself by the log's monotonic timer. An exception that passes through is recorded
by the name of its class and goes on; its text is not, because texts of exceptions carry prompts and secrets. All state
is in the object a `with` made, none in the thread or the task, so they nest and run side by side in any way. Only
which run is the current one is told by the context, for events that are not given one.

Knows nothing of files and JSON.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from types import TracebackType
from typing import Literal, Protocol, Self, cast

from extractor.emit.encode import as_name, digest
from extractor.emit.interrupts import suppress
from extractor.emit.usage import duration_ms as reported_ms
from extractor.emit.usage import tokens

Status = Literal["ok", "error", "timeout", "cancelled"]

_STATUS_OF_STOP: dict[str, Status] = {"completed": "ok", "timeout": "timeout", "cancelled": "cancelled"}


class Sink(Protocol):
    """What events are written to; a `Log` is one."""

    timer: Callable[[], float]

    def event(self, name: str, /, **fields: object) -> None:
        """Write one line."""

    def drop(self, error: BaseException) -> None:
        """Count a line that was lost because of *error*."""


class Vocabulary(ABC):
    """The events that are one line and nothing more; a log and a run both write them."""

    @abstractmethod
    def event(self, name: str, /, **fields: object) -> None:
        """Write one line."""

    @abstractmethod
    def drop(self, error: BaseException) -> None:
        """Count a line that was lost because of *error*."""

    def cache_hit(self, cache: str | None = None) -> None:
        """Something was found in *cache*."""
        self.event("cache.hit", cache=cache)

    def cache_miss(self, cache: str | None = None) -> None:
        """Something was looked for in *cache*, in vain."""
        self.event("cache.miss", cache=cache)

    def loop_detected(self, tool: str | None = None, repeats: int | None = None) -> None:
        """A loop guard saw *tool* called *repeats* times with the same arguments."""
        self.event("loop.detected", tool=tool, repeats=repeats)

    def circuit(self, circuit: str, state: Literal["open", "half_open", "closed"]) -> None:
        """The breaker *circuit* changed to *state*."""
        self.event(f"circuit.{state}", circuit=circuit)

    def tool_error(self, error: BaseException | str, tool: str | None = None) -> None:
        """A failure that has no tool call, such as an unknown tool or an open circuit."""
        self.event("tool.error", error_class=_class_of(error), tool=tool)

    def task_complete(
        self, status: Literal["success", "failure", "timeout"], duration_ms: float | None = None, **fields: object
    ) -> None:
        """A task, which may have taken several runs, is done."""
        self.event("task.complete", status=status, duration_ms=duration_ms, **fields)


class _Timed(ABC):
    """What lasts: it times itself in a `with`, and an exception that passes through is recorded and goes on."""

    def __init__(self, log: Sink, fields: dict[str, object]) -> None:
        self.status: Status = "ok"
        self.error_class: str | None = None
        self._log = log
        self._fields = fields
        self._started = 0.0

    def add(self, **fields: object) -> None:
        """Add *fields* to the line that will be written at the end."""
        self._fields.update(fields)

    def fail(self, error: BaseException | str, status: Status | None = None) -> None:
        """Record a failure that was handled, or never raised."""
        self.error_class = _class_of(error)
        self.status = cast("Status", as_name(status) or _status_of(type(error)))

    def __enter__(self) -> Self:
        self._started = self._log.timer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.status == "ok":
            self.fail(error)
        self._end(self._elapsed_ms(), error)

    def _elapsed_ms(self) -> float:
        return round((self._log.timer() - self._started) * 1000, 3)

    @abstractmethod
    def _end(self, duration_ms: float, error: BaseException | None) -> None:
        """Write the line of the end."""


class Call(_Timed):
    """A step or a tool call, which writes its line when it ends."""

    def __init__(self, run: "Run", event: str, fields: dict[str, object]) -> None:
        super().__init__(run.log, fields)
        self._run = run
        self._event = event

    def _end(self, duration_ms: float, error: BaseException | None) -> None:
        if self._event == "tool.call":
            self._run.raised_by_tool = error
        outcome = {"status": self.status, "error_class": self.error_class, "duration_ms": duration_ms}
        self._run.event(self._event, **{**outcome, **self._fields})


class LlmCall(Call):
    """A model call; set `usage` when the response is there."""

    usage: object = None

    def first_token(self) -> None:
        """Call it for every piece of a streamed response: the first one is the time to the first token."""
        if "ttft_ms" not in self._fields:
            self._fields["ttft_ms"] = self._elapsed_ms()

    def _end(self, duration_ms: float, error: BaseException | None) -> None:
        self._fields = {**tokens(self.usage), **self._fields}
        super()._end(duration_ms, error)


class Run(_Timed, Vocabulary):
    """One run of an agent: `run.start` when the `with` begins, `run.complete` when it ends, however it ends."""

    def __init__(self, log: Sink, fields: dict[str, object], opening: dict[str, object]) -> None:
        super().__init__(log, {})
        self.log = log
        self.id = str(fields["run_id"])
        self.stop_reason = "completed"
        self.raised_by_tool: BaseException | None = None
        self.envelope = fields
        self._opening = opening
        self._numbers = count(1)

    def event(self, name: str, /, **fields: object) -> None:
        """Write one line of this run."""
        self.log.event(name, **{**self.envelope, **fields})

    def drop(self, error: BaseException) -> None:
        """Count a line that was lost because of *error*."""
        self.log.drop(error)

    def step(self, type: str | None = None, /, **fields: object) -> Call:  # noqa: A002 - the field's name
        """A step, to be used in a `with`; steps are numbered from 1."""
        return Call(self, "step", {"step": next(self._numbers), "type": type, **fields})

    def tool(self, tool: str, /, args: object = None, **fields: object) -> Call:
        """A tool call, to be used in a `with`; *args* are hashed, never written."""
        args_hash = None if args is None else digest(args)
        return Call(self, "tool.call", {"tool": tool, "args_hash": args_hash, **fields})

    def llm(
        self,
        model: str,
        *,
        usage: object = None,
        duration_ms: float | None = None,
        error: BaseException | str | None = None,
        **fields: object,
    ) -> LlmCall:
        """
        A model call, to be used in a `with`; or, with *usage* or *duration_ms*, one that is over and is written now.

        Args:
            model: The model's name, as the provider writes it.
            usage: What `tokens` takes; Ollama's also has the duration.
            duration_ms: How long it took.
            error: Why it failed.
            fields: `ttft_ms`, `cost_usd`, `status` and others.

        """
        call = LlmCall(self, "llm.call", {"model": model, **fields})
        if error is not None:
            call.fail(error)
        if usage is not None or duration_ms is not None:
            call.usage = usage
            call.add(duration_ms=reported_ms(usage) if duration_ms is None else duration_ms)
            call._end(0, None)  # noqa: SLF001 - it is over
        return call

    def stop(self, reason: str, status: Status | None = None, **fields: object) -> None:
        """Say why the run is about to end; what is neither completed, timeout nor cancelled is an error."""
        self.stop_reason = as_name(reason) or "other"
        self.status = cast("Status", as_name(status) or _STATUS_OF_STOP.get(self.stop_reason, "error"))
        self.add(**fields)

    def __enter__(self) -> Self:
        self.event("run.start", **self._opening)
        self._token = CURRENT.set(self)
        return super().__enter__()

    def _end(self, duration_ms: float, error: BaseException | None) -> None:
        # An asynchronous generator may be closed in another context than it began in, and a run may be ended twice.
        with suppress(ValueError, RuntimeError):
            CURRENT.reset(self._token)
        reason = self.stop_reason
        if reason == "completed" and self.status != "ok":
            by_tool = error is not None and error is self.raised_by_tool
            reason = self.status if self.status != "error" else "tool_error" if by_tool else "step_error"
        outcome = {"status": self.status, "stop_reason": reason, "error_class": self.error_class}
        steps = next(self._numbers) - 1
        self.event("run.complete", **{**outcome, "duration_ms": duration_ms, "steps": steps, **self._fields})
        self.raised_by_tool = None


CURRENT: ContextVar[Run | None] = ContextVar("CURRENT", default=None)


def _class_of(error: BaseException | str) -> str:
    kind = type(error)  # `isinstance` asks the object, which may raise
    return kind.__name__ if issubclass(kind, BaseException) else cast("str", error)


def _status_of(kind: type) -> Status:
    """By the names of its classes: every HTTP and provider library has timeouts and cancellations of its own."""
    if not issubclass(kind, BaseException):
        return "error"
    names = [each.__name__ for each in kind.__mro__]
    if any("Timeout" in name for name in names):
        return "timeout"
    if not issubclass(kind, Exception) or any("Cancel" in name for name in names):
        return "cancelled"
    return "error"
