"""
How fresh the metrics are: from the moment a line is written to the moment a scrape shows it.

    python -m bench.live [--rate 1000] [--seconds 10]

A writer in a process of its own appends lines at a steady rate to a file that a real `extractor run` follows, rotating
it once by renaming. This process scrapes without a pause. The line counter of a scrape tells which lines it shows; the
latency of a line is the end of the first scrape that shows it less the time of its write, so it includes the scrape.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.gen import lines

READ = re.compile(rb"^extractor_read_lines_total (\S+)$", re.MULTILINE)
BURSTS = 200  # writes a second; at higher rates several lines are written at once, as busy agents do


def write(path: Path, rate: int, seconds: float) -> None:
    """Append lines to *path* and print the time of each write with the number of lines written so far."""
    source = list(lines(int(rate * seconds), 7))
    burst = max(1, rate // BURSTS)
    start = time.monotonic()
    file = path.open("ab", buffering=0)
    for done in range(0, len(source), burst):
        time.sleep(max(0.0, start + done / rate - time.monotonic()))
        if done == len(source) // 2 // burst * burst:
            path.rename(path.with_suffix(".jsonl.1"))
            file = path.open("ab", buffering=0)
        file.write(b"".join(source[done : done + burst]))
        print(time.monotonic(), min(done + burst, len(source)))  # the answer


def scrape(address: str) -> tuple[int, float, float]:
    """The lines that a scrape shows, when it ended, and how long it took."""
    start = time.monotonic()
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:  # our own
        text = answer.read()
    found = READ.search(text)
    end = time.monotonic()
    return int(float(found[1])) if found else 0, end, end - start


def quantile(values: list[float], wanted: float) -> float:
    """The *wanted* quantile of sorted *values*."""
    return values[min(len(values) - 1, int(wanted * len(values)))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Freshness of the metrics while lines are written.")
    parser.add_argument("--rate", type=int, default=1000, help="lines a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write, options.rate, options.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), options.rate, options.seconds)


def _measure(folder: Path, rate: int, seconds: float) -> None:
    logs = folder / "logs"
    logs.mkdir()
    program = [sys.executable, "-m", "extractor", "run", str(logs), "--web.listen-address", "127.0.0.1:0"]
    extractor = subprocess.Popen(program, stderr=subprocess.PIPE, text=True)
    assert extractor.stderr is not None
    address = next(match[1] for line in extractor.stderr if (match := re.search(r"http://([^/]+)/metrics", line)))
    command = [sys.executable, "-m", "bench.live", "--write", str(logs / "a.jsonl")]
    with (folder / "written").open("w") as written:
        writer = subprocess.Popen([*command, "--rate", str(rate), "--seconds", str(seconds)], stdout=written)
        scrapes = []
        shown = 0
        while shown < int(rate * seconds):
            scrapes.append(scrape(address))
            shown = scrapes[-1][0]
            time.sleep(0.005)
        writer.wait()
    usage = _cpu_seconds(extractor.pid)
    extractor.terminate()
    extractor.wait()
    latencies = []
    index = 0
    before = 0
    for line in (folder / "written").read_text().splitlines():
        moment, count = line.split()
        while scrapes[index][0] < int(count):
            index += 1
        latencies += [scrapes[index][1] - float(moment)] * (int(count) - before)
        before = int(count)
    latencies.sort()
    took = sorted(item[2] for item in scrapes)
    print(f"{rate} lines/s for {seconds:g} s, {len(scrapes)} scrapes")
    print(
        f"write to visible  p50 {quantile(latencies, 0.5) * 1e3:.0f} ms  p99 {quantile(latencies, 0.99) * 1e3:.0f} ms"
    )
    print(f"scrape            p50 {quantile(took, 0.5) * 1e3:.0f} ms  p99 {quantile(took, 0.99) * 1e3:.0f} ms")
    print(f"CPU, scrapes included  {usage / (scrapes[-1][1] - scrapes[0][1]):.0%} of a core")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
