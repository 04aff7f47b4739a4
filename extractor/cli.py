"""
Options in, exit codes out; no logic.

0 done, 1 could not do all of it (one line on stderr, with a hint), 2 wrong usage, 3 an objective is broken, or
`--strict` and something was rejected, 130 Ctrl-C.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from extractor import __version__
from extractor.errors import ExtractorError
from extractor.escapes import printable
from extractor.hosts import host_of
from extractor.internal_errors import origin
from extractor.options import Seconds, collect_less, objectives_option, option, paths_argument, reading_options
from extractor.own_log import FORMS, PRIORITIES, Log
from extractor.run_options import Options
from extractor.settings import Command
from extractor.streams import give_up_output
from extractor.termination import terminable

_INTERRUPTED = 130
_TRACEBACK = "please report it; EXTRACTOR_TRACEBACK=1 in the environment shows where it comes from"
_ELSEWHERE = ("check", "config", "replay", "report", "requeue", "rules", "systemd")


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
        except KeyboardInterrupt:  # click would say "Aborted!"
            _fail("interrupted", _INTERRUPTED)

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            with terminable():
                return super().main(*args, **extra)
        except ExtractorError as error:
            _fail(str(error))
        except OSError as error:
            # What cannot be done with a file is an error of ours, with its name; what is left is what is printed.
            _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")
        except Exception as error:
            if os.environ.get("EXTRACTOR_TRACEBACK"):
                raise
            _fail(f"internal error: {origin(error)} ({_TRACEBACK})")


def _fail(text: str, code: int = 1) -> NoReturn:
    """End the program, and say why."""
    try:
        sys.stdout.flush()
    except OSError:
        give_up_output()
    with suppress(OSError):
        click.echo(f"extractor: {printable(text)}", err=True)
    sys.exit(code)


def _urls(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            host_of(each)
        except ValueError:
            raise click.BadParameter(f"{each!r} is no URL; write https://agents.example.org/") from None
    return value


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="extractor")
def main() -> None:
    """Prometheus metrics from the event logs of AI agents."""


@main.command(cls=Command)
@paths_argument("logs", "LOG_DIR", click.Path(path_type=Path))
@option(
    "--web.listen-address",
    "listen_address",
    default="127.0.0.1:9464",
    metavar="HOST:PORT",
    help="Where to serve metrics.",
)
@option(
    "--web.external-url",
    "external_urls",
    multiple=True,
    callback=_urls,
    metavar="URL",
    help="A URL under which others reach this, such as that of a reverse proxy: on a loopback address, requests for "
    "its host are answered, too. May be repeated; see docs/web.md.",
)
@option(
    "--web.config.file",
    "web_config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Who may look: TLS and users, in the format of Prometheus' exporter-toolkit; see docs/web.md.",
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
    type=Seconds(min=0.05),
    default=5.0,
    metavar="SECONDS",
    help="Save the state this often.",
)
@option(
    "--max-reject-bytes",
    type=click.IntRange(min=1),
    default=100 << 20,
    metavar="BYTES",
    help="Maximum size of all files of rejected lines; the oldest lines are deleted first.",
)
@option(
    "--poll-interval",
    type=Seconds(min=0.05),
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
@option(
    "--log.level",
    "log_level",
    type=click.Choice(list(PRIORITIES)),
    default="info",
    help="Say what is so bad or worse, on standard error.",
)
@option(
    "--log.format",
    "log_format",
    type=click.Choice(FORMS),
    default="auto",
    help="How to say it. By default as the journal wants it if that is where it goes, else as text.",
)
@option("--web.disable-page", "disable_page", is_flag=True, help="Serve metrics only, and no status page at /.")
@objectives_option
@reading_options
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:
    """
    Follow LOG_DIR and serve its metrics.

    Every log file below LOG_DIR is followed from its first line (*.jsonl and *.ndjson, rotated ones
    too). Files and folders may appear later. SIGTERM and Ctrl-C stop after the last whole line.

    Example:

    \b
        extractor run /var/log/agents --state-dir /var/lib/extractor
        curl localhost:9464/metrics
    """
    from extractor.daemon import Daemon  # noqa: PLC0415  # a tenth of the start-up time of every other command

    collect_less()
    command, log = ctx.command, Log(level=options["log_level"], form=options["log_format"])
    assert isinstance(command, Command)
    Daemon(_options(**options), log, lambda: _options(**command.reread(ctx))).run()


def _options(quantile_window: float, **options: Any) -> Options:
    return Options(window=quantile_window, **options)
