"""The command `extractor run`: follow logs and serve their metrics."""

from pathlib import Path
from typing import Any

import click

from extractor.cli.options import Seconds, collect_less, objectives_option, option, paths_argument, reading_options
from extractor.cli.settings import Command
from extractor.service.daemon import Daemon
from extractor.service.log import FORMS, PRIORITIES, Log
from extractor.service.options import Options
from extractor.web.hosts import host_of

_LEVELS = {"warn": "warning", "err": "error"}


class Level(click.Choice[str]):
    """A level of the log; also as other programs call it, in capitals or small."""

    def __init__(self) -> None:
        super().__init__(list(PRIORITIES), case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # as click
        """The level that *value* means; fails as click does."""
        return super().convert(_LEVELS.get(str(value).lower(), value), param, ctx)


def _urls(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            host_of(each)
        except ValueError:
            raise click.BadParameter(f"{each!r} is not a URL; write https://agents.example.org/") from None
    return value


@click.command(cls=Command)
@paths_argument("logs", "LOG_DIR", click.Path(path_type=Path))
@option(
    "--web.listen-address",
    "listen_address",
    default="127.0.0.1:9464",
    metavar="HOST:PORT",
    help="Address to serve metrics on.",
)
@option(
    "--web.external-url",
    "external_urls",
    multiple=True,
    callback=_urls,
    metavar="URL",
    help="URL at which clients reach this server, such as that of a reverse proxy. On a loopback address, requests for "
    "its host are answered, too. May be repeated; see docs/web.md.",
)
@option(
    "--web.config.file",
    "web_config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Access control: TLS and basic auth, in the format of Prometheus' exporter-toolkit; see docs/web.md.",
)
@option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="Directory for checkpoints, which keep totals exact across restarts.",
)
@option(
    "--checkpoint-interval",
    type=Seconds(min=0.05),
    default=5.0,
    metavar="SECONDS",
    help="Interval between checkpoints.",
)
@option(
    "--max-reject-bytes",
    type=click.IntRange(min=1),
    default=100 << 20,
    metavar="BYTES",
    help="Maximum total size of the files of rejected lines; the oldest lines are deleted first.",
)
@option(
    "--poll-interval",
    type=Seconds(min=0.05),
    default=5.0,
    metavar="SECONDS",
    help="Rescan interval, for changes that produce no notification.",
)
@option(
    "--max-open-runs",
    type=click.IntRange(min=1),
    default=100_000,
    metavar="N",
    help="Maximum number of open runs; the least recently active are evicted.",
)
@option(
    "--log.level",
    "log_level",
    type=Level(),
    default="info",
    help="Minimum severity to log.",
)
@option(
    "--log.format",
    "log_format",
    type=click.Choice(FORMS),
    default="auto",
    help="Log format. auto selects journald when standard error is connected to the journal, else text.",
)
@option("--web.disable-page", "disable_page", is_flag=True, help="Serve metrics only, without the status page at /.")
@objectives_option
@reading_options
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:
    """
    Follow LOG_DIR and serve its metrics.

    Every log file below LOG_DIR is read from its first line (*.jsonl and *.ndjson, including rotated
    files). Files and directories may be created later. SIGTERM and Ctrl-C stop after the last complete line.

    Example:

    \b
        extractor run /var/log/agents --state-dir /var/lib/extractor
        curl localhost:9464/metrics
    """
    collect_less()
    command, log = ctx.command, Log(level=options["log_level"], form=options["log_format"])
    assert isinstance(command, Command)
    Daemon(_options(**options), log, lambda: _options(**command.reread(ctx))).run()


def _options(quantile_window: float, **options: Any) -> Options:
    return Options(window=quantile_window, **options)
