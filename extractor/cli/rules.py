"""The command `extractor rules`: print recording and alert rules."""

from pathlib import Path

import click

from extractor.cli.options import label_text, objectives_option, option, schemas_option
from extractor.cli.settings import Command
from extractor.report import objectives as ob
from extractor.report.rules.agent_alerts import unwatched
from extractor.report.rules.document import rules as text_of
from extractor.schema.load import load
from extractor.service.escapes import printable


@click.command(cls=Command)
@objectives_option
@schemas_option
@option(
    "--job",
    default="extractor",
    callback=label_text,
    metavar="NAME",
    help="Prometheus job name of the extractors.",
)
def rules(objectives: Path | None, schemas: tuple[Path, ...], job: str) -> None:
    """
    Print the recording and alert rules for Prometheus.

    The limits come from the objectives file, or from the defaults in docs/alerts.md. Limits on durations
    are rounded up to the next bucket of the histogram in the schemas.

    Example:

    \b
        extractor rules --objectives objectives.toml > rules.yml
        promtool check rules rules.yml
    """
    wanted = ob.Objectives() if objectives is None else ob.load(objectives)
    buckets = load(schemas).buckets()
    click.echo(text_of(wanted, job, buckets), nl=False)
    for note in unwatched(wanted, buckets):
        click.echo(f"extractor: {printable(note)}", err=True)
