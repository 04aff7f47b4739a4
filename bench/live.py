"""
How fresh the metrics are, and what they cost, while a log is written: two tables for docs/performance.md.

    python -m bench.live [--rates 1000 10000 50000] [--seconds 10] [--write]

For each rate a writer in a process of its own appends lines to a log, rotates it, and a real `extractor run` with a
state directory follows. For one half of the time nobody scrapes, which gives the share of a core that reading takes.
For the other half this process scrapes without a pause: the latency of a line is the end of the first scrape that shows
it less the time of its write, so it includes the scrape.

Then 10,000 series: scrapes while nothing is written, and while there is more to read than can be read.

Knows nothing of the package but its command line and its line counter.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

from bench import memory
from bench.checkpoint import TOOLS, write_pack
from bench.following import Following, following
from bench.page import PAGE, machine, replace, table
from bench.scraper import Scrape, Scraper, quantile
from bench.speed import generated

ALLOWED = {1_000: 0.1, 50_000: 0.5}  # write to visible, p99, by rate
ALLOWED_SCRAPE = 0.25  # p99, at 10,000 series
BACKLOG = 4_000_000  # lines that wait to be read
IDLE = 40  # scrapes while nothing is written
FULL_SECONDS = 30.0  # how long scrapes are made while there is more to read
PATIENCE = 30.0  # seconds, at most, until all that was written is shown
HEAD = ("lines/s", "CPU, of a core", "visible p50 ms", "p99 ms", "scrape p50 ms", "p99 ms", "samples", "resident MiB")
HEAD_SERIES = ("10,000 series", "scrapes", "p50 ms", "p99 ms", "CPU ms a scrape", "lines/s read", "resident MiB")


@dataclass(frozen=True)
class Live:
    """What was measured at one rate; times in seconds."""

    rate: int
    share: float
    latencies: list[float]
    scrapes: list[Scrape]
    resident: int


@dataclass(frozen=True)
class Busy:
    """Scrapes of many series, how many lines a second were read meanwhile, and what it took."""

    scrapes: list[Scrape]
    cpu_seconds: float
    lines_per_second: float
    resident: int


def live(folder: Path, rate: int, seconds: float) -> Live:
    """Write *rate* lines a second, twice *seconds* long."""
    logs = folder / "logs"
    logs.mkdir()
    total = int(rate * seconds * 2)
    source = generated(max(1000000, total))
    command = [sys.executable, "-m", "bench.writer", str(source), str(logs / "agents.jsonl")]
    command += ["--rate", str(rate), "--seconds", str(seconds * 2)]
    with following(logs, "--state-dir", str(folder / "state")) as it, (folder / "written").open("w") as written:
        scraper = Scraper(it.address)
        scraper.scrape()
        writer = subprocess.Popen(command, stdout=written)
        time.sleep(1.0)  # until it writes
        began, used = time.monotonic(), it.cpu_seconds()
        time.sleep(seconds - 1.0)
        share = (it.cpu_seconds() - used) / (time.monotonic() - began)
        scrapes = list(_until(scraper, total, time.monotonic() + seconds + PATIENCE))
        writer.wait()
        resident = memory.resident(it.pid)
    return Live(rate, share, latencies((folder / "written").read_text(), scrapes), scrapes, resident)


def latencies(written: str, scrapes: list[Scrape]) -> list[float]:
    """From each write to the end of the first scrape that shows its last line, once scraping had begun."""
    begun = scrapes[0].end - scrapes[0].seconds
    shown = [scrape.lines for scrape in scrapes]
    found = []
    for line in written.splitlines():
        moment, count = line.split()
        if float(moment) >= begun:
            first = bisect_left(shown, int(count))
            found.append(scrapes[first].end - float(moment) if first < len(scrapes) else inf)
    return found


def busy(folder: Path, backlog: int) -> tuple[Busy, Busy]:
    """Scrape 10,000 series while nothing is written, and while *backlog* lines are read."""
    logs, pack, waiting = folder / "logs", folder / "pack", folder / "waiting"
    logs.mkdir()
    write_pack(pack)
    first = TOOLS * 100
    (logs / "a.jsonl").write_bytes(b"".join(calls(0, first)))
    with waiting.open("wb") as file:
        file.writelines(calls(first, backlog))
    with following(logs, "--state-dir", str(folder / "state"), "--schemas", str(pack)) as it:
        scraper = Scraper(it.address)
        idle = _scraped(it, (scraper.scrape() for _ in range(IDLE)))
        waiting.rename(logs / "b.jsonl")  # all at once
        full = _scraped(it, _until(scraper, first + backlog, time.monotonic() + FULL_SECONDS))
    return idle, full


def _scraped(it: Following, scrapes: Iterator[Scrape]) -> Busy:
    used = it.cpu_seconds()
    found = list(scrapes)
    speed = (found[-1].lines - found[0].lines) / (found[-1].end - found[0].end)
    return Busy(found, it.cpu_seconds() - used, speed, memory.resident(it.pid))


def calls(first: int, n: int) -> Iterator[bytes]:
    """*n* calls of all tools in turn, a millisecond apart, from number *first* on."""
    for i in range(first, first + n):
        yield (
            b'{"ts":%d.%03d,"event":"call","run_id":"run-%d","tool":"tool-%04d","status":"ok","duration_ms":%d.5}\n'
            % (1767607200 + i // 1000, i % 1000, i // 5000, i % TOOLS, i * i % 9973)
        )


def _until(scraper: Scraper, lines: int, deadline: float) -> Iterator[Scrape]:
    shown = 0
    while shown < lines and time.monotonic() < deadline:
        scrape = scraper.scrape()
        shown = scrape.lines
        yield scrape
        time.sleep(0.002)


def page(rates: Iterable[Live], many: tuple[Busy, Busy] | None) -> Iterator[str]:
    """The two tables, and what of the limits was missed."""
    yield f"{machine()}. In brackets the limit.\n"
    rows: list[tuple[str, ...]] = []
    for one in rates:
        seconds = [scrape.seconds for scrape in one.scrapes]
        rows.append(
            (f"{one.rate:,}", f"{one.share:.1%}", _ms(one.latencies, 0.5),
             _ms(one.latencies, 0.99, ALLOWED.get(one.rate)), _ms(seconds, 0.5), _ms(seconds, 0.99),
             f"{one.scrapes[-1].samples:,}", f"{one.resident / 2**20:,.0f}")
        )  # fmt: skip
    yield table(HEAD, rows, words=())
    if many is None:
        return
    idle, full = many
    rows = []
    for name, some, allowed in (("nothing written", idle, None), ("reading at full speed", full, ALLOWED_SCRAPE)):
        seconds = [scrape.seconds for scrape in some.scrapes]
        rows.append(
            (name, f"{len(seconds)}", _ms(seconds, 0.5), _ms(seconds, 0.99, allowed), _alone(some),
             f"{some.lines_per_second:,.0f}", f"{some.resident / 2**20:,.0f}")
        )  # fmt: skip
    last = full.scrapes[-1]
    yield "\n" + table(HEAD_SERIES, rows)
    yield f"\nA scrape of these has {last.samples:,} samples and is {last.sent / 1000:,.0f} kB, compressed."


def _alone(some: Busy) -> str:
    # While lines are read nobody can say which of the two the CPU time was for.
    return "" if some.lines_per_second else f"{1000 * some.cpu_seconds / len(some.scrapes):.0f}"


def _ms(seconds: list[float], wanted: float, allowed: float | None = None) -> str:
    limit = f" ({1000 * allowed:.0f})" if allowed else ""
    found = quantile(seconds, wanted)
    return (f"{1000 * found:.0f}" if found < inf else "never shown") + limit


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description="Freshness and cost of the metrics while a log is written.")
    parser.add_argument("--rates", type=int, nargs="*", default=[1_000, 10_000, 50_000], help="lines a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="half as long as a rate lasts")
    parser.add_argument("--backlog", type=int, default=BACKLOG, help="lines read under 10,000 series; 0: not at all")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE}")
    options = parser.parse_args()
    rates, many = [], None
    for rate in options.rates:
        with tempfile.TemporaryDirectory(prefix="bench-live-") as folder:
            rates.append(live(Path(folder), rate, options.seconds))
    if options.backlog:
        with tempfile.TemporaryDirectory(prefix="bench-live-") as folder:
            many = busy(Path(folder), options.backlog)
    text = "\n".join(page(rates, many))
    print(text)
    if options.write:
        replace("live", text)


if __name__ == "__main__":
    main()
