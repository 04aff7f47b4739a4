"""
A page and its metrics in, everyone who looks at them at once out: scrapers of several kinds, browsers, and the system.

Knows nothing of the package but its pages.
"""

import gzip
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from tests.browser import CHROMIUM, browsing
from tests.killing import Scraper
from tests.servers import DEADLINE

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TICKS = os.sysconf("SC_CLK_TCK")

NOT_SAVED = (
    "extractor_checkpoint_failures_total",
    "extractor_lost_rejects_total",
    "extractor_web_refusals_total",
    "extractor_web_config_failures_total",
)
"""What happens to a process and stands in no log: a kill takes back what was counted since the last checkpoint."""


class Watcher(Scraper):
    """
    A scraper that asks with the header fields *asks*, and remembers in *slowest* how long it waited at most.

    What begins with one of *passing* may come and go; *life* says which process answers, for `NOT_SAVED`.
    """

    kind = "Prometheus text"

    def __init__(
        self, url: str, pause: float, *, passing: str, life: Callable[[], object], asks: dict[str, str] | None = None
    ) -> None:
        super().__init__(url, pause)
        self.slowest = 0.0
        self._asks = asks or {}
        self._passing = passing
        self._life = life
        self._lived: object = None

    def fetch(self) -> str:
        """A scrape as text."""
        began, life = time.monotonic(), self._life()
        request = urllib.request.Request(f"{self._url}/metrics", headers=self._asks)
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            body = response.read()
            packed = response.headers["Content-Encoding"] == "gzip"
        self.slowest = max(self.slowest, time.monotonic() - began)
        self._lives(life)
        return (gzip.decompress(body) if packed else body).decode()

    def take(self, exposition: str) -> None:
        """Compare a scrape with the earlier ones, whatever its form."""
        super().take(as_text(exposition))

    def _lives(self, life: object) -> None:
        dropped = (self._passing, *(NOT_SAVED if life != self._lived else ()))
        self._lived = life
        self.highest = {name: value for name, value in self.highest.items() if not name.startswith(dropped)}


class SlowWatcher(Watcher):
    """One that takes a second and more to read an answer, and tells the system to hold little of it back."""

    kind = "slow"

    def fetch(self) -> str:
        """A scrape as text."""
        life, connection = self._life(), HTTPConnection(self._url.removeprefix("http://"), timeout=DEADLINE)
        connection.sock = socket.socket()
        try:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            connection.sock.settimeout(DEADLINE)
            connection.sock.connect((connection.host, connection.port))
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            if response.status != 200:
                raise urllib.error.HTTPError(self._url, response.status, response.reason, response.headers, None)
            parts = []
            while part := response.read(1 << 14):
                parts.append(part)
                self._done.wait(0.1)
            self._lives(life)
            return b"".join(parts).decode()
        finally:
            connection.close()


class Leaver(Watcher):
    """One that hangs up once the answer has begun."""

    kind = "hangs up"

    def fetch(self) -> str:
        """Nothing: it was not there for it."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=DEADLINE) as response:
            response.read(100)
        return ""

    def take(self, exposition: str) -> None:
        """Count it."""
        self.scrapes["200"] += 1


class Visitor(Watcher):
    """One that fetches the page."""

    kind = "page"

    def fetch(self) -> str:
        """The page."""
        began = time.monotonic()
        with urllib.request.urlopen(f"{self._url}/", timeout=DEADLINE) as response:
            page = response.read().decode()
        self.slowest = max(self.slowest, time.monotonic() - began)
        return page

    def take(self, exposition: str) -> None:
        """See that all of it is there."""
        self.scrapes["200"] += 1
        if not exposition.rstrip().endswith("</html>"):
            self.wrong.append(f"a page ends in {exposition[-100:]!r}")


class Onlooker(threading.Thread):
    """
    A person with the page open in Chromium until `finish`; *updates* counts how often its numbers have changed.

    *wrong* has every error of a script.
    """

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self.updates = self.began_anew = 0
        self.wrong: list[str] = []
        self._url = url
        self._folder = folder
        self._done = threading.Event()

    def finish(self) -> None:
        """Close the browser."""
        self._done.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Look until told to stop; a browser that is too slow to answer is none of our business."""
        while not self._done.is_set() and CHROMIUM is not None:
            try:
                self._look()
            except (AssertionError, OSError):
                self.began_anew += 1
                self._done.wait(5)

    def _look(self) -> None:
        rows = """[...document.querySelectorAll("[aria-labelledby=own] tbody tr")].map(row => row.innerText)"""
        with browsing(self._folder) as browser:
            page, seen = browser.page(), None
            page.open(self._url)
            while not self._done.wait(1):
                now = page.run(rows)
                if not now:  # nobody was there when it was opened
                    page.open(self._url)
                elif now != seen:
                    self.updates += 1
                    seen = now
                self.wrong += [str(event) for event in page.events("Runtime.exceptionThrown")]
                browser._events.clear()


class Use(NamedTuple):
    """What a process used at a moment: seconds since the start, which process, bytes, open files, seconds of CPU."""

    at: float
    pid: int
    rss: int
    files: int
    cpu: float


class Meter(threading.Thread):
    """Reads twice a second, until `finish`, what the process uses whose number *pid* gives."""

    def __init__(self, pid: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self.uses: list[Use] = []
        self._pid = pid
        self._began = time.monotonic()
        self._done = threading.Event()

    def finish(self) -> None:
        """Stop reading."""
        self._done.set()
        self.join()

    def run(self) -> None:
        """Read until told to stop."""
        while not self._done.wait(0.5):
            pid = self._pid()
            try:
                self.uses.append(use_of(pid, time.monotonic() - self._began))
            except (OSError, TypeError):  # there is none at the moment
                continue

    def cpu(self) -> float:
        """The seconds of CPU of all processes together."""
        return sum({use.pid: use.cpu for use in self.uses}.values())


def use_of(pid: int, at: float) -> Use:
    """What the process *pid* uses *at* a moment."""
    folder = Path(f"/proc/{pid}")
    rss = re.search(r"VmRSS:\s+(\d+) kB", (folder / "status").read_text())
    ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    if rss is None:
        raise ProcessLookupError(pid)
    return Use(at, pid, 1024 * int(rss[1]), len(list((folder / "fd").iterdir())), sum(map(int, ticks)) / TICKS)


def as_text(exposition: str) -> str:
    """OpenMetrics as Prometheus text, as far as `counters` reads it; text as it is."""
    if not exposition.endswith("# EOF\n"):
        return exposition
    named = re.sub(r"^# TYPE (\S+) counter$", r"# TYPE \1_total counter", exposition, flags=re.MULTILINE)
    return re.sub(r" # \{.*$", "", named, flags=re.MULTILINE)


def tally(watchers: list[Watcher]) -> dict[str, Counter[str]]:
    """What came of the scrapes, by kind."""
    found: dict[str, Counter[str]] = {}
    for watcher in watchers:
        kind = watcher._asks.get("Accept-Encoding") or ("OpenMetrics" if "Accept" in watcher._asks else watcher.kind)
        found.setdefault(kind, Counter()).update(watcher.scrapes)
    return found
