"""What is recommended: the pack says it, the logs show it, and what they lack is said in the words of the schema."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.report.coverage import Advice, advice, counting
from extractor.schema.load import load
from tests.conftest import Log
from tests.reading import default_catalog, event_schema, line, llm_call, read, tool_call, write_pack

SAMPLES = Path("samples/logs")

END: dict[str, Any] = {"status": "ok", "stop_reason": "stop", "duration_ms": 1}
TOKENS: dict[str, Any] = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 0}
WHO: dict[str, Any] = {"agent": "a", "release": "1"}
ALL = [
    line("run.start", **WHO),
    llm_call(**WHO, **TOKENS),
    tool_call(**WHO, args_hash="x"),
    line("run.complete", **WHO, **END),
]


@pytest.fixture
def check() -> Callable[[Path], str]:
    """A path in, what `extractor check --logs` says of it out."""

    def run(path: Path) -> str:
        result = CliRunner().invoke(main, ["check", "--logs", str(path)], catch_exceptions=False)
        assert 0 == result.exit_code
        return result.output

    return run


def advised(lines: list[bytes]) -> dict[str, Advice]:
    """What *lines* say of each recommendation of the default pack."""
    catalog = default_catalog()
    return {each.recommendation.name: each for each in advice(catalog, read(lines, counting(catalog)))}


def without(lines: list[bytes], *names: str) -> list[bytes]:
    """*lines* without the properties *names*."""
    return [json.dumps({k: v for k, v in json.loads(each).items() if k not in names}).encode() for each in lines]


def test_lines_with_everything_lack_nothing(log: Log, check: Callable[[Path], str]) -> None:
    """Logs that carry what is recommended are told so, and nothing else; so is the sample agent."""
    log.append(*ALL)
    total = len(default_catalog().default_pack.recommended)

    assert check(log.path).endswith(f"no rejects\n{total} of {total} recommended signals\n")
    assert check(SAMPLES).endswith(f"\n{total} of {total} recommended signals\n")


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        (without(ALL, "release"), ["release"]),
        (without(ALL, "agent", "args_hash"), ["agent", "args_hash"]),
        (without(ALL, *TOKENS), ["input_tokens", "output_tokens", "cache_read_input_tokens"]),
        (ALL[1:], ["run.start"]),
        (ALL[:-1], ["stop_reason"]),
        ([*ALL[:2], ALL[3]], ["tool.call", "args_hash"]),
        ([each.replace(b'"1"', b"null") for each in ALL], ["release"]),
    ],
)
def test_what_is_missing_is_named(
    lines: list[bytes], missing: list[str], log: Log, check: Callable[[Path], str]
) -> None:
    """What no line has, or has as null only, is missing; it is told in the order of the pack."""
    log.append(*lines)
    total = len(default_catalog().default_pack.recommended)
    expected = f"{total - len(missing)} of {total} recommended signals: no {', no '.join(missing)}\n"

    assert expected in check(log.path)
    assert missing == [name for name, each in advised(lines).items() if not each.is_followed]


def test_what_to_add_is_said_in_the_words_of_the_schema(log: Log, check: Callable[[Path], str]) -> None:
    """A missing property is told with its description, the events that should have it, and the metrics made of it."""
    log.append(*without(ALL[:-1], "release", "input_tokens"))
    events = default_catalog().default_pack.events
    said = check(log.path)

    for name, event, place in (
        ("stop_reason", "run.complete", "run.complete"),
        ("release", "llm.call", "every event"),
        ("input_tokens", "llm.call", "llm.call"),
    ):
        described: Any = events[event].schema["properties"]
        assert f"\n  {name}: {described[name]['description']}\n    add it to {place}\n    for " in said
    assert {"agent_token_usage_total", "agent_run_tokens"} <= set(advised([])["input_tokens"].metrics)
    assert ("agent_runs_total",) == advised([])["stop_reason"].metrics


def test_what_most_lines_lack_is_told(log: Log, check: Callable[[Path], str]) -> None:
    """A property that is there, but not in half of the lines that could have it, is told with both numbers."""
    log.append(*ALL, *without(ALL, "release"), *without(ALL, "release"))

    assert re.search(r" recommended signals\n  release: only 4 of 12 lines have it\n$", check(log.path))


def test_nothing_is_said_of_no_events(log: Log, check: Callable[[Path], str]) -> None:
    """Logs without an event carry nothing, and what they lack is not the question."""
    log.append(b"{")

    assert "recommended" not in check(log.path)


def test_a_pack_recommends_its_own(tmp_path: Path) -> None:
    """The pack says what is recommended: properties, also nested ones, and events."""
    schema = event_schema(
        "job.done",
        {"user": {"type": "object", "properties": {"team": {"type": "string", "description": "Whose job."}}}},
        {"jobs_total": {"type": "counter", "help": "Jobs."}},
        {},
    )
    recommended = [{"property": "/user/team"}, {"events": ["job.done"]}]
    catalog = write_pack(tmp_path, schema, recommended=recommended)

    def missing(*lines: bytes) -> list[tuple[str, str]]:
        found = advice(catalog, read(lines, counting(catalog)))
        return [(each.recommendation.name, each.description) for each in found if not each.is_followed]

    assert [("/user/team", "Whose job."), ("job.done", "")] == missing()
    assert [("/user/team", "Whose job.")] == missing(line("job.done"), line("job.done", user={}))
    assert [] == missing(line("job.done", user={"team": "x"}))


def test_counting_changes_nothing_else() -> None:
    """What is counted besides the recommendations is the same, and the catalog itself is not changed."""
    catalog = load()
    plain, more = read(ALL, catalog), read(ALL, counting(catalog))

    assert catalog.metrics.keys() == plain.families.keys()
    for name, family in plain.families.items():
        assert family.dump() == more.families[name].dump()
