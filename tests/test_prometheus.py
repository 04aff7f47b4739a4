"""
A real Prometheus scrapes a real extractor while lines are appended, and answers every query with the counted number.

How a `rate()` can be compared exactly: Prometheus extrapolates it, by a factor that depends on when the samples were
taken and, for a counter that began near 0, on its first value. So all series must be there before the first scrape, and
each must have begun at least as high as it rises. Then the factor is the same for all of them, and a ratio of rates is
the ratio of what was appended. That is why the extractor has read everything that is appended later once already (with
other runs) before Prometheus starts.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import inf
from pathlib import Path

import pytest

from bench.gen import START, lines
from tests.count import LABELS, Truth, Values, Words, bucket_counts, count, interpolated_quantile
from tests.servers import eventually, get, query, running

EXTRACTOR = Path(sys.executable).with_name("extractor")
SAMPLE = Path("samples/prometheus/prometheus.yml")

pytestmark = pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")


@dataclass
class Scraped:
    """A Prometheus that has seen *appended* come on top of *before*; *at* is the time of its last sample."""

    extractor: str
    prometheus: str
    appended: Truth
    all: Truth
    at: float

    def query(self, promql: str) -> dict[Values, float]:
        """The answer to *promql* at the time of the last sample: the label values, in order of label names."""
        return query(self.prometheus, promql, self.at)


def test_counters_equal_the_log(scraped: Scraped):
    """Every counter of the pack is what an independent program counts in the log, series by series."""
    for metric, counted in scraped.all.totals.items():
        labels = sorted(LABELS[metric])
        answer = {
            key: value for key, value in scraped.query(f"sum by ({','.join(labels)}) ({metric})").items() if value
        }

        assert near(scraped.all.total(metric, labels)) == answer
        assert counted, metric


def test_durations_equal_the_log(scraped: Scraped):
    """Every bucket, count and sum of the duration histograms is what the log's own durations give."""
    for metric, counted in scraped.all.seconds.items():
        names = LABELS[metric]
        for values, seconds in counted.items():
            series = ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True))
            bounds, buckets = read_buckets(scraped, f"sum by (le) ({metric}_bucket{{{series}}})")

            assert bucket_counts(seconds, bounds) == buckets
            assert near({(): Fraction(len(seconds))}) == scraped.query(f"sum({metric}_count{{{series}}})")
            assert near({(): sum(seconds, Fraction(0))}) == scraped.query(f"sum({metric}_sum{{{series}}})")


def test_state_equals_the_log(scraped: Scraped):
    """Open runs, active agents and the state of each circuit are what the last lines left."""
    for metric, counted in scraped.all.in_progress().items():
        label = LABELS[metric][0]
        answer = {key: value for key, value in scraped.query(f"sum by ({label}) ({metric})").items() if value}

        assert near(counted) == answer
    states = scraped.query("max by (circuit, agent_circuit_state) (agent_circuit_state)")

    assert {(state, circuit) for circuit, state in scraped.all.circuits.items()} == {
        key for key, value in states.items() if value
    }


def test_top_tools(scraped: Scraped):
    """`topk` of the tools' rates names the tools most called, and their shares of all calls are right."""
    calls = share(scraped.appended.total("agent_tool_calls_total", ["tool"]))
    rates = scraped.query("topk(5, sum(rate(agent_tool_calls_total[5m])) by (tool))")
    everything = scraped.query("sum(rate(agent_tool_calls_total[5m]))")[()]
    top = dict(sorted(calls.items(), key=lambda item: -item[1])[:5])

    assert near(top) == {tool: rate / everything for tool, rate in rates.items()}


def test_error_rate_of_each_agent(scraped: Scraped):
    """The part of an agent's tool calls that failed is right, for every agent."""
    errors = scraped.appended.total("agent_tool_calls_total", ["agent"], status="error")
    calls = scraped.appended.total("agent_tool_calls_total", ["agent"])
    rate = "sum(rate(agent_tool_calls_total{}[5m])) by (agent)"
    answer = scraped.query(rate.format('{status="error"}') + " / " + rate.format(""))

    assert near({agent: errors.get(agent, Fraction(0)) / number for agent, number in calls.items()}) == answer


def test_latency_quantile(scraped: Scraped):
    """`histogram_quantile` of the LLM calls is what the log's durations give between the same bounds."""
    rates = "sum(rate(agent_llm_call_duration_seconds_bucket[5m])) by (le)"
    bounds, _ = read_buckets(scraped, rates)
    seconds = [each for some in scraped.appended.seconds["agent_llm_call_duration_seconds"].values() for each in some]
    expected = interpolated_quantile(0.95, bounds, bucket_counts(seconds, bounds))

    assert pytest.approx({(): expected}) == scraped.query(f"histogram_quantile(0.95, {rates})")


def test_success_rate(scraped: Scraped):
    """The part of the runs that ended well is right."""
    ok = scraped.appended.total("agent_runs_total", status="ok")[()]
    runs = scraped.appended.total("agent_runs_total")[()]
    answer = scraped.query('sum(rate(agent_runs_total{status="ok"}[1h])) / sum(rate(agent_runs_total[1h]))')

    assert near({(): ok / runs}) == answer


def test_cost_per_run(scraped: Scraped):
    """What a run of each release costs is right."""
    dollars = scraped.appended.total("agent_cost_usd_total", ["release"])
    runs = scraped.appended.total("agent_runs_total", ["release"])
    answer = scraped.query(
        "sum by (release) (rate(agent_cost_usd_total[1h])) / sum by (release) (rate(agent_runs_total[1h]))"
    )

    assert near({release: dollars[release] / number for release, number in runs.items()}) == answer


def test_cache_hit_ratio(scraped: Scraped):
    """The part of the look-ups that hit is right, for every cache."""
    hits = scraped.appended.total("agent_cache_hits_total", ["cache"])
    misses = scraped.appended.total("agent_cache_misses_total", ["cache"])
    hit, missed = (f"sum by (cache) (rate(agent_cache_{kind}_total[5m]))" for kind in ("hits", "misses"))

    assert near({cache: hits[cache] / (hits[cache] + misses[cache]) for cache in hits}) == scraped.query(
        f"{hit} / ({hit} + {missed})"
    )


def test_stop_reasons(scraped: Scraped):
    """The distribution of the stop reasons is right, in the words of the closed set."""
    reasons = share(scraped.appended.total("agent_runs_total", ["stop_reason"]))
    answer = scraped.query(
        "sum by (stop_reason) (rate(agent_runs_total[1h])) / on () group_left () sum(rate(agent_runs_total[1h]))"
    )

    assert near(reasons) == {reason: part for reason, part in answer.items() if part}


def test_promtool_is_silent(scraped: Scraped):
    """promtool finds nothing to complain of in what is served."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=get(f"{scraped.extractor}/metrics"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stdout)


def test_sample_configuration():
    """The sample's Prometheus configuration is one that Prometheus accepts."""
    done = subprocess.run(["promtool", "check", "config", SAMPLE], capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]) -> Iterator[Scraped]:
    """Both servers, started in turn, fed, and waited for until the last line was scraped."""
    folder = tmp_path_factory.mktemp("prometheus")
    logs = folder / "logs"
    logs.mkdir()
    served, asked = (f"127.0.0.1:{port}" for port in free_ports(2))
    appended = list(lines(3000, seed=2, start=START + timedelta(minutes=1)))
    # A line of later, as loops are counted a linger after they happened.
    written = [*appended, *lines(1, seed=3, start=START + timedelta(minutes=3))]
    log = logs / "agent.jsonl"
    log.write_bytes(
        b"".join(lines(1000, seed=1))
        + b"".join(line.replace(b'"run_id":"', b'"run_id":"earlier_') for line in appended)
    )
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
        f"scrape_configs: [{{job_name: extractor, static_configs: [{{targets: ['{served}']}}]}}]\n"
    )
    with ExitStack() as servers:
        follow = [EXTRACTOR, "run", logs, "--web.listen-address", served]
        servers.enter_context(running(follow, folder / "extractor.txt"))
        eventually(lambda: get(f"http://{served}/-/ready") and True, expected=True)
        scrape = [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={asked}", "--log.level=warn",
        ]  # fmt: skip
        servers.enter_context(running(scrape, folder / "prometheus.txt"))
        url = f"http://{asked}"
        # Three samples before the lines come: the series' first values then reach further back than two scrapes.
        eventually(lambda: query(url, "min(sum_over_time(up[5m]) >= bool 3)"), expected={(): 1.0})
        with log.open("ab") as file:
            file.write(b"".join(written))
        words = pack_words()
        truth = count([log], words)
        (folder / "appended.jsonl").write_bytes(b"".join(written))
        # All lines are in one scrape; whether they were counted rightly is for the tests to say.
        eventually(
            lambda: query(url, "sum(extractor_events_total)"), expected={(): 1000.0 + len(appended) + len(written)}
        )
        # What is counted of runs is so only when all files were looked at again.
        waits = "max(extractor_last_event_timestamp_seconds - extractor_runs_settled_timestamp_seconds) > bool 10"
        eventually(lambda: query(url, waits), expected={(): 0.0})
        at = query(url, "timestamp(up)").popitem()[1]
        yield Scraped(f"http://{served}", url, count([folder / "appended.jsonl"], words), truth, at)


def pack_words() -> Words:
    """
    The dictionaries of the default pack.

    They are data that whoever runs the extractor may change, so they are read and not written down a second time.
    """
    classes = json.loads(Path("schemas/agent/tool.call.schema.json").read_text())["x-labels"]["error_class"]
    reasons = json.loads(Path("schemas/agent/run.complete.schema.json").read_text())["x-labels"]["stop_reason"]
    return Words(classes["values"], classes["other"], reasons["values"], reasons["other"])


def read_buckets(scraped: Scraped, promql: str) -> tuple[list[float], list[float]]:
    """The bounds and the cumulative counts of the buckets that *promql* gives by `le`."""
    buckets = sorted((float(le), value) for (le,), value in scraped.query(promql).items())
    assert inf == buckets[-1][0]
    return [bound for bound, _ in buckets], [value for _, value in buckets]


def share(numbers: Mapping[Values, Fraction]) -> dict[Values, Fraction]:
    """Each number as a part of all."""
    everything = sum(numbers.values())
    return {key: number / everything for key, number in numbers.items()}


def near(numbers: Mapping[Values, Fraction]) -> object:
    """What equals *numbers*, but for the rounding of floats."""
    return pytest.approx({key: float(number) for key, number in numbers.items()}, rel=1e-9, abs=0)
