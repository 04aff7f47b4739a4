"""The command `extractor report`: compare the current window with the previous one and with objectives."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from extractor.cli.options import (
    BROKEN,
    INCOMPLETE,
    moment,
    objectives_option,
    option,
    paths_argument,
    read_to_the_end,
    reading_options,
    window_option,
)
from extractor.cli.progress import shown
from extractor.cli.settings import Command
from extractor.history.replay import Options, Replay, Replayed
from extractor.history.time_range import ALWAYS, Period
from extractor.report import objectives as ob
from extractor.report.table import Status, Table, as_json, lines, notes, period_text
from extractor.report.verdicts import compared, rejected, rows
from extractor.report.windows import Cut, Windows
from extractor.schema.load import load
from extractor.service.escapes import printable, printable_json

_COLOURS = {Status.OK: "green", Status.BROKEN: "red"}


@click.command(cls=Command)
@paths_argument("paths", "PATH")
@window_option
@option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="Output format.")
@option(
    "--since",
    callback=moment,
    metavar="TIME",
    help="Only count events at or after TIME, given as for `extractor replay`.",
)
@option("--until", callback=moment, metavar="TIME", help="Only count events before TIME; the window ends there.")
@objectives_option
@reading_options
def report(paths: tuple[str, ...], window: float, form: str, objectives: Path | None, **options: Any) -> None:
    """
    Compare the agents in PATH with the previous window and the objectives.

    The current window ends at the latest event. It is compared with the window before it, and the newest
    release with the previous one, over all of PATH. The exit code is 3 if an objective is broken.

    Example:

    \b
        extractor report /var/log/agents --window 30m
        extractor report samples/logs --window 1d --objectives objectives.toml
        extractor report samples/logs --format json | jq .broken
    """
    wanted = ob.Objectives() if objectives is None else ob.load(objectives)
    cut, replayed = _read(paths, window, options)
    lines_read, rejects = replayed.stats.lines_read, replayed.stats.rejects.total()
    unpriced = replayed.stats.unpriced
    covered = None if cut.is_first or cut.is_whole else max(cut.since[1] - replayed.stats.earliest, 0.0)
    judged = (*rows(cut, window, wanted, unpriced.total(), covered), rejected(lines_read, rejects, wanted))
    previous = None if cut.is_first else cut.since
    now = time.time()
    table = Table(judged, (cut.since[1], cut.until), previous, compared(cut), covered, is_over=cut.until <= now)
    if form == "json":
        read = {
            "lines": lines_read,
            "events": replayed.stats.events,
            "rejects": rejects,
            "unpriced": dict(sorted(unpriced.items())),
        }
        click.echo(printable_json(json.dumps(read | as_json(table), indent=1, ensure_ascii=False)))
    else:
        _print(table, now, found=cut.events)
        models = ", ".join(sorted(unpriced))
        _note(f"costs exclude {unpriced.total():,} calls of unknown price: {models}" if unpriced else "")
        _note(f"broken: {', '.join(row.title for row in table.broken)}" if table.broken else "")
    if replayed.troubles:
        sys.exit(INCOMPLETE)
    if table.broken:
        sys.exit(BROKEN)


def _read(paths: tuple[str, ...], window: float, options: dict[str, Any]) -> tuple[Cut, Replayed]:
    read_to_the_end()
    since, until = options.pop("since"), options.pop("until")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be before --until")
    options["period"] = Period(ALWAYS.since if since is None else since, ALWAYS.until if until is None else until)
    sliding = options.pop("quantile_window")
    catalog = load(options.pop("schemas"))
    job = Replay(catalog, Options(paths=paths, window=sliding, **options))
    like = {"run_timeout": options["run_timeout"], "run_linger": options["run_linger"]}
    windows = Windows(catalog, window, until, job.late_time(), **like)
    with shown(job.total_bytes) as progress:
        replayed = job.run(progress, windows)
    for trouble in replayed.troubles:
        click.echo(f"extractor: {printable(trouble)}", err=True)
    return windows.cut(), replayed


def _print(table: Table, now: float, *, found: bool) -> None:
    # https://no-color.org: what it is set to does not matter. Without it, click asks whether this is a terminal.
    colour = False if os.environ.get("NO_COLOR") else None
    if found:
        click.echo("; ".join([period_text(table.current), *notes(table, now)]) + "\n")
    else:
        click.echo("no events found\n")
    for line in lines(table):
        last = printable(line.last)
        if line.status in _COLOURS:
            last = click.style(last, fg=_COLOURS[line.status])
        click.echo((printable(line.text) + last).rstrip(), color=colour)


def _note(text: str) -> None:
    if text:
        click.echo("\n" + printable(text))
