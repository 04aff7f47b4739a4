"""
A seed in, the log of a few agents over some hours out; and what it adds up to at every step.

Small where `bench.gen` is fast: few label values, so that every sample of every step can be looked at.

Knows nothing of extractor.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from random import Random

from tests.count import Truth, Values, Words

START = 1_748_736_000
"""2025-06-01T00:00:00Z."""

HOURS = 5
STEP = 15
LATE = "rare"
"""A tool that is first called when half of the time has passed, and once."""

_EVERY = 4.0  # seconds between two lines, about; a run has one every half a minute


def lines(seed: int) -> Iterator[bytes]:
    """The lines in the order of time."""
    random = Random(seed)
    at, number = START + 100.0, 0
    runs: list[str] = []
    late = False
    while (at := round(at + random.expovariate(1 / _EVERY), 6)) < START + HOURS * 3600:
        if len(runs) < 8:
            number += 1
            runs.append(f"run-{number}")
            fields: dict[str, object] = {"event": "run.start", "agent_type": random.choice(["interactive", "batch"])}
            run = runs[-1]
        else:
            run = random.choice(runs)
            fields = _event(random)
        if fields["event"] == "run.complete":
            runs.remove(run)
        if not late and at > START + HOURS * 1800:
            late, fields = True, {"event": "tool.call", "tool": LATE, "status": "error", "duration_ms": 5}
        agent = "planner" if int(run.removeprefix("run-")) % 2 else "coder"
        yield json.dumps({"ts": at, "run_id": run, "agent": agent, "release": "1"} | fields).encode() + b"\n"


def _event(random: Random) -> dict[str, object]:
    kind = random.choices(["tool", "llm", "step", "circuit", "end"], [10, 8, 4, 1, 1])[0]
    milliseconds = round(random.lognormvariate(6, 1.5), 3)
    status = random.choice(["ok", "ok", "ok", "error", "timeout"])
    match kind:
        case "tool":
            return {"event": "tool.call", "tool": random.choice("xyz"), "status": status, "duration_ms": milliseconds}
        case "llm":
            tokens = {"input_tokens": random.randrange(5000), "output_tokens": random.randrange(500)}
            cost = {"cost_usd": round(random.random(), 6)}
            return {"event": "llm.call", "model": "m", "status": status, "duration_ms": milliseconds} | tokens | cost
        case "step":
            return {"event": "step", "step": 1}
        case "circuit":
            state = random.choice(["open", "half_open", "closed"])
            return {"event": f"circuit.{state}", "circuit": random.choice("xy")}
        case _:
            return {"event": "run.complete", "status": "ok", "stop_reason": "stop", "duration_ms": milliseconds * 50}


@dataclass(frozen=True)
class Moment:
    """What all lines up to a moment add up to: each number by its labels."""

    totals: dict[str, dict[Values, float]] = field(default_factory=dict)
    seconds: dict[str, dict[Values, int]] = field(default_factory=dict)
    open_runs: dict[str, dict[Values, float]] = field(default_factory=dict)
    circuits: dict[str, str] = field(default_factory=dict)


def counted(written: Iterable[bytes], words: Words) -> dict[int, Moment]:
    """What the lines, in the order of time, add up to at every step up to the last line."""
    truth = Truth(words)
    moments: dict[int, Moment] = {}
    last = START // STEP
    for raw in written:
        line = json.loads(raw, parse_float=Fraction)
        step = ceil(line["ts"] / STEP)
        for at in range(last, step):
            moments[at * STEP] = _moment(truth)
        last = step
        truth.add(line)
    moments[last * STEP] = _moment(truth)
    return moments


def _moment(truth: Truth) -> Moment:
    return Moment(
        {metric: {key: float(number) for key, number in by.items()} for metric, by in truth.totals.items()},
        {metric: {key: len(times) for key, times in by.items()} for metric, by in truth.seconds.items()},
        {metric: {key: float(runs) for key, runs in by.items()} for metric, by in truth.in_progress().items()},
        dict(truth.circuits),
    )
