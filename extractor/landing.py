"""
Figures in, the page at `/` out.

Everything on it that may come from a log is escaped, and nothing is loaded from elsewhere.

Knows nothing of HTTP or of how the figures were made.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from extractor.report import Figure, shown

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>extractor</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; margin-bottom: 0; }}
table {{ border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }}
caption {{ text-align: left; font-weight: 600; padding: .5rem 0; }}
th, td {{ padding: .3rem .5rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }}
th {{ text-align: left; font-weight: 400; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.part {{ text-align: left; opacity: .7; }}
</style>
</head>
<body>
<h1>extractor</h1>
<p>{followed}</p>
<p><a href="/metrics">Metrics</a> · <a href="/-/healthy">Health</a> · <a href="/-/ready">Readiness</a></p>
<table><caption>Agents, over everything read</caption><tbody>
{figures}</tbody></table>
<table><caption>Extractor {version}</caption><tbody>
{own}</tbody></table>
</body>
</html>
"""


def page(version: str, followed: Sequence[str], figures: Iterable[Figure], own: Iterable[tuple[str, str]]) -> str:
    """The page; *own* are rows about the extractor itself."""
    return _PAGE.format(
        version=escape(version),
        followed="Following " + ", ".join(f"<code>{escape(path)}</code>" for path in followed),
        figures="".join(_rows(figures)),
        own="".join(f"<tr><th>{escape(title)}</th><td>{escape(value)}</td></tr>\n" for title, value in own),
    )


def _rows(figures: Iterable[Figure]) -> Iterable[str]:
    for title, group in groupby(figures, key=lambda figure: figure.title):
        rows = list(group)
        for place, figure in enumerate(rows):
            span = f' rowspan="{len(rows)}"' if len(rows) > 1 else ""
            head = f'<th scope="rowgroup"{span}>{escape(title)}</th>' if place == 0 else ""
            part = f'<td class="part">{escape(figure.part)}</td>'
            yield f"<tr>{head}{part}<td>{escape(shown(figure))}</td></tr>\n"
