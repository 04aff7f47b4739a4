"""Every alert does what its description says, as promtool shows; the samples hold what would be printed."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.report.objectives import Objectives, parse
from extractor.report.rules.document import rules
from extractor.report.rules.promql import increase
from extractor.report.rules.recordings import RECORDINGS, UNPRICED
from extractor.schema.load import load

Rule = Mapping[str, Any]

FOLDER = Path("samples/prometheus")
BUCKETS = load().buckets()
RULES = yaml.safe_load(rules(Objectives(), "extractor", BUCKETS))["groups"]
RECORDED = {rule["record"]: rule for rule in RULES[0]["rules"]}
ALERTS = {rule["alert"]: rule for group in RULES[1:] for rule in group["rules"]}
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "tests").glob("*.yml"))}
LIMIT = re.compile(r" ((?:[<>]=?|==) )(\d[\d.]*)((?: \* sqrt\(.*?\))?)(?=[\s)]|$)", re.MULTILINE)
"""A comparison with a number."""

JOIN = re.compile(r"\n(and(?: on \([\w, ]+\))?|or)\n")
FEW = 20

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def generated(objectives: str = "", job: str = "extractor") -> dict[str, list[Rule]]:
    """The alerts of *objectives*, by name."""
    found: dict[str, list[Rule]] = {}
    for group in yaml.safe_load(rules(parse(objectives, "o.toml"), job, BUCKETS))["groups"]:
        for rule in group["rules"]:
            found.setdefault(rule.get("alert", "recording"), []).append(rule)
    return found


def exprs(name: str, objectives: str) -> list[str]:
    """The expressions of the rules of the alert *name* for *objectives*."""
    return [rule["expr"] for rule in generated(objectives)[name]]


def cases(name: str) -> Iterator[tuple[str, str, Rule]]:
    """The groups of cases of the alert *name*: their file, their kind, and themselves."""
    for file, document in FILES.items():
        for group in document["tests"]:
            alert, kind, *_ = group["name"].split()
            if alert == name:
                yield file, kind.rstrip(":"), group


def promtool(*words: object) -> str:
    """What promtool says; an empty text if it finds nothing wrong."""
    command = ["promtool", *(str(word) for word in words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode else ""


def needed(expr: str) -> list[Rule]:
    """The recordings that *expr* uses, in their order."""
    names = set(re.findall(r"\w+:\w+:\w+", expr))
    for name in reversed(RECORDED):
        if name in names:
            names.update(re.findall(r"\w+:\w+:\w+", RECORDED[name]["expr"]))
    return [rule for name, rule in RECORDED.items() if name in names]


def passing(folder: Path, variants: Mapping[str, Rule], file: str, groups: list[Rule]) -> dict[str, Rule]:
    """Those of the *variants* of a rule that pass all cases in *groups*, which are of *file*."""
    paths = {}
    for place, (title, rule) in enumerate(variants.items()):
        written = {"groups": [{"name": "all", "rules": [*needed(rule["expr"]), rule]}]}
        (folder / f"{place}.json").write_text(json.dumps(written))
        head = {"rule_files": [f"{place}.json"], "group_eval_order": ["all"], "tests": groups}
        path = folder / f"{place}.yml"
        path.write_text(json.dumps(FILES[file] | head))
        paths[str(path)] = title
    command = ["promtool", "test", "rules", *paths]
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    verdicts = re.findall(r"^Unit Testing:  (.*)\s+(SUCCESS|FAILED)", output, re.MULTILINE)
    assert list(paths) == [path for path, _ in verdicts], output
    assert "parse error" not in output, output
    return {paths[path]: variants[paths[path]] for path, verdict in verdicts if verdict == "SUCCESS"}


def broken(rule: Rule, interval: int) -> Iterator[tuple[str, Rule]]:
    """An alert that is not what it should be: every part left out, every limit and duration a little off."""
    expr, hold = rule["expr"], int(rule["for"].removesuffix("m"))
    yield "it never fires", {**rule, "expr": "vector(0) > 1"}
    for limit in LIMIT.finditer(expr):
        sign, text, rest = limit.groups()
        value = float(text)
        step = value / 10 if value > FEW or value % 1 else 1
        changed = {"": "no limit"}
        if value and sign != "== ":
            changed |= {f" {sign}{each:.6g}{rest}": f"{each:.6g}" for each in (value - step, value + step)}
        for new, what in changed.items():
            title = f"{what} instead of {limit[0]} at {limit.start()}"
            yield title, {**rule, "expr": expr[: limit.start()] + new + expr[limit.end() :]}
    parts = JOIN.split(expr)
    for place in range(0, len(parts), 2) if len(parts) > 1 else ():
        left = parts[2:] if place == 0 else [*parts[: place - 1], *parts[place + 1 :]]
        yield f"without {parts[place]}", {**rule, "expr": "\n".join(left)}
    for line in re.findall(r"\n  or .*", expr):
        yield f"without {line}", {**rule, "expr": expr.replace(line, "")}
    for minutes in (hold - interval, hold + interval):
        if minutes >= 0:
            yield f"after {minutes}m", {**rule, "for": f"{minutes}m"}


def test_the_sample_is_up_to_date():
    """The sample's rules are those that the sample's objectives give, under the job of the sample's configuration."""
    result = CliRunner().invoke(main, ["rules", "--objectives", "samples/objectives.toml"])

    assert (0, (FOLDER / "rules.yml").read_text()) == (result.exit_code, result.output)
    assert "job_name: extractor\n" in (FOLDER / "prometheus.yml").read_text()


@needs_promtool
def test_the_rules_are_right(tmp_path: Path):
    """promtool finds nothing wrong with the rules, whatever an agent is called."""
    names = "".join(
        f"[agents.{name}]\n" + 'latency_p95 = "2s"\ncost_per_hour = "$1"\n' for name in ("a", '"b\\"{{\\n"')
    )
    (tmp_path / "named.yml").write_text(rules(parse(names, "o.toml"), 'say "job"', BUCKETS))

    assert "" == promtool("check", "rules", FOLDER / "rules.yml", tmp_path / "named.yml")


ODD = [
    *map(chr, (*range(0x21), *range(0x7E, 0xA1), 0xAD, 0x2028, 0x2029, 0x202E, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF)),
    *("\U0001f600", "\U0010ffff", "\U000e0001", "é", "日本", '"', "\\", "'", "`", "{{ .Value }}", "{{", "}}", "{", "}"),
    *["$agent", "%s", "#", ":", "-", "|", "&a", "*a", "!", '\\"', "\\u0041", "true", "~", "[[x]]"],
    *(": ", "- ", "a\r\nb", "a" * 10_000),
]
"""Names of agents as only an attacker would choose them."""


@needs_promtool
def test_no_agent_is_called_so_that_the_rules_are_wrong(tmp_path: Path):
    """Whatever characters are in the name of an agent, or of a job, the rules mean exactly that name."""
    names = dict.fromkeys((*ODD, *(f"a{odd}b" for odd in ODD)))
    text = "".join(f'[agents."{toml(name)}"]\nlatency_p95 = "2s"\ncost_per_hour = "$1"\n' for name in names)
    written = rules(parse(text, "o.toml"), "".join(name for name in ODD if len(name) == 1), BUCKETS)
    (tmp_path / "odd.yml").write_text(written)

    assert "" == promtool("check", "rules", tmp_path / "odd.yml")
    exprs = [rule["expr"] for group in yaml.safe_load(written)["groups"] for rule in group["rules"]]
    matched = {ast.literal_eval(found) for expr in exprs for found in re.findall(r'agent=("(?:[^"\\]|\\.)*")', expr)}
    assert set(names) == matched


def toml(text: str) -> str:
    """*text* within a string of TOML."""
    return "".join(f"\\U{ord(char):08X}" for char in text)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_its_cases(name: str):
    """Each alert is shown to fire, to be silent just below its limits, and to be silent for what is new."""
    fired = {kind: False for _, kind, _ in cases(name)}
    for _, kind, group in cases(name):
        checks = group["alert_rule_test"]
        assert {name} == {check["alertname"] for check in checks}, group["name"]
        fired[kind] |= any(check["exp_alerts"] for check in checks)

    assert {"fires": True, "edge": False, "new": False} == fired


def test_every_case_is_of_an_alert():
    """A group of cases is named after the alert that it is about; only those of the recordings are not."""
    groups = [group for file, document in FILES.items() if file != "recordings" for group in document["tests"]]

    assert set(ALERTS) == {group["name"].split()[0] for group in groups}


@needs_promtool
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_does_what_its_cases_say(name: str, tmp_path: Path):
    """An alert passes its cases, and would not if a part of it were left out, or a limit or a duration were another."""
    groups: dict[str, list[Rule]] = {}
    for file, _, group in cases(name):
        groups.setdefault(file, []).append(group)
    fastest = sorted(groups, key=lambda file: int(FILES[file]["evaluation_interval"].removesuffix("m")))
    interval = int(FILES[fastest[0]]["evaluation_interval"].removesuffix("m"))
    left = {"as it is": ALERTS[name]} | dict(broken(ALERTS[name], interval))
    for file in fastest:
        left = passing(tmp_path, left, file, groups[file])

    assert ["as it is"] == list(left)


@needs_promtool
def test_without_data_nothing_fires(tmp_path: Path):
    """As long as Prometheus has scraped nothing, it misses the extractor, and no other alert fires."""
    silent = [name for name in ALERTS if name != "ExtractorAbsent"]
    checks = [{"eval_time": "30m", "alertname": name, "exp_alerts": []} for name in silent]
    head = {"rule_files": [str((FOLDER / "rules.yml").resolve())], "evaluation_interval": "1m"}
    group = {"interval": "1m", "input_series": [], "alert_rule_test": checks}
    (tmp_path / "nothing.yml").write_text(json.dumps({**head, "tests": [group]}))

    assert "" == promtool("test", "rules", tmp_path / "nothing.yml")


@needs_promtool
@pytest.mark.timeout(60)
def test_every_part_of_an_increase_counts(tmp_path: Path):
    """The growth of a counter is what its cases say, and would not be if a part of the expression were left out."""
    rule = RECORDED[UNPRICED]
    first, *lines, last = rule["expr"].splitlines()
    changed = {f"without {line}": [each for each in lines if each is not line] for line in lines}
    changed["with resets"] = [line.replace(" >= 0", "") for line in lines]
    changed["of any process"] = [re.sub(r" and on .*", "", line) for line in lines]
    changed["at this moment"] = [re.sub(r"last_over_time\((\w+)\[5m\](.*?)\)", r"\1\2", line) for line in lines]
    exprs = {"as it is": rule["expr"]}
    for title, left in changed.items():
        left[0] = re.sub(r"^  or", "  ", left[0])
        exprs[title] = "\n".join([first, *left, last])

    variants = {title: {**rule, "expr": expr} for title, expr in exprs.items()}

    assert ["as it is"] == list(passing(tmp_path, variants, "recordings", FILES["recordings"]["tests"]))


def test_every_counter_counts_alike():
    """No rule has another way to say by how much a counter rose: Prometheus' own do not see first values."""
    everything = [rule["expr"] for rule in (*RECORDED.values(), *ALERTS.values())]
    counted = {metric for expr in everything for metric in re.findall(r"min_over_time\((agent_\w+)\[", expr)}

    assert [] == [expr for expr in everything if re.search(r"\b(rate|increase|irate|delta|resets|changes)\(", expr)]
    for metric in counted:
        assert any(increase(metric, window) in expr for expr in everything for window in ("15m", "30m", "1h")), metric


def test_an_alert_has_a_rule_for_each_limit():
    """An agent that has a limit of its own is judged by that alone, and its alert names that limit."""
    text = '[agents.slow]\nsuccess_rate = "50%"\n[agents.free]\nsuccess_rate = "off"'
    found = generated(text)["AgentSuccessRateLow"]
    share = "agent:agent_runs_ok_per_runs:ratio_rate1h"

    assert [f'{share}{{agent!="free",agent!="slow"}} < 0.95', f'{share}{{agent="slow"}} < 0.5'] == [
        rule["expr"].splitlines()[0] for rule in found
    ]
    assert "the objective is at least 50%" in found[1]["annotations"]["description"]


def test_a_duration_is_judged_by_the_next_bucket():
    """Prometheus does not know where in its bucket a duration lies: only what is above the limit for certain counts."""
    (rule,) = generated('latency_p95 = "45s"')["AgentRunLatencyHigh"]
    description = rule["annotations"]["description"]

    assert {'le="60.0"', 'le="+Inf"'} == set(re.findall(r'le="[^"]*"', rule["expr"]))
    assert "took longer than 60s; the objective is a 95th percentile of at most 45s." in description


def test_a_duration_above_all_buckets_is_reported(tmp_path: Path):
    """What no alert can watch is on stderr; the other rules are printed all the same."""
    file = tmp_path / "o.toml"
    file.write_text('latency_p95 = "3h"\n[agents.a]\nlatency_p95 = "1h"\nllm_latency_p95 = "2h"\n')
    result = CliRunner().invoke(main, ["rules", "--objectives", str(file)])

    assert 0 == result.exit_code
    assert ["latency_p95 = 10800s", "agents.a.llm_latency_p95 = 7200s"] == re.findall(
        r"^extractor: no alert for (.*): agent_\w+_seconds has no bucket that high$", result.stderr, re.MULTILINE
    )
    assert 1 == result.stdout.count("alert: AgentRunLatencyHigh")


def test_buckets_are_those_of_the_schemas(tmp_path: Path):
    """A limit is compared with the buckets that the extractor has with the same --schemas."""
    name = "run.complete.schema.json"
    schema = json.loads(Path("schemas/agent", name).read_text())
    schema["x-metrics"]["agent_run_duration_seconds"]["buckets"] = [7, 77, 777]
    (tmp_path / name).write_text(json.dumps(schema))
    result = CliRunner().invoke(main, ["rules", "--schemas", str(tmp_path)])

    assert 'increase30m{le="77.0"}' in result.output
    assert "took longer than 77s; the objective is a 95th percentile of at most 60s." in result.output


def test_the_budget_for_all_stays_for_all():
    """An agent's own budget comes on top of the one for all agents together."""
    cost = "agent:agent_cost_usd:increase1h"

    assert [f"sum({cost}) > 10", f'{cost}{{agent="a"}} > 2'] == exprs(
        "AgentCostBurnHigh", '[agents.a]\ncost_per_hour = "$2"'
    )


def test_small_amounts_are_shown():
    """An amount is shown to the cent, unless the limit is below ten cents itself."""
    shown = [generated(f'cost_per_run = "{limit}"')["AgentCostPerRunHigh"][0] for limit in ("$0.50", "$0.004")]

    assert ['printf "%.2f"', 'printf "%.4g"'] == [
        re.findall(r"printf \S+", rule["annotations"]["description"])[0] for rule in shown
    ]


def test_an_objective_that_is_off_has_no_alert():
    """What is off has no rule; all other rules stay."""
    everything, fewer = (list(generated(text)) for text in ("", 'latency_p95 = "off"'))

    assert [name for name in everything if name != "AgentRunLatencyHigh"] == fewer


def test_the_rules_watch_the_job():
    """The rules watch the extractors under the job they were asked for."""
    result = CliRunner().invoke(main, ["rules", "--job", "agents"])

    assert 'up{job="agents"} == 0' in result.output
    assert 'job="extractor"' not in result.output


def test_recordings_are_named_as_prometheus_has_it():
    """A recording rule is level:metric:operations, and uses only what is recorded before it."""
    seen: set[str] = set()
    for recording in RECORDINGS:
        assert re.fullmatch(r"[a-z_]+:[a-z0-9_]+:[a-z0-9]+(_[a-z0-9]+)*", recording.name)
        assert set(re.findall(r"\w+:\w+:\w+", recording.expr)) <= seen
        seen.add(recording.name)


def test_every_alert_is_explained():
    """docs/alerts.md has a section for each alert, where its runbook annotation points."""
    sections = set(re.findall(r"^### `?(\w+)`?$", Path("docs/alerts.md").read_text(), re.MULTILINE))

    assert set(ALERTS) == sections
