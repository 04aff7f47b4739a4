"""
Panels and objectives in, the JSON of a Grafana dashboard out.

    python -m samples.grafana.dashboard --objectives objectives.toml > agents.json

The limits of the objectives become thresholds. Needs grafana-foundation-sdk, which `pip install '.[dev]'` brings; the
JSON in this folder is made with the default objectives.

Knows nothing of what the panels ask for.
"""

import argparse
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from extractor.report.objectives import Objectives, load
from extractor.schema.objective import Direction, Objective
from samples.grafana.panels import ROWS
from samples.grafana.queries import Kind, Panel, Query

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# Where each variable finds its values.
VARIABLES = {
    "agent": "agent_runs_started_total",
    "release": "agent_runs_started_total",
    "model": "agent_llm_calls_total",
    "tool": "agent_tool_calls_total",
}
STATES = (("closed", "green"), ("half open", "yellow"), ("open", "red"))
ANY = ".*"

AnyPanel = stat.Panel | timeseries.Panel | statetimeline.Panel


def dashboard(objectives: Objectives) -> str:
    """The dashboard, as Grafana imports it; equal objectives give equal text."""
    built = (
        Dashboard("Agents")
        .uid("extractor-agents")
        .description("Runs, tools, models and cost of AI agents, from their event logs by extractor.")
        .tags(["agents", "extractor"])
        .time("now-6h", "now")
        .timezone("browser")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name, metric in VARIABLES.items():
        built.with_variable(variable(name, metric))
    ids = count(1)
    for row in ROWS:
        built.with_row(Row(row.title).id(next(ids)))
        for panel in row.panels:
            built.with_panel(drawn(panel, objectives).span(row.width).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=1).encode(built.build()) + "\n"


def variable(name: str, metric: str) -> QueryVariable:
    """A list to choose from; all of it includes series that do not have the label."""
    return (
        QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(f"label_values({metric}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(ANY)
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def drawn(panel: Panel, objectives: Objectives) -> AnyPanel:
    """*panel* with its queries, its unit and the limit of its objective."""
    objective = objectives.get(panel.objective) if panel.objective else None
    match panel.kind:
        case Kind.NUMBER:
            built: AnyPanel = number(objective)
        case Kind.STATES:
            built = states()
        case _:
            built = lines(panel.kind, objective)
    built.title(panel.title).datasource(SOURCE).unit(panel.unit)
    built.height(4 if panel.kind is Kind.NUMBER else 8)
    built.thresholds(thresholds(objective))
    if objective is not None:
        built.description(f"Objective: {objective.signal}, {objective.direction} {objective.limit_text()}.")
    for target in targets(panel):
        built.with_target(target)
    return built


def targets(panel: Panel) -> Iterator[Dataquery]:
    """The queries of *panel*, called A, B and so on."""
    for place, query in enumerate(panel.queries):
        target = dataquery(query).ref_id(chr(ord("A") + place))
        yield target.instant() if panel.kind is Kind.NUMBER else target.range()


def dataquery(query: Query) -> Dataquery:
    """One query to Prometheus."""
    return Dataquery().datasource(SOURCE).expr(query.expr).legend_format(query.legend).exemplar(query.exemplars)


def number(objective: Objective | None) -> stat.Panel:
    """One large number, coloured by its objective."""
    mode = BigValueColorMode.NONE if objective is None else BigValueColorMode.BACKGROUND
    last = ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().graph_mode(BigValueGraphMode.NONE).color_mode(mode).reduce_options(last)


def lines(kind: Kind, objective: Objective | None) -> timeseries.Panel:
    """Lines, or areas on top of each other."""
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
    built = timeseries.Panel().min(0).show_points(VisibilityMode.NEVER).legend(legend)
    if kind is not Kind.LINES:
        mode = StackingMode.PERCENT if kind is Kind.SHARES else StackingMode.NORMAL
        built.fill_opacity(40).stacking(StackingConfig().mode(mode))
    if objective is not None:
        built.thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    return built


def states() -> statetimeline.Panel:
    """Coloured stretches of time, one line for each series."""
    results = {
        str(value): ValueMappingResult(text=text, color=color, index=value)
        for value, (text, color) in enumerate(STATES)
    }
    mapping: ValueMapping = ValueMap(options=results)
    return statetimeline.Panel().mappings([mapping])


def thresholds(objective: Objective | None) -> ThresholdsConfig:
    """Green on the right side of the limit, red beyond it."""
    steps = [Threshold(value=None, color="green")]
    if objective is not None:
        low, high = ("red", "green") if objective.direction is Direction.AT_LEAST else ("green", "red")
        steps = [Threshold(value=None, color=low), Threshold(value=objective.limit, color=high)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def main() -> None:
    """Print the dashboard."""
    parser = argparse.ArgumentParser(prog="python -m samples.grafana.dashboard", description="Print the dashboard.")
    parser.add_argument("--objectives", type=Path, help="a TOML file of objectives (the defaults)")
    path = parser.parse_args().objectives
    print(dashboard(Objectives() if path is None else load(path)), end="")


if __name__ == "__main__":
    main()
