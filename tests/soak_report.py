"""
A soak that has ended and what came of its checks in, a page in Markdown out.

Knows nothing of how it was done or judged.
"""

import os
import platform
import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from math import isnan

from tests.browser import CHROMIUM
from tests.soak_checks import CHECKS, ROOM, SLACK, Ended, tenths
from tests.watching import Visitor, Watcher, tally

_BARS = "▁▂▃▄▅▆▇█"


def report(ended: Ended, failed: Mapping[str, str]) -> str:
    """The page; *failed* has what is wrong, by the name of the check."""
    return "\n".join([*_head(ended, failed), *_done(ended), *_looked(ended), *_used(ended), *_checks(failed)]) + "\n"


def _head(ended: Ended, failed: Mapping[str, str]) -> list[str]:
    soak, now = ended.soak, datetime.now(UTC)
    verdict = f"**{len(failed)} of {len(CHECKS)} checks failed.**" if failed else f"All {len(CHECKS)} checks passed."
    return [
        "# Soak",
        "",
        "<!-- Written by `make soak`, as it is said here; not by hand. -->",
        "",
        "One `extractor run` with a state directory, under everything that can happen to a service, at the same time.",
        "`make soak MINUTES=60` does it again and writes this page anew; `tests/soaking.py` says what is done.",
        "",
        verdict,
        "",
        "| what | |",
        "|---|---|",
        f"| when | {now:%Y-%m-%d %H:%M} UTC, for {soak.took / 60:.1f} minutes; seed {soak.seed} |",
        (
            f"| machine | {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}, "
            f"{platform.machine()}; load of the last 15 minutes {os.getloadavg()[2]:.1f}, with all else that ran |"
        ),
        (
            f"| versions | extractor {version('agent-extractor')}, Python {sys.version.split()[0]}, "
            f"uvicorn {version('uvicorn')}, numpy {version('numpy')} |"
        ),
    ]


def _done(ended: Ended) -> list[str]:
    soak, samples = ended.soak, ended.samples
    done = [f"| {name} | {times} |" for name, times in sorted(soak.done.items()) if times]
    ways = ", ".join(f"{times} {way}" for way, times in sorted(soak.writer.ways.items()))
    read = samples["extractor_read_bytes_total"]
    return [
        (
            f"| lines written | {soak.writer.lines:,}, {soak.writer.lines / soak.took:,.0f} a second, "
            f"{read / 1e6:,.0f} MB; {len(soak.writer.rejects):,} of them rejects |"
        ),
        f"| rotations | {soak.writer.rotations}: {ways} |",
        f"| kills with -9 | {soak.number('kills')} |",
        *done,
        (
            f"| checkpoints | {samples['extractor_checkpoints_total']:,.0f} saved, "
            f"{samples['extractor_checkpoint_failures_total']:,.0f} refused by the disk |"
        ),
        f"| rejects that no disk took | {samples['extractor_lost_rejects_total']:,.0f}, counted as such |",
        f"| share of a CPU | {soak.meter.cpu() / soak.took:.0%} |",
        "",
    ]


def _looked(ended: Ended) -> list[str]:
    soak = ended.soak
    rows = [
        f"| {kind} | {found['200']:,} | {found['503']} | {found.total() - found['200'] - found['503']} |"
        for kind, found in tally(soak.watchers).items()
    ]
    slowest: dict[str, float] = defaultdict(float)
    for each in soak.watchers:
        slowest[each.kind] = max(slowest[each.kind], each.slowest)
    browser = (
        f"Chromium had the page open, and saw its numbers change {soak.onlooker.updates} times "
        f"(it was begun anew {soak.onlooker.began_anew} times)."
        if CHROMIUM
        else "There was no Chromium here; only fetchers looked at the page."
    )
    return [
        "## Who looked",
        "",
        "| | answers | 503 after a start | nobody there |",
        "|---|---|---|---|",
        *rows,
        "",
        (
            f"The slowest scrape took {slowest[Watcher.kind]:.2f} s, the slowest page {slowest[Visitor.kind]:.2f} s; "
            f"the slow reader is not counted in that. {browser}"
        ),
        "",
    ]


def _used(ended: Ended) -> list[str]:
    uses, until = ended.soak.meter.uses, ended.soak.took
    memory = tenths(uses, until, lambda use: use.rss / 1e6)
    files = tenths(uses, until, lambda use: use.files)
    life = ended.long_life()
    bytes_, open_ = ended.curve([use.rss / 1e6 for use in life]), ended.curve([use.files for use in life])
    return [
        "## Memory and open files",
        "",
        (
            f"Medians of each tenth of the time. The first {ended.soak.lived / until:.0%} of it are lives that end "
            "with a kill, the rest is one life."
        ),
        "",
        f"| | {' | '.join(f'{number}' for number in range(1, 11))} | |",
        f"|---|{'---|' * 11}",
        f"| RSS, MB | {' | '.join(map(_shown, memory))} | {_sparkline(memory)} |",
        f"| open files | {' | '.join(map(_shown, files))} | {_sparkline(files)} |",
        "",
        (
            "Of the one life, after a fifth of it to get warm, the first and the last third are compared, by what 19 "
            f"of 20 looks are at most: memory {bytes_.early:.1f} and {bytes_.late:.1f} MB, files {open_.early:.0f} "
            f"and {open_.late:.0f}. Flat means: at most {SLACK['bytes']:.0%} and {ROOM['bytes'] >> 20} MiB, and "
            f"{ROOM['files']} files more. At most it was {max(use.rss for use in uses) / 1e6:.0f} MB and "
            f"{max(use.files for use in uses)} files. Windows and trends fill for the first hour of event time: "
            "memory that still rises in a short soak is no verdict on a long one."
        ),
        "",
    ]


def _checks(failed: Mapping[str, str]) -> list[str]:
    rows = [f"| {_sentence(check.__doc__)} | {_verdict(failed.get(check.__name__))} |" for check in CHECKS]
    return ["## What was checked", "", "| | |", "|---|---|", *rows]


def _verdict(wrong: str | None) -> str:
    if wrong is None:
        return "so"
    return "**not so**: `" + " ".join(wrong.split())[:300].replace("|", "\\|").replace("`", "'") + "`"


def _sentence(docstring: str | None) -> str:
    return " ".join((docstring or "").split())


def _shown(number: float) -> str:
    return "–" if isnan(number) else f"{number:.0f}"


def _sparkline(numbers: list[float]) -> str:
    top = max((number for number in numbers if not isnan(number)), default=1)
    return "".join(" " if isnan(number) else _BARS[min(int(8 * number / top), 7)] for number in numbers)


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
