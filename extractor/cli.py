"""
Options in, exit codes out; no logic.

0 done, 1 could not do it (one line on stderr, with a hint), 2 wrong usage, 3 `--strict` and something was rejected.
"""

import gc
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import click

from extractor import __version__
from extractor.catalog import Catalog
from extractor.checkpoint import StateDirectory
from extractor.errors import ExtractorError
from extractor.pipeline import Rejected
from extractor.printing import FORMATS, printable
from extractor.replay import Options as ReplayOptions
from extractor.replay import Replay, Replayed
from extractor.requeue import requeue as judge_again
from extractor.schemas import load

_SHOWN_REJECTS = 20
_SHOWN_BYTES = 200
_REJECTED = 3

F = TypeVar("F", bound=Callable[..., Any])


class _Commands(click.Group):
    """Turns the errors that end the program into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ExtractorError as error:
            click.echo(f"extractor: {printable(str(error))}", err=True)
            ctx.exit(1)


def _option(name: str, *parameter: str, **settings: Any) -> Callable[[F], F]:
    variable = "EXTRACTOR_" + name.removeprefix("--").replace(".", "_").replace("-", "_").upper()
    return click.option(name, *parameter, envvar=variable, show_envvar=True, show_default=True, **settings)


def _schemas_option(command: F) -> F:
    return _option(
        "--schemas",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        multiple=True,
        metavar="DIR",
        help="A folder of event schemas to add to the default ones, or a pack of its own. May be repeated.",
    )(command)


def _reading_options(command: F) -> F:
    for option in (
        _option("--max-line-bytes", type=click.IntRange(min=1), default=1 << 20, help="Reject longer lines."),
        _option(
            "--max-clock-skew",
            type=click.FloatRange(min=0),
            default=300.0,
            metavar="SECONDS",
            help="Reject events further in the future.",
        ),
        _option(
            "--run-timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=3600.0,
            metavar="SECONDS",
            help="Give up a run without an event for so long.",
        ),
        _option(
            "--quantile-window",
            type=click.FloatRange(min=0, min_open=True),
            default=300.0,
            metavar="SECONDS",
            help="Length of the sliding window of the quantiles.",
        ),
        _schemas_option,
    ):
        command = option(command)
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="extractor")
def main() -> None:
    """Prometheus metrics from the event logs of AI agents."""


@main.command()
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG_DIR...")
@_option(
    "--web.listen-address",
    "listen_address",
    default="127.0.0.1:9464",
    metavar="HOST:PORT",
    help="Where to serve metrics.",
)
@_option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="Where to keep what was counted, so that totals stay exact through restarts.",
)
@_option(
    "--checkpoint-interval",
    type=click.FloatRange(min=0.05),
    default=5.0,
    metavar="SECONDS",
    help="Save the state this often.",
)
@_option(
    "--max-reject-bytes",
    type=click.IntRange(min=1),
    default=100 << 20,
    metavar="BYTES",
    help="Begin a new file of rejected lines past this size; the one before is kept.",
)
@_option(
    "--poll-interval",
    type=click.FloatRange(min=0.05),
    default=5.0,
    metavar="SECONDS",
    help="Look at every file this often, should the system not tell of a change.",
)
@_reading_options
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
@_option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="table",
    help="What to print.",
)
@_option("--strict", is_flag=True, help="Exit with 3 if a line was rejected.")
@_reading_options
def replay(paths: tuple[str, ...], form: str, strict: bool, **options: Any) -> None:
    """
    Read PATH to the end and say what happened.

    PATH is a log file, a folder of them, a quoted pattern, or - for standard input.

    Example:

    \b
        extractor replay samples/logs
        extractor replay samples/logs --format prometheus | grep agent_runs_total
    """
    replayed = _replay(load(options.pop("schemas")), paths, options)
    click.echo(FORMATS[form](replayed), nl=False)
    if strict and replayed.stats.rejects.total():
        sys.exit(_REJECTED)


@main.command()
@_option("--logs", multiple=True, metavar="PATH", help="Also say which lines of PATH would be rejected, and why.")
@_option("--strict", is_flag=True, help="Exit with 3 if a line would be rejected.")
@_reading_options
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
@_option(
    "--state-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The state directory of an extractor that is stopped.",
)
@_schemas_option
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
    if not sys.stderr.isatty() or not job.total_bytes:
        return job.run()
    with click.progressbar(length=job.total_bytes, label="Reading", file=sys.stderr) as bar:
        return job.run(lambda done: bar.update(done - bar.pos))


def _collect_less() -> None:
    # Reading makes many objects and no cycles. At its usual pace the collector looks at them over and over, for a tenth
    # of all CPU time.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
