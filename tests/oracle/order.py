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
    Whether the rules say which is first of any two events of different files that a rule may compare.

    They do not for events of one time without writer and number, of one run or one circuit, in files whose first lines
    are no events or have one time.
    """
    starts = [lines[0].time if lines and lines[0].is_event else None for lines in files]
    found: dict[tuple, set[int]] = {}
    for line in (line for lines in files for line in lines if line.is_event and line.writer is None):
        for name in ("run_id", "circuit"):
            if name in line.values:
                found.setdefault((name, line.values[name], line.time), set()).add(line.file)
    return all(
        None not in (times := [starts[file] for file in together]) and len(set(times)) == len(times)
        for together in found.values()
        if len(together) > 1
    )
