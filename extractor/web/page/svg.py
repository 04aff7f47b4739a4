"""
Numbers in, small SVG pictures out: lines of a trend and percentile curves.

Each picture has a title and a description, and shows nothing that is not also in text or in a table beside it. Colours
come from the page's style sheet; curves differ by dashes as well.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import ceil, floor, log10

from extractor.web.page.percentile_curves import NINES, Curve

_WIDTH, _HEIGHT, _EDGE = 120, 28, 3
_POINTS = 60  # of a trend line: two to a pixel are enough
_FEWEST = 3  # two points are no trend
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 8, 8, 30  # around a plot
_PLOT_WIDTH, _PLOT_HEIGHT = 380, 240
_WIDE_RANGE = 20  # between the medians of curves: from there on a linear axis shows only the slowest
_TICKS = 4
_SHARES = ("0", "90%", "99%", "99.9%", "99.99%", "99.999%")


def sparkline(points: Sequence[tuple[float, float]], title: str, description: str, name: str) -> str:
    """A line through *points*, time and value, with a dot at its end; *name* is an id that the page has once."""
    step = max(1, ceil(len(points) / _POINTS))
    points = points[(len(points) - 1) % step :: step]
    if len(points) < _FEWEST:
        return ""
    times, values = [time for time, _ in points], [value for _, value in points]
    x = _scale(min(times), max(times), _EDGE, _WIDTH - _EDGE)
    y = _scale(min(values), max(values), _HEIGHT - _EDGE, _EDGE)
    at = [(x(time), y(value)) for time, value in points]
    end = at[-1]
    return (
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_said(name)}>{_words(name, title, description)}'
        f'<path d="{_path(at)}"/><circle cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="2.5"/></svg>'
    )


def percentiles(curves: Sequence[Curve], title: str, description: str, name: str, text: Callable[[float], str]) -> str:
    """The percentile curves, each as far as it has values; *text* writes a value as a person reads it."""
    nines = max(2, min(NINES, ceil(max((curve.points[-1][0] for curve in curves), default=0))))
    bottom, right = _PLOT_HEIGHT - _BOTTOM, _PLOT_WIDTH - _RIGHT
    x = _scale(0, nines, _LEFT, right)
    medians = [curve.quantiles[0] for curve in curves]
    most = max((curve.points[-1][1] for curve in curves), default=1.0) or 1.0
    is_wide = bool(medians) and max(medians) > _WIDE_RANGE * max(min(medians), 1e-9)
    if is_wide:
        least = max(min(curve.points[0][1] for curve in curves), most / 10**6, 1e-9)
        low, high = floor(log10(least)), ceil(log10(most))
        ticks = [10.0**power for power in range(low, high + 1)]
        y = _logarithmic(_scale(low, high, bottom, _TOP), low)
    else:
        ticks = _nice(most)
        y = _scale(0, ticks[-1], bottom, _TOP)
    parts = [*_axes(ticks, nines, x, y, text)]
    for place, curve in enumerate(curves):
        at = [(x(min(nine, nines)), y(value)) for nine, value in curve.points]
        parts.append(f'<path class="curve c{place}" d="{_path(at)}"/>')
    axis = " Both axes are logarithmic." if is_wide else ""
    return (
        f'<svg class="plot" viewBox="0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}" {_said(name)}>'
        f"{_words(name, title, description + axis)}{''.join(parts)}</svg>"
    )


def swatch(place: int) -> str:
    """The line of the curve at *place*, for the table beside the plot."""
    return f'<svg class="swatch" viewBox="0 0 24 8" aria-hidden="true"><path class="curve c{place}" d="M0 4H24"/></svg>'


def _axes(
    ticks: Sequence[float], nines: int, x: Callable[[float], float], y: Callable[[float], float],
    text: Callable[[float], str],
) -> Iterator[str]:  # fmt: skip
    right, bottom = _PLOT_WIDTH - _RIGHT, _PLOT_HEIGHT - _BOTTOM
    for tick in ticks:
        yield f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{right}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{escape(text(tick))}</text>'
    # The half lies between 0 and 90 %, where most values are.
    for share, nine in [("50%", log10(2)), *((_SHARES[nine], float(nine)) for nine in range(nines + 1))]:
        at = f"{x(nine):.1f}"
        yield f'<path class="grid" d="M{at} {_TOP}V{bottom}"/>'
        anchor = "end" if nine == nines else "middle"
        yield f'<text x="{at}" y="{bottom + 16}" text-anchor="{anchor}">{share}</text>'


def _nice(most: float) -> list[float]:
    """About four even steps from 0 to *most* or a little more."""
    rough = most / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [step * place for place in range(ceil(most / step * 0.999) + 1)]


def _scale(low: float, high: float, begin: float, end: float) -> Callable[[float], float]:
    """From *low* to *high* is from *begin* to *end*; what does not change lies in the middle."""
    if high <= low:
        return lambda _: (begin + end) / 2
    return lambda value: begin + (value - low) / (high - low) * (end - begin)


def _logarithmic(scale: Callable[[float], float], low: float) -> Callable[[float], float]:
    return lambda value: scale(max(log10(value), low)) if value > 0 else scale(low)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _said(name: str) -> str:
    return f'role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc"'


def _words(name: str, title: str, description: str) -> str:
    return f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
