"""Every alert is shown to fire and not to fire, by promtool; what is in samples/prometheus is what would be printed."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from extractor.cli import main
from extractor.objectives import Objectives, parse
from extractor.recordings import RECORDINGS
from extractor.rules import rules

FOLDER = Path("samples/prometheus")
CASES = sorted((FOLDER / "tests").glob("*.yml"))
RULES = rules(Objectives(), "extractor")
RULE = re.compile(r"(?<=- alert: )(\w+)\n +expr: \|-\n((?: {10}.*\n)+)")
ALERTS = dict(RULE.findall(RULES))
LIMIT = re.compile(r" (?:[<>]=?|==) \d[\d.]*(?: \* sqrt\(.*?\))?(?=[\s)]|$)", re.MULTILINE)
"""A comparison with a number."""

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def promtool(*words: object) -> str:
    """What promtool says; an empty text if it finds nothing wrong."""
    command = ["promtool", *(str(word) for word in words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode else ""


def alone(name: str, expr: str, folder: Path) -> list[Path]:
    """The cases of the alert *name* in *folder*, beside rules in which it is the only alert and asks for *expr*."""
    recordings = RULES[: RULES.index("  - name: agent-runs")]
    rule = re.search(rf"      - alert: {name}\n(?: {{8}}.*\n)+", RULES)
    assert rule is not None
    text = rule[0].replace(ALERTS[name], expr)
    (folder / "tests").mkdir(parents=True)
    (folder / "rules.yml").write_text(f"{recordings}  - name: extractor\n    rules:\n{text}")
    for case in CASES:
        head, *cases = case.read_text().split("  - name: ")
        if chosen := [each for each in cases if f"alertname: {name}\n" in each]:
            (folder / "tests" / case.name).write_text("  - name: ".join([head, *chosen]))
    return sorted((folder / "tests").iterdir())


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
    (tmp_path / "named.yml").write_text(rules(parse(names, "o.toml"), 'say "job"'))

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
    written = rules(parse(text, "o.toml"), "".join(name for name in ODD if len(name) == 1))
    (tmp_path / "odd.yml").write_text(written)

    assert "" == promtool("check", "rules", tmp_path / "odd.yml")
    exprs = [rule["expr"] for group in yaml.safe_load(written)["groups"] for rule in group["rules"]]
    matched = {ast.literal_eval(found) for expr in exprs for found in re.findall(r'agent=("(?:[^"\\]|\\.)*")', expr)}
    assert set(names) == matched


def toml(text: str) -> str:
    """*text* within a string of TOML."""
    return "".join(f"\\U{ord(char):08X}" for char in text)


@needs_promtool
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_and_do_not_fire(case: Path):
    """Each alert says what it should to whom it should, and nothing to others."""
    assert "" == promtool("test", "rules", case)


@needs_promtool
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ALERTS)
def test_cases_hold_every_part_of_an_alert(name: str, tmp_path: Path):
    """The cases of an alert notice if it never fires, or if any one of its limits is left out."""
    expr = ALERTS[name]
    careless = [expr[: limit.start()] + expr[limit.end() :] for limit in LIMIT.finditer(expr)]
    broken = {" " * 10 + "vector(0) > 1\n", *careless}

    assert "" == promtool("test", "rules", *alone(name, expr, tmp_path / "right"))
    for place, each in enumerate(sorted(broken)):
        said = promtool("test", "rules", *alone(name, each, tmp_path / str(place)))
        assert f"alertname: {name}" in said, f"nothing notices of\n{each}\n{said}"


def test_an_alert_has_a_rule_for_each_limit():
    """Whoever has a limit of its own is judged by that alone, and told of it."""
    text = rules(parse('[agents.slow]\nlatency_p95 = "1h"\n[agents.free]\nlatency_p95 = "off"', "o.toml"), "extractor")
    found = [expr.strip() for name, expr in RULE.findall(text) if name == "AgentRunLatencyHigh"]
    p95 = "agent:agent_run_duration_seconds:p95_rate30m"

    assert [f'{p95}{{agent!="free",agent!="slow"}} > 60', f'{p95}{{agent="slow"}} > 3600'] == found
    assert "the objective is at most 3600s" in text


def test_the_budget_for_all_stays_for_all():
    """An agent's own budget comes on top of the one for all agents together."""
    text = rules(parse('[agents.a]\ncost_per_hour = "$2"', "o.toml"), "extractor")
    found = [expr.strip() for name, expr in RULE.findall(text) if name == "AgentCostBurnHigh"]
    cost = "agent:agent_cost_usd:rate1h"

    assert [f"sum({cost}) * 3600 > 10", f'{cost}{{agent="a"}} * 3600 > 2'] == found


def test_an_objective_that_is_off_has_no_alert():
    """What is off has no rule; all other rules stay."""
    everything, fewer = (rules(parse(text, "o.toml"), "extractor") for text in ("", 'latency_p95 = "off"'))
    names = [[name for name, _ in RULE.findall(text)] for text in (everything, fewer)]

    assert [name for name in names[0] if name != "AgentRunLatencyHigh"] == names[1]


def test_the_job_is_said():
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
