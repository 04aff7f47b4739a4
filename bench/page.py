"""
What was measured in, docs/performance.md out: what stands between the marks of a name is replaced.

Knows nothing of what is measured.
"""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path("docs/performance.md")
LOAD = os.getloadavg()[1]  # of five minutes, when the program starts: what is measured must not count itself


def machine() -> str:
    """The day, on what was measured, and how many others wanted its cores in the minutes before."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    day = datetime.now(UTC).date().isoformat()
    name = model[1] if model else platform.machine()
    busy = " (others wanted the cores: times by the wall clock say little)" if cores < LOAD else ""
    return f"{day}, {name}, {cores} cores, Python {platform.python_version()}, load average {LOAD:.1f} before{busy}"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, words: tuple[int, ...] = (0,)) -> str:
    """A table; all columns but those at the places *words* are numbers."""
    rule = tuple("---" if place in words else "---:" for place in range(len(head)))
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def replace(name: str, text: str, page: Path = PAGE) -> None:
    """Put *text* between the marks of *name* in *page*."""
    begin, end = f"<!-- {name}: written by `make bench-{name}` -->\n", f"<!-- end of {name} -->\n"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    assert found, f"{page} has no line {begin}"
    assert closed, f"{page} has no line {end}"
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}")
