"""
Every query of the dashboard, and every rule, is answered by a real Prometheus that scrapes a real extractor.

Queries are asked as Grafana asks them: a variable is replaced by what matches everything, or by some of its values.
"""

import json
import re
import shutil
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from pathlib import Path

import pytest

from bench.gen import START, lines
from extractor.report.objectives import Objectives, load, parse
from extractor.report.rules.promql import increase
from samples.grafana.dashboard import ANY, VARIABLES, dashboard
from tests.servers import eventually, get, query, running
from tests.test_rules import ALERTS, LIMIT

EXTRACTOR = Path(sys.executable).with_name("extractor")
FILE = Path("samples/grafana/agents.json")
DASHBOARD = json.loads(FILE.read_text())
TARGETS = {
    f"{panel['title']}, {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
EXEMPLARS = {
    f"{panel['title']}, {target['refId']}": target["exemplar"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
CHOICES: Mapping[str, Mapping[str, str]] = {
    "everything": dict.fromkeys(VARIABLES, ANY),
    "some": {
        "agent": "(planner|coder|support)",
        "release": "(2026\\\\.1\\\\.0|2026\\\\.1\\\\.1)",
        "model": "(atlas-large-2|nova-mini-1)",
        "tool": "(search_docs|sql_query|run_tests|read_file)",
    },
}
"""What is chosen in the lists of the dashboard, as Grafana puts it into a query."""

PAST = re.compile("offset|absent")
"""What cannot be seen of a Prometheus that has just been started."""

# A call of a model without a price: a log of the generator has a cost for every call.
UNPRICED = re.sub(
    rb'"cost_usd":[^,}]*', b'"cost_usd":null', next(line for line in lines(99, 3) if b'"llm.call"' in line)
)
NEWBORN = re.sub(rb'"model":"[^"]*"', b'"model":"newborn"', UNPRICED)

needs_prometheus = pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")


@dataclass
class Scraped:
    """A Prometheus at *url* and the time of its last sample."""

    url: str
    at: float


def test_the_dashboard_is_up_to_date():
    """The dashboard in the samples is the one that its program makes with the objectives of the samples."""
    assert dashboard(load(Path("samples/objectives.toml"))) == FILE.read_text()


def test_panels_do_not_overlap():
    """No cell of the grid belongs to two panels, and no two panels have the same id."""
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        mine = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & mine, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= mine
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert len(set(ids)) == len(ids)


def test_histograms_show_exemplars():
    """A query asks for exemplars if, and only if, it draws a histogram over time."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            assert target["exemplar"] == ("_bucket" in target["expr"] and target["range"]), panel["title"]


def test_limits_are_those_of_the_objectives():
    """The limit of an objective is a threshold, red on the wrong side of it; without the objective there is none."""
    built = json.loads(dashboard(parse('success_rate = "90%"\nlatency_p95 = "2s"\ncost_per_hour = "off"', "o.toml")))
    steps = {panel["title"]: panel.get("fieldConfig", {})["defaults"]["thresholds"]["steps"]
             for panel in built["panels"] if panel["type"] != "row"}  # fmt: skip
    red, green = ({"value": None, "color": color} for color in ("red", "green"))

    assert [red, {"value": 0.9, "color": "green"}] == steps["Success rate"]
    assert [green, {"value": 2, "color": "red"}] == steps["Run duration"]
    assert [green] == steps["Cost per hour"]
    assert [green] == steps["Runs"]


def test_every_objective_is_drawn():
    """Each objective has a panel that shows its limit, but for the one on what `rules` alone looks at."""
    drawn = {panel.get("description", "") for panel in DASHBOARD["panels"]}
    missing = [o.name for o in Objectives() if not any(f"Objective: {o.signal}" in text for text in drawn)]

    assert ["loop_rate", "abandoned_rate", "reject_rate"] == missing


@needs_prometheus
@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_panel_shows_something(scraped: Scraped, target: str, chosen: str):
    """The query of a panel gives at least one number, whatever is chosen."""
    expr = asked(TARGETS[target], CHOICES[chosen])
    answer = query(scraped.url, expr, scraped.at)

    assert [] != [value for value in answer.values() if isfinite(value)], f"{expr}: {answer}"


@needs_prometheus
@pytest.mark.parametrize("target", [name for name in TARGETS if EXEMPLARS[name]])
def test_every_exemplar_leads_to_a_run(scraped: Scraped, target: str):
    """Where a panel asks for exemplars, Prometheus has some for its query, and each names a run."""
    expr = asked(TARGETS[target], CHOICES["everything"])
    words = urllib.parse.urlencode({"query": expr, "start": 0, "end": scraped.at + 60})
    found = json.loads(get(f"{scraped.url}/api/v1/query_exemplars?{words}"))["data"]
    labels = [exemplar["labels"] for series in found for exemplar in series["exemplars"]]

    assert labels
    assert all(each["run_id"].startswith("run_") for each in labels)


@needs_prometheus
@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_has_values(scraped: Scraped, name: str):
    """The list of a variable holds what the lines say, and what the test chose from it."""
    variable = next(each for each in DASHBOARD["templating"]["list"] if each["name"] == name)
    asked_for = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
    assert asked_for is not None
    found = query(scraped.url, f"count by ({asked_for[2]}) ({asked_for[1]})", scraped.at)
    chosen = CHOICES["some"][name].replace("\\", "").strip("()").split("|")

    assert set(chosen) <= {value for (value,) in found}


@needs_prometheus
def test_every_rule_can_be_evaluated(scraped: Scraped):
    """Prometheus evaluates every rule without an error, and every recording rule gives something."""
    groups = json.loads(get(f"{scraped.url}/api/v1/rules"))["data"]["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    recorded = [rule for rule in evaluated if rule["type"] == "recording"]
    names = [rule["name"] for rule in recorded]

    assert [] == [(rule["name"], rule.get("lastError")) for rule in evaluated if rule["health"] != "ok"]
    assert recorded
    assert [] == [name for name in names if not query(scraped.url, f"last_over_time({name}[5m])")]


@needs_prometheus
@pytest.mark.parametrize("name", [name for name, rule in ALERTS.items() if not PAST.search(rule["expr"])])
def test_every_alert_looks_at_something(scraped: Scraped, name: str):
    """An alert asks for series that are there: without its limits it would fire."""
    everything = LIMIT.sub("", ALERTS[name]["expr"]).replace("unless on", "and on")

    assert {} != query(scraped.url, everything, scraped.at), everything


@needs_prometheus
def test_the_first_value_of_a_series_counts(scraped: Scraped):
    """In a real Prometheus a new series counts with its first value, which is above 0, if its process is known."""
    calls = 'extractor_unpriced_calls_total{model="newborn"}'
    seen = query(scraped.url, f"min_over_time(timestamp({calls})[10m:250ms])", scraped.at).popitem()[1] + 0.25
    ours, theirs = (f"sum by (model) ({expr})" for expr in (increase(calls, "1s"), f"increase({calls}[1s])"))

    assert {("newborn",): 1.0} == query(scraped.url, ours, seen)
    assert {} == query(scraped.url, theirs, seen)


def asked(expr: str, values: Mapping[str, str]) -> str:
    """*expr* as Grafana sends it, with *values* for its variables."""
    for name, value in {"__rate_interval": "5m", "__range": "15m", **values}.items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr
    return expr


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]) -> Iterator[Scraped]:
    """Both servers, with the rules of the sample; scraped before, during and after lines are written."""
    folder = tmp_path_factory.mktemp("grafana")
    (folder / "logs").mkdir()
    log = folder / "logs" / "agent.jsonl"
    first = b"".join(lines(2000, seed=1)) + UNPRICED
    log.write_bytes(first)
    # The last line is a minute later than all others: then the runs that have ended are over.
    last = next(lines(1, seed=3, start=START + timedelta(minutes=2)))
    more = b"".join(lines(2997, seed=2, start=START + timedelta(minutes=1))) + NEWBORN + b"no event\n" + last
    served, address = (f"127.0.0.1:{port}" for port in free_ports(2))
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
        f"rule_files: ['{Path('samples/prometheus/rules.yml').resolve()}']\n"
        f"scrape_configs: [{{job_name: extractor, static_configs: [{{targets: ['{served}']}}]}}]\n"
    )
    follow = [EXTRACTOR, "run", folder / "logs", "--state-dir", folder / "state", "--web.listen-address", served,
              "--checkpoint-interval", "0.2", "--run-timeout", "30",
              "--run-linger", "0.1"]  # fmt: skip
    scrape = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
              f"--web.listen-address={address}", "--log.level=warn", "--enable-feature=exemplar-storage"]  # fmt: skip
    url = f"http://{address}"
    with ExitStack() as servers:
        servers.enter_context(running(follow, folder / "extractor.txt"))
        eventually(lambda: get(f"http://{served}/-/ready") and True, expected=True)
        servers.enter_context(running(scrape, folder / "prometheus.txt"))
        eventually(lambda: query(url, "min(sum_over_time(up[5m]) >= bool 2)"), expected={(): 1.0})
        with log.open("ab") as file:
            file.write(more)
        eventually(lambda: query(url, "sum(extractor_events_total)"), expected={(): 5000.0})
        ended = (first + more).count(b'"event":"run.complete"')
        eventually(lambda: query(url, "sum(agent_run_steps_count)"), expected={(): float(ended)})
        # Series that came last have a rate after a few scrapes more; and then the rules are evaluated once more.
        at = scraped_at(url) + 2
        eventually(lambda: min(scraped_at(url), *evaluations(url)) > at, expected=True)
        yield Scraped(url, scraped_at(url))


def scraped_at(url: str) -> float:
    """The time of the last sample."""
    return query(url, "timestamp(up)").popitem()[1]


def evaluations(url: str) -> list[float]:
    """When each group of rules was evaluated last."""
    groups = json.loads(get(f"{url}/api/v1/rules"))["data"]["groups"]
    return [datetime.fromisoformat(group["lastEvaluation"]).timestamp() for group in groups]
