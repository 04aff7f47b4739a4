"""Equal states are equal bytes, and the bytes are what Prometheus and OpenMetrics mean."""

import math
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from extractor.exposition import samples
from extractor.exposition.self_metrics import OwnText
from extractor.schema.model import Catalog
from extractor.state.state import State
from extractor.state.stats import OWN, Stats
from tests.reading import default_catalog, event_schema, line, llm_call, read, text, tool_call, write_pack

EVERYTHING = [
    line("run.start", agent="a", agent_type="t"),
    line("run.complete", status="ok", stop_reason="stop", duration_ms=1500, agent="a"),
    line("run.start", 1, agent='qu"ote\\back\nline', run_id="run-2"),
    line("step", step=1),
    llm_call(input_tokens=1, output_tokens=2, cache_read_input_tokens=3, cost_usd=0.1, ttft_ms=5, error_class="é"),
    tool_call(status="error", error_class="x"),
    line("tool.error", error_class="ValueError"),
    line("cache.hit"),
    line("cache.miss"),
    line("loop.detected"),
    line("circuit.open", circuit="c"),
    line("task.complete", status="success", duration_ms=1),
]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A pack with a metric of each type."""
    number = {"type": "number", "minimum": 0}
    properties = {"who": {"type": "string", "maxLength": 99}, "ms": number, "level": {"type": "number"}}
    labels = {"labels": ["who"]}
    metrics = {
        "bb_jobs_total": {"type": "counter", "help": "Jobs.", **labels},
        "aa_level_ratio": {"type": "gauge", "help": "Level.", "value": "level"},
        "cc_wait_seconds": {"type": "histogram", "help": "Wait.", "value": "ms", "unit": "ms", "buckets": [0.5, 2]},
        "dd_wait_seconds": {"type": "summary", "help": "Wait.", "value": "ms", "unit": "ms", "quantiles": [0.5]},
        "ee_mode": {"type": "stateset", "help": "Mode.", "value": {"state": "on"}},
    }
    limits = {"x-labels": {"who": {"limit": 9}}}
    return write_pack(tmp_path, event_schema("e", properties, metrics, {"who": "w", "ms": 1, "level": 1}, **limits))


LINES = [line("e", who="z", ms=1000, level=0.5), line("e", 1, who='"\\\n', ms=0)]


def test_prometheus_text(catalog: Catalog) -> None:
    """Format 0.0.4, to the byte: families and series are sorted, a state set is a gauge, text is escaped."""
    expected = r"""# HELP aa_level_ratio Level.
# TYPE aa_level_ratio gauge
aa_level_ratio 0.5
# HELP bb_jobs_total Jobs.
# TYPE bb_jobs_total counter
bb_jobs_total{who="\"\\\n"} 1.0
bb_jobs_total{who="z"} 1.0
# HELP cc_wait_seconds Wait.
# TYPE cc_wait_seconds histogram
cc_wait_seconds_bucket{le="0.5"} 1.0
cc_wait_seconds_bucket{le="2.0"} 2.0
cc_wait_seconds_bucket{le="+Inf"} 2.0
cc_wait_seconds_count 2.0
cc_wait_seconds_sum 1.0
# HELP dd_wait_seconds Wait.
# TYPE dd_wait_seconds summary
dd_wait_seconds{quantile="0.5"} 0.0
dd_wait_seconds_count 2.0
dd_wait_seconds_sum 1.0
# HELP ee_mode Mode.
# TYPE ee_mode gauge
ee_mode{ee_mode="on"} 1.0
"""

    assert expected == text(read(LINES, catalog))


def test_openmetrics_text(catalog: Catalog) -> None:
    """OpenMetrics 1.0, to the byte: a counter's family has no `_total`, seconds are a unit, the end is marked."""
    expected = r"""# HELP aa_level_ratio Level.
# TYPE aa_level_ratio gauge
aa_level_ratio 0.5
# HELP bb_jobs Jobs.
# TYPE bb_jobs counter
bb_jobs_total{who="\"\\\n"} 1.0 # {run_id="run-1"} 1.0 1767225600.0
bb_jobs_total{who="z"} 1.0 # {run_id="run-1"} 1.0 1767225600.0
# HELP cc_wait_seconds Wait.
# TYPE cc_wait_seconds histogram
# UNIT cc_wait_seconds seconds
cc_wait_seconds_bucket{le="0.5"} 1.0 # {run_id="run-1"} 0.0 1767225600.0
cc_wait_seconds_bucket{le="2.0"} 2.0 # {run_id="run-1"} 1.0 1767225600.0
cc_wait_seconds_bucket{le="+Inf"} 2.0
cc_wait_seconds_count 2.0
cc_wait_seconds_sum 1.0
# HELP dd_wait_seconds Wait.
# TYPE dd_wait_seconds summary
# UNIT dd_wait_seconds seconds
dd_wait_seconds{quantile="0.5"} 0.0
dd_wait_seconds_count 2.0
dd_wait_seconds_sum 1.0
# HELP ee_mode Mode.
# TYPE ee_mode stateset
ee_mode{ee_mode="on"} 1.0
# EOF
"""

    assert expected == text(read(LINES, catalog), openmetrics=True)


Parsed = set[tuple[str, tuple[tuple[str, str], ...], float]]


def parsed(written: str, *, openmetrics: bool) -> Parsed:
    """The samples that prometheus-client's parser finds."""
    families = (parse_openmetrics if openmetrics else parse_text)(written)
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in families
        for sample in family.samples
        if not math.isnan(sample.value)
    }


def test_documented_types_are_those_that_are_exposed() -> None:
    """The table of metrics has the types of OpenMetrics: `agent_active_count` is of an unknown one."""
    documented = dict(re.findall(r"^\| `(agent_\w+)` \| (\w+) \|", Path("docs/metrics.md").read_text(), re.MULTILINE))
    exposed = re.findall(r"^# TYPE (\w+) (\w+)$", text(read([]), openmetrics=True), re.MULTILINE)

    assert {name + "_total" * (kind == "counter"): kind for name, kind in exposed} == documented
    assert "unknown" == documented["agent_active_count"]


@pytest.mark.parametrize("openmetrics", [False, True])
def test_round_trip(openmetrics: bool) -> None:
    """A parser reads from the text what is in the state, every sample and every label value."""
    state = read(EVERYTHING)
    expected = {
        (name, tuple(sorted(labels.items())), value)
        for name, labels, value in samples.of_state(state)
        if not math.isnan(value)
    }

    assert expected == parsed(text(state, openmetrics=openmetrics), openmetrics=openmetrics)


def whole_scrape() -> str:
    """A scrape with everything on it: the default pack, the extractor's own metrics, and the process's."""
    stats = Stats(lines_read=2, files={"active": 1})
    stats.rejects["not_json"] += 1
    stats.happenings["appeared"] += 1
    stats.unpriced["nobody"] += 1
    stats.lost_bytes["truncated"] += 1
    return scraped(read(EVERYTHING), stats)


def scraped(state: State, stats: Stats) -> str:
    """A scrape of *state* and *stats*."""
    own = OwnText(state, stats, threading.Lock(), lambda: 2e9, "1.2.3")
    return text(state) + own.write("")[1].decode()


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_to_complain_of() -> None:
    """`promtool check metrics` accepts a scrape of the default pack with data, in silence."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=whole_scrape().encode(), capture_output=True, check=False
    )

    assert (0, b"", b"") == (checked.returncode, checked.stdout, checked.stderr)


def test_own_metrics_are_there() -> None:
    """Everything that is counted in `Stats` is shown, with its label, and so is what is read off the state."""
    scrape = whole_scrape()

    assert [] == [own.name for own in OWN if not re.search(rf"^{own.name}[{{ ]", scrape, re.MULTILINE)]
    assert 'extractor_rejected_lines_total{reason="not_json"} 1.0' in scrape
    assert 'extractor_build_info{version="1.2.3"} 1.0' in scrape
    assert 'extractor_label_overflow_total{label="tool",metric="agent_tool_calls_total"} 0.0' in scrape
    assert "extractor_last_event_timestamp_seconds 1.767225601e+09" in scrape
    assert "process_cpu_seconds_total" in scrape


def test_names_are_sorted() -> None:
    """Families come in the order of their names, and so do the series of each family by their label values."""
    names = re.findall(r"^# TYPE (\S+)", text(read(EVERYTHING)), re.MULTILINE)
    series = [line for line in text(read(EVERYTHING)).splitlines() if line.startswith("agent_tool_calls_total{")]

    assert sorted(names) == names
    assert sorted(series) == series


def test_order_of_lines_does_not_show() -> None:
    """The same events in another order are the same bytes."""
    assert text(read(EVERYTHING)) == text(read(EVERYTHING[::-1]))


def test_nothing_read_yet() -> None:
    """Before the first event there is no latest event time, rather than a wrong one."""
    scrape = scraped(State(default_catalog()), Stats())

    assert "\nextractor_last_event_timestamp_seconds " not in scrape
    assert "extractor_behind_seconds 0.0" in scrape
