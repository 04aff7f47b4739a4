"""
The command `extractor rules`.

Knows nothing of what a rule means.
"""

from pathlib import Path

import click

from extractor import objectives as ob
from extractor.options import label_text, objectives_option, option
from extractor.rules import rules as text_of
from extractor.settings import Command


@click.command(cls=Command)
@objectives_option
@option(
    "--job",
    default="extractor",
    callback=label_text,
    metavar="NAME",
    help="The job name under which Prometheus scrapes extractors.",
)
def rules(objectives: Path | None, job: str) -> None:
    """
    Print the recording and alert rules for Prometheus.

    The limits are those of the file of objectives, or the defaults in docs/alerts.md.

    Example:

    \b
        extractor rules --objectives objectives.toml > rules.yml
        promtool check rules rules.yml
    """
    click.echo(text_of(ob.Objectives() if objectives is None else ob.load(objectives), job), nl=False)
