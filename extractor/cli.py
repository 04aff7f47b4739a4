"""
Options in, exit codes out; no logic.

0 done, 1 could not do it (one line on stderr, with a hint), 2 wrong usage, 3 `--strict` and something was rejected, 130
Ctrl-C.
"""

import gc
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from extractor import __version__
from extractor.backfill import Backfill
from extractor.blocks import Blocks
from extractor.catalog import Catalog
from extractor.checkpoint import StateDirectory
from extractor.document import Document
from extractor.errors import ExtractorError
from extractor.options import backfill_options, moment, option, reading_options, schemas_option
from extractor.period import ALWAYS, Period
from extractor.pipeline import Rejected
from extractor.printing import FORMATS, printable, said_of
from extractor.progress import counted, shown
from extractor.replay import Options as ReplayOptions
from extractor.replay import Replay, Replayed
from extractor.requeue import requeue as judge_again
from extractor.rules_command import rules
from extractor.schemas import load

_SHOWN_REJECTS = 20
_SHOWN_BYTES = 200
_REJECTED = 3
_INTERRUPTED = 130


class _Commands(click.Group):
    """Turns the errors that end the program into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ExtractorError as error:
            click.echo(f"extractor: {printable(str(error))}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("extractor: interrupted", err=True)
            ctx.exit(_INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="extractor")
def main() -> None:
    """Prometheus metrics from the event logs of AI agents."""


main.add_command(rules)


@main.command()
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG_DIR...")
@option(
    "--web.listen-address",
    "listen_address",
    default="127.0.0.1:9464",
    metavar="HOST:PORT",
    help="Where to serve metrics.",
)
@option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="Where to keep what was counted, so that totals stay exact through restarts.",
)
@option(
    "--checkpoint-interval",
    type=click.FloatRange(min=0.05),
    default=5.0,
    metavar="SECONDS",
    help="Save the state this often.",
)
@option(
    "--max-reject-bytes",
    type=click.IntRange(min=1),
    default=100 << 20,
    metavar="BYTES",
    help="Begin a new file of rejected lines past this size; the one before is kept.",
)
@option(
    "--poll-interval",
    type=click.FloatRange(min=0.05),
    default=5.0,
    metavar="SECONDS",
    help="Look at every file this often, should the system not tell of a change.",
)
@reading_options
def run(logs: tuple[Path, ...], quantile_window: float, **options: Any) -> None:
    """
    Follow LOG_DIR and serve its metrics.

    Every log file below LOG_DIR is followed from its first line (*.jsonl and *.ndjson, rotated ones
    too). Files and folders may appear later. SIGTERM and Ctrl-C stop after the last whole line.

    Example:

    \b
        extractor run /var/log/agents --state-dir /var/lib/extractor
        curl localhost:9464/metrics
    """
    from extractor.daemon import Daemon, Options  # noqa: PLC0415  # a tenth of the start-up time of every other command

    _collect_less()
    Daemon(Options(logs=logs, window=quantile_window, **options), lambda text: click.echo(text, err=True)).run()


@main.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="table",
    help="What to print.",
)
@option("--strict", is_flag=True, help="Exit with 3 if a line was rejected.")
@option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: len(os.sched_getaffinity(0)),
    show_default="the cores",
    metavar="N",
    help="Read with N processes. What is printed does not depend on it.",
)
@option(
    "--since", callback=moment, metavar="TIME", help="Only events at TIME or later: date, RFC 3339 or epoch seconds."
)
@option("--until", callback=moment, metavar="TIME", help="Only events before TIME.")
@backfill_options
@reading_options
def replay(paths: tuple[str, ...], form: str, strict: bool, **options: Any) -> None:
    """
    Read PATH to the end and say what happened.

    PATH is a log file, compressed or not, a folder of them, a quoted pattern, or - for standard
    input. Files that hold the same, such as app.jsonl.1 and app.jsonl.1.gz, are counted once.

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
        replayed = _replay(catalog, paths, options)
        click.echo(FORMATS[form](replayed), nl=False)
    if strict and replayed.stats.rejects.total():
        sys.exit(_REJECTED)


@main.command()
@option("--logs", multiple=True, metavar="PATH", help="Also say which lines of PATH would be rejected, and why.")
@option("--strict", is_flag=True, help="Exit with 3 if a line would be rejected.")
@reading_options
def check(logs: tuple[str, ...], strict: bool, **options: Any) -> None:
    """
    Check that the schemas are right.

    Example:

    \b
        extractor check --schemas my-events
        extractor check --logs /var/log/agents
    """
    catalog = load(options.pop("schemas"))
    events = sum(len(pack.events) for pack in catalog.packs)
    click.echo(f"schemas are right: {events} event types, {len(catalog.metrics)} metrics")
    if not logs:
        return
    rejected: list[Rejected] = []

    def keep(item: Rejected) -> None:
        if len(rejected) < _SHOWN_REJECTS:
            rejected.append(item)

    replayed = _replay(catalog, logs, options, keep)
    for item in rejected:
        where = f"{item.path}, byte {item.offset}: {item.reject.reason}"
        why = f"{item.reject.pointer} {item.reject.message}".strip()
        line = item.line[:_SHOWN_BYTES].decode(errors="replace")
        click.echo(f"{printable(where)}: {printable(why)}\n    {printable(line)}")
    rejects = replayed.stats.rejects
    if rejects.total() > len(rejected):
        click.echo(f"… and {rejects.total() - len(rejected):,} more")
    reasons = ", ".join(f"{lines:,} {reason}" for reason, lines in rejects.most_common() if lines)
    click.echo(f"{replayed.stats.lines_read:,} lines: {replayed.stats.events:,} events, {reasons or 'no rejects'}")
    if strict and rejects.total():
        sys.exit(_REJECTED)


@main.command()
@option(
    "--state-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The state directory of an extractor that is stopped.",
)
@schemas_option
def requeue(state_dir: Path, schemas: tuple[Path, ...]) -> None:
    """
    Try rejected lines again after a schema was mended.

    Those that are events now are counted, once, and leave rejects.jsonl; the others stay. The
    extractor that owns the state directory must not be running.

    Example:

    \b
        extractor requeue --state-dir /var/lib/extractor --schemas my-events
    """
    catalog = load(schemas)
    with closing(StateDirectory(state_dir)) as directory:
        requeued = judge_again(catalog, directory, lambda text: click.echo(printable(text), err=True))
    click.echo(f"{requeued.counted:,} counted, {requeued.kept:,} still rejected")


def _replay(
    catalog: Catalog,
    paths: tuple[str, ...],
    options: dict[str, Any],
    on_reject: Callable[[Rejected], None] = lambda _: None,
) -> Replayed:
    _collect_less()
    window = options.pop("quantile_window")
    job = Replay(catalog, ReplayOptions(paths=paths, window=window, **options), on_reject)
    with shown(job.total_bytes) as progress:
        replayed = job.run(progress)
    for trouble in replayed.troubles:
        click.echo(f"extractor: {printable(trouble)}", err=True)
    return replayed


def _output(document: str | None, blocks: Path | None) -> Document | Blocks | None:
    if document is not None and blocks is not None:
        raise click.UsageError("give either --backfill or --backfill-blocks")
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
    _collect_less()
    window = options.pop("quantile_window")
    with TemporaryDirectory(prefix="extractor-") as folder, output:
        asked = ReplayOptions(paths=paths, window=window, **options)
        job = Backfill(catalog, asked, Path(folder), **how)
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


def _collect_less() -> None:
    # Reading makes many objects and no cycles. At its usual pace the collector looks at them over and over, for a tenth
    # of all CPU time.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
