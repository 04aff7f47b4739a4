"""
What the program says is what docs/numbers.md says: each series of random hard logs, counted again by an oracle.

    SEED=17 ORACLE_LOGS=1 pytest tests/test_oracle.py        the logs of one seed
    SEED=1000 ORACLE_LOGS=2000 pytest tests/test_oracle.py   two thousand others

Knows nothing of the package but its command line and its pages.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.oracle import cuts, exposition, logs, program, signals, tables
from tests.oracle.count import Count
from tests.oracle.logs import BEGIN, Log
from tests.oracle.options import SECOND, Options
from tests.oracle.series import Samples
from tests.servers import eventually

FIRST = int(os.environ.get("SEED", "1"))
NUMBER = int(os.environ.get("ORACLE_LOGS", "120"))

CASES = [path for path in sorted(Path("tests/cases").iterdir()) if not (path / "schemas").exists()]
OF_CASES = Options(max_line_bytes=1024)
FOLLOWED = ("loop_reported_before_silence", "numbers_read_out_of_order", "rejects_with_numbers", "two_ends")
"""Cases in which it matters when a line is read."""
REPORTED = sorted(Path("tests/oracle/reported").glob("*.jsonl"))
SHOWN = ("nul_in_an_exemplar", "two_ends")
"""Cases in which it matters which exemplars are shown."""

SETTLED = 10
"""Seconds until what was read must be settled; the files are looked at twenty times a second."""


def seeds(share: float) -> list[int]:
    """As many seeds as this share of all, and at least one."""
    return [FIRST + index for index in range(max(1, round(NUMBER * share)))]


def count(files: list[bytes], log: Log, *, is_over: bool = True) -> Count:
    """What the oracle counts."""
    return Count(files, time.time_ns() // 1000, log.options, is_over=is_over)


def same(log: Log, found: list[str]) -> None:
    """Nothing may differ; else the first things that do, and how to see them again."""
    told = "\n".join(found[:40])
    assert not found, f"{len(found)} differences in the log of SEED={log.seed} {' '.join(log.words)}\n{told}"


def compare(what: str, expected: Any, shown: Any) -> list[str]:
    """The difference between two values."""
    return [] if expected == shown else [f"{what}: expected {expected}, shown {shown}"]


def of_json(counted: Count, answer: dict[str, Any]) -> list[str]:
    """What differs in the answer of `replay --format json`."""
    gaps, repeats = counted.sequences
    rows = {(row["title"], row["part"]): row["value"] for row in answer["report"]}
    expected = {(title, part): value for title, part, value in tables.rows(counted)}
    return [
        *compare("lines", sum(len(file) for file in counted.lines), answer["lines"]),
        *compare("events", len(counted.events), answer["events"]),
        *compare("rejects", dict(counted.rejects), answer["rejects"]),
        *compare("gaps", gaps, answer["gaps"]),
        *compare("repeats", repeats, answer["repeats"]),
        *exposition.differences(counted.samples, exposition.of_json(answer)),
        *(
            found
            for each in sorted(expected.keys() | rows.keys())
            for found in compare(" ".join(each), expected.get(each, "no row"), rows.get(each, "no row"))
        ),
    ]


def of_text(counted: Count, text: str, *, has_exemplars: bool) -> list[str]:
    """What differs in what a replay prints of the pack."""
    shown = exposition.parse(text.partition("# HELP extractor_")[0])
    found = exposition.differences(counted.samples, shown)
    return found + exposition.exemplar_differences(counted.samples, shown) if has_exemplars else found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases(case: Path, tmp_path: Path) -> None:
    """What a case says of the default pack is what the oracle counts, and so is what no file of it says."""
    log = Log(0, {"a.jsonl": (case / "events.jsonl").read_bytes()}, ("--max-line-bytes", "1024"), OF_CASES)
    counted = count(list(log.files.values()), log)
    written = program.write(tmp_path, log.files.items())

    assert (case / "metrics.prom").read_text().partition("# HELP extractor_")[0] == exposition.render(counted)
    same(log, of_json(counted, json.loads(program.replay(log, written, "json", 1))))
    if case.name in SHOWN:
        same(log, of_text(counted, program.replay(log, written, "openmetrics", 2), has_exemplars=True))


@pytest.mark.parametrize("name", FOLLOWED)
def test_cases_followed(name: str, tmp_path: Path, free_ports) -> None:
    """A case that is read line by line ends as one that is read at once."""
    log = Log(0, {"a.jsonl": Path("tests/cases", name, "events.jsonl").read_bytes()}, (), OF_CASES)
    files = cuts.ended(log.files, 7200 * SECOND)
    counted = count(list(files.values()), log, is_over=False)
    (port,) = free_ports(1)
    with program.following(log, tmp_path, port) as victim:
        victim.start()
        victim.ready()
        for number, line in enumerate(files["a.jsonl"].splitlines(keepends=True), 1):
            program.append(victim.logs, [("a.jsonl", line)])
            eventually(lambda: victim.value("extractor_read_lines_total"), float(number))
        found = settled(lambda: of_served(counted, victim.metrics()))
        victim.stop()
    same(log, found)


@pytest.mark.parametrize("seed", seeds(0.5))
def test_replay(seed: int, tmp_path: Path) -> None:
    """Every series and exemplar is what the oracle counts, with any number of processes and in any cut."""
    log = logs.make(seed)
    counted = count(list(log.files.values()), log)
    draw = Random(seed)
    is_cut = draw.random() < 0.5
    written = program.write(
        tmp_path, cuts.recut(list(log.files.values()), log.options, draw) if is_cut else log.files.items()
    )
    jobs = draw.choice((1, 2, 3))
    if draw.random() < 0.5:
        same(log, of_text(counted, program.replay(log, written, "openmetrics", jobs), has_exemplars=True))
    else:
        same(log, of_json(counted, json.loads(program.replay(log, written, "json", jobs))))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", seeds(0.03))
def test_replay_of_many_lines(seed: int, tmp_path: Path) -> None:
    """The same of thousands of lines, past the limits of labels, in each format and cut."""
    log = logs.make(seed, is_large=True)
    counted = count(list(log.files.values()), log)
    written = program.write(tmp_path, log.files.items())
    same(log, of_text(counted, program.replay(log, written, "prometheus", 1), has_exemplars=False))
    same(log, of_text(counted, program.replay(log, written, "openmetrics", 2), has_exemplars=True))
    written = program.write(tmp_path, cuts.recut(list(log.files.values()), log.options, Random(seed)))
    same(log, of_json(counted, json.loads(program.replay(log, written, "json", 3))))


@pytest.mark.parametrize("path", REPORTED, ids=lambda path: path.stem)
def test_report_of_cases(path: Path, tmp_path: Path) -> None:
    """A few lines say what is a number in a report, and in which window it is one."""
    log = Log(0, {"a.jsonl": path.read_bytes()}, (), Options())
    same(log, of_report(log, tmp_path, "30m", until=None))
    same(log, of_report(log, tmp_path, "45s", until=None))


@pytest.mark.parametrize("seed", seeds(0.2))
def test_report(seed: int, tmp_path: Path) -> None:
    """Every signal, now and before, and every value that is held against an objective, is what the oracle counts."""
    log = logs.make(seed, is_live=True)
    draw = Random(seed)
    window = draw.choice(list(program.WINDOWS))
    until = draw.choice(count(list(log.files.values()), log).events).time if draw.random() < 0.3 else None
    same(log, of_report(log, tmp_path, window, until))


def of_report(log: Log, folder: Path, window: str, until: int | None) -> list[str]:
    """What differs in the answer of `report --format json`; *until* is a time in microseconds."""
    counted_with = replace(log, options=log.options.of_report(program.WINDOWS[window]))
    counted = count(list(log.files.values()), counted_with)
    if until is not None:
        counted = count(cuts.before(counted, until), counted_with)
    answer = program.report(log, program.write(folder, log.files.items()), window, until)
    if not counted.events:
        return []
    windows = signals.Windows(counted, program.WINDOWS[window], until)
    found = [
        *compare("events", len(counted.events), answer["events"]),
        *compare("unpriced", dict(counted.unpriced), answer["unpriced"]),
    ]
    if until is None:  # which rejected lines are outside is another question
        found += [
            *compare("lines", sum(len(file) for file in counted.lines), answer["lines"]),
            *compare("rejects", sum(counted.rejects.values()), answer["rejects"]),
            *compare("share of rejects", signals.rejected(counted), answer["signals"][-1]["value"]),
        ]
    for declared, shown in zip(counted.pack.file["signals"], answer["signals"], strict=False):
        title = f"{window} {shown['signal']}"
        judged = {each["for"]: each["value"] for each in shown["objectives"]}
        found += [
            *compare("title", declared["title"], shown["signal"]),
            *compare(title, signals.current(windows, declared), shown["value"]),
            *compare(f"{title}, before", signals.previous(windows, declared), shown["previous"]),
            *compare(f"{title}, judged", signals.judged(windows, declared), judged),
        ]
    return found


def test_a_file_that_is_behind_in_rejects(tmp_path: Path, free_ports) -> None:
    """Runs wait for a file whose next lines are none of theirs, however many: what has no time holds everything up."""
    line = '{"ts": %d, "event": "step", "run_id": "%s", "agent": "a", "release": "1", "step": 1}\n'
    rejects = f"{'x' * 100}\n" * 100_000
    files = {
        "a.jsonl": (line % (BEGIN, "r1") + line % (BEGIN + 8000, "r1") + line % (BEGIN + 20000, "last")).encode(),
        "b.jsonl": (line % (BEGIN, "r2") + rejects + line % (BEGIN + 4000, "r1")).encode(),
    }
    log = Log(0, files, (), Options())
    counted = count(list(files.values()), log, is_over=False)
    (port,) = free_ports(1)
    with program.following(log, tmp_path, port) as victim:
        program.append(victim.logs, files.items())
        victim.start()
        victim.ready()
        found = settled(lambda: of_served(counted, victim.metrics()))
        victim.stop()
    same(log, found)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", seeds(0.03))
def test_following(seed: int, tmp_path: Path, free_ports) -> None:
    """What is served, after kills and restarts while the log is written, is what the oracle counts in all of it."""
    draw = Random(seed)
    log = logs.make(seed, is_live=True, is_large=seed % 2 == 0)
    files = cuts.ended(log.files, draw.choice((60, 7200)) * SECOND)
    counted = count(list(files.values()), log, is_over=False)
    (port,) = free_ports(1)
    with program.following(log, tmp_path, port) as victim:
        for piece in program.pieces(files, counted, draw, 4):
            victim.start()
            if draw.random() < 0.5:
                victim.ready()
            program.append(victim.logs, piece)
            if draw.random() < 0.5:
                eventually(lambda: victim.value("extractor_behind_bytes") is not None, True)
            victim.kill()
        victim.start()
        victim.ready()
        found = settled(lambda: of_served(counted, victim.metrics()))
        victim.stop()
    same(log, found)


def settled(look: Callable[[], list[str]]) -> list[str]:
    """What differs once nothing is read or settled any more; that takes a few looks at the files, and no longer."""
    pause, deadline = threading.Event(), time.monotonic() + SETTLED
    while (found := look()) and time.monotonic() < deadline:
        pause.wait(0.2)
    return found


def of_served(counted: Count, text: str) -> list[str]:
    """What differs in a scrape."""
    shown = exposition.parse(text)
    agents = {key: value for key, value in shown.values.items() if key[0].startswith("agent_")}
    return exposition.differences(counted.samples, Samples(agents)) + own(counted, shown)


def own(counted: Count, shown: Samples) -> list[str]:
    """What differs in the extractor's own counts."""
    gaps, repeats = counted.sequences
    expected: dict[str, Mapping[Any, int]] = {
        "extractor_events_total": {(): len(counted.events)},
        "extractor_read_lines_total": {(): sum(len(file) for file in counted.lines)},
        "extractor_blank_lines_total": {(): counted.blank},
        "extractor_sequence_gaps_total": {(): gaps},
        "extractor_sequence_repeats_total": {(): repeats},
        "extractor_open_runs": {(): sum(run.is_open for run in counted.runs)},
        "extractor_rejected_lines_total": counted.rejects,
        "extractor_run_anomalies_total": counted.anomalies,
        "extractor_unpriced_calls_total": counted.unpriced,
    }
    found = []
    for name, values in expected.items():
        wanted = {key: float(value) for key, value in values.items() if value}
        got = {
            labels[0][1] if labels else (): value
            for (sample, labels), value in shown.values.items()
            if sample == name and value
        }
        found += compare(name, wanted, got)
    return found
