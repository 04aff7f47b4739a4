"""
The command `extractor check`.

Knows nothing of what makes a schema right, or a line.
"""

import sys
from typing import Any

import click

from extractor.options import REJECTED, option, reading_options
from extractor.pipeline import Rejected
from extractor.printing import printable
from extractor.replay_command import read
from extractor.schemas import load

_SHOWN_REJECTS = 20
_SHOWN_BYTES = 200


@click.command()
@option("--logs", multiple=True, metavar="PATH", help="Also say which lines of PATH would be rejected, and why.")
@option("--strict", is_flag=True, help="Exit with 3 if a line would be rejected.")
@reading_options
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

    replayed = read(catalog, logs, options, keep)
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
        sys.exit(REJECTED)
