"""
A seed in, a hard log out: files, options, and a price file.

What is hard: many events at one time, every way to write a time, ends without starts and starts without ends, two ends,
events after the end, silence, loops and reports of loops, numbers left out and used twice, label values past their
limits, words that are mapped, lines of every reason to be rejected, prices, huge and tiny numbers, odd texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

from tests.oracle import cost, cuts, writing
from tests.oracle.options import SECOND, Options

PRICES = """\
[models."zz-free"]
input = 0
output = 0

[models."zz-cheap"]
input = 0.20
output = 0.60

[models."zz-tiered"]
input = 1.10
output = 9
cache_read = 0.11
above = [
    { input_tokens = 1000, input = 2.20, cache_creation = 2.75 },
    { input_tokens = 20000, output = 13.50, cache_read = 0.22 },
]

[models."zz-family:*"]
input = 3
output = 15
cache_creation = 3.75

[models."zz-family:large-*"]
input = 0.07
output = 0.07
"""

MODELS = ("zz-free", "zz-cheap", "zz-tiered", "zz-family:small", "zz-family:large-2")
UNPRICED = ("zz-nobody-knows", "zz-family", "")
BEGIN = 1_793_000_000
"""A second of October 2026; logs begin within a day of it."""

PAUSES = (0, 0, 0, 0.001, 0.25, 1, 1, 2, 4.999999, 5, 9, 10, 11, 14.999999, 15, 15.000001, 20, 25, 60)
SILENCES = (170, 180, 190, 3590, 3600, 3780, 3790, 3800, 4000, 7400, 90000)


@dataclass(frozen=True)
class Log:
    """What a seed gives: *files* by name, and the options as words and as numbers."""

    seed: int
    files: Mapping[str, bytes]
    words: Sequence[str]
    options: Options

    @property
    def lines(self) -> int:
        """How many there are."""
        return sum(data.count(b"\n") for data in self.files.values())


@dataclass
class Making:
    """What one log is made of. Each event is a mapping, its time microseconds under `ts`."""

    random: Random
    is_live: bool
    is_large: bool
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        draw = self.random
        self.begin = (BEGIN + draw.randrange(86400)) * SECOND
        self.tick = draw.choice((1, 1000, SECOND, SECOND, 10 * SECOND))
        self.odd = draw.choice((0.0, 0.05, 0.3))
        self.many = draw.random() < (0.5 if self.is_large else 0.15) and not self.is_live
        self.is_crowd = self.many and self.is_large and draw.random() < 0.5  # so many runs that series are too many
        self.agents = self._names("agent", 130 if self.many else draw.choice((1, 2, 3)))
        self.releases = self._names("r", 25 if self.many else draw.choice((1, 2)))
        self.tools = self._names("tool", 220 if self.many and self.is_large else 3)
        self.caches = self._names("cache", 60 if self.many else 2)
        self.circuits = self._names("c", 110 if self.many and self.is_large else 2)

    def _names(self, stem: str, number: int) -> list[Any]:
        return [f"{stem}{self.random.randrange(10 * number)}" for _ in range(number)]

    def chance(self, share: float) -> bool:
        """True in that share of calls."""
        return self.random.random() < share

    def text(self, among: Sequence[Any]) -> Any:
        """One of *among*, or, seldom, something odd."""
        if self.chance(self.odd):
            return self.random.choice(writing.ODD_TEXTS)
        return self.random.choice(among)

    def run(self) -> None:
        """Add the events of a run."""
        draw = self.random
        run = _Running(self, writing.run_id(draw, self.odd), self.begin + draw.randrange(600) * SECOND)
        run.has_hash = self.chance(0.8)
        if self.chance(0.75):
            run.add("run.start", agent_type=self.text(("planner", "worker")), task=None)
        for _ in range(draw.choice((0, 0, 1) if self.is_crowd else (0, 1, 3, 8, 20, 60 if self.is_large else 25))):
            run.act()
        for _ in range(draw.choice((0, 1, 1, 1, 1, 1, 1, 2, 3))):
            run.end()
            for _ in range(draw.choice((0, 0, 0, 1, 3))):
                run.act()
        if self.chance(0.1):
            run.pause(SILENCES)
            for _ in range(draw.choice((1, 5))):
                run.act()


@dataclass
class _Running:
    making: Making
    id: str
    time: int
    has_hash: bool = True

    def __post_init__(self) -> None:
        draw = self.making.random
        self.agent = self.making.text(self.making.agents)
        self.release = self.making.text(self.making.releases)
        self.tools = draw.sample(self.making.tools, min(3, len(self.making.tools)))
        self.calls = draw.random()
        self.models = (*MODELS, *UNPRICED) if self.making.chance(0.2) else MODELS

    def pause(self, among: Sequence[float] = PAUSES) -> None:
        self.time += round(self.making.random.choice(among) * SECOND)

    def add(self, event: str, **fields: Any) -> None:
        making = self.making
        line: dict[str, Any] = {"ts": self.time // making.tick * making.tick, "event": event, "run_id": self.id}
        if not making.chance(0.1):
            line["agent"] = making.text(making.agents) if making.chance(0.1) else self.agent
        if not making.chance(0.1):
            line["release"] = making.text(making.releases) if making.chance(0.05) else self.release
        making.events.append(line | {name: value for name, value in fields.items() if value is not writing.ABSENT})

    def act(self) -> None:
        """One event, after a pause."""
        self.pause(SILENCES if self.making.chance(0.01) else PAUSES)
        draw = self.making.random
        if draw.random() < self.calls:
            self.tool_call()
        else:
            draw.choice((
                self.tool_call, self.llm_call, self.llm_call, self.step, self.cache, self.report, self.circuit,
                self.tool_error, self.task,
            ))()  # fmt: skip

    def tool_call(self) -> None:
        making, draw = self.making, self.making.random
        hashes = ("h1", "h1", "h1", "h2") if self.has_hash else (None, "", writing.ABSENT)
        self.add(
            "tool.call",
            tool=making.text(self.tools) or "",
            args_hash=draw.choice(hashes) if making.chance(0.95) else draw.choice((None, "", writing.ABSENT)),
            status=draw.choice(("ok", "ok", "error", "timeout", "cancelled")),
            duration_ms=writing.duration(draw),
            error_class=writing.error_class(draw),
            cost_usd=writing.dollars(draw) if making.chance(0.2) else writing.ABSENT,
        )

    def llm_call(self) -> None:
        draw = self.making.random
        tokens = {
            f"{kind}_tokens": writing.tokens(draw)
            for kind in ("input", "output", "cache_read_input", "cache_creation_input")
        }
        self.add(
            "llm.call",
            model=draw.choice(self.models),
            status=draw.choice(("ok", "ok", "error", "timeout", "cancelled")),
            duration_ms=writing.duration(draw),
            ttft_ms=draw.choice((writing.ABSENT, None, writing.duration(draw))),
            error_class=writing.error_class(draw),
            cost_usd=writing.dollars(draw) if self.making.chance(0.4) else writing.ABSENT,
            **(tokens if self.making.chance(0.9) else {}),
        )

    def step(self) -> None:
        self.add("step", step=self.making.random.randrange(9), type=self.making.text(("plan", "act")))

    def cache(self) -> None:
        self.add(self.making.random.choice(("cache.hit", "cache.miss")), cache=self.making.text(self.making.caches))

    def report(self) -> None:
        tool = self.making.random.choice((*self.tools, None, "", writing.ABSENT))
        self.add("loop.detected", tool=tool, repeats=self.making.random.choice((None, 3)))

    def circuit(self) -> None:
        state = self.making.random.choice(("open", "half_open", "closed"))
        self.add(f"circuit.{state}", circuit=self.making.text(self.making.circuits) or "")

    def tool_error(self) -> None:
        found = writing.error_class(self.making.random)
        self.add(
            "tool.error",
            error_class="x" if found in (None, writing.ABSENT) else found,
            tool=self.making.text(self.tools),
        )

    def task(self) -> None:
        draw = self.making.random
        self.add(
            "task.complete", status=draw.choice(("success", "failure", "timeout")), duration_ms=writing.duration(draw)
        )

    def end(self) -> None:
        """The end, after a pause; a second one may be at the same time."""
        self.pause()
        draw = self.making.random
        self.add(
            "run.complete",
            status=draw.choice(("ok", "ok", "error", "timeout", "cancelled")),
            stop_reason=draw.choice(writing.STOP_REASONS),
            duration_ms=writing.duration(draw),
            steps=draw.choice((writing.ABSENT, writing.ABSENT, None, 0, 4, 7.0)),
            cost_usd=writing.dollars(draw) if self.making.chance(0.3) else writing.ABSENT,
            trace_id=writing.trace_id(draw),
        )


OPTIONS: Sequence[tuple[dict[str, int], float]] = (
    ({}, 0.7),
    ({"run_linger": 0}, 0.1),
    ({"run_linger": 12}, 0.1),
    ({"quantile_window": 60, "run_timeout": 600}, 0.05),
    ({"run_timeout": 200, "run_linger": 30}, 0.05),
)
"""Lengths that go into one another: what is said of slots and parts that do not is not settled."""


def make(seed: int, *, is_live: bool = False, is_large: bool = False) -> Log:
    """The log of *seed*. One that *is_live* can be followed: in order but for a few seconds, below all limits."""
    draw = Random(f"{seed} {is_live} {is_large}")
    making = Making(draw, is_live, is_large)
    wanted = draw.randrange(2000, 4000) if is_large else draw.choice((3, 15, 40, 60))
    while len(making.events) < wanted:
        making.run()
    making.events.sort(key=lambda event: event["ts"])
    lines = writing.numbered(draw, making.events, is_live=is_live)
    changed = draw.choices([each for each, _ in OPTIONS], [weight for _, weight in OPTIONS])[0]
    lines = writing.shuffled(draw, lines, min(2, changed.get("run_linger", 5) / 2), is_live=is_live)
    written = [(line.get("ts"), writing.line(draw, line)) for line in lines]
    written = writing.with_rejects(draw, written, share=draw.choice((0, 0, 0.05, 0.3)))
    lengths: dict[str, Any] = {name: Fraction(value) for name, value in changed.items()}
    options = Options(prices=cost.price_table(PRICES), **lengths)
    words = [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    files = cuts.cut(draw, written, options)
    return Log(seed, dict(zip(writing.names(draw, len(files)), files, strict=True)), words, options)
