"""
Lines in, lines in the one order out that all rules share: time, then writer and number, then file and offset.

The digest that decides between files whose first lines have one time is not written down, so no log may ask for it.
"""

from collections.abc import Iterable, Sequence

from tests.oracle.lines import Line


def ordered(lines: Iterable[Line]) -> list[Line]:
    """The events among *lines*, in order."""
    lines = list(lines)
    first: dict[int, int] = {}
    for line in lines:
        first.setdefault(line.file, line.time)
    return sorted(
        (line for line in lines if line.is_event),
        key=lambda line: (
            line.time,
            line.writer is not None,
            line.writer or "",
            line.number or 0,
            first[line.file],
            line.file,
            line.offset,
        ),
    )


def is_decided(files: Sequence[Sequence[Line]]) -> bool:
    """
    Whether it is promised which is first of any two events of different files that a rule may compare.

    It is not for events of one time, of one run or one circuit, that have no writer and number.
    """
    found: dict[tuple[str, str, int], set[int]] = {}
    for line in (line for lines in files for line in lines if line.is_event and line.writer is None):
        for name in ("run_id", "circuit"):
            if name in line.values:
                found.setdefault((name, line.values[name], line.time), set()).add(line.file)
    return all(len(together) == 1 for together in found.values())
