"""What is typed: every command explains itself, and every way of failing has its exit code and a hint."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from extractor.cli.main import main
from extractor.cli.options import BROKEN, GROUPS, relative_time
from extractor.cli.run import Level
from extractor.schema.model import Catalog
from extractor.service.log import PRIORITIES
from tests.conftest import Log
from tests.reading import T0, default_catalog, line, tool_call

ESCAPE = "\x1b]0;gotcha\x07\x9b31m\u202e\x7f"
"""What drives a terminal: escape sequences in both spellings, and text written backwards."""

CONTEXT = click.Context(main)
COMMANDS = main.list_commands(CONTEXT)


def options_of(command: str) -> list[click.Option]:
    """The options of *command*."""
    found = main.get_command(CONTEXT, command)
    assert found is not None
    return [option for option in found.params if isinstance(option, click.Option)]


@pytest.fixture
def extractor() -> Callable[..., Result]:
    """Words in, what `extractor` said to them out."""

    def run(*words: object, **variables: str) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], env=variables, catch_exceptions=False)

    return run


HEAVY = {
    "genai_prices",
    "hdrh",
    "jsonschema_rs",
    "msgspec",
    "numpy",
    "orjson",
    "prometheus_client",
    "uvicorn",
    "watchfiles",
}
LOADED = """
import sys
sys.argv[0] = "extractor"
from extractor.__main__ import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_nothing_heavy_is_imported_before_it_is_needed(option: str) -> None:
    """To print the version, or what commands there are, needs click and nothing else from elsewhere."""
    done = subprocess.run([sys.executable, "-c", LOADED, option], capture_output=True, text=True, check=True)

    assert done.stdout
    assert set() == HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_listed_as_it_explains_itself(command: str) -> None:
    """The list of commands has the first line of each one's help."""
    found = main.get_command(CONTEXT, command)
    formatter = click.HelpFormatter(width=200)
    main.format_commands(CONTEXT, formatter)

    assert found is not None
    assert found.help is not None
    assert re.search(
        rf"^  {command} +{re.escape(found.help.strip().splitlines()[0])}$", formatter.getvalue(), re.MULTILINE
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, extractor: Callable[..., Result]) -> None:
    """The help of a command shows a command line that can be pasted, and every option says what it does."""
    result = extractor(command, "--help")

    assert 0 == result.exit_code
    assert re.search(rf"Example:\n\n\s+extractor {command} ", result.output)
    options = options_of(command)
    assert [] == [option.name for option in options if not option.help]


def test_help_names_every_command(extractor: Callable[..., Result]) -> None:
    """The commands are named, each with what it does."""
    result = extractor("--help")

    assert ["check", "completion", "config", "replay", "report", "requeue", "rules", "run", "systemd"] == COMMANDS
    assert all(re.search(rf"^  {command} +\w", result.output, re.MULTILINE) for command in COMMANDS)


def test_version(extractor: Callable[..., Result]) -> None:
    """The version is said."""
    assert re.fullmatch(r"extractor, version \d+\.\d+\.\d+\S*\n", extractor("--version").output)


@pytest.mark.parametrize(
    "words",
    [
        [], ["replay"], ["run"], ["nothing"], ["replay", "--format", "xml", "x"], ["replay", "--no-such-option", "x"],
        ["run", "x", "--poll-interval", "0"], ["replay", "x", "--max-line-bytes", "0"],
        ["check", "--schemas", "no/such/folder"], ["run", "x", "--quantile-window", "-1"],
        ["replay", "x", "--jobs", "0"], ["replay", "x", "--jobs", "two"], ["replay", "x", "--since", "tomorrow"],
        ["replay", "x", "--since", "0d"],
        ["run", "x", "--log.level", "loud"],
        ["replay", "x", "--until", "2026-01-01T00:00:00"], ["replay", "x", "--since", "2", "--until", "2"],
    ],
)  # fmt: skip
def test_wrong_usage_is_2(words: list[str], extractor: Callable[..., Result]) -> None:
    """What was typed wrongly is explained, and the exit code is 2."""
    result = extractor(*words)

    assert 2 == result.exit_code
    assert "Usage: " in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_groups_the_options(command: str, extractor: Callable[..., Result]) -> None:
    """Options stand in groups, always in the same order; only `--help` is in none."""
    shown = extractor(command, "--help").output
    titles = re.findall(r"^(\w+):$", shown, re.MULTILINE)
    ungrouped = shown.partition("\nOptions:\n")[2]

    assert [title for title in ("Example", *GROUPS, "Options") if title in titles] == titles
    assert ["--help"] == re.findall(r"^  (?:-h, )?(--\S+)", ungrouped, re.MULTILINE)
    assert len(options_of(command)) + 1 == len(re.findall(r"^  (?:-h, )?--", shown, re.MULTILINE))


def test_no_group_has_an_option_that_no_command_has() -> None:
    """The groups name each option once, and nothing else."""
    names = [name for group in GROUPS.values() for name in group]

    assert sorted(names) == sorted({option.opts[0] for command in COMMANDS for option in options_of(command)})


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["chek"], "check"), (["raplay", "x"], "replay"), (["requeu"], "requeue"),
        (["replay", "--formt", "json", "x"], "--format"), (["run", "--log.lvel", "info", "x"], "--log.level"),
    ],
)  # fmt: skip
def test_what_is_mistyped_gets_a_suggestion(words: list[str], meant: str, extractor: Callable[..., Result]) -> None:
    """A command or an option that is nearly right is named."""
    result = extractor(*words)

    assert 2 == result.exit_code
    assert f"Did you mean '{meant}'?" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, extractor: Callable[..., Result]) -> None:
    """What is printed for a shell asks the program, which knows its commands and options."""
    result = extractor("completion", shell)

    assert (0, "") == (result.exit_code, result.stderr)
    assert f"_EXTRACTOR_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("extractor rep", {"replay", "report"}),
        ("extractor replay --form", {"--format"}),
        ("extractor run --web.d", {"--web.disable-page"}),
    ],
)
def test_bash_completes(words: str, expected: set[str], extractor: Callable[..., Result]) -> None:
    """Bash gets the commands and the options that begin so."""
    script = f"""
        {extractor("completion", "bash").stdout}
        COMP_WORDS=({words}); COMP_CWORD={words.count(" ")}; _extractor_completion extractor
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env={"PATH": path})

    assert expected == set(done.stdout.split())


def test_missing_logs_are_1(tmp_path: Path, extractor: Callable[..., Result]) -> None:
    """A path that leads to nothing is one line on stderr, with a hint."""
    result = extractor("replay", tmp_path / "nothing.jsonl")

    assert (1, "") == (result.exit_code, result.stdout)
    assert re.fullmatch(r"extractor: \S*nothing.jsonl: no such file or folder \(.+\)\n", result.stderr)


@pytest.mark.parametrize("words", [["replay"], ["report"], ["check", "--logs"]])
def test_a_folder_without_logs_is_1(words: list[str], tmp_path: Path, extractor: Callable[..., Result]) -> None:
    """A folder whose files match no pattern is reported with their number and the patterns; an empty one is not."""
    (tmp_path / "deep").mkdir()
    empty = extractor(*words, tmp_path)
    for name in ("agent.log", "deep/agent.log", "deep/notes.txt"):
        (tmp_path / name).write_bytes(tool_call() + b"\n")
    passed_over = extractor(*words, tmp_path)
    (tmp_path / "deep" / "agent.jsonl").write_bytes(tool_call() + b"\n")
    found = extractor(*words, tmp_path)

    assert (0, "") == (empty.exit_code, empty.stderr)
    assert 1 == passed_over.exit_code
    assert re.fullmatch(
        rf"extractor: {tmp_path}: none of the 3 files in it matches any of the patterns of log files: \*\.jsonl, .+ "
        r"\(name the files to read them all the same\)\n",
        passed_over.stderr,
    )
    assert "" == found.stderr


def test_a_log_without_the_name_of_one_is_read_if_named(tmp_path: Path, extractor: Callable[..., Result]) -> None:
    """A file that is given is a log, whatever its name, beside others that are not."""
    for name in ("agent.log", "notes.txt"):
        (tmp_path / name).write_bytes(tool_call() + b"\n")
    result = extractor("replay", tmp_path / "agent.log")

    assert (0, "") == (result.exit_code, result.stderr)


def test_wrong_schema_is_1(tmp_path: Path, extractor: Callable[..., Result]) -> None:
    """A wrong schema is one line on stderr for each error: file, JSON Pointer, message and hint; of `check` alone."""
    (tmp_path / "x.schema.json").write_text('{"type": "object", "x-metrik": {}}')
    result, others = extractor("check", "--schemas", tmp_path), extractor("replay", "--schemas", tmp_path, tmp_path)

    assert (1, "") == (result.exit_code, result.stdout)
    assert re.fullmatch(r"(extractor: \S*x\.schema\.json#\S*: .+\n){3}", result.stderr)
    assert "/x-metrik: unknown keyword 'x-metrik' (did you mean 'x-metrics'?)\n" in result.stderr
    assert (1, "") == (others.exit_code, others.stdout)
    hint = "2 more: run extractor check to list them"
    assert re.fullmatch(rf"extractor: \S*x\.schema\.json#\S*: .+; {hint}\n", others.stderr)


def test_check_says_that_schemas_are_right(extractor: Callable[..., Result]) -> None:
    """Without logs, `check` counts the event types and the metrics."""
    catalog: Catalog = default_catalog()
    expected = f"schemas are valid: {len(catalog.default_pack.events)} event types, {len(catalog.metrics)} metrics\n"

    result = extractor("check")

    assert (0, expected, "") == (result.exit_code, result.stdout, result.stderr)


def test_check_logs_says_what_would_be_rejected(log: Log, extractor: Callable[..., Result]) -> None:
    """With logs, `check` names file, line, offset, reason, pointer and message, and shows the line."""
    bad = tool_call(duration_ms=-1)
    log.append(tool_call(), bad, b"{")
    result = extractor("check", "--logs", log.path)

    offset = len(tool_call()) + 1
    assert 0 == result.exit_code
    assert (
        f"{log.path}, line 2, byte {offset}: invalid: /duration_ms -1 is less than the minimum of 0\n" in result.stdout
    )
    assert f"    {bad.decode()[:200]}\n" in result.stdout
    assert "3 lines: 1 events, 1 not_json, 1 invalid\n" in result.stdout


@pytest.mark.parametrize(("lines", "code"), [([tool_call()], 0), ([tool_call(), b"{"], 3)])
def test_strict_is_3(lines: list[bytes], code: int, log: Log, extractor: Callable[..., Result]) -> None:
    """With --strict a rejected line makes the exit code 3; what was found is printed all the same."""
    log.append(*lines)
    replayed = extractor("replay", log.path.parent, "--strict", "--format", "prometheus")

    assert code == replayed.exit_code
    assert 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"} 1.0' in replayed.stdout
    assert code == extractor("check", "--strict", "--logs", log.path).exit_code
    assert 0 == extractor("replay", log.path).exit_code


def test_table(log: Log, extractor: Callable[..., Result]) -> None:
    """The table says first what a person wants to know first."""
    end = {"stop_reason": "end_turn", "duration_ms": 2000}
    log.append(
        line("run.complete", 0, status="ok", **end),
        line("run.complete", 0, status="ok", **end),
        line("run.complete", 0, status="error", **end),
        tool_call(status="timeout"),
        *[tool_call()] * 3,
        line("llm.call", model="m", status="ok", duration_ms=1000, input_tokens=1500, output_tokens=20, cost_usd=0.25),
        b"{",
    )
    rows = dict(re.findall(r"^(\S.*?)  +(.*)$", extractor("replay", log.path).output, re.MULTILINE))

    assert "3" == rows["Runs"]
    assert "66.7%" == rows["Success rate"]
    assert "completed 3" == rows["Stop reasons"]
    assert "25.0%" == rows["Tool error rate"]
    assert "input 1,500  output 20" == rows["Tokens"]
    assert "$0.2500" == rows["Cost in USD"]
    assert "9" == rows["Lines"]
    assert "not_json 1" == rows["Rejects"]
    assert ["p50", "p95", "p99"] == rows["Run duration"].split()[0::3]


def test_the_table_names_its_period(log: Log, extractor: Callable[..., Result]) -> None:
    """The first row is the time of the first and of the last event, in whatever order; there is none of nothing."""
    assert "Period" not in extractor("replay", log.path).output
    assert json.loads(extractor("replay", log.path, "--format", "json").output)["period"] is None

    log.append(tool_call(86400 + 61), tool_call(1.5), tool_call(7), b"{", line("tool.call", -9))

    for jobs in (1, 2):
        found = extractor("replay", log.path, "--jobs", jobs).output
        assert found.startswith("Period              2026-01-01 00:00:01 to 2026-01-02 00:01:01 UTC\n")
    found = extractor("replay", log.path, "--since", "2026-01-01T00:00:05Z", "--format", "json").output
    assert {"since": "2026-01-01T00:00:07Z", "until": "2026-01-02T00:01:01Z"} == json.loads(found)["period"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", -7 * 86400), ("7d ago", -7 * 86400), ("1h30m", -5400), ("2w", -14 * 86400), ("now", 0),
        ("today", -3600), ("Yesterday", -86400 - 3600), ("0d", None), ("tomorrow", None), ("", None), ("d", None),
        ("99999999w", None), ("-7d", None), ("7 d", None),
    ],
)  # fmt: skip
def test_an_age_is_a_time(text: str, expected: float | None) -> None:
    """What people type for a time that is not long ago: how long, or the day, which begins in UTC."""
    now = 1767229200.0  # an hour after midnight
    found = relative_time(text, now)

    assert expected == (None if found is None else found - now)


@pytest.mark.parametrize("since", ["3d", "yesterday"])
def test_since_takes_an_age(since: str, log: Log, extractor: Callable[..., Result]) -> None:
    """`--since 3d` counts back from now."""
    now = time.time() - T0
    log.append(tool_call(now - 4 * 86400), tool_call(now - 60))

    assert 1 == json.loads(extractor("replay", log.path, "--since", since, "--format", "json").output)["events"]


@pytest.mark.parametrize("level", ["warn", "WARN", "warning", "Warning", "err", "error"])
def test_levels_as_people_type_them(level: str) -> None:
    """`--log.level warn` is what other programs take, too."""
    assert level.lower()[:3] == Level().convert(level, None, None)[:3]
    assert Level().convert(level, None, None) in PRIORITIES


def test_table_of_nothing(log: Log, extractor: Callable[..., Result]) -> None:
    """What did not happen took no time and had no rate: a dash, not a 0 that looks like a measurement."""
    rows = dict(re.findall(r"^(\S.*?)  +(.*)$", extractor("replay", log.path).output, re.MULTILINE))

    assert "0" == rows["Runs"]
    assert "0%" not in rows["Success rate"]
    assert [] == [title for title, shown in rows.items() if title.endswith("duration") and re.search(r" \d", shown)]


def test_json(log: Log, extractor: Callable[..., Result]) -> None:
    """JSON for programs: every sample, and what was read; a missing quantile is not NaN, which is no JSON."""
    log.append(tool_call(0, tool="old"), tool_call(1000, tool="new"), b"{")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(extractor("replay", log.path, "--format", "json").stdout, parse_constant=refuse)

    assert (3, 2, {"not_json": 1}) == (found["lines"], found["events"], found["rejects"])
    assert 1.0 == sum(
        sample["value"]
        for sample in found["samples"]
        if sample["name"] == "agent_tool_calls_total" and sample["labels"]["tool"] == "old"
    )


def test_openmetrics_ends(log: Log, extractor: Callable[..., Result]) -> None:
    """OpenMetrics is complete only with its end mark."""
    log.append(tool_call())

    assert extractor("replay", log.path, "--format", "openmetrics").stdout.endswith("\n# EOF\n")


def test_half_a_line_is_not_counted_but_told(log: Log, extractor: Callable[..., Result]) -> None:
    """Bytes after the last newline are no line yet; the table says that they are there."""
    log.append(tool_call())
    log.tear(tool_call()[:30])
    result = extractor("replay", log.path)

    assert re.search(r"^Lines +1$", result.output, re.MULTILINE)
    assert re.search(r"^Unfinished +30 bytes", result.output, re.MULTILINE)


def test_standard_input(extractor: Callable[..., Result]) -> None:
    """A dash reads what is piped in."""
    result = CliRunner().invoke(main, ["replay", "-", "--format", "json"], input=tool_call() + b"\n" + tool_call())

    assert 1 == json.loads(result.stdout)["events"]


@pytest.mark.parametrize(
    "words",
    [
        ["replay"],
        ["replay", "--format", "json"],
        ["report"],
        ["report", "--format", "json"],
        ["check", "--logs"],
    ],
)
def test_terminal_escapes_do_not_reach_the_terminal(
    words: list[str], log: Log, extractor: Callable[..., Result]
) -> None:
    """Whatever an agent logged, no control character of it is printed: not from a label, a reject, or a file's name."""
    path = log.path.with_name(f"x{ESCAPE}.jsonl")
    lines = [
        line("tool.call", tool=ESCAPE, status=ESCAPE, duration_ms=1),
        line("run.complete", status="ok", stop_reason=ESCAPE, duration_ms=1, agent=ESCAPE),
        line(ESCAPE),
        ESCAPE.encode(),
        json.dumps({"event": "step", "ts": ESCAPE, ESCAPE: 1}, ensure_ascii=False).encode(),
    ]
    path.write_bytes(b"".join(item + b"\n" for item in lines))
    result = extractor(*words, path)

    assert result.exit_code in {0, BROKEN}
    assert [] == [char for char in result.output if not char.isprintable() and char != "\n"]
    if words == ["replay", "--format", "json"]:
        labels = [sample["labels"] for sample in json.loads(result.stdout)["samples"]]
        assert [] != [each for each in labels if ESCAPE in each.values()]


def test_escapes_in_an_error_do_not_reach_the_terminal(extractor: Callable[..., Result]) -> None:
    """Nor does a path that does not exist."""
    result = extractor("replay", f"no{ESCAPE}such")

    assert 1 == result.exit_code
    assert [] == [char for char in result.output if not char.isprintable() and char != "\n"]


def test_options_from_the_environment(log: Log, extractor: Callable[..., Result]) -> None:
    """Every option can be given as EXTRACTOR_…; the command line wins."""
    log.append(tool_call())
    small = {"EXTRACTOR_MAX_LINE_BYTES": "10"}

    assert "too_long 1" in extractor("replay", log.path, **small).output
    assert "too_long" not in extractor("replay", log.path, "--max-line-bytes", "1000", **small).output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_variable_of_every_option(command: str, extractor: Callable[..., Result]) -> None:
    """Every option's variable is in the help, with its dots and dashes as underscores."""
    shown = extractor(command, "--help").output
    options = [option.opts[0] for option in options_of(command)]
    variables = {name: "EXTRACTOR_" + re.sub(r"\W", "_", name.removeprefix("--")).upper() for name in options}

    assert [] == [name for name, variable in variables.items() if variable not in shown and name != "--help"]
