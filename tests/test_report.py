"""The table of a report: what is, was and ought to be, from logs alone, held against an independent count."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from extractor.cli.main import main
from tests.conftest import Log
from tests.count import Truth, count, quantile
from tests.reading import T0, line, llm_call, tool_call

SAMPLES = Path("samples/logs")
NO_OBJECTIVES = "\n".join(
    f'{name} = "off"' for name in re.findall(r"^(\w+) = ", Path("samples/objectives.toml").read_text(), re.MULTILINE)
)
ESCAPE = b"\x1b["

Table = dict[str, dict[str, Any]]
Report = Callable[..., Result]


@pytest.fixture
def report() -> Report:
    """Words in, what `extractor report` said to them out."""

    def run(*words: object, **variables: str) -> Result:
        arguments = ["report", *map(str, words)]
        return CliRunner().invoke(main, arguments, env=variables, catch_exceptions=False)

    return run


@pytest.fixture
def found(report: Report, log: Log) -> Callable[..., dict[str, Any]]:
    """The report of the lines in `log`, as JSON."""

    def run(*words: object) -> dict[str, Any]:
        return parsed(report(log.path, "--format", "json", *words))

    return run


def parsed(result: Result) -> dict[str, Any]:
    """The JSON of a report; NaN and Infinity are no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content: dict[str, Any] = json.loads(result.stdout, parse_constant=refuse)
    return content


def signals(content: dict[str, Any]) -> Table:
    """The rows by their title."""
    return {row["signal"]: row for row in content["signals"]}


def run_of(at: float, run: str = "r", **end: Any) -> list[bytes]:
    """The lines of a run that takes 10 seconds and ends at *at*."""
    ended = {"status": "ok", "stop_reason": "end_turn", "duration_ms": 10_000} | end
    envelope = {name: ended[name] for name in ("agent", "release") if name in ended}
    return [
        line("run.start", at - 10, run_id=run, **envelope),
        llm_call(at - 5, run_id=run, input_tokens=100, output_tokens=10, **envelope),
        line("run.complete", at, run_id=run, **ended),
    ]


def time_of(raw: bytes) -> float:
    """The time of a recorded line."""
    return datetime.fromisoformat(json.loads(raw)["ts"]).timestamp()


def truth_of(tmp_path: Path, since: float, until: float) -> Truth:
    """What the recorded lines of a period add up to."""
    path = tmp_path / f"{since}.jsonl"
    lines = [raw for file in sorted(SAMPLES.glob("*.jsonl")) for raw in file.read_bytes().splitlines(keepends=True)]
    timed = sorted((time_of(raw), raw) for raw in lines)
    path.write_bytes(b"".join(raw for time, raw in timed if since <= time < until))
    return count([path])


def share(part: Iterable[Fraction], whole: Iterable[Fraction]) -> float | None:
    """The share of *part* in *whole*."""
    total = sum(whole)
    return float(sum(part) / total) if total else None


def expected_of(window: Truth, everything: Truth, since: float, until: float, hours: float) -> dict[str, object]:
    """What the rows must say for a period, but for quantiles."""

    def per_run(metric: str, own: str = "") -> float:
        ended = {run: end for run, end in everything.ends.items() if since <= stamp(end) < until}
        numbers = []
        for run, last in ended.items():
            said = last.get(own)
            assert said is None or isinstance(said, int | Fraction)
            numbers.append(Fraction(everything.spent[run][metric] if said is None else said))
        return float(sum(numbers) / len(numbers))

    def stamp(end: Any) -> float:
        return datetime.fromisoformat(end["ts"]).timestamp()

    def failed(metric: str) -> float | None:
        whole = window.total(metric, ["status"])
        return share((whole.get((status,), Fraction(0)) for status in ("error", "timeout")), whole.values())

    runs, started = window.total("agent_runs_total"), window.total("agent_runs_started_total")
    cost, tokens = window.total("agent_cost_usd_total"), window.total("agent_token_usage_total")
    hits, misses = window.total("agent_cache_hits_total"), window.total("agent_cache_misses_total")
    loops = window.total("agent_loop_detections_total")
    return {
        "Runs": float(runs[()]),
        "Success rate": share(window.total("agent_runs_total", status="ok").values(), runs.values()),
        "LLM error rate": failed("agent_llm_calls_total"),
        "Tool error rate": failed("agent_tool_calls_total"),
        "Tokens per run": per_run("agent_run_tokens"),
        "Cost per run": per_run("agent_run_cost_usd", "cost_usd"),
        "Steps per run": per_run("agent_run_steps", "steps"),
        "Tool calls per run": per_run("agent_run_tool_calls"),
        "Cost": float(cost[()]),
        "Cost per hour": float(cost[()]) / hours,
        "Tokens per hour": float(tokens[()]) / hours,
        "Cache hit ratio": share(hits.values(), [*hits.values(), *misses.values()]),
        "Loops": float(loops.get((), 0)),
        "Loop rate": share(loops.values(), started.values()),
        "Abandoned": 0.0,
        "Abandoned rate": 0.0,
        "Rejected lines": 0.0,
    }


@pytest.mark.parametrize("seconds", [20, 45, 60, 1800])
def test_rows_equal_an_independent_count(seconds: int, tmp_path: Path, report: Report) -> None:
    """Every number of the recorded logs is that of another program, which is given the lines of the window alone."""
    content = parsed(report(SAMPLES, "--window", f"{seconds}s", "--format", "json"))
    since, until = (datetime.fromisoformat(content["current"][end]).timestamp() for end in ("since", "until"))
    everything = truth_of(tmp_path, 0, until)
    periods = [("value", since, until)]
    if content["previous"]:
        periods.append(("previous", since - seconds, since))

    assert seconds == pytest.approx(until - since)
    for which, begin, end in periods:
        window = truth_of(tmp_path, begin, end)
        rows = signals(content)
        for title, expected in expected_of(window, everything, begin, end, seconds / 3600).items():
            if rows[title][which] is not None or which == "value":
                assert (title, pytest.approx(expected)) == (title, rows[title][which])
        for title, metric, q in (
            ("Run latency p50", "agent_run_duration_seconds", 0.5),
            ("Run latency p95", "agent_run_duration_seconds", 0.95),
            ("LLM latency p95", "agent_llm_call_duration_seconds", 0.95),
            ("Tool latency p95", "agent_tool_call_duration_seconds", 0.95),
        ):
            taken = [each for values in window.seconds[metric].values() for each in values]
            # HdrHistogram rounds the rank, so for few values it may be the one beside.
            low, high = (float(quantile(max(q + d / len(taken), 0), taken)) for d in (-0.5, 0.5))
            assert low * 0.999 <= rows[title][which] <= high * 1.008


def test_the_window_ends_with_the_latest_event(log: Log, found: Callable[..., Any]) -> None:
    """Windows are counted back from the latest event, to a thirtieth of a window, whatever the clock says."""
    log.append(*run_of(0, "a"), *run_of(100, "b"))
    content = found("--window", "60s")
    until = datetime.fromisoformat(content["current"]["until"]).timestamp()

    assert T0 + 100 < until <= T0 + 100 + 60 / 30
    assert (1.0, 1.0) == (signals(content)["Runs"]["value"], content["signals"][0]["previous"] or 1.0)


def test_until_is_where_the_window_ends(log: Log, found: Callable[..., Any]) -> None:
    """With --until the window ends there exactly, and what comes at that time or later is not in it."""
    log.append(*(tool_call(at) for at in (9.999, 10, 69.999, 70)), *run_of(60, "a"))
    content = found("--window", "60s", "--until", T0 + 70)
    since, until = (datetime.fromisoformat(content["current"][end]).timestamp() for end in ("since", "until"))

    assert (T0 + 10, T0 + 70) == (since, until)
    assert 1.0 == signals(content)["Runs"]["value"]


def test_a_run_counts_when_it_ends(log: Log, found: Callable[..., Any]) -> None:
    """What a run added up is in the window of its end, with all it did before; and not in the one in which it began."""
    log.append(
        *run_of(-200, "old"),
        *run_of(59, "a"),  # its end is a moment before the current window, and it lingers into it
        *(llm_call(at, run_id="b", input_tokens=1000) for at in (-40, 30, 65)),
        line("run.complete", 119.9, run_id="b", status="ok", stop_reason="stop", duration_ms=1),
    )
    rows = signals(found("--window", "60s", "--until", T0 + 120))

    assert (3000.0, 110.0) == (rows["Tokens per run"]["value"], rows["Tokens per run"]["previous"])
    assert (1.0, 1.0) == (rows["Runs"]["value"], rows["Runs"]["previous"])


def test_open_and_abandoned_runs(log: Log, found: Callable[..., Any]) -> None:
    """A run that is silent for the time-out is abandoned in the window in which it was given up; others are open."""
    log.append(
        line("run.start", 50, run_id="gone"),
        *run_of(20, "ended"),
        line("run.start", 195, run_id="open"),
    )
    rows = signals(found("--window", "1m", "--until", T0 + 200, "--run-timeout", "100"))

    assert (1.0, 0.0, 1.0) == (rows["Abandoned"]["value"], rows["Abandoned"]["previous"], rows["In progress"]["value"])
    assert (1.0, None) == (rows["Abandoned rate"]["value"], rows["In progress"]["previous"])


def test_order_of_lines_and_files_does_not_matter(log: Log, found: Callable[..., Any], tmp_path: Path) -> None:
    """The same lines give the same report in any order and any cutting into files, compressed or not."""
    lines = [
        each for at in range(0, 600, 7) for each in run_of(at, f"r{at}", agent=f"a{at % 3}", release=f"{at // 300}")
    ]
    log.append(*lines)
    expected = found("--window", "2m")
    other = tmp_path / "other"
    other.mkdir()
    for place in range(3):
        part = lines[place::3]
        (other / f"{place}.jsonl").write_bytes(b"".join(each + b"\n" for each in (reversed(part) if place else part)))
    log.path.unlink()
    result = CliRunner().invoke(main, ["report", str(other), "--window", "2m", "--format", "json"])

    assert expected == parsed(result)
    assert {"previous": "0", "newest": "1"} == expected["releases"]


def test_exit_code_tells_a_broken_objective(log: Log, report: Report, tmp_path: Path) -> None:
    """0 when all objectives hold, 3 when one is broken, in both formats; 1 and 2 as everywhere."""
    log.append(*run_of(0, "a"), *run_of(30, "b", status="error", stop_reason="error"))
    lax, off = tmp_path / "lax.toml", tmp_path / "off.toml"
    lax.write_text('success_rate = "50%"')
    off.write_text(NO_OBJECTIVES)

    assert 3 == report(log.path).exit_code == report(log.path, "--format", "json").exit_code
    assert 0 == report(log.path, "--objectives", lax).exit_code == report(log.path, "--objectives", off).exit_code
    assert 1 == report(tmp_path / "none.jsonl").exit_code
    for words in (["--window", "0s"], ["--window", "soon"], ["--window", ""], ["--since", "2", "--until", "2"]):
        assert 2 == report(log.path, *words).exit_code


def test_each_agent_is_judged(log: Log, found: Callable[..., Any], tmp_path: Path) -> None:
    """A quiet agent that fails breaks the objective though all together hold it; its own limit counts."""
    good = [each for at in range(99) for each in run_of(at, f"g{at}", agent="good")]
    log.append(*good, *run_of(50, "b", agent="bad", status="error", stop_reason="error"))
    own = tmp_path / "own.toml"
    own.write_text('[agents.bad]\nsuccess_rate = "0%"')
    row = signals(found())["Success rate"]

    assert (0.99, "broken") == (row["value"], row["status"])
    assert {"good": True, "bad": False} == {each["for"]: each["holds"] for each in row["objectives"]}
    assert "ok" == signals(found("--objectives", own))["Success rate"]["status"]


def test_each_tool_is_judged_and_budgets_are_for_all(log: Log, found: Callable[..., Any], tmp_path: Path) -> None:
    """Tool latency is judged for each tool; cost per hour for all together, and for an agent with a limit."""
    log.append(
        tool_call(0, tool="slow", duration_ms=60_000), *(tool_call(1, tool="fast") for _ in range(99)),
        llm_call(2, agent="a", cost_usd=1), llm_call(2, agent="b", cost_usd=2),
    )  # fmt: skip
    own = tmp_path / "own.toml"
    own.write_text('cost_per_hour = "$5"\n[agents.b]\ncost_per_hour = "$3"')
    rows = signals(found("--objectives", own))

    assert {"slow": False, "fast": True} == {
        each["for"]: each["holds"] for each in rows["Tool latency p95"]["objectives"]
    }
    assert {None: 6.0, "b": 4.0} == {each["for"]: each["value"] for each in rows["Cost per hour"]["objectives"]}
    assert "broken" == rows["Cost per hour"]["status"]


def test_rejected_lines_are_judged(log: Log, found: Callable[..., Any]) -> None:
    """Lines that are no events are told of all that were read, since they may have no time."""
    log.append(*run_of(0, "a"), b"{")
    content = found()

    assert (4, 3, 1) == (content["lines"], content["events"], content["rejects"])
    assert (0.25, "broken") == tuple(signals(content)["Rejected lines"][key] for key in ("value", "status"))


def test_unknown_prices_are_told(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """A call of unknown price is not free: that costs are without it is said, and by which model."""
    log.append(llm_call(0, cost_usd=1), *(llm_call(at, model="mine", input_tokens=5) for at in range(3)))

    assert {"mine": 3} == found()["unpriced"]
    assert report(log.path).output.endswith("\ncosts exclude 3 calls of unknown price: mine\n")


def test_nothing_at_all(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """Of an empty log every row says that there is no data; nothing is broken."""
    result = report(log.path)
    rows = re.findall(r"^(\S.*?)  +(.*)$", result.output, re.MULTILINE)[1:]

    assert 0 == result.exit_code
    assert result.output.startswith("no events found\n")
    assert {"no data"} == {said for _, said in rows}
    assert {None} == {row["value"] for row in found()["signals"]}


def test_what_is_not_logged_has_no_data(log: Log, report: Report) -> None:
    """A row whose events never occur says so, and is not a 0 that looks like a measurement."""
    log.append(*run_of(0, "a"))
    rows = dict(re.findall(r"^(\S.*?)  +(.*)$", report(log.path).output, re.MULTILINE))

    assert {"no data"} == {rows[title] for title in ("Tool error rate", "Loops", "Loop rate", "Steps per run")}
    assert "unknown" == rows["Cost"]  # there are calls, of a model without a price
    assert ("1", "0") == (rows["Runs"], rows["Abandoned"])


def test_one_window_only(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """Without anything before the window there is no trend, and that is said."""
    log.append(*run_of(0, "a"))

    assert "; there is nothing before to compare with\n" in report(log.path).output
    assert found()["previous"] is None
    assert {None} == {row["previous"] for row in found()["signals"]}


def test_amounts_are_not_compared_with_part_of_a_window(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """If the logs begin within the window before, amounts are compared by rate, and how much is covered is said."""
    log.append(*run_of(0, "a"), *run_of(1, "a2"), *run_of(40, "b"))
    content = found("--window", "30s")
    rows = signals(content)
    covered = content["previous"]["covered_seconds"]

    assert (None, 1.0) == (rows["Runs"]["previous"], rows["Success rate"]["previous"])
    assert 20 < covered < 22  # from 10 seconds before the end of the first run on
    assert {"previous": pytest.approx(2 * 3600 / covered), "value": 120.0} == rows["Runs"]["hourly"]
    assert pytest.approx(220 * 3600 / covered) == rows["Tokens per hour"]["hourly"]["previous"]
    shown = report(log.path, "--window", "30s").output
    assert f"the window before is not whole: the logs cover {covered:.3g} s of its 30 s" in shown
    assert re.search(r"^Runs +1 +-6[0-9]%", shown, re.MULTILINE)
    log.append(tool_call(-60))
    rows = signals(found("--window", "30s"))
    assert (2.0, None) == (rows["Runs"]["previous"], rows["Runs"]["hourly"])


def test_a_window_that_is_not_over_is_told(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """The end of a window is rounded up: it may be in the future, which is said."""
    log.append(*run_of(time.time() - T0 - 60, "a"))

    assert not found("--window", "30d")["current"]["is_over"]
    assert re.search(r" UTC; it ends [0-9.]+ (h|min|s) in the future; ", report(log.path, "--window", "30d").output)
    assert found("--window", "30d", "--until", "yesterday")["current"]["is_over"]
    assert "future" not in report(log.path, "--window", "1s").output


def test_a_long_window_is_compared_with_the_little_there_is(log: Log, found: Callable[..., Any]) -> None:
    """What is covered of the window before is known to the event, not to a thirtieth of a window."""
    hour, day = 3600, 86400
    log.append(*[tool_call(day - hour / 2 + at) for at in range(0, 1800, 60)], tool_call(2 * 30 * day + 5))
    log.append(*[tool_call(31 * day + at * hour, tool="late") for at in range(24)])
    content = found("--window", "30d", "--until", "2026-02-01")

    assert pytest.approx(hour / 2) == content["previous"]["covered_seconds"]


def test_two_releases(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """The newest release is compared with the one before it, over all that was read; another agent's is not."""
    log.append(
        *run_of(0, "a", agent="x", release="1.0"), *run_of(1, "a2", agent="x", release="0.9"),
        *run_of(100, "b", agent="x", release="1.1", duration_ms=20_000),
        *run_of(50, "c", agent="y", release="7"), *run_of(200, "d", agent="x"),
        *run_of(120, "e", agent="x", release="1.1", duration_ms=20_000, status="error", stop_reason="error"),
    )  # fmt: skip
    content = found("--window", "30s")
    rows = signals(content)

    assert {"previous": "0.9", "newest": "1.1"} == content["releases"]  # by time, not by name
    assert {"previous": 1.0, "newest": 0.5} == rows["Success rate"]["releases"]
    assert pytest.approx([10.0, 20.0], rel=0.008) == list(rows["Run latency p50"]["releases"].values())
    assert {"previous": None, "newest": None} == rows["Runs"]["releases"]
    shown = report(log.path, "--window", "30s").output
    assert re.search(r"^ +now +trend +1\.1 vs ", shown, re.MULTILINE)
    assert re.search(r"^Run latency p50 .* \+100%", shown, re.MULTILINE)
    assert re.search(r"^Success rate .* -50\.0 pp", shown, re.MULTILINE)


def test_long_names_are_cut(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """A release that is a commit does not push the table off the screen; for programs it is whole."""
    log.append(*run_of(0, "a", release="a" * 40), *run_of(60, "b", release="b" * 40))

    assert f"{'b' * 15}… vs {'a' * 15}…  status\n" in report(log.path).output
    assert {"previous": "a" * 40, "newest": "b" * 40} == found()["releases"]


def test_standard_input_is_read(log: Log, found: Callable[..., Any]) -> None:
    """What is piped in, whose end nobody knows before it was read, gives the same report; so it is for --since."""
    log.append(tool_call(-500), *(each for at in range(0, 300, 9) for each in run_of(at, f"r{at}")))
    words = ["--window", "1m", "--format", "json"]
    piped = CliRunner().invoke(main, ["report", "-", *words], input=log.path.read_bytes())

    assert found(*words) == parsed(piped)
    assert (2, 0) == (found("--since", T0 + 291)["events"], found("--since", T0 + 298)["events"])


def test_one_release_is_not_compared(log: Log, report: Report, found: Callable[..., Any]) -> None:
    """Without a release before there is no such column."""
    log.append(*run_of(0, "a", agent="x", release="1"), *run_of(5, "b", agent="y", release="2"), *run_of(9, "c"))

    assert found()["releases"] is None
    assert " vs " not in report(log.path).output


def test_trend(log: Log, report: Report) -> None:
    """Amounts change by percent, rates by points of a percent; shares of stop reasons have each their own trend."""
    log.append(
        tool_call(-100), *run_of(10, "a"), *run_of(11, "b"), *run_of(70, "c"),
        *run_of(80, "d", status="error", stop_reason="max_turns"), *run_of(90, "e"), *run_of(91, "f"),
    )  # fmt: skip
    shown = report(log.path, "--window", "60s", "--until", T0 + 120).output

    assert re.search(r"^Runs +4 +\+100%$", shown, re.MULTILINE)
    assert re.search(r"^Success rate +75\.0% +-25\.0 pp +broken: 75\.0%; at least 95%$", shown, re.MULTILINE)
    assert re.search(r"^  max_steps +25\.0% +\+25\.0 pp$", shown, re.MULTILINE)
    assert re.search(r"^Run latency p95 +10\.\d s +=  +ok: at most 60s$", shown, re.MULTILINE)
    assert shown.endswith("\nbroken: Success rate\n")


def on_terminal(log: Log, **variables: str) -> bytes:
    """What `extractor report` says on a terminal."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
    words = [sys.executable, "-m", "extractor", "report", str(log.path)]
    with os.fdopen(ours, "rb", 0) as terminal:
        process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        seen = b""
        try:
            while part := terminal.read(65536):
                seen += part
        except OSError:  # nobody has it open any more
            pass
    assert 3 == process.wait(60)
    return seen


def test_colour_is_for_terminals(log: Log, report: Report) -> None:
    """On a terminal what is broken is red and what holds is green; not with NO_COLOR, nor in a pipe."""
    log.append(*run_of(0, "a", status="error", stop_reason="error"))
    coloured = on_terminal(log)

    assert b"\x1b[31mbroken: " in coloured
    assert b"\x1b[32mok: " in coloured
    plain = on_terminal(log, NO_COLOR="1")
    assert b"broken: " in plain
    assert b"\x1b[3" not in plain
    assert "\x1b" not in report(log.path).output


def test_escapes_of_an_agent_do_not_reach_the_terminal(log: Log, report: Report) -> None:
    """Whatever an agent, a tool or a release is called, no control character of it is printed."""
    nasty = "\x1b]0;gotcha\x07\u202e"
    log.append(
        *run_of(0, "a", agent=nasty, release=f"1{nasty}", status="error", stop_reason="error"),
        *run_of(60, "b", agent=nasty, release=f"2{nasty}", status="error", stop_reason="error"),
        tool_call(60, tool=nasty, duration_ms=10**6),
    )
    result = report(log.path)

    assert 3 == result.exit_code
    assert [] == [char for char in result.output if not char.isprintable() and char != "\n"]


def test_a_pack_of_its_own(tmp_path: Path, report: Report) -> None:
    """Which rows there are is declared in the pack; without signals there is only what is known of all lines."""
    result = report(SAMPLES, "--schemas", "tests/cases/one-new-file/schemas", "--format", "json")
    assert "Runs" in signals(parsed(result))

    pack = tmp_path / "pack"
    pack.mkdir()
    for path in Path("schemas/agent").iterdir():
        (pack / path.name).write_bytes(path.read_bytes())
    declared = json.loads((pack / "pack.json").read_text())
    declared["signals"] = [{"title": "Searches", "metric": "agent_tool_calls_total", "where": {"status": ["ok"]}}]
    (pack / "pack.json").write_text(json.dumps(declared))

    assert ["Searches", "Rejected lines"] == list(
        signals(parsed(report(SAMPLES, "--schemas", pack, "--format", "json")))
    )
