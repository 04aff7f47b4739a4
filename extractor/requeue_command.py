"""
The command `extractor requeue`.

Knows nothing of why lines were rejected.
"""

from contextlib import closing
from pathlib import Path

import click

from extractor.checkpoint import StateDirectory
from extractor.escapes import printable
from extractor.options import option, schemas_option
from extractor.requeue import requeue as judge_again
from extractor.schemas import load
from extractor.settings import Command


@click.command(cls=Command)
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
