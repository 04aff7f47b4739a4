"""
Options in, exit codes out; no logic.

0 done, 1 could not do all of it (one line on stderr, with a hint), 2 wrong usage, 3 an objective is broken, or
`--strict` and something was rejected, 130 Ctrl-C.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from extractor import __version__
from extractor.errors import ExtractorError
from extractor.options import collect_less, option, reading_options
from extractor.printing import printable

_INTERRUPTED = 130
_ELSEWHERE = ("check", "replay", "report", "requeue", "rules", "systemd")


class _Commands(click.Group):
    """
    Turns the errors that end the program into one line and exit code 1.

    A command that stands in a file of its own is imported when it is asked for: to import all takes a quarter longer.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            command: click.Command = getattr(import_module(f"extractor.{cmd_name}_command"), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)

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
@option(
    "--max-open-runs",
    type=click.IntRange(min=1),
    default=100_000,
    metavar="N",
    help="Forget the runs that were silent for longest when more are open.",
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

    collect_less()
    told = Options(logs=logs, window=quantile_window, **options)
    Daemon(told, lambda text: click.echo(printable(text), err=True)).run()
