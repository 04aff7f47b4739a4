"""
Log files in, the true numbers out: what the metrics of the default pack must say, counted by other means.

Plain `json`, exact fractions, one line at a time; written from the vocabulary of the default pack, not from the code
that it judges. What is no JSON object, or has no known event, is passed over: which lines are rejected is not its job.

Knows nothing of extractor.
"""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import accumulate
from math import ceil, inf, nan
from pathlib import Path

Values = tuple[str, ...]
"""Label values, in the order in which `LABELS` names the labels."""

LABELS: Mapping[str, Values] = {
    "agent_runs_started_total": ("agent", "release"),
    "agent_runs_total": ("agent", "release", "status", "stop_reason"),
    "agent_run_duration_seconds": ("agent", "release"),
    "agent_run_steps": ("agent", "release"),
    "agent_run_tool_calls": ("agent", "release"),
    "agent_run_tokens": ("agent", "release"),
    "agent_run_cost_usd": ("agent", "release"),
    "agent_steps_total": ("agent", "release", "type"),
    "agent_llm_calls_total": ("agent", "model", "release", "status"),
    "agent_llm_errors_total": ("model", "error_class", "release"),
    "agent_llm_call_duration_seconds": ("agent", "model", "release"),
    "agent_llm_time_to_first_token_seconds": ("agent", "model", "release"),
    "agent_token_usage_total": ("agent", "model", "release", "token_type"),
    "agent_cost_usd_total": ("agent", "model", "release"),
    "agent_tool_calls_total": ("agent", "tool", "release", "status"),
    "agent_tool_errors_total": ("tool", "error_class", "release"),
    "agent_tool_call_duration_seconds": ("tool", "release"),
    "agent_cache_hits_total": ("cache", "release"),
    "agent_cache_misses_total": ("cache", "release"),
    "agent_loop_detections_total": ("agent", "tool", "release"),
    "agent_circuit_opens_total": ("circuit",),
    "agent_tasks_total": ("agent", "status"),
    "agent_task_duration_seconds": ("agent",),
    "agent_runs_in_progress": ("agent",),
    "agent_active_count": ("agent_type",),
}
"""The labels of each metric that is counted here; the state of the circuits is `Truth.circuits`."""

COUNTED = {
    "run.start": "agent_runs_started_total",
    "run.complete": "agent_runs_total",
    "step": "agent_steps_total",
    "llm.call": "agent_llm_calls_total",
    "tool.call": "agent_tool_calls_total",
    "tool.error": "agent_tool_errors_total",
    "cache.hit": "agent_cache_hits_total",
    "cache.miss": "agent_cache_misses_total",
    "loop.detected": "agent_loop_detections_total",
    "circuit.open": "agent_circuit_opens_total",
    "task.complete": "agent_tasks_total",
}
TIMED = {
    "run.complete": "agent_run_duration_seconds",
    "llm.call": "agent_llm_call_duration_seconds",
    "tool.call": "agent_tool_call_duration_seconds",
    "task.complete": "agent_task_duration_seconds",
}
CIRCUIT_STATES = {"circuit.open": "open", "circuit.half_open": "half_open", "circuit.closed": "closed"}
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}
FAILED = ("error", "timeout")
LINGER = timedelta(seconds=15)
"""How long after a call an agent's own report of a loop still is of it: 5 s, and the 10 s of a slot."""

_OF_LOOPS = ("ts", "tool", "args_hash", *LABELS["agent_loop_detections_total"])
"""All that is kept of a line for `Truth.find_loops`: millions of whole ones would fill the memory."""

Line = Mapping[str, object]


@dataclass
class Words:
    """
    What the words that agents write become in a label. None: what was written.

    A word that is a meaning already stays; one that is neither becomes the *other*.
    """

    classes: Mapping[str, str] | None = None
    other_class: str = "unknown"
    reasons: Mapping[str, str] | None = None
    other_reason: str = "other"


@dataclass
class Truth:
    """
    What the lines add up to.

    *totals* has, by metric, the counters; *seconds* the durations behind the histograms. *circuits* has the last state
    of each circuit; *open_runs* the labels of each run that has begun and not ended. *spent* is what each run added up,
    and *ends* its last line; *calls* are its calls of tools, and *reports* those of loops.
    """

    words: Words = field(default_factory=Words)
    totals: dict[str, dict[Values, Fraction]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Fraction))
    )
    seconds: dict[str, dict[Values, list[Fraction]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    circuits: dict[str, str] = field(default_factory=dict)
    open_runs: dict[str, dict[str, str]] = field(default_factory=dict)
    spent: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    ends: dict[str, Line] = field(default_factory=dict)
    calls: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    reports: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))

    def total(self, metric: str, by: Iterable[str] = (), **where: str) -> dict[Values, Fraction]:
        """The sum of *metric* over the series that match *where*, for each combination of the labels *by*."""
        sums: dict[Values, Fraction] = defaultdict(Fraction)
        names = LABELS[metric]
        for values, number in self.totals[metric].items():
            series = dict(zip(names, values, strict=True))
            if where.items() <= series.items():
                sums[tuple(series[name] for name in by)] += number
        return dict(sums)

    def in_progress(self) -> dict[str, dict[Values, Fraction]]:
        """The two gauges of open runs, by metric and label values."""
        runs = self.open_runs.values()
        return {
            "agent_runs_in_progress": _tally((run["agent"],) for run in runs),
            "agent_active_count": _tally((run["agent_type"],) for run in runs),
        }

    def of_runs(self) -> dict[str, dict[Values, list[Fraction]]]:
        """What each run that has ended had added up, by metric and label values; its own totals where it gives any."""
        own = {"agent_run_steps": "steps", "agent_run_cost_usd": "cost_usd"}
        found: dict[str, dict[Values, list[Fraction]]] = defaultdict(lambda: defaultdict(list))
        for run, end in self.ends.items():
            for metric in ("agent_run_steps", "agent_run_tool_calls", "agent_run_tokens", "agent_run_cost_usd"):
                said = end.get(own.get(metric, ""))
                assert said is None or isinstance(said, int | Fraction)
                number = Fraction(self.spent[run][metric]) if said is None else Fraction(said)
                found[metric][self._values(metric, end)].append(number)
        return found

    def add(self, line: Line) -> None:
        """Count one line."""
        name = str(line.get("event"))
        self._spend(line, name, self.spent[str(line.get("run_id"))])
        if name == "run.complete":
            self.ends[str(line["run_id"])] = line
        if name in {"tool.call", "loop.detected"}:
            part = {name: line.get(name) for name in _OF_LOOPS}
            (self.calls if name == "tool.call" else self.reports)[str(line["run_id"])].append(part)
        self._run(line, name)
        if name in COUNTED:
            self._one(COUNTED[name], line)
        if name in TIMED:
            self._time(TIMED[name], line)
        if name == "llm.call":
            self._llm_call(line)
        elif name == "tool.call":
            self._add("agent_cost_usd_total", {**line, "model": "none"}, line.get("cost_usd"))
            if line.get("status") in FAILED:
                self._one("agent_tool_errors_total", line)
        elif name in CIRCUIT_STATES:
            self.circuits[str(line["circuit"])] = CIRCUIT_STATES[name]

    def find_loops(self) -> None:
        """Count, once all lines are added, the loops that no agent reported: look back on eight calls from each."""
        for run, calls in self.calls.items():
            ordered = sorted(calls, key=_time)
            same = [(call["tool"], call.get("args_hash")) for call in ordered]
            for place, call in enumerate(ordered):
                before, now = same[max(place - 8, 0) : place], same[max(place - 7, 0) : place + 1]
                if same[place][1] and before.count(same[place]) < 3 <= now.count(same[place]):
                    reports = [each for each in self.reports[run] if _time(each) <= _time(call) + LINGER]
                    if not any(each.get("tool") in {None, call["tool"]} for each in reports):
                        self._one("agent_loop_detections_total", call)

    def _spend(self, line: Line, name: str, spent: Counter[str]) -> None:
        spent["agent_run_steps"] += name == "step"
        spent["agent_run_tool_calls"] += name == "tool.call"
        for metric, names in (("agent_run_tokens", TOKENS.values()), ("agent_run_cost_usd", ["cost_usd"])):
            for number in map(line.get, names) if name in {"llm.call", "tool.call"} else ():
                assert number is None or isinstance(number, int | Fraction)
                spent[metric] += number or 0  # type: ignore[assignment]  # exact

    def _llm_call(self, line: Line) -> None:
        self._time("agent_llm_time_to_first_token_seconds", line, "ttft_ms")
        if line.get("status") in FAILED:
            self._one("agent_llm_errors_total", line)
        for kind, name in TOKENS.items():
            self._add("agent_token_usage_total", {**line, "token_type": kind}, line.get(name))
        self._add("agent_cost_usd_total", line, line.get("cost_usd"))
        cached = line.get("cache_read_input_tokens")
        if cached is not None:
            self._one("agent_cache_hits_total" if cached else "agent_cache_misses_total", {**line, "cache": "provider"})

    def _run(self, line: Line, name: str) -> None:
        run_id = line.get("run_id")
        if name == "run.complete":
            self.open_runs.pop(str(run_id), None)
        elif run_id is not None:
            run = self.open_runs.setdefault(str(run_id), {"agent": self._label(line, "agent"), "agent_type": "unknown"})
            if name == "run.start":
                run["agent_type"] = self._label(line, "agent_type")

    def _one(self, metric: str, line: Line) -> None:
        self._add(metric, line, 1)

    def _add(self, metric: str, line: Line, number: object) -> None:
        if number is not None:
            assert isinstance(number, int | Fraction)
            self.totals[metric][self._values(metric, line)] += number

    def _time(self, metric: str, line: Line, name: str = "duration_ms") -> None:
        milliseconds = line.get(name)
        if milliseconds is not None:
            assert isinstance(milliseconds, int | Fraction)
            self.seconds[metric][self._values(metric, line)].append(Fraction(milliseconds, 1000))

    def _values(self, metric: str, line: Line) -> Values:
        return tuple(self._label(line, name) for name in LABELS[metric])

    def _label(self, line: Line, name: str) -> str:
        word = line.get(name)
        if word in {None, ""}:
            return "unknown"
        if name == "error_class" and self.words.classes is not None:
            return _translate(str(word), self.words.classes, self.words.other_class)
        if name == "stop_reason" and self.words.reasons is not None:
            return _translate(str(word), self.words.reasons, self.words.other_reason)
        return str(word)


def _time(line: Line) -> datetime:
    written = line["ts"]
    if isinstance(written, str):
        return datetime.fromisoformat(written)
    assert isinstance(written, int | Fraction)
    return datetime.fromtimestamp(float(written), UTC)


def _translate(word: str, meanings: Mapping[str, str], other: str) -> str:
    return meanings.get(word, word if word in meanings.values() else other)


def count(paths: Iterable[Path], words: Words | None = None) -> Truth:
    """What all lines of the files at *paths* add up to; the lines of a file are taken to be in the order of time."""
    truth = Truth(words or Words())
    for path in paths:
        with path.open("rb") as file:
            for raw in file:
                try:
                    line = json.loads(
                        raw, parse_float=Fraction
                    )  # the decimal number in the text, not the float near it
                except ValueError:
                    continue
                if isinstance(line, dict):
                    truth.add(line)
    truth.find_loops()
    return truth


def bucket_counts(values: Iterable[Fraction], bounds: Sequence[float]) -> list[int]:
    """How many of *values* are at most each of the ascending *bounds*, the last of which is infinity."""
    exact = [bound if bound == inf else Fraction(str(bound)) for bound in bounds]
    counts = Counter(bisect_left(exact, value) for value in values)
    return list(accumulate(counts[i] for i in range(len(bounds))))


def interpolated_quantile(q: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """The quantile that `histogram_quantile` reads off cumulative *counts*: a straight line within each bucket."""
    if not counts or not counts[-1]:
        return nan
    rank = q * counts[-1]
    i = bisect_left(counts, rank)
    if i == len(bounds) - 1:
        return bounds[-2]
    lower, below = (bounds[i - 1], counts[i - 1]) if i else (0.0, 0)
    return lower + (bounds[i] - lower) * (rank - below) / (counts[i] - below)


def quantile(q: float, values: Iterable[Fraction]) -> Fraction:
    """The smallest of *values* that at least the part *q* of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(ceil(Fraction(str(q)) * len(ordered)), 1) - 1]


def _tally(keys: Iterable[Values]) -> dict[Values, Fraction]:
    return {key: Fraction(number) for key, number in Counter(keys).items()}
