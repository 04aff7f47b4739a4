"""
Killed at any moment, by a signal that nobody can catch, the extractor loses nothing and counts nothing twice.

`KILLS` and `SEED` in the environment make it longer and different: `make soak`.
"""

import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from random import Random

import pytest

from extractor.history import shards
from extractor.history.replay import Options, Replay
from tests.count import LABELS, Truth, bucket_counts
from tests.killing import Samples, Scraper, Victim, counters, kill_loop, series
from tests.reading import default_catalog, text
from tests.servers import DEADLINE
from tests.test_prometheus import pack_words
from tests.writing import MARK, MAX_LINE_BYTES, Writer, truth

KILLS = int(os.environ.get("KILLS", "60"))
SEED = int(os.environ.get("SEED", "1"))

pytestmark = pytest.mark.timeout(120 + 5 * KILLS)


@dataclass
class Survived:
    """What was left when the writer had finished, the last kill was survived, and everything was read."""

    logs: Path
    state_dir: Path
    writer: Writer
    scraper: Scraper
    phases: Counter[str]
    counted: Truth
    served: str
    """The last scrape before it was stopped."""
    served_again: str
    """The first scrape after it was started again."""
    said: str

    def samples(self) -> Samples:
        """Every counter of the last scrape."""
        return counters(self.served)


def test_counters_equal_the_log(survived: Survived):
    """Every counter of the pack is what an independent program counts in the logs, series by series."""
    expected = {
        series(metric, dict(zip(LABELS[metric], values, strict=True))): float(number)
        for metric, counted in survived.counted.totals.items()
        for values, number in counted.items()
        if number
    }

    assert pytest.approx(expected, rel=1e-9, abs=0) == {
        name: value
        for name, value in survived.samples().items()
        if name.startswith("agent_") and "_total{" in name and value
    }


def test_durations_equal_the_log(survived: Survived):
    """Every bucket, count and sum of the duration histograms is what the durations in the logs give."""
    samples = survived.samples()
    for metric, counted in survived.counted.seconds.items():
        for values, seconds in counted.items():
            labels = dict(zip(LABELS[metric], values, strict=True))
            buckets = bounds_of(samples, metric, labels)

            assert dict(zip(buckets, bucket_counts(seconds, list(buckets)), strict=True)) == buckets
            assert float(len(seconds)) == samples[series(f"{metric}_count", labels)]
            assert pytest.approx(float(sum(seconds)), rel=1e-12) == samples[series(f"{metric}_sum", labels)]


def test_run_totals_equal_the_log(survived: Survived):
    """What every run added up until its end, in whatever files its lines stand, is observed once."""
    samples = survived.samples()
    found = survived.counted.of_runs()
    for metric, counted in found.items():
        for values, numbers in counted.items():
            labels = dict(zip(LABELS[metric], values, strict=True))
            buckets = bounds_of(samples, metric, labels)

            assert dict(zip(buckets, bucket_counts(numbers, list(buckets)), strict=True)) == buckets
            assert pytest.approx(float(sum(numbers)), rel=1e-9) == samples[series(f"{metric}_sum", labels)]
    assert sum(map(len, found["agent_run_steps"].values())) > 0


def test_equals_history(survived: Survived):
    """Everything that is served of the pack, gauges and quantiles too, is what `replay` prints for the same files."""
    command = [sys.executable, "-m", "extractor", "replay", str(survived.logs), "--format", "prometheus"]
    command += ["--max-line-bytes", str(MAX_LINE_BYTES)]
    replayed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=4 * DEADLINE).stdout

    assert [] == differing(of_the_pack(replayed), of_the_pack(survived.served))


@pytest.mark.parametrize("jobs", [1, 3])
def test_equals_history_in_shards(survived: Survived, jobs: int, monkeypatch: pytest.MonkeyPatch):
    """The same however small the shards are that history is cut into, and however many processes read them."""
    monkeypatch.setattr(shards, "_LEAST_BYTES", 50_000)
    options = Options((str(survived.logs),), max_line_bytes=MAX_LINE_BYTES, jobs=jobs)
    replayed = Replay(default_catalog(), options).run()

    assert [] == differing(text(replayed.state), of_the_pack(survived.served))
    assert len(survived.writer.rejects) == replayed.stats.rejects.total()
    assert survived.writer.lines == replayed.stats.lines_read


def test_no_counter_ever_fell(survived: Survived):
    """No scrape, before and after any kill, shows less than an earlier one; a refused one says when to come again."""
    assert "" == "\n".join(dict.fromkeys(survived.scraper.wrong))
    assert survived.scraper.scrapes["200"] > 0


def test_every_reject_is_counted(survived: Survived):
    """The rejects are those that were written, by reason."""
    reasons = Counter(survived.writer.rejects.values())

    assert {f'extractor_rejected_lines_total{{reason="{reason}"}}': lines for reason, lines in reasons.items()} == {
        name: value
        for name, value in survived.samples().items()
        if name.startswith("extractor_rejected_lines_total{") and value
    }


def test_every_reject_is_kept_once(survived: Survived):
    """Each line that is no event stands once in `rejects.jsonl`, with its reason, and is found where that says."""
    kept = list(rejects(survived.state_dir))
    numbers = Counter(number_of(reject) for reject in kept)

    assert dict.fromkeys(survived.writer.rejects, 1) == numbers
    assert survived.writer.rejects == {number_of(reject): reject["reason"] for reject in kept}
    assert [] == [reject for reject in kept if not stands(survived.logs, reject)]


def test_every_line_is_counted(survived: Survived):
    """Each line that was written was read once, blank ones too."""
    writer, samples = survived.writer, survived.samples()

    assert (writer.lines, writer.blank, writer.lines - writer.blank - len(writer.rejects)) == (
        samples["extractor_read_lines_total"],
        samples["extractor_blank_lines_total"],
        samples["extractor_events_total"],
    )


def test_gaps_and_repeats_of_a_writer(survived: Survived):
    """What a writer left out or wrote twice is counted once, however often reading began anew."""
    writer, samples = survived.writer, survived.samples()

    assert (writer.gaps, writer.repeats) == (
        samples["extractor_sequence_gaps_total"],
        samples["extractor_sequence_repeats_total"],
    )


def test_clean_stop_keeps_everything(survived: Survived):
    """After SIGTERM and a new start the first scrape is the last one before."""
    assert [] == differing(of_the_pack(survived.served), of_the_pack(survived.served_again))


def test_nothing_to_be_told(survived: Survived):
    """A kill leaves nothing behind that a person must be told of."""
    usual = re.compile(r"\S+ INFO +(following|serving) .*")

    assert [] == [line for line in survived.said.splitlines() if not usual.fullmatch(line)]


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]) -> Survived:
    """The whole story: a writer, a scraper, the kills, and a stop in the end."""
    folder = tmp_path_factory.mktemp("kill")
    logs, state_dir, said = folder / "logs", folder / "state", folder / "said"
    logs.mkdir()
    options = ("--checkpoint-interval", "0.05", "--max-line-bytes", str(MAX_LINE_BYTES))
    [port] = free_ports(1)
    victim = Victim(logs, state_dir, port, said, options)
    writer, scraper = Writer(logs, SEED), Scraper(victim.url)
    writer.start()
    scraper.start()
    try:
        phases = kill_loop(victim, Random(SEED), KILLS)
        writer.finish()
        victim.start()
        victim.ready()  # and so it has read everything, for nobody writes any more
        served = victim.metrics()
        victim.stop()
        victim.start()
        victim.ready()
        again = victim.metrics()
        scraper.finish()
        victim.stop()
    finally:
        writer.finish()
        scraper.finish()
        victim.close()
    print(f"survived {KILLS} kills: {dict(phases)}, scrapes {dict(scraper.scrapes)}, lines {writer.lines}")  # noqa: T201  # for `make soak`
    counted = truth(pack_words(), logs)
    return Survived(logs, state_dir, writer, scraper, phases, counted, served, again, said.read_text())


def of_the_pack(exposition: str) -> str:
    """What a scrape, or a replay, has of the pack."""
    return exposition[: exposition.index("# HELP extractor_")]


def differing(one: str, other: str) -> list[str]:
    """The lines that stand in one of two expositions only; all of them if the order differs, too."""
    lines, others = one.splitlines(), other.splitlines()
    return sorted(set(lines) ^ set(others)) or ([] if lines == others else lines)


def bounds_of(samples: Samples, metric: str, labels: dict[str, str]) -> dict[float, float]:
    """The cumulative buckets of a histogram, by their ascending bounds."""
    start, end = series(f"{metric}_bucket", labels | {"le": "*"}).split("*")
    found = {
        float(name[len(start) : len(name) - len(end)]): value
        for name, value in samples.items()
        if name.startswith(start) and name.endswith(end)
    }
    assert found[inf]
    return dict(sorted(found.items()))


def rejects(state_dir: Path) -> Iterator[dict[str, object]]:
    """Everything that stands in `rejects.jsonl` and what it was rotated to."""
    for path in state_dir.glob("rejects.jsonl*"):
        for line in path.read_bytes().splitlines():
            yield json.loads(line)


def number_of(reject: dict[str, object]) -> int:
    """The number that the writer gave the line."""
    line = str(reject["line"]).encode() if "line" in reject else b64decode(str(reject["line_base64"]))
    found = MARK.search(line)
    assert found, reject
    return int(found[1])


def stands(logs: Path, reject: dict[str, object]) -> bool:
    """Whether the line begins where *reject* says, in a file that has or had the name that it says."""
    number, offset, name = number_of(reject), reject["offset"], Path(str(reject["file"])).name
    assert isinstance(offset, int)
    for path in logs.glob(f"{name}*"):
        with path.open("rb") as file:
            file.seek(max(offset - 1, 0))
            before = file.read(1) if offset else b"\n"
            if before == b"\n" and (found := MARK.search(file.readline())) and int(found[1]) == number:
                return True
    return False
