"""
Renders the page at `/` from the status of the agents and of the extractor itself.

The page is complete without its script, which only requests it again. Nothing is loaded from elsewhere: style and
script are part of the page, and its Content-Security-Policy names their digests and forbids everything else.

Every value that a template prints is escaped, and characters that are not printable are spelled out, so that a name
from a log can neither contain markup nor hide or reverse text.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from math import inf
from typing import NamedTuple

from extractor.report import table
from extractor.report.summary import Figure, shown
from extractor.web.page import svg
from extractor.web.page.health import Vital
from extractor.web.page.model import Plot, Shown, Spent, Status

_ASSETS = resources.files("extractor.web.page") / "assets"
_STYLE = (_ASSETS / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_ASSETS / "page.js").read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_digest(_SCRIPT)}; style-src {_digest(_STYLE)}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy that the page must be served with."""


class Refused(NamedTuple):
    """Lines rejected for one *reason*; the last one since the start stood at *place*, and *why* says what it lacked."""

    reason: str
    lines: int
    place: str = ""
    why: str = ""


class Behind(NamedTuple):
    """A file of which *behind* bytes are not read yet."""

    path: str
    state: str
    behind: int


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


class Card(NamedTuple):
    """One of the large numbers above the tables."""

    title: str
    amount: str
    note: str = ""


def page(known: Known) -> str:
    """Return the whole page as HTML."""
    return _render()(known=known, has_events=known.status.until > -inf)


@cache
def _render() -> Callable[..., str]:
    """Compile the templates, at the first request: an error in them is contained like any other error of the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # 60 ms to import

    environment = Environment(
        loader=PackageLoader("extractor.web.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "style": _STYLE,
        "script": _SCRIPT,
        "cards": _cards,
        "duration": _duration,
        "files": _files,
        "many": _many,
        "number": table.number,
        "percentile_curves": _percentile_curves,
        "period": _period,
        "said": table.said,
        "status": table.status,
        "swatch": svg.swatch,
        "thousands": "{:,}".format,
        "trend": table.trend,
        "trend_line": _trend_line,
        "value": table.value,
    }
    return environment.get_template("page.html").render


def _printable(value: object) -> object:
    """Spell out what is not printable in text; what is HTML already stays as it is."""
    return _plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _plain(words: str) -> str:
    return words if words.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in words)


def _many(items: Sequence[object], what: str) -> str:
    return f"{len(items)} {what}{'s' if len(items) > 1 else ''}" if items else ""


def _clock(time: float) -> str:
    return f"{datetime.fromtimestamp(time).astimezone():%H:%M}"


def _duration(seconds: float) -> str:
    return shown(Figure("", "", seconds, "seconds")) if seconds else "0"


def _cards(known: Known) -> Iterator[Card]:
    values = {each.row.title: table.value(each.row) for each in known.status.signals}
    if known.status.has_runs:
        yield Card("Runs in progress", f"{sum(runs for _, runs in known.status.in_progress):,}")
    if known.status.spent is not None:
        yield _spent(known.status.spent, known.now)
    for title in ("Success rate", "Run latency p95"):
        if title in values:
            yield Card(title, values[title], "now")
    yield Card("Bytes behind", f"{known.bytes_behind:,}", "of all log files")


def _spent(spent: Spent, now: float) -> Card:
    day, today = (datetime.fromtimestamp(time).astimezone() for time in (spent.midnight, now))
    title = "Cost today" if day.date() == today.date() else f"Cost on {day:%-d %B}"
    since = "" if spent.since <= spent.midnight else f"since {_clock(spent.since)}, "
    return Card(title, shown(Figure("", "", spent.amount, "usd")), f"{since}by event time, {day:%Z}")


def _files(known: Known) -> str:
    counts = ", ".join(f"{number:,} {state}" for state, number in known.files if number) or "none yet"
    return f"Known files: {counts}. {known.bytes_behind:,} bytes behind."


def _period(known: Known) -> str:
    of, window = known.status, known.window
    if of.until == -inf:
        return "No events yet."
    length = f"{window / 60:g} min" if window >= 60 else f"{window:g} s"
    until = datetime.fromtimestamp(of.until).astimezone()
    words = f"Now: the last {length} of event time, up to {until:%Y-%m-%d %H:%M:%S %Z}"
    if of.is_partial:
        words += f", counting only what was read since the start at {_clock(of.since)}, except for latency"
    if of.trend_since > of.until:
        return f"{words}. Trends appear once a window is full."
    return f"{words}. Change: from the previous window. Trend: since {_clock(of.trend_since)}."


def _trend_line(place: int, each: Shown) -> str:
    values = [point for _, point in each.points]
    if not values:
        return ""
    lowest, highest, last = (table.number(at, each.row.unit) for at in (min(values), max(values), values[-1]))
    since, until = _clock(each.points[0][0]), _clock(each.points[-1][0])
    words = f"From {since} to {until}: {lowest} to {highest}, latest {last}."
    return svg.sparkline(each.points, f"{_plain(each.row.title)}, trend", words, f"trend-{place}")


def _percentile_curves(place: int, plot: Plot) -> str:
    names = ", ".join(_plain(curve.name) for curve in plot.curves)
    title = f"{_plain(plot.title)} by {_plain(plot.label)}, percentile curves"
    words = f"One curve each for {names}; the table below lists the values."
    return svg.percentiles(plot.curves, title, words, f"plot-{place}", _duration)
