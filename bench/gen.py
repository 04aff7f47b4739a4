"""
A number of lines and a seed in, the log of some busy agents out.

The same number and seed give the same bytes on every machine. The lines follow the default pack: 64 runs of five agents
at a time, interleaved, times ascending, about 310 bytes a line, and every event type of the pack occurs.

    python -m bench.gen 1000000 1 > agents.jsonl

Knows nothing of extractor.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import exp
from random import Random

import orjson

START = datetime(2026, 1, 5, 10, tzinfo=UTC)

_AGENTS = ("planner", "researcher", "coder", "reviewer", "support")
_AGENT_TYPES = ("interactive", "background", "scheduled")
_RELEASES = ("2026.1.0", "2026.1.0", "2026.1.1")
_TASKS = ("refund", "summarise incidents", "review change", "plan trip")
_STEP_TYPES = ("plan", "act", "observe", "reflect")
_CACHES = ("prompt", "tool", "embed")
_CIRCUIT_EVENTS = ("circuit.open", "circuit.half_open", "circuit.closed")
_TOOLS = (
    "search_docs", "web_search", "read_file", "write_file", "run_tests", "sql_query",
    "send_email", "calendar_lookup", "code_exec", "vector_lookup", "http_get", "ticket_update",
)  # fmt: skip
_MODELS = {  # name: its latency (the mean and spread of the logarithm of ms), dollars a token in and out
    "atlas-large-2": (7.6, 0.55, 3.0e-6, 15.0e-6),
    "atlas-small-2": (6.8, 0.50, 0.8e-6, 4.0e-6),
    "nova-mini-1": (6.1, 0.60, 0.15e-6, 0.6e-6),
}
_STATUSES = ("ok",) * 91 + ("error",) * 6 + ("timeout",) * 2 + ("cancelled",)
_TASK_STATUSES = ("success",) * 88 + ("failure",) * 9 + ("timeout",) * 3
# What agents write, not what the metric shows: exception class names, HTTP codes, provider words.
_ERRORS = {
    "error": ("ValidationError", "429", "RateLimitError", "HTTP 503", "FileNotFoundError", "PermissionError"),
    "timeout": ("ReadTimeout", "TimeoutError", "504"),
    "cancelled": ("CancelledError",),
}
_STOPS = {  # how a run stopped, in the agent's words, and the status that goes with it
    "goal_reached": "ok",
    "end_turn": "ok",
    "max_steps": "error",
    "loop_detected": "error",
    "budget_exceeded": "error",
    "tool_failed": "error",
    "deadline": "timeout",
    "user_abort": "cancelled",
}
_STOP_REASONS = (
    ("goal_reached",) * 60 + ("end_turn",) * 22 + ("max_steps",) * 6 + ("loop_detected",) * 4
    + ("budget_exceeded",) * 3 + ("tool_failed",) * 2 + ("deadline",) * 2 + ("user_abort",)
)  # fmt: skip
_MESSAGES = (
    "Looking up the refund policy for order #48213 before an answer goes out",
    "Zürich café: résumé of the call, the customer wants a refund",
    "検索結果 (3 件)",
    'Retrying with "exact" match and a larger window\n',
    "done ✅ all 14 checks pass 🎉",
    "path C:\\tmp\\out.json could not be opened",
    "SELECT id, total FROM orders WHERE state = 'open' ORDER BY total DESC",
    "Проверь 48213",
)
# Most writers escape what is not ASCII, some do not: the same text in both forms, spliced in after the other fields.
_TAILS = tuple(
    b',"message":' + json.dumps(text, ensure_ascii=escaped).encode() + b"}\n"
    for text in _MESSAGES
    for escaped in (True, False)
)


@dataclass(slots=True)
class _Run:
    """An open run: what all its lines repeat, and how far it is."""

    run_id: str
    agent: str
    release: str
    trace_id: str
    seq: int = 0
    step: int = 0
    cost_usd: float = 0.0
    call: tuple[str, str] = ("", "")  # that it makes again and again,
    again: int = 0  # so many times


class _Writers:
    """The agents and their dice; each method gives the fields of its event type."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.bits = self.random.getrandbits
        # Drawn once and picked by index: a log-normal number for each line would cost more than the line.
        self.run_ms = self._lognormal(10.3, 0.7)
        self.step_ms = self._lognormal(8.0, 0.6)
        self.tool_ms = {tool: self._lognormal(4.0 + 0.22 * i, 0.9) for i, tool in enumerate(_TOOLS)}
        self.llm_ms = {model: self._lognormal(mean, spread) for model, (mean, spread, _, _) in _MODELS.items()}
        self.input_tokens = [int(tokens) for tokens in self._lognormal(7.4, 0.8)]
        self.output_tokens = [int(tokens) + 1 for tokens in self._lognormal(5.3, 0.9)]
        self.models = ("atlas-large-2",) * 9 + ("atlas-small-2",) * 7 + ("nova-mini-1",) * 4
        # In 256ths of the lines within a run; what ends a run is rare enough to let it have some fifty lines.
        self.kinds = (
            (self.llm_call,) * 84 + (self.tool_call,) * 84 + (self.step,) * 44 + (self.cache,) * 32
            + (self.tool_error,) * 2 + (self.loop,) * 2 + (self.circuit,) * 2 + (self.task,) * 2 + (self.complete,) * 4
        )  # fmt: skip

    def _lognormal(self, mean: float, spread: float) -> list[float]:
        return [round(exp(self.random.gauss(mean, spread)), 3) for _ in range(4096)]

    def new_run(self) -> _Run:
        release = _RELEASES[self.bits(16) % 3]
        return _Run(f"run_{self.bits(64):016x}", _AGENTS[self.bits(16) % 5], release, f"{self.bits(128):032x}")

    def start(self, _: _Run) -> dict[str, object]:
        kind, task = _AGENT_TYPES[self.bits(16) % 3], _TASKS[self.bits(2)]
        return {"event": "run.start", "agent_type": kind, "task": task, "channel": "api"}

    def complete(self, run: _Run) -> dict[str, object]:
        reason = _STOP_REASONS[self.bits(16) % 100]
        return {
            "event": "run.complete", "status": _STOPS[reason], "stop_reason": reason,
            "duration_ms": self.run_ms[self.bits(12)], "steps": run.step, "cost_usd": round(run.cost_usd, 6),
        }  # fmt: skip

    def step(self, run: _Run) -> dict[str, object]:
        run.step += 1
        kind = _STEP_TYPES[self.bits(2)]
        return {"event": "step", "step": run.step, "type": kind, "duration_ms": self.step_ms[self.bits(12)]}

    def llm_call(self, run: _Run) -> dict[str, object]:
        model, status = self.models[self.bits(16) % 20], _STATUSES[self.bits(16) % 100]
        duration = self.llm_ms[model][self.bits(12)]
        fields: dict[str, object] = {"event": "llm.call", "model": model, "status": status, "duration_ms": duration}
        if status != "ok":
            return fields | {"error_class": self._error(status), "input_tokens": 0, "output_tokens": 0}
        tokens_in, tokens_out = self.input_tokens[self.bits(12)], self.output_tokens[self.bits(12)]
        cost = round(tokens_in * _MODELS[model][2] + tokens_out * _MODELS[model][3], 6)
        run.cost_usd += cost
        fields["input_tokens"], fields["output_tokens"], fields["cost_usd"] = tokens_in, tokens_out, cost
        cached = self.bits(2)
        if cached:  # one provider in four says nothing of its cache
            fields["cache_read_input_tokens"] = tokens_in * 2 if cached > 1 else 0
            fields["cache_creation_input_tokens"] = 0 if cached > 1 else tokens_in >> 1
        if self.bits(1):  # streamed
            fields["ttft_ms"] = round(duration / 8, 3)
        return fields

    def tool_call(self, run: _Run) -> dict[str, object]:
        tool, status, args = _TOOLS[self.bits(16) % 12], _STATUSES[self.bits(16) % 100], self.bits(64)
        if run.again:
            run.again -= 1
        else:
            run.call = tool, f"{args:016x}"
            run.again = 1 + args % 5 if args >> 57 == 0 else 0  # one in 128 comes again, once to five times
        tool, args_hash = run.call
        fields: dict[str, object] = {
            "event": "tool.call", "tool": tool, "status": status, "duration_ms": self.tool_ms[tool][self.bits(12)],
            "args_hash": args_hash,
        }  # fmt: skip
        if status != "ok":
            fields["error_class"] = self._error(status)
        if tool == "web_search":  # the one that is paid by the call
            fields["cost_usd"] = 0.01
        return fields

    def tool_error(self, _: _Run) -> dict[str, object]:
        return {"event": "tool.error", "tool": _TOOLS[self.bits(16) % 12], "error_class": self._error("error")}

    def cache(self, _: _Run) -> dict[str, object]:
        event = "cache.hit" if self.bits(8) < 160 else "cache.miss"
        return {"event": event, "cache": _CACHES[self.bits(16) % 3], "key_hash": f"{self.bits(64):016x}"}

    def loop(self, _: _Run) -> dict[str, object]:
        return {"event": "loop.detected", "tool": _TOOLS[self.bits(16) % 12], "repeats": 3 + self.bits(2)}

    def circuit(self, _: _Run) -> dict[str, object]:
        return {"event": _CIRCUIT_EVENTS[self.bits(16) % 3], "circuit": _TOOLS[self.bits(16) % 12]}

    def task(self, _: _Run) -> dict[str, object]:
        status = _TASK_STATUSES[self.bits(16) % 100]
        return {"event": "task.complete", "status": status, "duration_ms": self.run_ms[self.bits(12)]}

    def _error(self, status: str) -> str:
        names = _ERRORS[status]
        return names[self.bits(16) % len(names)]


def lines(n: int, seed: int, start: datetime = START) -> Iterator[bytes]:
    """*n* lines, each ended by a newline; the first is written just after *start*."""
    return islice(_endless(seed, start), n)


def _endless(seed: int, start: datetime) -> Iterator[bytes]:
    writers = _Writers(seed)
    bits, kinds, dumps = writers.bits, writers.kinds, orjson.dumps
    runs = [writers.new_run() for _ in range(64)]
    microsecond, second, prefix = int(start.timestamp()) * 1_000_000, 0, ""
    while True:
        microsecond += 200 + bits(11)
        if microsecond // 1_000_000 != second:
            second = microsecond // 1_000_000
            prefix = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
        slot = bits(6)
        run = runs[slot]
        write = kinds[bits(8)] if run.seq else writers.start
        head = {
            "ts": f"{prefix}.{microsecond % 1_000_000:06d}Z", "event": "", "run_id": run.run_id, "agent": run.agent,
            "release": run.release, "seq": run.seq, "trace_id": run.trace_id,
        }  # fmt: skip  # in the order in which `extractor.emit` writes them
        run.seq += 1
        line = dumps(head | write(run))
        yield line[:-1] + (_TAILS[bits(4)] if len(line) < 265 or not bits(3) else b"}\n")
        if write == writers.complete:
            runs[slot] = writers.new_run()


def main() -> None:
    """Write the lines to standard output."""
    n, seed = int(sys.argv[1]), int(sys.argv[2])
    sys.stdout.buffer.writelines(lines(n, seed))


if __name__ == "__main__":
    main()
