"""
One run of an agent: a task in, a status out, and every step of it in the log.

The loop is the usual one: ask the model, do what it says, show it the result, until it answers or a limit is reached.
"""

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from extractor import emit
from samples.agent.guards import Breaker, Cache, CircuitOpenError, LoopGuard
from samples.agent.model import APITimeoutError, Model, OverloadedError, RateLimitError, Reply, Task, tokens
from samples.agent.pace import Pace
from samples.agent.tasks import AGENTS, INSTRUCTIONS, Agent, Release, new_task
from samples.agent.tools import Tools

MAX_STEPS = 12
MAX_PROMPT_TOKENS = 1000
ATTEMPTS = 3
CACHED_TOOLS = {"list_files", "read_file", "count_words"}
RETRIED = (RateLimitError, OverloadedError, APITimeoutError)


@dataclass(frozen=True)
class Shared:
    """What the runs of one worker have in common."""

    log: emit.Log
    pace: Pace
    cache: Cache
    prompts: dict[str, Sequence[str]]
    archive: Breaker


class Session:
    """
    One agent in one release at work on one task; a task it delegates is a session of its own.

    Args:
        shared: What it has in common with others.
        agent: Who.
        release: In which version.
        rng: All that is left to chance.

    """

    def __init__(self, shared: Shared, agent: Agent, release: Release, rng: random.Random) -> None:
        self._shared = shared
        self._agent = agent
        self._release = release
        self._rng = rng
        self._model = Model(shared.pace, rng, shared.prompts)
        self._tools = Tools(shared.pace, rng, release.flakiness).by_name
        self._guard = LoopGuard()

    def run(self, task: Task, parent: str | None = None) -> emit.Run:
        """Do *task*, as a part of the run *parent* if there is one; the run, which has ended."""
        who = self._agent
        run = self._shared.log.run(
            agent=who.name, release=self._release.name, agent_type=who.type, task=task.kind, parent_run_id=parent
        )
        with suppress(*RETRIED, ConnectionError, TimeoutError), run:
            self._loop(run, task)
        return run

    def _loop(self, run: emit.Run, task: Task) -> None:
        prompt = [INSTRUCTIONS.format(name=self._agent.name), task.text]
        for _ in range(MAX_STEPS):
            with run.step("plan"):
                reply = self._ask(run, task, prompt)
            if not reply.tool:
                return
            if self._is_over(run, reply, prompt):
                return
            with run.step("act"):
                prompt += [f"{reply.tool}: {reply.text}", self._act(run, reply)]
        run.stop("max_steps")

    def _is_over(self, run: emit.Run, reply: Reply, prompt: Sequence[str]) -> bool:
        """Whether a limit was reached; if so, *run* knows which."""
        if repeats := self._guard.repeats(reply.tool, reply.text):
            run.loop_detected(reply.tool, repeats)
            run.stop("loop")
        elif sum(map(tokens, prompt)) > MAX_PROMPT_TOKENS:
            run.stop("max_tokens")
        return run.stop_reason != "completed"

    def _ask(self, run: emit.Run, task: Task, prompt: list[str]) -> Reply:
        """The model's reply; what may pass is tried again."""
        for attempt in range(ATTEMPTS):
            try:
                return self._ask_once(run, task, prompt)
            except RETRIED:
                if attempt == ATTEMPTS - 1:
                    raise
                self._shared.pace.wait(0.2 * 2**attempt)
        raise AssertionError

    def _ask_once(self, run: emit.Run, task: Task, prompt: list[str]) -> Reply:
        name, release = self._agent.model, self._release
        with run.llm(name) as call:
            reply = self._model.complete(name, task, list(prompt), release.slowness, release.failing)
            call.first_token()
            self._model.write(name, reply, release.slowness)
            call.usage = reply.usage
            call.add(cost_usd=reply.usage.cost_usd(name))
        return reply

    def _act(self, run: emit.Run, reply: Reply) -> str:
        """The result of what the model wants done, or the error in words it can read."""
        if reply.tool == "delegate":
            return self._delegate(run, reply.text)
        if reply.tool not in self._tools:
            run.tool_error("UnknownToolError", tool=reply.tool)
            return f"error: UnknownToolError: there is no {reply.tool}"
        if reply.tool in CACHED_TOOLS:
            known = self._shared.cache.get(reply.tool, reply.text)
            if known is not None:
                run.cache_hit("tools")
                return known
            run.cache_miss("tools")
        try:
            result = self._call(run, reply.tool, reply.text)
        except (FileNotFoundError, PermissionError, CircuitOpenError) as error:
            return f"error: {type(error).__name__}: {error}"
        if reply.tool in CACHED_TOOLS:
            self._shared.cache.put(reply.tool, reply.text, result)
        return result

    def _call(self, run: emit.Run, tool: str, argument: str) -> str:
        """Call *tool*; the archive, whose connection breaks, is tried again behind a circuit breaker."""
        if tool != "fetch_archive":
            with run.tool(tool, args=argument):
                return self._tools[tool](argument)
        archive = self._shared.archive
        for attempt in range(ATTEMPTS):
            try:
                archive.admit()
                with run.tool(tool, args=argument, attempt=attempt + 1):
                    result = self._tools[tool](argument)
            except ConnectionResetError:
                archive.failed()
                if attempt == ATTEMPTS - 1:
                    raise
                self._shared.pace.wait(0.1 * 2**attempt)
            except CircuitOpenError as error:
                run.tool_error(error, tool=tool)
                raise
            else:
                archive.succeeded()
                return result
        raise AssertionError

    def _delegate(self, run: emit.Run, order: str) -> str:
        """Have another agent do a part of the task, in a run of its own."""
        kind, _, _ = order.partition(" ")
        task = new_task(kind, self._rng)
        researcher = next(agent for agent in AGENTS if kind in agent.kinds)
        with run.tool("delegate", args=order) as call:
            status = Session(self._shared, researcher, self._release, self._rng).run(task, parent=run.id).status
            if status != "ok":
                call.fail("DelegateFailedError")
        return f"{researcher.name}: {task.text} It ended {status}."
