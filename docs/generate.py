"""The generated parts of the documentation, for cog: `make docs` writes them, `make test` checks them."""

import re
import threading
from pathlib import Path

import click
from click.testing import CliRunner

from extractor.cli.main import main
from extractor.cli.options import BROKEN
from extractor.cli.settings import commands_of, configurable
from extractor.exposition import text
from extractor.exposition.self_metrics import OwnCollector
from extractor.report.objectives import Objectives
from extractor.report.rules import agent_alerts, extractor_alerts
from extractor.schema.load import load
from extractor.schema.model import Catalog, Metric
from extractor.service.options import RELOADED
from extractor.state.state import State
from extractor.state.stats import Stats
from samples.grafana.panels import ROWS


def output(*arguments: str) -> str:
    """What `extractor` prints for *arguments*, as a block under the command."""
    result = CliRunner().invoke(main, arguments, prog_name="extractor", terminal_width=100)
    if result.exception is not None and result.exit_code != BROKEN:
        raise result.exception
    return f"```console\n$ extractor {' '.join(arguments)}\n{result.output.rstrip()}\n```"


def matching(pattern: str, *arguments: str) -> str:
    """The lines that `extractor` prints for *arguments* and grep finds by *pattern*."""
    result = CliRunner().invoke(main, arguments, prog_name="extractor")
    chosen = [line for line in result.output.splitlines() if re.search(pattern, line)]
    return "\n".join([f"```console\n$ extractor {' '.join(arguments)} | grep {pattern}", *chosen, "```"])


def head(path: str, lines: int) -> str:
    """The first *lines* lines of the file at *path*."""
    chosen = Path(path).read_text().splitlines()[:lines]
    return "\n".join([f"```console\n$ head -{lines} {path}", *chosen, "```"])


def commands() -> str:
    """The help of every command."""
    names = [(), *((name,) for name in main.list_commands(click.Context(main)))]
    assert isinstance(main, click.Group)
    return "\n\n".join(f"## `{' '.join(('extractor', *name))}`\n\n{output(*name, '--help')}" for name in names)


def metrics() -> str:
    """The metrics of the default pack, in a table."""
    catalog = load()
    rows = [
        f"| `{metric.name}` | {_type(metric)} | {_labels(metric)} | {metric.help} | {_events(catalog, metric.name)} |"
        for _, metric in sorted(catalog.metrics.items())
    ]
    return "\n".join(["| metric | type | labels | meaning | from |", "|---|---|---|---|---|", *rows])


def _type(metric: Metric) -> str:
    """The type as OpenMetrics has it."""
    found = re.search(r"^# TYPE \S+ (\w+)$", text.header(metric, openmetrics=True), re.MULTILINE)
    assert found is not None
    return found[1]


def own_metrics() -> str:
    """The extractor's own metrics, in a table."""
    collector = OwnCollector(State(load()), Stats(), threading.Lock(), lambda: 0.0, "")
    rows = []
    for family in sorted(collector.collect(), key=lambda family: family.name):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = sorted({label for sample in family.samples for label in sample.labels})
        rows.append(
            f"| `{name}` | {family.type} | {', '.join(f'`{label}`' for label in labels)} | {family.documentation} |"
        )
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])


def objectives() -> str:
    """The objectives and their defaults, in a table."""
    rows = [
        f'| `{each.name}` | {each.signal} | {each.direction} | `"{each.limit_text()}"` | {each.scope} |'
        for each in Objectives()
    ]
    return "\n".join(["| key | signal | limit is | default | holds for |", "|---|---|---|---|---|", *rows])


def alert_rules() -> str:
    """The alerts, in a table."""
    groups = agent_alerts.alerts(Objectives(), load().buckets()) | extractor_alerts.alerts(Objectives(), "extractor")
    rows = [
        f"| [{each.name}](#{each.name.lower()}) | {each.severity} | {each.hold} | {_plain(each.summary)} |"
        for group in groups.values()
        for each in group
    ]
    return "\n".join(["| alert | severity | after | when |", "|---|---|---|---|", *rows])


def panels() -> str:
    """The panels of the dashboard and what they ask for, in a table."""
    rows = ["| row | panel | queries |", "|---|---|---|"]
    for row in ROWS:
        for panel in row.panels:
            queries = "<br>".join(f"`{query.expr}`".replace("|", "\\|") for query in panel.queries)
            rows.append(f"| {row.title} | {panel.title} | {queries} |")
    return "\n".join(rows)


def options() -> str:
    """The options of all commands, in a table."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, command in commands_of(main).items():
        for key, parameter in configurable(command).items():
            rows.setdefault((key, *_said_of(parameter, command)), []).append(name)
    lines = []
    for (key, option, variable, default, meaning, field), names in sorted(rows.items()):
        reload = ("yes" if field in RELOADED else "restart") if "run" in names else ""
        commands = " ".join(names)
        lines.append(f"| `{option}` | `{variable}` | `{key}` | {default} | {commands} | {reload} | {meaning} |")
    head = "| option | variable | key | default | commands | reload | meaning |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *lines])


def _said_of(parameter: click.Parameter, command: click.Command) -> tuple[str, ...]:
    # The window of the quantiles is the only window that `run` has.
    field = "window" if parameter.name == "quantile_window" else str(parameter.name)
    if not isinstance(parameter, click.Option):
        return str(parameter.metavar).removesuffix("..."), str(parameter.envvar), "", "What to read.", field
    record = parameter.get_help_record(click.Context(command))
    assert record is not None
    meaning, _, extra = record[1].rpartition("  [")
    default = re.search(r"default: \(?([^;\])]+)", extra)
    return parameter.opts[0], str(parameter.envvar), f"`{default[1]}`" if default else "", meaning, field


def _plain(template: str) -> str:
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", template)


def _labels(metric: Metric) -> str:
    if not metric.label_names:
        return ""
    shown = []
    for name, values, limit in zip(metric.label_names, metric.label_values, metric.label_limits, strict=True):
        shown.append(f"`{name}` ({limit})" if values is None else f"`{name}` = {' '.join(values)}")
    return ", ".join(shown)


def _events(catalog: Catalog, metric: str) -> str:
    events = [event for pack in catalog.packs for event in pack.events.values()]
    return ", ".join(f"`{event.name}`" for event in events if metric in {feed.metric for feed in event.feeds})
