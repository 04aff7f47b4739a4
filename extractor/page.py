"""
What the extractor knows of the agents and of itself in, the page at `/` out.

It is whole without a script: the script only asks for it again. Everything that may come from a log is escaped, and
nothing is loaded from elsewhere: style and script stand in the page, and the policy that goes with it names their
digests and forbids everything else.

Knows nothing of HTTP or of how anything was counted.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from html import escape
from importlib import resources
from math import inf
from typing import NamedTuple

from extractor.panels import latencies, signals
from extractor.report import Figure, shown
from extractor.status import Spent, Status
from extractor.tables import Behind, Refused, files_table, refused_table, runs_table, vitals_table
from extractor.tabulation import said, value
from extractor.vitals import Vital
from extractor.wording import clock, paths, text

_ASSETS = resources.files("extractor") / "assets"
_STYLE = (_ASSETS / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_ASSETS / "page.js").read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_digest(_SCRIPT)}; style-src {_digest(_STYLE)}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy that the page must be served with."""


class Known(NamedTuple):
    """Everything the page shows; times are seconds since the epoch."""

    version: str
    followed: Sequence[str]
    now: float
    not_ready: str
    window: float
    status: Status
    refused: Sequence[Refused]
    files: Sequence[tuple[str, int]]
    behind: Sequence[Behind]
    bytes_behind: int
    vitals: Sequence[Vital]


def page(known: Known) -> str:
    """The whole page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>extractor: status</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the status</a>
<div id="lost" role="alert" hidden><p></p></div>
<header>
<h1>extractor</h1>
<nav aria-label="Pages"><ul><li><a href="/metrics">Metrics</a></li><li><a href="/-/ready">Readiness</a></li>\
<li><a href="/-/healthy">Health</a></li></ul></nav>
<p id="live"><noscript>Reload to update.</noscript></p>
</header>
<main id="main" tabindex="-1">
{"".join(_main(known))}</main>
<footer><p>Following {paths(known.followed)} · extractor {escape(known.version)}</p></footer>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _main(known: Known) -> Iterator[str]:
    yield _verdict(known)
    yield from _cards(known)
    yield from signals(known.status, known.window)
    yield from latencies(known.status.plots)
    yield '<div class="columns">\n'
    yield from runs_table(known.status.in_progress)
    yield from refused_table(known.refused)
    yield from files_table(known.files, known.behind, known.bytes_behind)
    yield from vitals_table(known.vitals)
    yield "</div>\n"


def _verdict(known: Known) -> str:
    if known.not_ready:
        return f'<div class="verdict wait"><strong>Catching up</strong><p>{escape(known.not_ready)}</p></div>\n'
    broken = [
        f"{text(each.row.title)}: {text(said(each.row).removeprefix('broken: '))}"
        for each in known.status.signals
        if each.row.is_broken
    ]
    own = [f"{escape(each.title)}: {text(each.value)}. {text(each.note)}" for each in known.vitals if not each.well]
    if broken or own:
        what = " and ".join(filter(None, (_many(len(broken), "broken objective"), _many(len(own), "trouble"))))
        items = "".join(f"<li>{each}</li>" for each in (*broken, *own))
        return f'<div class="verdict bad"><strong>Needs a look: {what}</strong><ul>{items}</ul></div>\n'
    if known.status.until == -inf:
        return '<div class="verdict wait"><strong>No events yet</strong><p>Waiting for agents to write.</p></div>\n'
    return '<div class="verdict"><strong>All is well</strong><p>Every objective holds.</p></div>\n'


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""


def _cards(known: Known) -> Iterator[str]:
    values = {each.row.title: value(each.row) for each in known.status.signals}
    open_runs = sum(runs for _, runs in known.status.in_progress)
    cards = [("Runs in progress", f"{open_runs:,}", "")]
    if known.status.spent is not None:
        cards.append(_spent(known.status.spent, known.now))
    cards += [(title, values[title], "now") for title in ("Success rate", "Run latency p95") if title in values]
    cards.append(("Bytes behind", f"{known.bytes_behind:,}", "of all log files"))
    yield '<dl class="cards">\n'
    for title, amount, note in cards:
        small = f"<small>{escape(note)}</small>" if note else ""
        yield f"<div><dt>{escape(title)}</dt><dd>{escape(amount)}{small}</dd></div>\n"
    yield "</dl>\n"


def _spent(spent: Spent, now: float) -> tuple[str, str, str]:
    day, today = (datetime.fromtimestamp(time).astimezone() for time in (spent.midnight, now))
    title = "Cost today" if day.date() == today.date() else f"Cost on {day:%-d %B}"
    since = "" if spent.since <= spent.midnight else f"since {clock(spent.since)}, "
    return title, shown(Figure("", "", spent.amount, "usd")), f"{since}by event time, {day:%Z}"
