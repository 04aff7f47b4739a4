"""The HTML of the status page, without a browser."""

import re
from importlib.resources import files

from extractor.report.verdicts import Row
from extractor.web.page.health import Vital
from extractor.web.page.model import Plot, Shown, Spent, Status
from extractor.web.page.percentile_curves import Curve
from extractor.web.page.render import Behind, Known, Refused, page

HOSTILE = "<b>&\"'{{ 7 * 7 }}\x1b[31m\u202e"
SHOWN = "&lt;b&gt;&amp;(?:&#34;|&quot;)(?:&#39;|&#x27;){{ 7 \\* 7 }}\\\\u001b\\[31m\\\\u202e"

CURVE = Curve(HOSTILE, 3, ((0.0, 1.0), (1.0, 2.0)), (1.0, 1.5, 2.0, 2.0, 2.0))
STATUS = Status(
    since=0.0,
    until=600.0,
    is_partial=True,
    trend_since=300.0,
    signals=(
        Shown(Row(HOSTILE, "", 1.0, 2.0, (None, None)), 3.0, ((0.0, 1.0), (1.0, 2.0), (2.0, 1.0))),
        Shown(Row(HOSTILE, "ratio", {HOSTILE: 1.0}, None, (None, None)), {HOSTILE: 1.0}, ()),
    ),
    in_progress=((HOSTILE, 1),),
    spent=Spent(0.0, 100.0, 1.0),
    plots=(Plot(HOSTILE, HOSTILE, (CURVE,), 1),),
)
KNOWN = Known(
    version=HOSTILE,
    followed=(HOSTILE, HOSTILE),
    now=0.0,
    not_ready="",
    window=300.0,
    status=STATUS,
    refused=(Refused(HOSTILE, 1, HOSTILE, HOSTILE),),
    files=((HOSTILE, 1),),
    behind=(Behind(HOSTILE, HOSTILE, 1),),
    bytes_behind=1,
    vitals=(Vital(HOSTILE, HOSTILE, well=False, note=HOSTILE),),
)


def test_every_text_is_escaped_and_printable() -> None:
    """No text of a log or a path is markup, an expression of a template or an invisible character."""
    html = page(KNOWN) + page(KNOWN._replace(not_ready=HOSTILE))

    assert 50 <= len(re.findall(SHOWN, html))
    assert "<b>" not in html
    assert "49" not in re.sub(r"<style>.*?</style>|<path[^>]*>", "", html, flags=re.DOTALL)
    assert html.replace("\n", "").isprintable()


def test_verdict_is_the_worst_that_is_known() -> None:
    """Catching up comes before trouble, trouble before no events."""
    well = KNOWN._replace(vitals=())
    verdicts = {
        "Catching up": KNOWN._replace(not_ready="Reading."),
        "Needs attention: 1 problem": KNOWN,
        "No events yet": well._replace(status=STATUS._replace(until=float("-inf"))),
        "All is well": well,
    }

    for title, known in verdicts.items():
        assert [title] == re.findall(r'class="verdict[^>]*><strong>(.*?)</strong>', page(known))


def test_templates_are_found_in_the_package() -> None:
    """A wheel contains the package with all files in it, so that is where the templates are."""
    assert (files("extractor.web.page") / "templates" / "page.html").is_file()
