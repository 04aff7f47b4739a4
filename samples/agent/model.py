"""
A model that follows a script: a prompt in, the next action or an answer out, as a provider's library would return it.

It decides by the kind of the task and by what the tools said so far. What it costs is real as far as it can be: tokens
are counted in the prompt that was sent, and those of leading messages it has seen before come from its cache.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from samples.agent.pace import Pace

# US dollars for a million tokens: input, output, read from the cache, written to the cache.
PRICES = {"scripted-large": (3.0, 15.0, 0.3, 3.75), "scripted-small": (0.8, 4.0, 0.08, 1.0)}
TOKENS_PER_SECOND = {"scripted-large": 60, "scripted-small": 140}
FIRST_TOKEN_SECONDS = {"scripted-large": 0.6, "scripted-small": 0.25}

RELATED = ["lantern.md", "harbour.md", "weather.md", "tides.md", "signals.md", "stores.md", "visitors.md"]


class RateLimitError(Exception):
    """429."""


class OverloadedError(Exception):
    """529."""


class APITimeoutError(Exception):
    """No answer in time."""


@dataclass(frozen=True)
class Task:
    """What an agent is asked: *kind* chooses the script, *subject* is what it is about."""

    kind: str
    text: str
    subject: str


@dataclass(frozen=True)
class Usage:
    """Tokens as Anthropic counts them."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int

    def cost_usd(self, model: str) -> float:
        """What they cost."""
        counts = (
            self.input_tokens,
            self.output_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
        )
        return round(sum(count * price for count, price in zip(counts, PRICES[model], strict=True)) / 1e6, 8)


@dataclass(frozen=True)
class Reply:
    """A call of *tool*, or an answer if *tool* is empty."""

    tool: str
    text: str
    usage: Usage


class Model:
    """
    One model as one worker knows it.

    Args:
        pace: How long thinking takes.
        rng: How fast it is this time, and when it fails.
        seen: The last prompt of each agent, as the provider's cache holds it; shared by the runs of a worker.

    """

    def __init__(self, pace: Pace, rng: random.Random, seen: dict[str, Sequence[str]]) -> None:
        self._pace = pace
        self._rng = rng
        self._seen = seen

    def complete(self, model: str, task: Task, prompt: Sequence[str], slowness: float, failing: float) -> Reply:
        """
        The next action for *task*.

        Args:
            model: Which one.
            task: What is to be done.
            prompt: What was sent: instructions, the task, then actions and results in turn.
            slowness: By how much longer it takes than usual.
            failing: How often it fails, from 0 to 1.

        """
        self._pace.wait(FIRST_TOKEN_SECONDS[model] * slowness * self._rng.lognormvariate(0, 0.4))
        if self._rng.random() < failing:
            raise self._rng.choice([RateLimitError, RateLimitError, OverloadedError, APITimeoutError])
        tool, text = decide(task, prompt[2:])
        return Reply(tool, text, self._usage(prompt, f"{tool} {text}"))

    def write(self, model: str, reply: Reply, slowness: float) -> None:
        """Take the time to write *reply* down, once its first token is there."""
        self._pace.wait(reply.usage.output_tokens / TOKENS_PER_SECOND[model] * slowness)

    def _usage(self, prompt: Sequence[str], text: str) -> Usage:
        counts = [tokens(message) for message in prompt]
        known = self._seen.get(prompt[0], ())
        shared = 0
        while shared < min(len(known), len(prompt) - 1) and known[shared] == prompt[shared]:
            shared += 1
        self._seen[prompt[0]] = prompt
        return Usage(counts[-1], tokens(text), sum(counts[:shared]), sum(counts[shared:-1]))


def tokens(text: str) -> int:
    """Words and marks: close to what a real tokenizer counts in English."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def decide(task: Task, history: Sequence[str]) -> tuple[str, str]:
    """A tool and its argument, or no tool and the answer, for *task* after *history*: action, result, action, …"""
    turn = len(history) // 2
    last = history[-1] if history else ""
    if task.kind == "stuck":
        return "search_text", task.subject
    if task.kind == "wander":
        return "read_file" if task.subject == "everything" else "count_words", RELATED[turn % len(RELATED)]
    if last.startswith("error: UnknownTool"):
        return "search_text", task.subject
    if last.startswith("error: FileNotFoundError"):
        return "list_files", "*.md"
    script = SCRIPTS[task.kind]
    if turn < len(script):
        tool, argument = script[turn]
        return tool, argument.format(subject=task.subject, other=RELATED[len(task.text) % len(RELATED)])
    return "", f"{task.text} This is what I found, after {turn} calls: {last[:300]}"


SCRIPTS: dict[str, list[tuple[str, str]]] = {
    "count": [("count_words", "{subject}")],
    "find": [("list_files", "*.md"), ("search_text", "{subject}")],
    "typo": [("serach_text", "{subject}"), ("search_text", "{subject}")],
    "read": [("read_file", "{subject}"), ("search_text", "keeper"), ("count_words", "{subject}")],
    "compare": [("count_words", "{subject}"), ("count_words", "{other}"), ("read_file", "{other}")],
    "missing": [("read_file", "{subject}"), ("list_files", "*.md"), ("read_file", "{other}")],
    "outside": [("read_file", "../{subject}"), ("search_text", "wall")],
    "archive": [("list_files", "archive/*"), ("fetch_archive", "{subject}")],
    "wait": [("wait_for_file", "{subject}")],
    "survey": [("delegate", "count {other}"), ("delegate", "find {subject}"), ("list_files", "*.md")],
}
