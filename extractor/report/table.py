"""
Format judged rows as a table for people, or as JSON.

The table is terse. Its last column, the status, is returned separately, so that callers can color it.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from extractor.report.summary import Figure, shown
from extractor.report.verdicts import Measured, Releases, Row, Verdict
from extractor.schema.model import UNKNOWN
from extractor.schema.objective import Direction, Objective

_DAY = 86400  # seconds
_EXACT = 100_000  # below it, plain numbers are not shortened
_WIDE = 16  # characters of a name in a column; a commit has 40
_ROUGH = 100  # below it, numbers have decimals
_SHARES = 5  # of a distribution, in the table


class Status(StrEnum):
    """The verdict on a row; `NONE` without a verdict."""

    OK = "ok"
    BROKEN = "broken"
    NONE = ""


class Line(NamedTuple):
    """A line of the table: all cells but the last, the last cell, and its status."""

    text: str
    last: str
    status: Status = Status.NONE


class Table(NamedTuple):
    """
    The rows, their windows (since and until, in seconds since the epoch) and the releases compared.

    *covered* is how many seconds of the previous window the logs cover, None for all. *is_over* is unset if the current
    window ends in the future.
    """

    rows: tuple[Row, ...]
    current: tuple[float, float]
    previous: tuple[float, float] | None
    releases: Releases | None
    covered: float | None = None
    is_over: bool = True

    @property
    def broken(self) -> list[Row]:
        """The rows with a broken objective."""
        return [row for row in self.rows if row.is_broken]


def lines(table: Table) -> Iterator[Line]:
    """Yield the lines of the table, as text."""
    head = ["", "now", "trend", "status"]
    if table.releases is not None:
        head.insert(3, f"{_short(table.releases.newest)} vs {_short(table.releases.previous)}")
    shown_rows = [each for row in table.rows for each in _unfolded(row)]
    cells = [head, *(_cells(row, compared=table.releases is not None) for row in shown_rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    for row, said in zip(cells, [Status.NONE, *map(status, shown_rows)], strict=True):
        texts = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        yield Line("  ".join(texts) + "  ", row[-1], said)


def as_json(table: Table) -> dict[str, Any]:
    """Return the table as plain values."""
    return {
        "current": {**period_of(table.current), "is_over": table.is_over},
        "previous": None
        if table.previous is None
        else {**period_of(table.previous), "covered_seconds": _covered(table)},
        "releases": None if table.releases is None else table.releases._asdict(),
        "broken": [row.title for row in table.broken],
        "signals": [_signal(row, compared=table.releases is not None) for row in table.rows],
    }


def notes(table: Table, now: float) -> Iterator[str]:
    """Yield notes on the windows: one that is not over at *now*, or a previous one that is incomplete."""
    if not table.is_over:
        yield f"it ends {_duration(table.current[1] - now)} in the future"
    if table.previous is None:
        yield "there is nothing before to compare with"
    elif table.covered is not None:
        of = _duration(table.previous[1] - table.previous[0])
        covered = f"the logs cover {_duration(table.covered)} of its {of}"
        yield f"the window before is not whole: {covered}, so amounts are compared by rate"


def _covered(table: Table) -> float | None:
    if table.previous is None:
        return None
    return table.previous[1] - table.previous[0] if table.covered is None else table.covered


def _duration(seconds: float) -> str:
    return f"{seconds / _DAY:.1f} days" if seconds >= 2 * _DAY else shown(Figure("", "", seconds, "seconds"))


def period_text(period: tuple[float, float]) -> str:
    """Return a period as text."""
    since, until = (f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}" for time in period)
    same = 11 if since[:10] == until[:10] else 0
    return f"{since} to {until[same:]} UTC"


def status(row: Row) -> Status:
    """Return the verdict on *row*."""
    if not row.verdicts:
        return Status.NONE
    return Status.BROKEN if row.is_broken else Status.OK


def _cells(row: Row, *, compared: bool) -> list[str]:
    change = trend(row.unit, row.previous, row.value) if row.rates is None else trend("", *row.rates)
    cells = [row.title, value(row), change]
    if compared:
        cells.append(trend(row.unit, *row.releases))
    return [*cells, said(row)]


def _unfolded(row: Row) -> Iterator[Row]:
    """Yield *row*, and for a distribution a row for each of its largest shares."""
    if not isinstance(row.value, dict):
        yield row
        return
    yield row._replace(value={}, previous=None, releases=(None, None))
    for name in list(row.value)[:_SHARES]:
        before, newest = (_share(measured, name) for measured in row.releases)
        yield Row(f"  {_short(name)}", row.unit, row.value[name], _share(row.previous, name), (before, newest))


def _short(name: str) -> str:
    return name if len(name) <= _WIDE else name[: _WIDE - 1] + "…"


def _share(measured: Measured, name: str) -> float | None:
    return measured.get(name, 0.0) if isinstance(measured, dict) else None


def value(row: Row) -> str:
    """Return the current value of the signal as text."""
    if row.value is None:
        return "unknown" if row.unpriced else "no data"
    return number(row.value, row.unit) if isinstance(row.value, float) else ""


def number(value: float, unit: str) -> str:
    """Return a number as text; large plain numbers are shortened."""
    if unit or value < _EXACT:
        return shown(Figure("", "", value if unit or value < _ROUGH else round(value), unit))
    factor, letter = (10**6, "M") if value >= 10**6 else (10**3, "k")
    return f"{value / factor:.3g}{letter}" if value < 10**9 else f"{value / factor:,.0f}{letter}"


def trend(unit: str, before: Measured, now: Measured) -> str:
    """Return the change from *before* to *now*: in percent, or in percentage points for ratios."""
    if not isinstance(before, float) or not isinstance(now, float):
        return ""
    if unit == "ratio":
        change = round((now - before) * 100, 1)
        return f"{change:+.1f} pp" if change else "="
    if not before:
        return "from 0" if now else "="
    change = round((now / before - 1) * 100)
    return f"{change:+,}%" if change else "="


def said(row: Row) -> str:
    """Return the verdict as text, with the limit."""
    broken = sorted((v for v in row.verdicts if not v.holds), key=_badness, reverse=True)
    if not broken:
        return f"ok: {_limits(row.verdicts)}" if row.verdicts else ""
    worst = broken[0]
    more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
    who = f"{worst.who} " if worst.who not in ("", UNKNOWN) else ""
    return f"broken: {who}{number(worst.value, row.unit)}{more}; {_limit(worst.objective)}"


def _limits(verdicts: Iterable[Verdict]) -> str:
    return ", ".join(dict.fromkeys(_limit(verdict.objective) for verdict in verdicts))


def _limit(objective: Objective) -> str:
    return f"{objective.direction} {objective.limit_text()}"


def _badness(verdict: Verdict) -> tuple[float, str]:
    value, limit = verdict.value, verdict.objective.limit
    most = verdict.objective.direction is Direction.AT_MOST
    return (value - limit if most else limit - value) / (limit or 1), verdict.who


def period_of(period: tuple[float, float]) -> dict[str, str]:
    """Return a period as plain values."""
    since, until = (datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z") for time in period)
    return {"since": since, "until": until}


def _signal(row: Row, *, compared: bool) -> Mapping[str, Any]:
    plain: dict[str, Any] = {
        "signal": row.title,
        "unit": row.unit,
        "value": row.value,
        "previous": row.previous,
        "hourly": None if row.rates is None else dict(zip(("previous", "value"), row.rates, strict=True)),
        "status": status(row) or None,
        "objectives": [
            {
                "name": verdict.objective.name,
                "for": verdict.who or None,
                "limit": verdict.objective.limit,
                "direction": verdict.objective.direction,
                "value": verdict.value,
                "holds": verdict.holds,
            }
            for verdict in row.verdicts
        ],
    }
    if compared:
        plain["releases"] = dict(zip(("previous", "newest"), row.releases, strict=True))
    return plain
