"""
A log of some hours of the past is backfilled into real servers, which then answer PromQL about the past with the truth.

The truth is counted step by step from the JSON, by a program that knows nothing of extractor.
"""

import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import inf, isnan
from pathlib import Path
from random import Random

import pytest

from tests.count import LABELS, Values, Words, bucket_counts, interpolated_quantile
from tests.history import HOURS, LATE, START, STEP, Moment, counted, lines
from tests.servers import DEADLINE, eventually, get, query, running

EXTRACTOR = Path(sys.executable).with_name("extractor")
PROMETHEUS, VICTORIA = "prometheus", "victoria-metrics"

HOUR_ENDS = [START + 3600 * hour for hour in range(1, HOURS)]

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed"),
]


@dataclass
class Backfilled:
    """A server that was told the past."""

    url: str
    server: str

    def query(self, promql: str, at: float) -> dict[Values, float]:
        """The answer to *promql* at the time *at*: the label values, in order of label names."""
        return query(self.url, promql, at)

    def at_every_step(self, promql: str) -> dict[int, dict[Values, float]]:
        """The answer to *promql* at every step of the history."""
        words = {"query": promql, "start": START, "end": START + HOURS * 3600, "step": STEP, "nocache": 1}
        answer = json.loads(get(f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(words)}"))
        found: dict[int, dict[Values, float]] = defaultdict(dict)
        for series in answer["data"]["result"]:
            labels = tuple(value for name, value in sorted(series["metric"].items()) if name != "__name__")
            for at, value in series["values"]:
                found[int(at)][labels] = float(value)
        return found


def test_counters_equal_the_log_at_every_step(past: Backfilled):
    """Every counter of the pack is, at every step, what the lines up to then add up to."""
    for metric in ("agent_tool_calls_total", "agent_tool_errors_total", "agent_cost_usd_total", "agent_runs_total"):
        labels = sorted(LABELS[metric])
        answers = past.at_every_step(f"sum by ({','.join(labels)}) ({metric})")
        truth = {at: totals(moment, metric) for at, moment in moments().items()}

        assert truth == {
            at: pytest.approx({key: value for key, value in answers[at].items() if value}, rel=1e-12) for at in truth
        }


def test_durations_equal_the_log_at_every_step(past: Backfilled):
    """The count of every duration histogram is, at every step, how many durations there were up to then."""
    for metric in ("agent_tool_call_duration_seconds", "agent_llm_call_duration_seconds"):
        answers = past.at_every_step(f"sum({metric}_count)")

        assert {at: float(sum(moment.seconds.get(metric, {}).values())) for at, moment in moments().items()} == {
            at: answers[at].get((), 0.0) for at in moments()
        }


def test_increase_of_every_hour(past: Backfilled):
    """`increase` over each hour is how many calls of each tool the log has in it."""
    for end in HOUR_ENDS[1:]:
        before, after = (calls(moments()[at]) for at in (end - 3600, end))
        answer = past.query("sum by (tool, status) (increase(agent_tool_calls_total[1h]))", end)

        assert {key: after[key] - before.get(key, 0) for key in after if key[1] != LATE} == {
            key: near_one_step_of_an_hour(value) for key, value in answer.items() if value and key[1] != LATE
        }


def test_first_increase_is_seen(past: Backfilled):
    """The first event of a series, in the middle of the past, is an increase by 1: the series was 0 before."""
    at = next(at for at, moment in moments().items() if calls(moment).get(("error", LATE)))
    series = f'{{tool="{LATE}",status="error"}}'

    assert {(): 1.0} == past.query(f"sum(increase(agent_tool_calls_total{series}[5m]))", at + 60)
    assert {(): 0.0} == past.query(f"sum(agent_tool_calls_total{series})", at - STEP)
    assert {} == past.query(f"sum(agent_tool_calls_total{series})", at - 2 * STEP)


def test_error_rate(past: Backfilled):
    """A ratio of rates is the ratio of what the log has in that hour."""
    rate = "sum(rate(agent_tool_calls_total{}[1h]))"
    failed, all_calls = rate.format('{tool!="rare",status="error"}'), rate.format('{tool!="rare"}')
    for end in HOUR_ENDS[1:]:
        before, after = (calls(moments()[at]) for at in (end - 3600, end))
        more = {key: after[key] - before.get(key, 0) for key in after if key[1] != LATE}
        errors = sum(number for (status, _), number in more.items() if status == "error")
        answer = past.query(f"{failed} / {all_calls}", end)

        assert {(): pytest.approx(errors / sum(more.values()), rel=1e-9)} == answer


def test_latency_quantile(past: Backfilled):
    """`histogram_quantile` over an hour is what the durations in the log give between the same bounds."""
    metric = "agent_llm_call_duration_seconds"
    for end in HOUR_ENDS[1:]:
        increases = f"sum by (le) (increase({metric}_bucket[1h]))"
        bounds = sorted(float(le) for (le,) in past.query(increases, end))
        first, last = (sum(moments()[at].seconds[metric].values()) for at in (end - 3600, end))
        expected = interpolated_quantile(0.95, bounds, bucket_counts(llm_seconds()[first:last], bounds))

        assert inf == bounds[-1]
        assert {(): pytest.approx(expected, rel=1e-9)} == past.query(f"histogram_quantile(0.95, {increases})", end)


def test_gauges_at_every_step(past: Backfilled):
    """Runs in progress, active agents and the states of the circuits are, at every step, what they were then."""
    for metric, label in (("agent_runs_in_progress", "agent"), ("agent_active_count", "agent_type")):
        answers = past.at_every_step(f"sum by ({label}) ({metric})")

        assert {at: moment.open_runs.get(metric, {}) for at, moment in moments().items()} == {
            at: {key: value for key, value in answers[at].items() if value} for at in moments()
        }
    answers = past.at_every_step("max by (circuit, agent_circuit_state) (agent_circuit_state) == 1")

    assert {at: {(state, name) for name, state in moment.circuits.items()} for at, moment in moments().items()} == {
        at: set(answers[at]) for at in moments()
    }


def test_quantiles_of_the_window(past: Backfilled):
    """The quantiles of the sliding window are there at every step with a call in it, and follow the log."""
    answers = past.at_every_step('agent_tool_call_duration_quantile_seconds{quantile="0.5",tool!="rare"}')
    values = [value for at in moments() for value in answers[at].values() if not isnan(value)]

    assert len(values) > len(moments())
    assert min(values) > 0


def test_document_and_blocks_say_the_same(tmp_path: Path, logs: Path):
    """promtool makes of the document, whole, the samples that are in the blocks."""
    backfill(logs, "--backfill", tmp_path / "history.om")
    backfill(logs, "--backfill-blocks", tmp_path / "blocks")
    make = "promtool tsdb create-blocks-from openmetrics history.om whole"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)

    assert [item.name for item in (tmp_path / "blocks").iterdir() if item.name.startswith(".")] == []
    assert dumped(tmp_path / "whole") == dumped(tmp_path / "blocks")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log, in two files and in disorder: some lines come hours late."""
    folder = tmp_path_factory.mktemp("logs")
    written = list(history())
    random = Random(2)
    late = [written.pop(random.randrange(len(written))) for _ in range(200)]
    half = len(written) // 2
    (folder / "a.jsonl").write_bytes(b"".join(written[half:]))
    (folder / "b.jsonl").write_bytes(b"".join(written[:half] + late))
    return folder


@pytest.fixture(scope="module", params=[PROMETHEUS, VICTORIA])
def past(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    free_ports: Callable[[int], list[int]],
    logs: Path,
) -> Iterator[Backfilled]:
    """Each of the servers, with the log in it."""
    server: str = request.param
    if not shutil.which(server):
        pytest.skip(f"{server} is not installed")
    folder = tmp_path_factory.mktemp(server)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    url = f"http://{address}"
    with ExitStack() as servers:
        if server == PROMETHEUS:
            backfill(logs, "--backfill-blocks", folder / "data", "--step", f"{STEP}s")
            (folder / "prometheus.yml").touch()
            command = [
                server, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}", "--storage.tsdb.retention.time=100y", "--log.level=warn",
            ]  # fmt: skip
            servers.enter_context(running(command, folder / "output.txt"))
            eventually(lambda: get(f"{url}/-/ready") and True, expected=True)
        else:
            backfill(logs, "--backfill", folder / "history.om", "--step", f"{STEP}s")
            command = [
                server, f"-storageDataPath={folder}/data", f"-httpListenAddr={address}", "-retentionPeriod=100y",
                "-loggerLevel=WARN",
            ]  # fmt: skip
            servers.enter_context(running(command, folder / "output.txt"))
            eventually(lambda: get(f"{url}/health"), expected="OK")
            with (folder / "history.om").open("rb") as file:
                post(f"{url}/api/v1/import/prometheus", file.read())
            get(f"{url}/internal/force_flush")
        yield Backfilled(url, server)


def backfill(logs: Path, *words: object) -> None:
    """Run a backfill of *logs* as a user does."""
    done = subprocess.run([EXTRACTOR, "replay", logs, *map(str, words)], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stdout), done.stderr


def post(url: str, content: bytes) -> None:
    """Send *content* to *url*."""
    with urllib.request.urlopen(urllib.request.Request(url, content), timeout=DEADLINE) as response:
        assert 204 == response.status


def dumped(blocks: Path) -> list[str]:
    """Every sample in *blocks*, sorted; promtool asks for a log of what is not in blocks yet."""
    (blocks / "wal").mkdir(exist_ok=True)
    done = subprocess.run(["promtool", "tsdb", "dump", blocks], capture_output=True, text=True, check=True)
    assert done.stdout
    return sorted(done.stdout.splitlines())


@cache
def history() -> Sequence[bytes]:
    """The lines in the order of time."""
    return tuple(lines(1))


@cache
def moments() -> dict[int, Moment]:
    """What the log adds up to at each step."""
    classes = json.loads(Path("schemas/agent/tool.call.schema.json").read_text())["x-labels"]["error_class"]
    reasons = json.loads(Path("schemas/agent/run.complete.schema.json").read_text())["x-labels"]["stop_reason"]
    return counted(history(), Words(classes["values"], classes["other"], reasons["values"], reasons["other"]))


@cache
def llm_seconds() -> Sequence[Fraction]:
    """How long each call of a model lasted, in the order of time."""
    events = (json.loads(item, parse_float=Fraction) for item in history())
    return [Fraction(event["duration_ms"], 1000) for event in events if event["event"] == "llm.call"]


def totals(moment: Moment, metric: str) -> dict[Values, float]:
    """The numbers of a counter that are not 0, by label values in the order of the label names."""
    names = LABELS[metric]
    order = sorted(range(len(names)), key=lambda place: names[place])
    found = moment.totals.get(metric, {})
    return {tuple(key[place] for place in order): number for key, number in found.items() if number}


def calls(moment: Moment) -> dict[Values, float]:
    """The calls of tools by status and tool."""
    sums: dict[Values, float] = defaultdict(float)
    for (_, tool, _, status), number in moment.totals.get("agent_tool_calls_total", {}).items():
        sums[status, tool] += number
    return dict(sums)


def near_one_step_of_an_hour(value: float) -> object:
    """What equals *value* but for what Prometheus extrapolates: at most one step in an hour of them."""
    return pytest.approx(value, rel=STEP / 3600 + 1e-9, abs=1e-9)
