"""The status page in a real Chromium: what a person sees, can reach and is told."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import count, product
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.browser import CHROMIUM, Browser, Page, browsing
from tests.conftest import Log
from tests.reading import line
from tests.servers import DEADLINE, eventually, get

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt install chromium")

HOSTILE = [
    "<script>window.harmed = 1</script>",
    '"><img src=x onerror="window.harmed = 1">',
    "'; window.harmed = 1; //",
    "</title></style></svg><svg onload=window.harmed=1>",
    "line\nbreak\x00\x1b[31m\u202eturned",
    "a-name-without-any-place-to-break-it-" * 3,
]


class Site:
    """A running `extractor run` on a port that stays the same."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "extractor", "run", str(folder), *options]
        self._command += ["--web.listen-address", f"127.0.0.1:{port}", "--poll-interval", "0.2"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it has read all there is."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(lambda: get(f"{self.url}/-/ready"), "Ready.\n")

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(DEADLINE)
            self._process = None

    def samples(self) -> dict[str, float]:
        """A scrape: the value of each series."""
        rows = re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", get(f"{self.url}/metrics"), re.MULTILINE)
        return {name: float(value) for name, value in rows}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all."""
    with browsing(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new tab, of the size of a desktop."""
    tab = browser.page()
    tab.size(1280, 900)
    yield tab
    tab.close()


@pytest.fixture
def site(log: Log, free_ports: Callable[[int], list[int]]) -> Iterator[Site]:
    """A server of an empty log that is not started yet."""
    made = Site(log.path.parent, free_ports(1)[0])
    yield made
    made.stop()


NUMBERS = count(1)
OPEN = 'agent_runs_in_progress{agent="planner"}'


def run(agent: str = "planner", *, tool: str = "search", status: str = "ok", model: str = "m") -> list[bytes]:
    """The lines of one run, now."""
    name, now = f"run-{next(NUMBERS)}", time.time()
    took = 100.0 * next(NUMBERS)
    common: dict[str, Any] = {"run_id": name, "agent": agent, "release": "r1", "ts": now}
    return [
        line("run.start", **common),
        line("llm.call", **common, model=model, status=status, duration_ms=took, input_tokens=900, cost_usd=0.25),
        line("tool.call", **common, tool=tool, status=status, duration_ms=took / 2),
        line("run.complete", **common, status=status, stop_reason="completed", duration_ms=2 * took),
    ]


def signals(page: Page) -> dict[str, dict[str, str]]:
    """The cells of the table of signals, by row and column."""
    script = """[...document.querySelectorAll(".signals tbody tr")].map(row => ({
        title: row.querySelector("th").textContent,
        cells: Object.fromEntries([...row.querySelectorAll("td")].map(
            cell => [[...cell.classList].filter(name => name !== "n")[0], cell.innerText.trim()])),
    }))"""
    return {row["title"]: row["cells"] for row in page.run(script)}


def rows(page: Page, section: str) -> dict[str, list[str]]:
    """The rows of the table in the section with this heading's id: the cells by row."""
    script = f"""[...document.querySelectorAll("[aria-labelledby={section}] tbody tr")]
        .map(row => [...row.children].map(cell => cell.innerText.trim()))"""
    return {name: cells for name, *cells in page.run(script)}


def test_numbers_are_those_of_the_metrics(log: Log, site: Site, page: Page) -> None:
    """What the page says is what a scrape says at the same time."""
    for status in ("ok", "ok", "ok", "error"):
        log.append(*run(status=status))
    log.append(line("run.start", run_id="open", agent="planner", release="r1", ts=time.time()), b"{")
    site.start()
    page.open(site.url)
    seen, samples = signals(page), site.samples()
    runs = [value for name, value in samples.items() if name.startswith("agent_runs_total")]
    of_planner = 'agent_run_duration_quantile_seconds{agent="planner",quantile="0.95",release="r1"}'

    assert (4, f"{sum(runs):.0f}") == (sum(runs), seen["Runs"]["now"])
    assert "75.0%" == seen["Success rate"]["now"]
    assert f"{samples[of_planner]:.3g} s" == seen["Run latency p95"]["now"]
    assert f"${sum(v for n, v in samples.items() if n.startswith('agent_cost_usd_total')):.2f}" == seen["Cost"]["now"]
    assert [f"{samples[OPEN]:.0f}"] == rows(page, "runs")["planner"]
    assert [f"{samples['extractor_read_lines_total']:.0f}"] == rows(page, "own")["Lines read"]
    assert "1" == rows(page, "rejects")["not_json"][0]
    assert f"{log.path}:{log.path.stat().st_size - 2}" in rows(page, "rejects")["not_json"][1]
    calls = samples['agent_tool_call_duration_quantile_seconds_count{release="r1",tool="search"}']
    assert f"{calls:.0f}" == rows(page, "latency")["search"][0]
    assert "broken" in seen["Success rate"]["said"]
    assert "Needs attention" in page.text(".verdict")


def test_updates_by_itself(log: Log, site: Site, page: Page) -> None:
    """A line that is written is on the page a moment later, and nothing else of the page has changed."""
    log.append(*run())
    site.start()
    page.open(site.url)
    page.run("window.same = document.querySelector('.signals tbody tr'); window.scrollTo(0, 200)")
    log.append(*run(), *run())

    eventually(lambda: signals(page)["Runs"]["now"], "3")
    assert page.run("window.same === document.querySelector('.signals tbody tr') && window.scrollY === 200")


def test_loads_nothing_from_elsewhere(log: Log, site: Site, page: Page) -> None:
    """Every request goes to the extractor, nothing breaks the policy, and no script fails."""
    log.append(*run())
    site.start()
    page.open(site.url)
    log.append(*run())
    eventually(lambda: signals(page)["Runs"]["now"], "2")
    asked = {event["request"]["url"] for event in page.events("Network.requestWillBeSent")}

    assert {f"{site.url}/"} == {url for url in asked if not url.startswith("data:")}
    assert [] == [event["entry"]["text"] for event in page.events("Log.entryAdded")]
    assert [] == page.events("Runtime.exceptionThrown")
    with urlopen(site.url) as answer:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_connection_lost_and_found(log: Log, site: Site, page: Page) -> None:
    """Once the extractor does not answer the page says so, and since when, until it answers again."""
    log.append(*run())
    site.start()
    page.open(site.url)
    assert "" == page.text("#lost")

    site.stop()
    eventually(lambda: page.text("#lost").startswith("Connection lost since"), expected=True)
    page.run("window.scrollTo(0, 600)")
    assert 0 == page.run("document.getElementById('lost').getBoundingClientRect().top")

    site.start()
    eventually(lambda: page.text("#lost"), "")
    assert "1" == signals(page)["Runs"]["now"]


TIMERS = """window.waiting = new Set();
const set = window.setTimeout, clear = window.clearTimeout;
window.setTimeout = (act, after) => {
    const timer = set(() => { window.waiting.delete(timer); act(); }, after);
    window.waiting.add(timer);
    return timer;
};
window.clearTimeout = (timer) => { window.waiting.delete(timer); clear(timer); };"""


def test_pauses_while_nobody_looks(log: Log, site: Site, page: Page) -> None:
    """A hidden tab asks for nothing and waits for nothing; when it is seen again it asks at once."""
    site.start()
    page.call("Page.addScriptToEvaluateOnNewDocument", source=TIMERS)
    page.open(site.url)
    assert 1 == page.run("window.waiting.size")
    page.run("Object.defineProperty(document, 'hidden', {configurable: true, get: () => window.away})")
    page.run("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")

    eventually(lambda: [page.text("#live"), page.run("window.waiting.size")], ["Paused", 0])
    log.append(*run())
    page.run("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    eventually(lambda: signals(page)["Runs"]["now"], "1")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_a_log_is_text(text: str, log: Log, site: Site, page: Page) -> None:
    """Names in a log are shown as they are written, run nothing, and hide nothing."""
    log.append(*run(text, tool=text, model=text), json.dumps({"event": text, "ts": time.time()}).encode())
    site.start()
    page.open(site.url)
    log.append(*run(text, tool=text, model=text))
    eventually(lambda: signals(page)["Runs"]["now"], "2")
    served = text.replace("\0", "␀")  # it is the value of a label
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in served)

    assert page.run("window.harmed") is None
    assert 0 == page.run("document.querySelectorAll('main script, main img, main style, [onload], [onerror]').length")
    assert page.run(f"[...document.querySelectorAll('.latency th')].some(e => e.textContent === {json.dumps(shown)})")
    assert [] == [event["entry"]["text"] for event in page.events("Log.entryAdded")]


def test_dark_and_light(log: Log, site: Site, page: Page) -> None:
    """The page is dark for who prefers that, and light for everybody else."""
    site.start()
    brightness = (
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).reduce((a, b) => +a + +b) / 3"
    )
    seen = {}
    for scheme in ("light", "dark"):
        page.prefer(color_scheme=scheme)
        page.open(site.url)
        seen[scheme] = page.run(brightness)

    assert seen["dark"] < 64
    assert seen["light"] > 192


WIDE = """[...document.querySelectorAll("body *")].filter(
    each => each.getBoundingClientRect().right > each.parentElement.getBoundingClientRect().right + 1
        && !each.closest(".skip, .hidden, svg, .signals thead")
).map(each => each.nodeName + "." + each.getAttribute("class") + ": " + each.textContent.slice(0, 40))"""


def test_fits_without_scrolling_sideways(log: Log, site: Site, page: Page) -> None:
    """Nothing is wider than its place, down to a phone's screen, whatever agents are called."""
    for name in ("planner", *HOSTILE):
        log.append(*run(name, tool=name, model=name, status="error"))
    log.append(b"x" * 300)
    site.start()
    for width in (320, 360, 768, 1040, 1280):
        page.size(width, 740, phone=width < 500)
        page.open(site.url)
        wide = page.run(WIDE)

        assert [] == wide, width
        assert width >= page.run("document.documentElement.scrollWidth")


def test_keyboard(log: Log, site: Site, page: Page) -> None:
    """Tab goes in the order of reading, what has the focus is marked, and one can skip to the status."""
    site.start()
    page.open(site.url)
    reached = []
    for _ in range(4):
        page.press("Tab")
        reached.append(page.run("document.activeElement.innerText"))
        assert "solid" == page.run("getComputedStyle(document.activeElement).outlineStyle")
    page.run("document.activeElement.blur()")
    page.open(site.url)
    page.press("Tab")
    page.press("Enter")

    assert ["Skip to the status", "Metrics", "Readiness", "Health"] == reached
    assert "main" == page.run("document.activeElement.id")


AXE = """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(
    found => found.violations.map(each => each.id + ": " + each.nodes.map(node => node.html).join(" | ")))"""


@pytest.mark.parametrize("state", ["empty", "well", "trouble", "lost"])
def test_nothing_keeps_people_out(state: str, log: Log, site: Site, page: Page) -> None:
    """Axe finds nothing: names, headers, landmarks and contrast are right in every state, size and colour."""
    if state != "empty":
        log.append(*run(status="error" if state == "trouble" else "ok"), *run(), *run())
    if state == "trouble":
        log.append(b"no event", b"[]", *run(HOSTILE[0], tool=HOSTILE[1]))
    site.start()
    page.prefer(reduced_motion="reduce")
    page.open(site.url)
    if state == "lost":
        site.stop()
        eventually(lambda: page.text("#lost") != "", expected=True)
    page.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8") + "; 0")

    for width, scheme in product((360, 1280), ("light", "dark")):
        page.size(width, 740, phone=width < 500)
        page.prefer(color_scheme=scheme, reduced_motion="reduce")
        assert [] == page.run(AXE), (width, scheme)


def test_screen_reader(log: Log, site: Site, page: Page) -> None:
    """Landmarks, tables and pictures have names; what is in a picture is in a table, too."""
    log.append(*run(), *run(tool="fetch"))
    site.start()
    page.open(site.url)
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value", ""), node.get("description", {}).get("value", ""))
        for node in page.call("Accessibility.getFullAXTree")["nodes"]
        if not node.get("ignored")
    ]
    named = {role: [(name, text) for each, name, text in nodes if each == role] for role, _, _ in nodes}

    assert all(len(named[role]) == 1 for role in ("banner", "main", "contentinfo", "navigation"))
    assert all(name for name, _ in (*named["table"], *named["region"]))
    assert all(name and text for name, text in named["image"])
    assert any("curves" in name for name, _ in named["image"])
    assert {"Signal", "Now", "Trend", "Status"} <= {name for name, _ in named["columnheader"]}
    assert {"Runs", "Success rate", "search", "fetch"} <= {name for name, _ in named["rowheader"]}


def test_without_a_script(log: Log, site: Site, page: Page) -> None:
    """Who allows no scripts sees the same, and how to update it."""
    log.append(*run())
    site.start()
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(site.url)
    texts = [
        node.get("name", {}).get("value", "")
        for node in page.call("Accessibility.getFullAXTree")["nodes"]
        if node["role"]["value"] == "StaticText"
    ]

    assert "Success rate" in texts
    assert "100.0%" in texts
    assert "Reload to update." in texts


def test_no_page(log: Log, free_ports: Callable[[int], list[int]]) -> None:
    """With --web.disable-page there is none, and `/` says where the metrics are."""
    site = Site(log.path.parent, free_ports(1)[0], "--web.disable-page")
    site.start()
    try:
        with pytest.raises(HTTPError) as answer:
            get(f"{site.url}/")
    finally:
        site.stop()

    assert (404, b"Not found; see /metrics\n") == (answer.value.code, answer.value.read())
    answer.value.close()
