"""One worker: so many tasks in, one run after the other out, all in one log file."""

import os
import random
import time
from itertools import count
from pathlib import Path
from typing import Literal

from extractor import emit
from samples.agent.guards import Breaker, Cache
from samples.agent.pace import Pace, Stopped
from samples.agent.session import Session, Shared
from samples.agent.tasks import AGENTS, RELEASES, new_task

ROTATE_BYTES = 16 << 20
OUTCOMES: dict[str, Literal["success", "failure", "timeout"]] = {
    "ok": "success",
    "error": "failure",
    "timeout": "timeout",
    "cancelled": "failure",
}


class Worker:
    """One process of the sample; its runs share a log, the caches and the circuit breaker."""

    def __init__(self, path: Path, number: int, seed: int, pace: Pace) -> None:
        log = emit.Log(path)
        breaker = Breaker(lambda state: log.circuit("archive", state))
        self._path = path
        self._number = number
        self._seed = seed
        self._shared = Shared(log, pace, Cache(), {}, breaker)

    def work(self, runs: int | None) -> None:
        """Do *runs* tasks, or go on for ever; end early, but properly, when asked to stop."""
        parent = os.getppid()
        for number in count() if runs is None else range(runs):
            try:
                self._task(random.Random(f"{self._seed}/{self._number}/{number}"))
            except Stopped:
                return
            self._rotate()
            if os.getppid() != parent:  # nobody is left to say when to stop
                return

    def _task(self, rng: random.Random) -> None:
        release = rng.choices(RELEASES, weights=[3, 2])[0]
        agent = rng.choices(AGENTS, weights=[3, 4, 3])[0]
        kind = rng.choices(list(agent.kinds), weights=list(agent.kinds.values()))[0]
        started = time.monotonic()
        run = Session(self._shared, agent, release, rng).run(new_task(kind, rng))
        run.task_complete(OUTCOMES[run.status], round((time.monotonic() - started) * 1000, 3))
        self._shared.pace.wait(rng.expovariate(2))

    def _rotate(self) -> None:
        """What logrotate would do: a sample that is left running must not fill the disk."""
        if self._path.exists() and self._path.stat().st_size > ROTATE_BYTES:
            self._path.replace(self._path.with_suffix(".jsonl.1"))
