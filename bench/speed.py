"""
A generated log in, CPU time and lines per second of `extractor replay` out.

Times of different minutes cannot be compared on a busy machine, so everything is measured in turn, several times over,
and the best of each is kept; what counts is the ratio to a loop of `orjson.loads` over the same lines.

    python -m bench.speed --lines 1000000 --json build/speed.json [--write]

Knows nothing of how extractor works: it starts it as a user does.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.gen import lines
from bench.memory import Watch
from bench.page import PAGE, machine, replace, table

BUILD = Path("build")
LOOP = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'): orjson.loads(line)"
TWICE = (
    "import subprocess, sys\n"
    "loops = [subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]) for _ in range(2)]\n"
    "sys.exit(any([loop.wait() for loop in loops]))"
)
"""Two loops at once: how much more two processes can do on this machine than one."""
LOOP_NAME, LOOPS = "orjson.loads of every line", "the same, twice at once"
ONE, TWO = "extractor replay --jobs 1", "extractor replay --jobs 2"
ALLOWED, ALLOWED_FASTER = 1.5, 1.8
SPLIT = "import sys\nfor line in open(sys.argv[1], 'rb'): pass"


@dataclass(frozen=True)
class Measured:
    """One run of a program: seconds of CPU, user and system, the most memory it held, in bytes, and seconds it took."""

    cpu_seconds: float
    peak_bytes: int
    wall_seconds: float


@dataclass(frozen=True)
class Row:
    """The best run of a program, and what follows from it; the ratio is of CPU time."""

    name: str
    lines_per_second: float
    cpu_seconds: float
    ratio: float
    seconds: float
    peak_mib: float


def measure(command: list[str], output: Path = Path(os.devnull), more: dict[str, str] | None = None) -> Measured:
    """
    Run *command* to its end and ask the kernel what it cost, its children included.

    It writes to *output*, with the variables *more* added to its environment.
    """
    began = time.monotonic()
    with output.open("wb") as answer:
        process = subprocess.Popen(command, stdout=answer, env=os.environ | (more or {}))
        watch = Watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    # The kernel's figure is the better one, unless it is only what this process held when it started the other.
    peak, own = usage.ru_maxrss * 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seen = watch.stop()
    peak = seen if peak <= own else max(seen, peak)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}")
    return Measured(usage.ru_utime + usage.ru_stime, peak, took)


def compare(log: Path, n: int, rounds: int) -> list[Row]:
    """The best of *rounds* for each program over the *n* lines of *log*; the ratio is to the first."""
    extractor = str(Path(sys.executable).with_name("extractor"))
    commands = {
        LOOP_NAME: [sys.executable, "-c", LOOP, str(log)],
        LOOPS: [sys.executable, "-c", TWICE, LOOP, str(log)],
        "split into lines only": [sys.executable, "-c", SPLIT, str(log)],
        ONE: [extractor, "replay", str(log), "--format", "json", "--jobs", "1"],
        TWO: [extractor, "replay", str(log), "--format", "json", "--jobs", "2"],
    }
    runs: dict[str, list[Measured]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(measure(command))
    best = {name: min(some, key=lambda run: run.cpu_seconds) for name, some in runs.items()}
    seconds = {name: min(run.wall_seconds for run in some) for name, some in runs.items()}
    unit = best[LOOP_NAME].cpu_seconds
    lines_of = {name: 2 * n if command[2] == TWICE else n for name, command in commands.items()}
    return [
        Row(
            name,
            lines_of[name] / seconds[name],
            run.cpu_seconds,
            run.cpu_seconds / unit,
            seconds[name],
            run.peak_bytes / 2**20,
        )
        for name, run in best.items()
    ]


def generated(n: int) -> Path:
    """A log of *n* lines, kept in build/ and made anew when the generator has changed."""
    log = BUILD / f"agents-{n}.jsonl"
    if not log.exists() or log.stat().st_mtime < Path(__file__).with_name("gen.py").stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        unfinished = log.with_suffix(".part")
        with unfinished.open("wb") as file:
            file.writelines(lines(n, seed=1))
        unfinished.rename(log)
    return log


def page(rows: list[Row], n: int) -> str:
    """The table for docs/performance.md, and how much faster two are than one."""
    head = ("", "lines/s", "seconds", "CPU s", "CPU ÷ orjson", "peak MiB")
    cells = [
        (row.name, f"{row.lines_per_second:,.0f}", f"{row.seconds:.2f}", f"{row.cpu_seconds:.2f}",
         f"{row.ratio:.2f}" + (f" ({ALLOWED})" if row.name == ONE else ""), f"{row.peak_mib:.0f}")
        for row in rows
    ]  # fmt: skip
    speed = {row.name: row.lines_per_second for row in rows}
    faster, loops = speed[TWO] / speed[ONE], speed[LOOPS] / speed[LOOP_NAME]
    return (
        f"{machine()}; {n:,} lines. In brackets the limit.\n\n{table(head, cells)}\n\n"
        f"`--jobs 2` is {faster:.2f} times as fast as one ({ALLOWED_FASTER}); two loops of orjson at once read "
        f"{loops:.2f} times as many lines as one."
    )


def main() -> None:
    """Measure, print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(description="CPU time of `extractor replay` against a loop of orjson.loads.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="how long the log is (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is kept (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures to this file, too")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    options = parser.parse_args()
    rows = compare(generated(options.lines), options.lines, options.rounds)
    print(f"{'':30}{'lines/s':>12}{'seconds':>9}{'CPU s':>9}{'ratio':>8}{'peak MiB':>10}")
    for row in rows:
        times = f"{row.lines_per_second:12,.0f}{row.seconds:9.2f}{row.cpu_seconds:9.2f}{row.ratio:8.2f}"
        print(f"{row.name:30}{times}{row.peak_mib:10.0f}")
    if options.json:
        options.json.write_text(json.dumps({"lines": options.lines, "rows": [asdict(row) for row in rows]}, indent=2))
    if options.write:
        replace("speed", page(rows, options.lines))


if __name__ == "__main__":
    main()
