"""Where the samples of a backfill go: to where they were asked to go, whole or not at all; and what is said of it."""

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from extractor.cli.main import main
from extractor.errors import OutputError
from extractor.history.blocks import Blocks
from extractor.history.openmetrics import Document
from tests.conftest import Log
from tests.reading import line, tool_call

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


@pytest.fixture
def backfill(log: Log) -> Callable[..., Result]:
    """Words in, what `extractor replay` of a short log said to them out."""
    log.append(tool_call(10), tool_call(40, tool="late"), b"{}", line("step", 70, step=1))

    def run(*words: object, **variables: str | None) -> Result:
        asked = ["replay", str(log.path), *map(str, words)]
        return CliRunner().invoke(main, asked, env=variables, catch_exceptions=False)

    return run


def test_standard_output_is_the_document(tmp_path: Path, backfill: Callable[..., Result]) -> None:
    """`-` prints what else is in the file, and nothing besides; what a person should know is on stderr."""
    to_file = backfill("--backfill", tmp_path / "history.om")
    to_stdout = backfill("--backfill", "-")

    assert (0, "") == (to_file.exit_code, to_file.stdout)
    assert (tmp_path / "history.om").read_text() == to_stdout.stdout
    assert to_stdout.stdout.endswith("# EOF\n")
    assert "1 of 4 lines were rejected; run extractor check --logs to see why" in to_stdout.stderr
    assert re.search(r"\d+ samples of \d+ series, from 2026-01-01T00:00:00Z to 2026-01-01T00:01:15Z", to_stdout.stderr)


def test_metadata_stands_once_before_the_samples(backfill: Callable[..., Result]) -> None:
    """Every metric has its type and its help, once, at the head."""
    lines = backfill("--backfill", "-").stdout.splitlines()
    head = [item for item in lines if item.startswith("#")][:-1]

    assert head == lines[: len(head)]
    assert len(head) == len(set(head))
    assert "# TYPE agent_tool_calls counter" in head


def test_times_and_labels_as_asked(backfill: Callable[..., Result]) -> None:
    """`--step`, `--since`, `--until` and `--backfill-label` do to the samples what they say."""
    period = ("--since", "2026-01-01T00:00:30Z", "--until", "2026-01-01T00:01:00Z")
    said = backfill("--backfill", "-", "--step", "1m", *period, "--backfill-label", 'job=a "b"').stdout
    shown = [item for item in said.splitlines() if item.startswith("agent_tool_calls_total") and '"ok"' in item]

    labels = r'agent="unknown",job="a \"b\"",release="unknown",status="ok",tool="late"'
    assert [
        f"agent_tool_calls_total{{{labels}}} {value}.0 {at}" for value, at in ((0, 1767225600), (1, 1767225660))
    ] == shown


def test_strict(backfill: Callable[..., Result]) -> None:
    """A rejected line is an exit code here, too."""
    assert 3 == backfill("--backfill", "-", "--strict").exit_code


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--backfill", "x", "--backfill-blocks", "y"], 2, "give only one of --backfill and --backfill-blocks"),
        (["--backfill", "x", "--step", "1d"], 2, "write whole seconds, minutes or an hour: 15s, 1m, 1h"),
        (["--backfill", "x", "--backfill-label", "job"], 2, "'job' is not a label; write job=extractor"),
        (["--backfill", "x", "--backfill-label", "__name__=x"], 2, "is not a label"),
        (["--backfill", "x", "--backfill-label", "job=\udcff"], 2, "'\\udcff' is not UTF-8"),
        (["--backfill", "x", "--backfill-label", "job=a\0b"], 2, "'a\\x00b' contains NUL, which Prometheus cannot"),
        (["--backfill", "x", "--backfill-label", "agent=x"], 1, "agent is a label of the metrics themselves"),
        (["--backfill", "no/such/folder/x"], 1, "cannot write no/such/folder/x: No such file or directory"),
        (["--backfill", "."], 1, ". is a folder (give the name of a file, or - for standard output)"),
        (["--backfill", "/dev/full"], 1, "cannot write /dev/full: No space left on device"),
    ],
)
def test_what_cannot_be_done_is_said(  # noqa: PLR0917  # as many columns as the case needs
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    backfill: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wrong usage is 2, an output that cannot be written 1, each with what to write instead; nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = backfill(*words)

    assert code == result.exit_code
    assert said in result.output
    assert before == sorted(tmp_path.rglob("*"))


@needs_promtool
def test_blocks_hold_two_hours_each(tmp_path: Path, log: Log, backfill: Callable[..., Result]) -> None:
    """There is a block for each two hours with samples, none crosses their border, and nothing else is there."""
    log.append(tool_call(7190), tool_call(7210), tool_call(100 * 3600))
    said = backfill("--backfill-blocks", tmp_path / "blocks")
    metas = [json.loads((block / "meta.json").read_text()) for block in (tmp_path / "blocks").iterdir()]
    spans = sorted((meta["minTime"] // 7_200_000, (meta["maxTime"] - 1) // 7_200_000) for meta in metas)

    first = 1767225600 // 7200
    assert [first, first + 1, first + 49, first + 50] == [begin for begin, _ in spans]
    assert all(begin == end for begin, end in spans)
    assert f"4 blocks in {tmp_path / 'blocks'}" in said.stderr


@needs_promtool
def test_blocks_of_the_last_hours_are_warned_of(tmp_path: Path) -> None:
    """Of samples that a running Prometheus may have in memory a person is told."""
    now = time.time()
    with Blocks(tmp_path / "b") as output:
        output.add(int(now), f"a 1 {int(now)}\n")

    assert "a Prometheus that is running has yet to write its own blocks of that time" in output.notes()[1]


def test_broken_off_document_is_not_there(tmp_path: Path) -> None:
    """What was not finished leaves neither a document nor a trace, and the one of before stays."""
    path = tmp_path / "history.om"
    path.write_text("before")

    def interrupted() -> None:
        with Document(path) as output:
            output.write("# TYPE a gauge\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert ["history.om"] == [item.name for item in tmp_path.iterdir()]
    assert "before" == path.read_text()


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """A device, such as /dev/null, is written to and not taken the place of."""
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    with Document(link) as output:
        output.write("# TYPE a gauge\n")

    assert link.is_symlink()
    assert link.is_char_device()


@needs_promtool
def test_broken_off_blocks_are_not_there(tmp_path: Path) -> None:
    """What promtool refuses is said in its words, and of all blocks none is there."""

    def refused() -> None:
        with Blocks(tmp_path / "b") as output:
            output.add(7200, "a 1 7200\n")
            output.add(14400, "no sample\n")

    with pytest.raises(OutputError, match="promtool could not make blocks"):
        refused()

    assert [] == list((tmp_path / "b").iterdir())


def test_blocks_without_promtool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where promtool is not installed, what to install is said before anything is read."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match="apt install prometheus"):
        Blocks(tmp_path / "b")
