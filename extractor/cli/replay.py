"""The command `extractor replay`, and `read`, with which other commands read logs to their end."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from extractor.cli.options import (
    INCOMPLETE,
    REJECTED,
    backfill_options,
    moment,
    option,
    paths_argument,
    read_to_the_end,
    reading_options,
)
from extractor.cli.output import FORMATS, said_of
from extractor.cli.progress import counted, shown
from extractor.cli.settings import Command
from extractor.history.backfill import Backfill
from extractor.history.blocks import Blocks
from extractor.history.openmetrics import Document
from extractor.history.reader import Watcher
from extractor.history.replay import Options, Replay, Replayed
from extractor.history.time_range import ALWAYS, Period
from extractor.ingest.pipeline import Rejected
from extractor.schema.load import load
from extractor.schema.model import Catalog
from extractor.service.escapes import harmless, printable


@click.command(cls=Command)
@paths_argument("paths", "PATH")
@option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="table",
    help="Output format.",
)
@option("--strict", is_flag=True, help="Exit with code 3 if a line was rejected.")
@option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: len(os.sched_getaffinity(0)),
    show_default="number of CPUs",
    metavar="N",
    help="Number of worker processes. The output does not depend on it.",
)
@option(
    "--since",
    callback=moment,
    metavar="TIME",
    help="Only count events at or after TIME: a date, RFC 3339, epoch seconds, an age such as 7d, today or yesterday "
    "(UTC).",
)
@option("--until", callback=moment, metavar="TIME", help="Only count events before TIME.")
@backfill_options
@reading_options
def replay(paths: tuple[str, ...], form: str, strict: bool, **options: Any) -> None:
    """
    Read PATH to the end and print a summary.

    PATH is a log file, compressed or not, a directory of log files, a quoted pattern, or - for standard
    input. Files with the same content, such as app.jsonl.1 and app.jsonl.1.gz, are counted once.

    Example:

    \b
        extractor replay samples/logs
        extractor replay samples/logs --since 2026-11-20 --until 2026-11-21T12:00:00Z
        extractor replay samples/logs --format prometheus | grep agent_runs_total
        extractor replay samples/logs --backfill history.om --step 15s
    """
    options["period"] = _period(options.pop("since"), options.pop("until"))
    output = _output(options.pop("document"), options.pop("blocks"))
    how = {name: options.pop(name) for name in ("seconds", "labels")}
    catalog = load(options.pop("schemas"))
    if output is not None:
        replayed = _backfill(catalog, paths, options, output, how)
    else:
        replayed = read(catalog, paths, options)
        click.echo(harmless(FORMATS[form](replayed), on_terminal=sys.stdout.isatty()), nl=False)
    if replayed.troubles:
        sys.exit(INCOMPLETE)
    if strict and replayed.stats.rejects.total():
        sys.exit(REJECTED)


def read(
    catalog: Catalog,
    paths: tuple[str, ...],
    options: dict[str, Any],
    on_reject: Callable[[Rejected], None] = lambda _: None,
    watcher: Watcher | None = None,
) -> Replayed:
    """Read *paths* as *options* say, with progress and troubles on standard error."""
    read_to_the_end()
    window = options.pop("quantile_window")
    job = Replay(catalog, Options(paths=paths, window=window, **options), on_reject, watcher)
    with shown(job.total_bytes) as progress:
        replayed = job.run(progress)
    for trouble in replayed.troubles:
        click.echo(f"extractor: {printable(trouble)}", err=True)
    gc.freeze()  # or the interpreter looks for garbage among all that was counted before it ends
    return replayed


def _output(document: str | None, blocks: Path | None) -> Document | Blocks | None:
    if document is not None and blocks is not None:
        raise click.UsageError("give only one of --backfill and --backfill-blocks")
    if document is not None:
        return Document(document)
    return None if blocks is None else Blocks(blocks)


def _backfill(
    catalog: Catalog,
    paths: tuple[str, ...],
    options: dict[str, Any],
    output: Document | Blocks,
    how: dict[str, Any],
) -> Replayed:
    read_to_the_end()
    window = options.pop("quantile_window")
    with output:
        asked = Options(paths=paths, window=window, **options)
        job = Backfill(catalog, asked, **how)
        with shown(job.total_bytes) as progress:
            replayed = job.read(progress)
        with counted("Writing", job.parts) as done:
            written = job.write(output, done)
    for note in (*replayed.troubles, *said_of(replayed, written), *output.notes()):
        click.echo(f"extractor: {printable(note)}", err=True)
    return replayed


def _period(since: float | None, until: float | None) -> Period:
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be before --until")
    return Period(ALWAYS.since if since is None else since, ALWAYS.until if until is None else until)
