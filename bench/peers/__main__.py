"""
A generated log in, the same job done by what users would pick instead, and what it cost each of them out.

    python -m bench.peers [--lines 1000000] [--rounds 3] [--write]

Every program runs in turn, several times over; the best of each figure is kept. Slow programs run fewer times, so that
all is done in some minutes. All must have counted the same as the plain loop, or nothing is printed and the exit is 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.page import PAGE, machine, replace, table
from bench.peers.answers import Counted, differences
from bench.peers.programs import Program, programs
from bench.speed import LOOP, Measured, generated, measure

ENOUGH = 20.0  # seconds of CPU; a program that has used so much runs no more
FLOOR = "orjson.loads of every line"
HEAD = ("program", "lines/s", "seconds", "CPU s", "CPU ÷ ours", "peak MiB", "what it does not do")


def main() -> None:
    """Measure, check, print, and write where asked."""
    parser = argparse.ArgumentParser(description="The same job on extractor and on what users would pick instead.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="how long the log is (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is kept (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    options = parser.parse_args()
    log = generated(options.lines).absolute()
    given = programs()
    installed = [program for program in given if program.version]
    runs = _measured(installed, log, options.rounds)
    text = "\n".join(_page(installed, runs, options.lines, options.rounds, [p for p in given if not p.version]))
    print(text)
    if options.write:
        replace("peers", text)


def _measured(installed: list[Program], log: Path, rounds: int) -> dict[str, list[Measured]]:
    runs: dict[str, list[Measured]] = {FLOOR: [], **{program.name: [] for program in installed}}
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as folder:
        for _ in range(rounds):
            runs[FLOOR].append(measure([sys.executable, "-c", LOOP, str(log)]))
            for program in installed:
                if sum(run.cpu_seconds for run in runs[program.name]) < ENOUGH:
                    _say(program.name)
                    runs[program.name].append(
                        measure([*program.command, str(log)], Path(folder, program.name), program.more)
                    )
        _say("comparing")
        answers = {program.name: program.read(Path(folder, program.name).read_text()) for program in installed}
    _say("")
    _agreed(answers)
    return runs


def _agreed(answers: dict[str, Counted]) -> None:
    *_, truth = answers.values()
    wrong = {name: found for name, answer in answers.items() if (found := differences(truth, answer))}
    assert truth, "the plain loop counted nothing"
    if wrong:
        sys.exit("\n".join(f"{name} counted otherwise:\n  " + "\n  ".join(found[:20]) for name, found in wrong.items()))


def _page(
    installed: list[Program], runs: dict[str, list[Measured]], lines: int, rounds: int, skipped: list[Program]
) -> Iterator[str]:
    unit = min(run.cpu_seconds for run in runs[installed[0].name])
    told = {program.name: (f"{program.name} ({program.version})", program.undone) for program in installed}
    rows = []
    for name, some in sorted(runs.items(), key=lambda item: min(run.cpu_seconds for run in item[1])):
        title, undone = told.get(name, (name, "counts nothing"))
        wall, cpu = min(run.wall_seconds for run in some), min(run.cpu_seconds for run in some)
        memory = min(run.peak_bytes for run in some) / 2**20
        rows.append(
            (title, f"{lines / wall:,.0f}", f"{wall:.2f}", f"{cpu:.2f}", f"{cpu / unit:.2f}", f"{memory:,.0f}", undone)
        )
    yield f"{machine()}; {lines:,} lines.\n"
    yield f"The best of {rounds} rounds; no more rounds for a program that has used {ENOUGH:.0f} s of CPU.\n"
    yield table(HEAD, rows, words=(0, 6))
    others = [p.name for p in installed if not p.name.startswith("extractor")]
    winners = [name for name in others if min(run.cpu_seconds for run in runs[name]) < unit]
    yield f"\nWith less CPU time than {installed[0].name}: {'; '.join(winners) or 'none'}."
    for program in skipped:
        yield f"\nSkipped, because it is not installed: {program.name} (`{program.install}`)."


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
