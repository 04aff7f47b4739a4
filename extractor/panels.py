"""
Judged signals and percentile curves in, their sections of the page out: a table with trend lines, and plots.

Knows nothing of where the numbers come from.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from math import inf

from extractor.judgement import Row
from extractor.plots import percentiles, sparkline, swatch
from extractor.status import Plot, Shown, Status
from extractor.tabulation import Status as Judged
from extractor.tabulation import number, said, status, trend, value
from extractor.wording import clock, duration, plain, text

_SHARES = 5  # of a distribution
_KINDS = ("n rare", "n", "n rare", "n", "n rare", "n")  # of the numbers of a curve; there is no room for all on a phone


def signals(of: Status, window: float) -> Iterator[str]:
    """The table of signals; "now" is a window of so many seconds."""
    yield '<section aria-labelledby="signals"><h2 id="signals">Signals</h2>\n<table class="signals">'
    yield f"<caption>{escape(_period(of, window))}</caption>\n<thead><tr>"
    for name, kind in (("Signal", ""), ("Now", "n"), ("Trend", ""), ("Change", "n"), ("Overall", "n"), ("Status", "")):
        yield f'<th scope="col"{f" class={kind}" if kind else ""}>{name}</th>'
    yield "</tr></thead>\n<tbody>\n"
    for place, each in enumerate(of.signals):
        yield from _signal(place, each)
    yield "</tbody></table></section>\n"


def _signal(place: int, each: Shown) -> Iterator[str]:
    row = each.row
    if isinstance(row.value, dict):
        yield f'<tr><th scope="row">{text(row.title)}</th>{_cells("", "", "", "", "")}</tr>\n'
        for name, share in list(row.value.items())[:_SHARES]:
            whole = each.overall.get(name) if isinstance(each.overall, dict) else None
            overall = number(whole, row.unit) if whole is not None else ""
            cells = _cells(number(share, row.unit), "", "", overall, "")
            yield f'<tr class="part"><th scope="row">{text(name)}</th>{cells}</tr>\n'
        return
    overall = number(each.overall, row.unit) if isinstance(each.overall, float) else ""
    change = trend(row.unit, row.previous, row.value)
    cells = _cells(value(row), _trend(place, each), change, overall, _badge(row))
    yield f'<tr><th scope="row">{text(row.title)}</th>{cells}</tr>\n'


def _cells(now: str, line: str, change: str, overall: str, judged: str) -> str:
    return (
        f'<td class="n now">{escape(now)}</td><td class="trend">{line}</td><td class="n change">{escape(change)}</td>'
        f'<td class="n overall">{escape(overall)}</td><td class="said">{judged}</td>'
    )


def _trend(place: int, each: Shown) -> str:
    values = [point for _, point in each.points]
    if not values:
        return ""
    lowest, highest, last = (number(point, each.row.unit) for point in (min(values), max(values), values[-1]))
    words = f"From {clock(each.points[0][0])} to {clock(each.points[-1][0])}: {lowest} to {highest}, at last {last}."
    return sparkline(each.points, f"{each.row.title}, trend", words, f"trend-{place}")


def _badge(row: Row) -> str:
    judged = status(row)
    if judged is Judged.NONE:
        return ""
    kind = "ok" if judged is Judged.OK else "bad"
    words = said(row).removeprefix(f"{judged}: ")
    return f'<span class="badge {kind}">{judged}</span> <span class="soft">{text(words)}</span>'


def latencies(plots: Sequence[Plot]) -> Iterator[str]:
    """The percentile curves, each plot with its numbers in a table."""
    yield '<section aria-labelledby="latency"><h2 id="latency">Latency by percentile</h2>\n'
    yield '<p class="soft">Over everything counted. The further to the right, the rarer: at 99 % one call in a hundred '
    yield "took longer.</p>\n"
    if not any(plot.curves for plot in plots):
        yield "<p>No durations yet.</p>\n"
    yield '<div class="plots">\n'
    for place, plot in enumerate(plots):
        if plot.curves:
            yield from _latency(place, plot)
    yield "</div></section>\n"


def _latency(place: int, plot: Plot) -> Iterator[str]:
    title = f"{plot.title} by {plot.label}"
    names = ", ".join(plain(curve.name) for curve in plot.curves)
    yield f"<div><h3>{text(title)}</h3>\n"
    yield percentiles(
        plot.curves,
        f"{plain(title)}, percentile curves",
        f"A curve for each of {names}; the table below has their numbers.",
        f"plot-{place}",
        duration,
    )
    yield f'\n<table class="latency"><caption class="hidden">{text(title)}</caption><thead><tr><th scope="col">'
    yield f"{text(plot.label)}</th>"
    for column, kind in zip(("Count", "50%", "90%", "99%", "99.9%", "Worst"), _KINDS, strict=True):
        yield f'<th scope="col" class="{kind}">{column}</th>'
    yield "</tr></thead>\n<tbody>\n"
    for color, curve in enumerate(plot.curves):
        yield f'<tr><th scope="row" class="name">{swatch(color)}{text(curve.name)}</th>'
        for cell, kind in zip((f"{curve.values:,}", *map(duration, curve.quantiles)), _KINDS, strict=True):
            yield f'<td class="{kind}">{cell}</td>'
        yield "</tr>\n"
    yield "</tbody></table>"
    yield f'<p class="soft">And {plot.left_out} more.</p>' if plot.left_out else ""
    yield "</div>\n"


def _period(of: Status, window: float) -> str:
    if of.until == -inf:
        return "No events yet."
    length = f"{window / 60:g} min" if window >= 60 else f"{window:g} s"
    until = datetime.fromtimestamp(of.until).astimezone()
    words = f"Now: the last {length} of event time, up to {until:%Y-%m-%d %H:%M:%S %Z}"
    if of.is_partial:
        words += f", except for latency only what was read since the start at {clock(of.since)}"
    if of.trend_since > of.until:
        return f"{words}. Trends follow once a window is full."
    return f"{words}. Change: against the window before. Trend: since {clock(of.trend_since)}."
