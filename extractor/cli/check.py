"""The command `extractor check`: validate schemas, and logs against them."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from extractor.cli.options import INCOMPLETE, PATH_TEXT, REJECTED, option, reading_options
from extractor.cli.replay import read
from extractor.cli.settings import Command
from extractor.errors import SchemaError
from extractor.report.coverage import Advice, advice, counting
from extractor.report.survey import Group, Survey, Unread
from extractor.schema.load import load
from extractor.schema.model import Catalog
from extractor.service.escapes import printable

_SHOWN_ERRORS = 100
_SHOWN_GROUPS = 20
_SHOWN_UNREAD = 20
_SHOWN_NAMES = 4


@click.command(cls=Command)
@option(
    "--logs",
    type=PATH_TEXT,
    multiple=True,
    metavar="PATH",
    help="Also report which lines of PATH would be rejected and why, and which keys and events no schema declares.",
)
@option("--strict", is_flag=True, help="Exit with code 3 if a line would be rejected.")
@reading_options
def check(logs: tuple[str, ...], strict: bool, **options: Any) -> None:
    """
    Check that the schemas are valid.

    With --logs, rejected lines are grouped by file, reason and JSON pointer, and the first line of each group is shown.
    Keys and events that no schema declares, and recommended signals that the lines lack, are listed.

    Example:

    \b
        extractor check --schemas my-events
        extractor check --logs /var/log/agents
    """
    catalog = _load(options.pop("schemas"))
    events = sum(len(pack.events) for pack in catalog.packs)
    click.echo(f"schemas are valid: {events} event types, {len(catalog.metrics)} metrics")
    if not logs:
        return
    survey = Survey(catalog)
    replayed = read(counting(catalog), logs, options, survey.reject, survey)
    rejects = replayed.stats.rejects
    _print(_rejects(survey.rejects()))
    reasons = ", ".join(f"{lines:,} {reason}" for reason, lines in rejects.most_common() if lines)
    click.echo(f"{replayed.stats.lines_read:,} lines: {replayed.stats.events:,} events, {reasons or 'no rejects'}")
    _print(_unread("events that no schema describes", survey.unread_events()))
    _print(_unread("keys that no schema declares", survey.unread_keys()))
    _print(_advised(tuple(advice(catalog, replayed.state)) if replayed.stats.events else ()))
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


def _print(texts: Iterable[str]) -> None:
    for text in texts:
        click.echo(printable(text))


def _rejects(groups: Sequence[Group]) -> Iterator[str]:
    """How many lines of a file are rejected for the same reason in the same place, each with the first of them."""
    width = max((len(f"{group.lines:,}") for group in groups), default=0)
    for group in groups[:_SHOWN_GROUPS]:
        item = group.first
        where = f"{item.path}, line {group.number:,}, byte {item.offset:,}"
        hint = f" ({group.hint})" if group.hint else ""
        why = f"{item.reject.pointer} {item.reject.message}".strip()
        yield f"{group.lines:>{width},}  {where}: {item.reject.reason}: {why}{hint}"
        yield f"{'':{width}}    {item.line.decode(errors='replace')}"
    if more := groups[_SHOWN_GROUPS:]:
        yield f"… and {sum(group.lines for group in more):,} more lines in {len(more):,} other groups"


def _unread(title: str, unread: Sequence[Unread]) -> Iterator[str]:
    """What stands in lines and in no schema, each with how many lines have it, and what may have been meant."""
    if not unread:
        return
    yield f"{title}:"
    width = max(len(f"{each.lines:,}") for each in unread[:_SHOWN_UNREAD])
    for each in unread[:_SHOWN_UNREAD]:
        event = f" of {_some(each.events)}" if each.events else ""
        meant = f"; did you mean '{each.meant}'?" if each.meant else ""
        yield f"  {each.lines:>{width},}  {each.name}{event}{meant}"
    if len(unread) > _SHOWN_UNREAD:
        yield f"  … and {len(unread) - _SHOWN_UNREAD:,} more"


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
