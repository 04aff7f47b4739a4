"""
The command `extractor check`.

Knows nothing of what makes a schema right, or a line.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from extractor.advice import Advice, advice, counting
from extractor.catalog import Catalog
from extractor.errors import SchemaError
from extractor.escapes import printable
from extractor.options import INCOMPLETE, PATH_TEXT, REJECTED, option, reading_options
from extractor.pipeline import Rejected
from extractor.replay_command import read
from extractor.schemas import load
from extractor.settings import Command

_SHOWN_ERRORS = 100
_SHOWN_REJECTS = 20
_SHOWN_BYTES = 200
_SHOWN_NAMES = 4


@click.command(cls=Command)
@option(
    "--logs",
    type=PATH_TEXT,
    multiple=True,
    metavar="PATH",
    help="Also say which lines of PATH would be rejected, and why.",
)
@option("--strict", is_flag=True, help="Exit with 3 if a line would be rejected.")
@reading_options
def check(logs: tuple[str, ...], strict: bool, **options: Any) -> None:
    """
    Check that the schemas are right.

    With --logs, also say which recommended signals the lines do not carry, and what to add.

    Example:

    \b
        extractor check --schemas my-events
        extractor check --logs /var/log/agents
    """
    catalog = _load(options.pop("schemas"))
    events = sum(len(pack.events) for pack in catalog.packs)
    click.echo(f"schemas are right: {events} event types, {len(catalog.metrics)} metrics")
    if not logs:
        return
    rejected: list[Rejected] = []

    def keep(item: Rejected) -> None:
        if len(rejected) < _SHOWN_REJECTS:
            rejected.append(item)

    replayed = read(counting(catalog), logs, options, keep)
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
    for text in _advised(tuple(advice(catalog, replayed.state)) if replayed.stats.events else ()):
        click.echo(printable(text))
    if replayed.troubles:
        sys.exit(INCOMPLETE)
    if strict and rejects.total():
        sys.exit(REJECTED)


def _load(schemas: Sequence[Path]) -> Catalog:
    try:
        return load(schemas)
    except SchemaError as error:
        errors = (error, *error.others)
        for each in errors[:_SHOWN_ERRORS]:
            click.echo(f"extractor: {printable(str(each))}", err=True)
        if len(errors) > _SHOWN_ERRORS:
            click.echo(f"extractor: … and {len(errors) - _SHOWN_ERRORS:,} more errors", err=True)
        sys.exit(INCOMPLETE)


def _advised(advised: Sequence[Advice]) -> Iterator[str]:
    """Which recommended signals the logs carry, and what to add."""
    if not advised:
        return
    missing = [each for each in advised if not each.is_followed]
    without = ", ".join(f"no {each.recommendation.name}" for each in missing)
    carried = f"{len(advised) - len(missing)} of {len(advised)} recommended signals"
    yield f"{carried}: {without}" if missing else carried
    for each in missing:
        yield f"  {each.recommendation.name}: {each.description}"
        if each.recommendation.pointer is not None:
            yield f"    add it to {'every event' if each.is_for_all else _some(each.recommendation.events)}"
        if each.metrics:
            yield f"    for {_some(each.metrics)}"
    for each in advised:
        if each.is_partly_followed:
            yield f"  {each.recommendation.name}: only {each.having:,} of {each.events:,} lines have it"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN_NAMES
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:_SHOWN_NAMES])} and {rest} more"
