"""Lines in, files out: into how many and where they are cut is left to chance, as far as the order is promised."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from tests.oracle import order
from tests.oracle.count import Count
from tests.oracle.lines import read
from tests.oracle.options import SECOND, Options
from tests.oracle.pack import default

LATER = 2_000_000_000 * SECOND
"""A clock that is later than all that is written, but for what is meant to be in the future."""

Written = tuple[int | None, bytes]


def cut(draw: Random, written: Sequence[Written], options: Options) -> list[bytes]:
    """*written* in several files, in a way in which the rules say what comes first."""
    number = draw.choice((1, 1, 2, 3))
    ways: list[Callable[[int, Written], int]] = [
        lambda index, line: draw.randrange(number),
        lambda index, line: (line[0] or 0) % (10 * SECOND) % number,
        lambda index, line: index * number // len(written),
        lambda index, line: 0,
    ]
    for way in ways[draw.randrange(3) :]:
        parts: list[list[bytes]] = [[] for _ in range(number)]
        for index, line in enumerate(written):
            parts[way(index, line)].append(line[1])
        files = [b"".join(part) for part in parts if part]
        if is_decided(files, options):
            return files
    return files


def is_decided(files: Sequence[bytes], options: Options) -> bool:
    """Whether no rule compares two lines of *files* whose order is not promised."""
    return order.is_decided([list(read(index, data, default(), options, LATER)) for index, data in enumerate(files)])


def recut(files: Sequence[bytes], options: Options, draw: Random) -> Iterator[tuple[str, bytes]]:
    """The same lines in other files: one file is cut between two lines, if the order stays what it was."""
    files = list(files)
    for index, data in enumerate(files):
        ends = [found.end() for found in re.finditer(b"\n", data)]
        at = draw.choice(ends) if ends else 0
        cut = [data[:at], data[at:]]
        if all(cut) and is_decided([*files[:index], *cut, *files[index + 1 :]], options):
            files[index : index + 1] = cut
            break
    for index, data in enumerate(files):
        yield f"part-{index}.jsonl", data


def before(counted: Count, until: int) -> list[bytes]:
    """The files of *counted* without the events that are not before *until*."""
    files = []
    for data, lines in zip(counted.files, counted.lines, strict=True):
        whole = data.split(b"\n")[:-1]
        kept = [each for each, line in zip(whole, lines, strict=True) if not line.is_event or line.time < until]
        files.append(b"".join(each + b"\n" for each in kept))
    return files


def ended(files: Mapping[str, bytes], later: int) -> dict[str, bytes]:
    """*files*, one with a last event that is so much *later* that everything before is over by then."""
    lines = [line for data in files.values() for line in read(0, data, default(), Options(), LATER)]
    last = max((line.time for line in lines if line.is_event), default=SECOND) + later
    event = b'{"ts": %d.%06d, "event": "cache.hit", "run_id": "last", "agent": "last", "release": "last"}\n'
    name = next(iter(files))
    return {**files, name: files[name] + event % divmod(last, SECOND)}
