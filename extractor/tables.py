"""
What was rejected, is behind, is in progress or is wrong in, the tables of the page out.

Knows nothing of where any of it was found.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from extractor.vitals import Vital
from extractor.wording import text

_RUNS = 20  # agents with runs in progress
_PLACE = 160  # characters of why a line was rejected


class Refused(NamedTuple):
    """Lines rejected for one *reason*; the last one since the start stood at *place*, and *why* says what it lacked."""

    reason: str
    lines: int
    place: str = ""
    why: str = ""


class Behind(NamedTuple):
    """A file of which so many bytes are not read yet."""

    path: str
    state: str
    behind: int


def runs_table(runs: Sequence[tuple[str, int]]) -> Iterator[str]:
    """How many runs each agent has open."""
    rows = [(text(name), f"{number:,}") for name, number in runs[:_RUNS]]
    yield from _table("runs", ("Runs in progress", "Agent", "Runs"), rows, "No agent has been seen yet.")


def refused_table(refused: Sequence[Refused]) -> Iterator[str]:
    """What was rejected, and where."""
    yield '<section aria-labelledby="rejects"><h2 id="rejects">Rejected lines</h2>\n'
    yield "<table><caption>Since counting began; the place is that of the last one since the start.</caption>"
    yield '<thead><tr><th scope="col">Reason</th><th scope="col" class="n">Lines</th>'
    yield '<th scope="col">Last place</th></tr></thead>\n'
    yield "<tbody>\n"
    for each in refused:
        place = f"<code>{text(each.place)}</code>" if each.place else ""
        why = f' <span class="soft">{text(each.why[:_PLACE])}</span>' if each.why else ""
        yield f'<tr><th scope="row">{text(each.reason)}</th><td class="n">{each.lines:,}</td>'
        yield f"<td>{place}{why}</td></tr>\n"
    if not refused:
        yield '<tr><td colspan="3">None.</td></tr>\n'
    yield "</tbody></table></section>\n"


def files_table(files: Sequence[tuple[str, int]], behind: Sequence[Behind], total: int) -> Iterator[str]:
    """Which files are not read to their end: those that are behind most, of *total* bytes."""
    counts = ", ".join(f"{number:,} {state}" for state, number in files if number) or "none yet"
    rows = [(f"<code>{text(each.path)}</code> {text(each.state)}", f"{each.behind:,}") for each in behind]
    caption = f"Known files: {counts}. {total:,} bytes behind."
    yield from _table("files", ("Files with bytes behind", "File", "Bytes"), rows, "All files are read.", caption)


def vitals_table(vitals: Sequence[Vital]) -> Iterator[str]:
    """How the extractor itself is."""
    rows = []
    for each in vitals:
        badge = "" if each.well else '<span class="badge bad">trouble</span> '
        note = f'<br><span class="soft">{text(each.note)}</span>' if each.note else ""
        rows.append((f"{escape(each.title)}{note}", f"{badge}{text(each.value)}"))
    yield from _table("own", ("The extractor itself", "What", "Value"), rows)


def _table(
    name: str, head: tuple[str, str, str], rows: Iterable[tuple[str, str]], nothing: str = "", caption: str = ""
) -> Iterator[str]:
    title, what, value = head
    yield f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>\n<table>'
    yield f"<caption>{escape(caption)}</caption>" if caption else f'<caption class="hidden">{title}</caption>'
    yield f'<thead><tr><th scope="col">{what}</th><th scope="col" class="n">{value}</th></tr></thead>\n<tbody>\n'
    body = "".join(f'<tr><th scope="row">{row}</th><td class="n">{words}</td></tr>\n' for row, words in rows)
    yield f"{body or f'<tr><td colspan=2>{nothing}</td></tr>'}</tbody></table></section>\n"
