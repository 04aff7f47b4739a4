"""The command `extractor requeue`: retry the rejected lines of a state directory."""

import sys
import time
from contextlib import closing
from pathlib import Path

import click

from extractor.cli.options import INCOMPLETE, option, prices_option, schemas_option, skew_option
from extractor.cli.settings import Command
from extractor.cost.costs import Prices
from extractor.schema.load import load
from extractor.service.checkpoint import StateDirectory
from extractor.service.escapes import printable
from extractor.service.requeue import requeue as judge_again


@click.command(cls=Command)
@option(
    "--state-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="State directory of a stopped extractor.",
)
@skew_option
@prices_option
@schemas_option
def requeue(state_dir: Path, schemas: tuple[Path, ...], prices: Path | None, max_clock_skew: float) -> None:
    """
    Retry rejected lines after a schema or a clock has been fixed.

    Lines that are valid now are counted once and removed from rejects.jsonl; the others stay. Unreadable
    lines are reported and stay, too, and the exit code is 1. The extractor that owns the state directory
    must not be running.

    Example:

    \b
        extractor requeue --state-dir /var/lib/extractor --schemas my-events
    """
    catalog, table, latest = load(schemas), Prices.load(prices), time.time() + max_clock_skew
    with closing(StateDirectory(state_dir)) as directory:
        requeued = judge_again(
            catalog,
            directory,
            lambda text: click.echo(f"extractor: {printable(text)}", err=True),
            latest=latest,
            prices=table,
        )
    unreadable = f", {requeued.unreadable:,} cannot be read" if requeued.unreadable else ""
    click.echo(f"{requeued.counted:,} counted, {requeued.kept:,} still rejected{unreadable}")
    if requeued.unreadable:
        sys.exit(INCOMPLETE)
