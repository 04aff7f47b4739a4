"""
The command `extractor requeue`.

Knows nothing of why lines were rejected.
"""

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
    help="The state directory of an extractor that is stopped.",
)
@skew_option
@prices_option
@schemas_option
def requeue(state_dir: Path, schemas: tuple[Path, ...], prices: Path | None, max_clock_skew: float) -> None:
    """
    Try rejected lines again after a schema or a clock was mended.

    Those that are events now are counted, once, and leave rejects.jsonl; the others stay. Lines that
    somebody has damaged are named and stay, too, and the exit code is 1. The extractor that owns the
    state directory must not be running.

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
