"""A real Prometheus with exemplar storage scrapes a real extractor, and returns the runs that the lines named."""

import json
import shutil
import sys
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.reading import T0, line, llm_call, tool_call
from tests.servers import eventually, get, running

EXTRACTOR = Path(sys.executable).with_name("extractor")

pytestmark = pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")

ODD = '"quotes" \\n{x="y"} # {a="b"} 1 é\n日本'
"""A run's id as only an attacker would write it."""

DONE: dict[str, Any] = {"status": "ok", "stop_reason": "completed", "duration_ms": 4000}
Exemplars = dict[tuple[str, ...], list[tuple[dict[str, str], float, float]]]


def exemplars(url: str, promql: str, *names: str) -> Exemplars:
    """What the Prometheus at *url* answers: values of the labels *names* to the labels, value and time of exemplars."""
    asked = urllib.parse.urlencode({"query": promql, "start": T0 - 3600, "end": T0 + 3600})
    answer = json.loads(get(f"{url}/api/v1/query_exemplars?{asked}"))
    return {
        tuple(found["seriesLabels"].get(name, "") for name in names): [
            ({name: plain(text) for name, text in each["labels"].items()}, float(each["value"]), each["timestamp"])
            for each in found["exemplars"]
        ]
        for found in answer["data"]
    }


def plain(text: str) -> str:
    """*text*, where Prometheus left the label of an exemplar as it was written, as 2.42 does."""
    return ODD if text == ODD.translate({34: '\\"', 92: r"\\", 10: r"\n"}) else text


def test_exemplars_come_back(tmp_path: Path, free_ports: Callable[[int], list[int]]) -> None:
    """`/api/v1/query_exemplars` has the runs of buckets and counters, with value and time; later ones come after."""
    served, asked = (f"127.0.0.1:{port}" for port in free_ports(2))
    log = tmp_path / "agent.jsonl"
    log.write_bytes(
        b"".join(
            each + b"\n"
            for each in (
                tool_call(0, duration_ms=250, run_id="run-a"),
                tool_call(1, duration_ms=7000, run_id=ODD),
                tool_call(2, duration_ms=0.1, run_id="x" * 123),  # too long to be shown, and counted all the same
                llm_call(3, run_id="run-b", cost_usd=0.5),
                line("run.complete", 4, run_id="run-b", trace_id="0af7651916cd43dd", **DONE),
            )
        )
    )
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
        f"scrape_configs: [{{job_name: extractor, static_configs: [{{targets: ['{served}']}}]}}]\n"
    )
    with ExitStack() as servers:
        servers.enter_context(
            running([EXTRACTOR, "run", log, "--web.listen-address", served], tmp_path / "extractor.txt")
        )
        eventually(lambda: get(f"http://{served}/-/ready") and True, expected=True)
        scrape = [
            "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address={asked}", "--log.level=warn", "--enable-feature=exemplar-storage",
        ]  # fmt: skip
        servers.enter_context(running(scrape, tmp_path / "prometheus.txt"))
        url = f"http://{asked}"

        first = ({"run_id": "run-a"}, 0.25, T0)
        buckets: Exemplars = {("0.25",): [first], ("10.0",): [({"run_id": ODD}, 7.0, T0)]}
        eventually(lambda: exemplars(url, "agent_tool_call_duration_seconds_bucket", "le"), expected=buckets)
        assert {("unknown",): [({"run_id": "run-b"}, 0.5, T0)]} == exemplars(url, "agent_cost_usd_total", "agent")
        both = {"run_id": "run-b", "trace_id": "0af7651916cd43dd"}
        assert {("5.0",): [(both, 4.0, T0)]} == exemplars(url, "agent_run_duration_seconds_bucket", "le")
        with log.open("ab") as file:
            file.write(tool_call(30, duration_ms=240, run_id="run-c") + b"\n")
        buckets[("0.25",)] = [first, ({"run_id": "run-c"}, 0.24, T0 + 30)]
        eventually(lambda: exemplars(url, "agent_tool_call_duration_seconds_bucket", "le"), expected=buckets)
