"""Files may be read in any interleaving, and the state saved and restored in between: the numbers are the same."""

from collections.abc import Sequence
from itertools import accumulate
from math import inf
from random import Random

import msgspec
import pytest

from extractor.events.reader import time_of
from extractor.ingest.pipeline import Pipeline
from extractor.state.event_order import HEAD_BYTES, rank
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.line_buffer import Blob
from tests.oracle import cuts, logs
from tests.oracle.options import SECOND
from tests.reading import default_catalog, sampled, text, tool_call

SEEDS = range(1, 13)
AT_ONCE = (1, 3, 20, 200)
"""Lines that are read of a file before another one is chosen."""


class File:
    """A log, of which the lines up to `place` were read."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
        self.offsets = [0, *accumulate(map(len, self.lines))]
        self.rank = rank(data, _time)
        self.place = 0

    @property
    def oldest(self) -> float:
        """The time of the oldest unread line."""
        return min((time for line in self.lines[self.place :] if (time := _time(line)) is not None), default=inf)

    def read(self, lines: int) -> Blob:
        """The next *lines*."""
        begin, self.place = self.place, min(self.place + lines, len(self.lines))
        return Blob(b"".join(self.lines[begin : self.place]), self.offsets[begin])


def _time(line: bytes) -> float | None:
    return time_of(line.rstrip(b"\n"), default_catalog().default_pack)


def read(files: Sequence[File], draw: Random | None) -> State:
    """The state once all is read: at once, or in an order that is drawn, settled and restored on the way."""
    state, stats = State(default_catalog()), Stats()
    pack = default_catalog().default_pack
    pipeline = Pipeline(state, stats, lambda: inf, lambda _: None)
    while left := [file for file in files if file.place < len(file.lines)]:
        file = draw.choice(left) if draw else left[0]
        lines = draw.choice(AT_ONCE) if draw else len(file.lines)
        pipeline.feed(pack, file.name, [file.read(lines)], file.rank)
        if draw and draw.random() < 0.5:
            state.read_to = min(file.oldest for file in files)
            pipeline.fold()
            if draw.random() < 0.2:
                saved = msgspec.msgpack.encode(state.dump())
                state = State(default_catalog())
                state.load(msgspec.msgpack.decode(saved))
                pipeline = Pipeline(state, stats, lambda: inf, lambda _: None)
    state.read_to = inf
    pipeline.fold()
    return state


@pytest.mark.parametrize("length", [10, HEAD_BYTES - 200, HEAD_BYTES, 10 * HEAD_BYTES])
def test_the_rank_of_a_file_does_not_depend_on_how_much_of_it_was_read(length: int) -> None:
    """Following ranks a file by its first lines, a replay by its first bytes."""
    first = tool_call(note="x" * length) + b"\n"

    assert rank(first, _time) == rank((first + tool_call() + b"\n")[:HEAD_BYTES], _time)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dump_stays_as_it_is(seed: int) -> None:
    """A checkpoint is written while reading goes on: nothing that is read later gets into what was dumped before."""
    log = logs.make(seed, is_live=True)
    files = [File(*each) for each in cuts.ended(log.files, 60 * SECOND).items()]
    state, draw = State(default_catalog()), Random(seed)
    pipeline = Pipeline(state, Stats(), lambda: inf, lambda _: None)
    dumps = []
    while left := [file for file in files if file.place < len(file.lines)]:
        file = draw.choice(left)
        pipeline.feed(default_catalog().default_pack, file.name, [file.read(draw.choice(AT_ONCE))], file.rank)
        state.read_to = min(file.oldest for file in files)
        pipeline.fold()
        dumped = state.dump()
        dumps.append((dumped, msgspec.msgpack.encode(dumped)))

    assert [msgspec.msgpack.encode(dumped) for dumped, _ in dumps] == [encoded for _, encoded in dumps]


@pytest.mark.parametrize("seed", SEEDS)
def test_any_interleaving_gives_the_same(seed: int) -> None:
    """What is settled early, while other files are behind, is what is known when everything was read."""
    log = logs.make(seed, is_live=True, is_large=seed % 4 == 0)
    ended = cuts.ended(log.files, 60 * SECOND)
    whole = read([File(*each) for each in ended.items()], None)
    found = read([File(*each) for each in ended.items()], Random(seed))

    assert sampled(whole, "agent_loop_detections_total") == sampled(found, "agent_loop_detections_total")
    assert text(whole) == text(found)
