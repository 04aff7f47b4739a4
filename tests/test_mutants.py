"""
Lines that nobody foresaw, alone and among good ones: each is counted or rejected, the same in every way of reading.

`MUTANTS` and `SEED` in the environment make it longer and different: `make soak`.
"""

import json
import os
import random
import re
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from math import isfinite
from pathlib import Path

import pytest

from extractor.exposition import samples
from tests import fuzz
from tests.count import LABELS, count
from tests.killing import Samples, Victim, counters, series
from tests.mutation import mutants
from tests.reading import llm_call, tool_call
from tests.servers import DEADLINE, eventually, get

MUTANTS = int(os.environ.get("MUTANTS", "3000"))
SEED = int(os.environ.get("SEED", "1"))

pytestmark = pytest.mark.timeout(120 + MUTANTS // 10)


def test_each_line_alone():
    """Both paths agree on it, what is saved comes back, and every number that comes of it is finite."""
    for number, line in enumerate(mutants(SEED, MUTANTS // 10)):
        reader = fuzz.judged(line)
        found = [sample for sample in samples.of_state(reader.state) if not isfinite(sample[2])]
        # A quantile of no values is not a number, and is served as such.
        assert [] == [each for each in found if "quantile" not in each[1]], f"SEED={SEED}, line {number}: {line!r}"


def test_all_lines_together():
    """The same, where what one line leaves behind meets all others."""
    lines = list(mutants(SEED, MUTANTS))

    reader = fuzz.judged(b"\n".join(lines))

    assert 0 < reader.stats.events < len(lines), f"SEED={SEED}"
    assert 0 == reader.stats.rejects["internal"], f"SEED={SEED}"


def written(folder: Path) -> Path:
    """A folder with two logs: good lines, and mutants between them."""
    rng, log = random.Random(SEED), folder / "logs"
    log.mkdir()
    good = [
        tool_call(at, agent="good", tool="search", run_id=f"good-{at % 7}", duration_ms=rng.choice((1, 2.5, 1e3)))
        if at % 3
        else llm_call(at, agent="good", run_id=f"good-{at % 7}", cost_usd=rng.random(), input_tokens=rng.randrange(9))
        for at in range(MUTANTS // 10)
    ]
    for name, seed in (("a.jsonl", 0), ("b.jsonl", 1)):
        lines = [*good[seed::2], *mutants(SEED * 1000 + seed, MUTANTS // 2)]
        # Good lines are in the order of their time, as an agent writes them.
        places = sorted(rng.sample(range(len(lines)), len(good[seed::2])))
        mixed, rest = dict(zip(places, good[seed::2], strict=True)), iter(lines[len(good[seed::2]) :])
        (log / name).write_bytes(b"".join((mixed.get(at) or next(rest)) + b"\n" for at in range(len(lines))))
    return log


def of_good(served: Samples) -> Samples:
    """The counters of the good lines that are counted by other means, too."""
    return {
        name: value
        for name, value in served.items()
        if value and 'agent="good"' in name and name.partition("{")[0] in LABELS and "_total{" in name
    }


def truth(logs: Path, folder: Path) -> Samples:
    """The same by the independent count, of the good lines alone."""
    kept = folder / "good.jsonl"
    raw = b"".join(path.read_bytes() for path in sorted(logs.iterdir()))
    kept.write_bytes(b"".join(line + b"\n" for line in raw.split(b"\n") if b'"run_id": "good-' in line))
    return {
        series(metric, dict(zip(LABELS[metric], values, strict=True))): float(number)
        for metric, counted in count([kept]).totals.items()
        for values, number in counted.items()
        if number and "good" in values
    }


def rejects(exposition: str) -> dict[str, int]:
    """Rejected lines by reason."""
    found = re.findall(r'^extractor_rejected_lines_total\{reason="(\w+)"\} (\S+)$', exposition, re.MULTILINE)
    return {reason: int(float(number)) for reason, number in found if float(number)}


def command(*words: object) -> subprocess.CompletedProcess[str]:
    """The program with these words; it must not show a traceback, nor end as if it had."""
    done = subprocess.run(
        [sys.executable, "-m", "extractor", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 3}, f"SEED={SEED}: {words}: {done.stderr}"
    assert "Traceback" not in done.stderr + done.stdout, f"SEED={SEED}: {words}: {done.stderr}"
    assert "internal error" not in done.stderr, f"SEED={SEED}: {words}: {done.stderr}"
    return done


@contextmanager
def watched(url: str) -> Iterator[list[int]]:
    """What the page at *url* answers while somebody looks at it all the time."""
    done = threading.Event()
    codes: list[int] = []

    def look() -> None:
        while not done.wait(0.05):
            try:
                get(url + "/")
                codes.append(200)
            except urllib.error.HTTPError as error:
                codes.append(error.code)
            except (OSError, HTTPException):
                continue  # it was killed

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield codes
    finally:
        done.set()
        looker.join()


def followed(logs: Path, victim: Victim) -> str:
    """The last scrape of an extractor that was killed after a third of the lines, and after two, and read them all."""
    whole = {path: path.read_bytes() for path in sorted(logs.iterdir())}
    for part in range(1, 4):
        for path, data in whole.items():
            path.write_bytes(data[: len(data) * part // 3])
        victim.start()
        victim.ready()
        assert victim.process is not None
        if part < 3:
            victim.process.kill()
            victim.process.wait(DEADLINE)
    lines = sum(data.count(b"\n") for data in whole.values())
    eventually(lambda: victim.value("extractor_read_lines_total"), float(lines))
    served = victim.metrics()
    assert victim.process is not None
    victim.process.terminate()
    assert 0 == victim.process.wait(DEADLINE)
    return served


def test_every_way_of_reading(tmp_path: Path, free_ports: Callable[[int], list[int]]):
    """Followed with the page open and kills between, replayed in every format, reported: the same, and no traceback."""
    logs, said = written(tmp_path), tmp_path / "said.txt"
    victim = Victim(logs, tmp_path / "state", free_ports(1)[0], said, ("--checkpoint-interval", "0.05"))
    with watched(victim.url) as codes:
        try:
            served = followed(logs, victim)
        finally:
            if victim.process is not None:
                victim.process.kill()

    assert {200} == set(codes), f"SEED={SEED}: {said.read_text()}"
    assert "Traceback" not in said.read_text(), f"SEED={SEED}: {said.read_text()}"
    assert [] == [name for name, value in counters(served).items() if not isfinite(value)], f"SEED={SEED}"
    good = of_good(counters(served))
    assert truth(logs, tmp_path).keys() == good.keys(), f"SEED={SEED}"
    assert pytest.approx(truth(logs, tmp_path), rel=1e-12) == good, f"SEED={SEED}"
    replayed = command("replay", logs, "--format", "prometheus", "--jobs", 1).stdout
    assert replayed == command("replay", logs, "--format", "prometheus", "--jobs", 2).stdout, f"SEED={SEED}"
    assert good == of_good(counters(replayed)), f"SEED={SEED}"
    told = json.loads(command("replay", logs, "--format", "json").stdout)
    assert rejects(served) == {reason: lines for reason, lines in told["rejects"].items() if lines}, f"SEED={SEED}"
    for words in (["replay", "--format", "table"], ["replay", "--format", "openmetrics"], ["report"],
                  ["report", "--format", "json"], ["check", "--logs"],
                  ["replay", "--backfill", tmp_path / "b.om", "--step", "1h"]):  # fmt: skip
        command(*words, logs)
