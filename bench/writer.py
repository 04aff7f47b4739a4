"""
Lines of a file in, the same lines appended to a log at a steady rate out, as busy agents and logrotate would.

    python -m bench.writer SOURCE LOG --rate 10000 --seconds 10

The log is renamed to LOG.1 (and that to LOG.2, and so on; five are kept) every 10 s, or 64 MiB if they come first.
Printed is the moment of each write and the number of lines written by then. The events keep their own times, so that at
high rates event time runs faster than the clock.

Knows nothing of who reads.
"""

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import IO

BURSTS = 200  # writes a second; at higher rates several lines are written at once
KEPT = 5
ROTATE_BYTES = 64 << 20
ROTATE_SECONDS = 10.0


def write(source: IO[bytes], log: Path, rate: int, seconds: float) -> None:
    """Append lines of *source* to *log* and print when."""
    burst = max(1, rate // BURSTS)
    file = log.open("ab", buffering=0)
    began = opened = time.monotonic()
    size = 0
    for done in range(burst, int(rate * seconds) + 1, burst):
        blob = b"".join(islice(source, burst))
        time.sleep(max(0.0, began + done / rate - time.monotonic()))
        if size > ROTATE_BYTES or time.monotonic() > opened + ROTATE_SECONDS:
            file.close()
            rotate(log)
            file = log.open("ab", buffering=0)
            opened, size = time.monotonic(), 0
        size += file.write(blob)
        print(time.monotonic(), done)
    file.close()


def rotate(log: Path) -> None:
    """Rename *log*, and those renamed before."""
    names = [log, *(log.with_name(f"{log.name}.{n}") for n in range(1, KEPT + 1))]
    for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
        if newer.exists():
            newer.rename(older)


def main() -> None:
    """Write until the time is over."""
    parser = argparse.ArgumentParser(description="Append lines at a steady rate.")
    parser.add_argument("source", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("--rate", type=int, required=True, help="lines a second")
    parser.add_argument("--seconds", type=float, required=True, help="how long")
    options = parser.parse_args()
    with options.source.open("rb") as source:
        write(source, options.log, options.rate, options.seconds)


if __name__ == "__main__":
    main()
