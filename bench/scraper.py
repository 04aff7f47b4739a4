"""
An address in, scrapes out, asked for as Prometheus asks: over one connection, in OpenMetrics, compressed.

Knows nothing of what is scraped but the number of lines it shows.
"""

import gzip
import http.client
import re
import time
from typing import NamedTuple

_READ = re.compile(rb"^extractor_read_lines_total (\S+)$", re.MULTILINE)
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}


class Scrape(NamedTuple):
    """One scrape: the lines that it shows, when its last byte came, and how long it took, in seconds."""

    lines: int
    end: float
    seconds: float
    samples: int
    sent: int  # bytes, compressed


class Scraper:
    """Scrapes *address*."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)

    def scrape(self) -> Scrape:
        """One scrape; what it says is taken apart only after the clock has stopped."""
        began = time.monotonic()
        self._connection.request("GET", "/metrics", headers=_HEADERS)
        answer = self._connection.getresponse()
        body = answer.read()
        end = time.monotonic()
        assert answer.status == http.client.OK, body
        text = gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body
        found = _READ.search(text)
        samples = text.count(b"\n") - text.count(b"\n#") - text.startswith(b"#")
        return Scrape(int(float(found[1])) if found else 0, end, end - began, samples, len(body))


def quantile(values: list[float], wanted: float) -> float:
    """The *wanted* quantile of *values*."""
    return sorted(values)[min(len(values) - 1, int(wanted * len(values)))]
