"""
The result of a replay in, its text in each output format out.

Text that comes from logs is escaped, so that it cannot control a terminal.
"""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from math import isfinite

import msgspec

from extractor.exposition import samples
from extractor.history.backfill import Written
from extractor.history.replay import Replayed
from extractor.report import summary
from extractor.report.table import period_of, period_text
from extractor.service.escapes import printable, printable_json
from extractor.state.stats import Stats


def _table(replayed: Replayed) -> str:
    rows: list[tuple[str, str]] = []
    stats = replayed.stats
    if stats.events:
        rows.append(("Period", period_text((stats.earliest, replayed.state.watermark))))
    for title, group in groupby(summary.figures(replayed.state), key=lambda figure: figure.title):
        figures = list(group)
        rows.append((title, "  ".join(f"{figure.part} {_shown(figure, stats)}".strip() for figure in figures)))
    rows.append(("Lines", f"{stats.lines_read:,}"))
    rejects = sorted(stats.rejects.items(), key=lambda item: (-item[1], item[0]))
    reasons = "  ".join(f"{reason} {lines:,}" for reason, lines in rejects if lines)
    rows.append(("Rejects", reasons or "none"))
    if replayed.outside:
        rows.append(("Outside", f"{replayed.outside:,} lines before or after the period, not counted"))
    if stats.gaps or stats.repeats:
        rows.append(("Numbering", f"missing {stats.gaps:,}  repeated {stats.repeats:,}"))
    if replayed.unfinished:
        rows.append(("Unfinished", f"{replayed.unfinished:,} bytes after the last newline, not counted"))
    width = max(len(title) for title, _ in rows)
    return "".join(f"{title:<{width}}  {printable(text)}\n" for title, text in rows)


def _shown(figure: summary.Figure, stats: Stats) -> str:
    unpriced = stats.unpriced.total() if figure.unit == "usd" else 0
    if not unpriced:
        return summary.shown(figure)
    calls = f"{unpriced:,} call{'' if unpriced == 1 else 's'} without a price"
    return f"unknown: {calls}" if _is_unknown(figure, stats) else f"{summary.shown(figure)} and {calls}"


def _is_unknown(figure: summary.Figure, stats: Stats) -> bool:
    """Whether *figure* is a cost, and no call of it has a price."""
    return figure.unit == "usd" and not figure.seen and bool(stats.unpriced.total())


def _json(replayed: Replayed) -> str:
    state = replayed.state
    shown = ({"name": name, "labels": labels, "value": _number(v)} for name, labels, v in samples.of_state(state))
    figures = (
        {
            "title": figure.title,
            "part": figure.part,
            "value": None if _is_unknown(figure, replayed.stats) else figure.value,
            "unit": figure.unit,
        }
        for figure in summary.figures(state)
    )
    content = {
        "lines": replayed.stats.lines_read,
        "events": replayed.stats.events,
        "period": period_of((replayed.stats.earliest, state.watermark)) if replayed.stats.events else None,
        "outside": replayed.outside,
        "rejects": {reason: lines for reason, lines in sorted(replayed.stats.rejects.items()) if lines},
        "gaps": replayed.stats.gaps,
        "repeats": replayed.stats.repeats,
        "unpriced": dict(sorted(replayed.stats.unpriced.items())),
        "unfinished_bytes": replayed.unfinished,
        "report": list(figures),
        "samples": list(shown),
    }
    # The encoder that can indent is not the fast one.
    plain = msgspec.json.format(json.dumps(content, ensure_ascii=False), indent=1)
    return printable_json(plain) + "\n"


def _number(value: float) -> float | str:
    # JSON has no NaN; a window without values has no quantile.
    return value if isfinite(value) else str(value)


def said_of(replayed: Replayed, written: Written | None) -> Iterator[str]:
    """Messages about the samples written."""
    if rejects := replayed.stats.rejects.total():
        yield f"{rejects:,} of {replayed.stats.lines_read:,} lines were rejected; run extractor check --logs to see why"
    if written is None:
        yield "no events found, so no samples were written"
        return
    first, last = (f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}" for time in (written.first, written.last))
    yield f"{written.samples:,} samples of {written.series:,} series, from {first} to {last}"


def _text(replayed: Replayed, *, openmetrics: bool) -> str:
    from extractor.exposition import self_metrics  # noqa: PLC0415  # prometheus-client takes 50 ms to import
    from extractor.exposition import text as exposition  # noqa: PLC0415  # prometheus-client takes 50 ms to import

    metrics = exposition.text(replayed.state, threading.Lock(), openmetrics=openmetrics).removesuffix("# EOF\n")
    return metrics + self_metrics.lines_text(replayed.stats, openmetrics=openmetrics)


FORMATS: dict[str, Callable[[Replayed], str]] = {
    "table": _table,
    "json": _json,
    "prometheus": lambda replayed: _text(replayed, openmetrics=False),
    "openmetrics": lambda replayed: _text(replayed, openmetrics=True),
}
