"""
A soak that has ended in, what must be true of it out: each check a sentence, and what is not so.

The totals are judged by the tests of `test_kill`, which compare them with an independent count.

Knows nothing of how the soak was done.
"""

import json
import math
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from tests import test_kill
from tests.browser import CHROMIUM
from tests.count import Truth
from tests.killing import counters
from tests.rotating import PULSE
from tests.servers import DEADLINE
from tests.soaking import Soak
from tests.test_kill import Survived, differing, number_of, of_the_pack
from tests.test_prometheus import pack_words
from tests.watching import Use
from tests.writing import MAX_LINE_BYTES, truth, written

SLACK = {"bytes": 1.15, "files": 1.0}
"""How many times more the last third of a life may use than the first one, besides `ROOM`."""

ROOM = {"bytes": 16 << 20, "files": 16}
"""What a life may use more in any case: a page that is being made, scrapers that are being answered."""

_USUAL = (
    r"INFO +(following|serving|reloaded|checkpoints are saved again|rejected lines are written again)\b",
    r"ERROR +cannot (save a checkpoint|write rejected lines) to ",
    r"ERROR +reload failed, the previous configuration stays in force: .*pulses_totl",
    r"WARNING pulse_marks_total (is new|is no longer declared)",
    r"WARNING \S+: truncated after byte \d+; reading it from its start$",  # a copy has what was there
    r"WARNING \S+: truncated after byte 0, \d+ bytes lost; ",  # no line was read: nobody can tell its copy
    r"WARNING \S+: gone since the last run, read up to byte ",  # deleted after it was read, before it was killed
    r"ERROR +uvicorn.error: Cancel 0 running task\(s\), timeout graceful shutdown exceeded",  # slow clients
)


class Curve(NamedTuple):
    """What a process used in its first and its last third after it was warm: a value of twenty is above each."""

    early: float
    late: float


class Ended:
    """What is left of *soak*, and what can be found out about it."""

    def __init__(self, soak: Soak) -> None:
        self.soak = soak
        self.said = (soak.folder / "said").read_text()

    @cached_property
    def counted(self) -> Truth:
        """What an independent program counts in the logs."""
        return truth(pack_words(), self.soak.logs, self.soak.archive)

    @cached_property
    def samples(self) -> dict[str, float]:
        """Every counter of the last scrape but one."""
        return counters(self.soak.served)

    def survived(self) -> Survived:
        """The same, as the tests of kills judge it."""
        soak = self.soak
        first, said, phases = soak.watchers[0], self.said, soak.done
        return Survived(
            soak.logs, soak.state_dir, soak.writer, first, phases, self.counted, soak.served, soak.served_again, said
        )

    def long_life(self) -> list[Use]:
        """What the process used that was not killed, after a fifth of its life."""
        start = self.soak.lived + (self.soak.took - self.soak.lived) / 5
        return [use for use in self.soak.meter.uses if start <= use.at <= self.soak.took]

    def curve(self, values: Sequence[float]) -> Curve:
        """The 95th percentiles of the first and the last third."""
        third = len(values) // 3
        early, late = values[:third], values[-third:]
        return Curve(statistics.quantiles(early, n=20)[-1], statistics.quantiles(late, n=20)[-1])


def totals_equal_the_logs(ended: Ended) -> None:
    """Every counter of the pack is what an independent program counts in the logs."""
    test_kill.test_counters_equal_the_log(ended.survived())


def durations_equal_the_logs(ended: Ended) -> None:
    """Every bucket, count and sum of the histograms is what the logs give, of calls and of whole runs."""
    test_kill.test_durations_equal_the_log(ended.survived())
    test_kill.test_run_totals_equal_the_log(ended.survived())


def equals_history(ended: Ended) -> None:
    """Everything served of the pack, gauges and quantiles too, is what `replay` prints for the same files."""
    soak = ended.soak
    command = [sys.executable, "-m", "extractor", "replay", str(soak.logs), str(soak.archive), "--format", "prometheus"]
    command += ["--max-line-bytes", str(MAX_LINE_BYTES), "--schemas", str(soak.pack)]
    seconds = 4 * DEADLINE + soak.seconds
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds)

    assert [] == differing(of_the_pack(done.stdout), of_the_pack(soak.served))


def reloads_left_the_rest_exact(ended: Ended) -> None:
    """A metric that no reload touched is exact, though another one of the same event came and went."""
    pulses = sum(PULSE in line for line in written(ended.soak.logs, ended.soak.archive))

    assert pulses == ended.samples["pulses_total"]
    assert not [name for name in ended.samples if name.startswith("pulse_marks")]


def lines_are_counted(ended: Ended) -> None:
    """Every line was read once; every reject, gap and repeat is counted once, by reason."""
    survived = ended.survived()
    test_kill.test_every_line_is_counted(survived)
    test_kill.test_every_reject_is_counted(survived)
    test_kill.test_gaps_and_repeats_of_a_writer(survived)


def quiet_moments(ended: Ended) -> None:
    """The same in every moment in which nobody wrote."""
    assert [] == ended.soak.wrong
    assert ended.soak.done["quiet moments"] > 0


def rejects_are_kept(ended: Ended) -> None:
    """No reject is kept twice, each has its reason, and each that is not kept is counted as lost."""
    reasons = ended.soak.writer.rejects
    kept = [json.loads(line) for text in ended.soak.rejects.values() for line in text.splitlines()]
    numbers = Counter(number_of(reject) for reject in kept)

    assert not [number for number, times in numbers.items() if times > 1]
    assert {number: reasons[number] for number in numbers} == {number_of(reject): reject["reason"] for reject in kept}
    assert len(reasons) == len(kept) + ended.samples["extractor_lost_rejects_total"]


def counters_never_fell(ended: Ended) -> None:
    """No scrape of any kind shows less than an earlier one of its kind, before and after any kill."""
    for watcher in ended.soak.watchers:
        assert "" == "\n".join(dict.fromkeys(watcher.wrong))
        assert watcher.scrapes["200"] > 0


def browsers_saw_it(ended: Ended) -> None:
    """Where there is a Chromium, the page in it went on by itself, and no script failed."""
    assert [] == ended.soak.onlooker.wrong
    assert CHROMIUM is None or ended.soak.onlooker.updates > 0


def nothing_is_lost(ended: Ended) -> None:
    """No byte of a log is counted as lost, but of logs that were copied and emptied before a line was read."""
    lost = {name: value for name, value in ended.samples.items() if name.startswith("extractor_lost_bytes_total")}

    assert {} == {name: value for name, value in lost.items() if value and not re.search("truncated|rewritten", name)}


def memory_is_flat(ended: Ended) -> None:
    """In the life without a kill, once warm, memory at the end is that of the beginning."""
    early, late = ended.curve([use.rss for use in ended.long_life()])

    assert late <= early * SLACK["bytes"] + ROOM["bytes"]


def files_are_flat(ended: Ended) -> None:
    """And so are open files."""
    early, late = ended.curve([use.files for use in ended.long_life()])

    assert late <= early * SLACK["files"] + ROOM["files"]


def clean_stop(ended: Ended) -> None:
    """After SIGTERM and a new start the first scrape is the last one before."""
    test_kill.test_clean_stop_keeps_everything(ended.survived())


def nothing_else_was_said(ended: Ended) -> None:
    """The log has nothing but what was done to it: no trace of an error of its own."""
    usual = re.compile(r"\S+ (" + "|".join(_USUAL) + ")")

    assert [] == [line for line in ended.said.splitlines() if not usual.match(line)]


CHECKS: tuple[Callable[[Ended], None], ...] = (
    totals_equal_the_logs,
    durations_equal_the_logs,
    equals_history,
    reloads_left_the_rest_exact,
    lines_are_counted,
    quiet_moments,
    rejects_are_kept,
    counters_never_fell,
    browsers_saw_it,
    nothing_is_lost,
    memory_is_flat,
    files_are_flat,
    clean_stop,
    nothing_else_was_said,
)


def tenths(uses: Sequence[Use], until: float, pick: Callable[[Use], float]) -> list[float]:
    """The median in each tenth of the time *until* the end; nan where nothing ran."""
    parts: list[list[float]] = [[] for _ in range(10)]
    for use in uses:
        if use.at < until:
            parts[int(10 * use.at / until)].append(pick(use))
    return [statistics.median(part) if part else math.nan for part in parts]
