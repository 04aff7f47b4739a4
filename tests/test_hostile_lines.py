"""Lines that an attacker writes: each ends counted or rejected once, on both paths alike, in bounded memory."""

import bz2
import gzip
import json
import lzma
import os
import pty
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import zstandard

from extractor.state.state import State
from extractor.tail.compression import MAX_WINDOW_BYTES
from extractor.tail.line_buffer import LineBuffer
from extractor.tail.tailer import Tail
from tests.conftest import IN_CI, Log
from tests.fuzz import judged
from tests.reading import (
    T0,
    Reader,
    default_catalog,
    event_schema,
    llm_call,
    sampled,
    text,
    tool_call,
    write_pack,
)
from tests.tailing import tails

tail_of = pytest.fixture(tails)

long = pytest.mark.timeout(600)
"""The mark of a test of a million things."""

MANY = 1_000_000 if IN_CI else 100_000
OPEN = tool_call()[:-1].decode()
NUMBERED = OPEN + ', "writer": "w", "seq": 5'


def nested(depth: int, innermost: str = "1") -> str:
    """Arrays in arrays."""
    return "[" * depth + innermost + "]" * depth


@pytest.mark.parametrize("innermost", ["1", "1e400", '"\\ud800"'])
@pytest.mark.parametrize("depth", [254, 300, 499, 500, 980, 1000, 1023, 1024, 100_000])
@pytest.mark.parametrize("name", ["skipped", "tool", "duration_ms", "ts", "event"])
def test_deep_lines(name: str, depth: int, innermost: str) -> None:
    """However deep, in a skipped field, a label, a number or the envelope: one verdict, the same on both paths."""
    judged(f'{NUMBERED}, "{name}": {nested(depth, innermost)}}}'.encode())


@pytest.mark.parametrize("opening", ["[", '{"a":', "{}"])
def test_a_hundred_thousand_levels_are_one_reject(opening: str) -> None:
    """A line that is nothing but brackets, ended or not, is rejected once, and so is an event that has them."""
    for whole in (opening * 100_000, f'{OPEN}, "x": {nested(100_000)}}}'):
        reader = judged(whole.encode())

        assert ["not_json"] == [str(item.reject.reason) for item in reader.rejected]


@pytest.mark.parametrize(
    "number",
    [
        "1e400", "-1e400", "1E+10000", "1e-400", "1" * 10_000, "-" + "1" * 10_000, "0." + "1" * 10_000,
        "9" * 18, "9" * 19, "9" * 20, str(2**63), str(2**64 - 1), str(2**64), str(-(2**63) - 1), "1e" + "9" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["skipped", "tool", "duration_ms", "ts", "seq", "writer"])
def test_huge_numbers(name: str, number: str) -> None:
    """A number that no double holds, or of ten thousand digits: one verdict, the same on both paths, numbering too."""
    judged(f'{NUMBERED}, "{name}": {number}}}'.encode())


@pytest.mark.parametrize("key", ['"event"', '"ts"', '"tool"', '"status"', '"seq"', '"run_id"', '"x"', '"\\u0065vent"'])
@pytest.mark.parametrize(
    "value", ['"llm.call"', '"tool.call"', "7", "null", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"']
)
def test_a_key_that_comes_twice(key: str, value: str) -> None:
    """Keys that are there twice, and lone surrogates: one verdict, the same on both paths."""
    judged(f"{NUMBERED}, {key}: {value}}}".encode())
    judged(f"{{{key}: {value}, {NUMBERED[1:]}}}".encode())


def test_a_million_keys() -> None:
    """An event of a million fields is an event, on both paths."""
    keys = ",".join(f'"k{number}":{number}' for number in range(MANY))
    reader = judged(f"{OPEN}, {keys}}}".encode())

    assert 1 == reader.stats.events


@long
@pytest.mark.parametrize(("content", "lines"), [(b"\n", "blank_lines"), (b"{}\n", "rejects"), (b"\r\n", "blank_lines")])
def test_a_million_tiny_lines(content: bytes, lines: str) -> None:
    """A million lines of next to nothing are a million lines, each counted once."""
    reader = Reader(default_catalog())
    reader.rejected = Nowhere()
    for _ in range(10):
        reader.blob(content * (MANY // 10))
    counted = getattr(reader.stats, lines)

    assert MANY == reader.stats.lines_read == (counted.total() if lines == "rejects" else counted)


class Nowhere(list):
    """Keeps nothing."""

    def append(self, _: object) -> None:
        """Forget it."""


def peak_of(step: Callable[[], object]) -> int:
    """The most memory that *step* has taken at once, beyond what was there."""
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def open_labels() -> dict[str, object]:
    """An event whose label may be anything."""
    metrics = {
        "things_total": {"type": "counter", "help": "Things.", "labels": ["name"]},
        "thing_size_bytes": {"type": "histogram", "help": "Size.", "labels": ["name"], "value": "size", "buckets": [1]},
    }
    properties = {"name": {"type": "string", "maxLength": 128}, "size": {"type": "number", "minimum": 0}}
    limits = {"x-labels": {"name": {"limit": 1000}}}
    return event_schema("thing", properties, metrics, {"name": "a", "size": 1}, **limits)


@long
def test_a_million_label_values(tmp_path: Path) -> None:
    """Of a million values the first are told apart and the rest are `__other__`: memory and scrape are bounded."""
    reader = Reader(write_pack(tmp_path, open_labels()))
    sizes: list[int] = []

    def write(start: int, end: int) -> None:
        thing = b'{"event":"thing","ts":%d,"run_id":"r","name":"%0120d","size":1}'
        for at in range(start, end, 20_000):
            reader.lines([thing % (T0, number) for number in range(at, at + 20_000)])
        sizes.append(len(text(reader.state)))

    write(0, 20_000)
    kept = len(sampled(reader.state, "things_total"))
    assert peak_of(lambda: write(20_000, 40_000)) < 64 << 20
    write(40_000, MANY)
    calls = sampled(reader.state, "things_total")

    assert kept == len(calls) == 1001
    assert MANY == sum(calls.values()) == sum(sampled(reader.state, "thing_size_bytes_count").values())
    assert MANY - 1000 == calls[("__other__",)] == reader.state.overflow()["things_total", "name"]
    assert sizes[-1] < sizes[0] * 1.1
    assert sizes[-1] < 2 << 20


@long
def test_a_million_open_runs() -> None:
    """Runs past --max-open-runs are forgotten, those silent for longest first, and counted: memory is bounded."""
    most = 10_000
    reader = Reader(default_catalog(), max_open_runs=most)
    start = b'{"event":"run.start","ts":%d,"run_id":"run-%d"}'
    for first in range(0, MANY, 50_000):
        reader.lines([start % (T0 + number // 1000, number) for number in range(first, first + 50_000)])
        assert len(reader.state.accounts["agent"].runs.known) <= most

    assert MANY == sum(sampled(reader.state, "agent_runs_started_total").values())
    assert sum(sampled(reader.state, "agent_runs_in_progress").values()) <= most
    assert reader.state.shed_runs() >= MANY - most


@long
def test_two_hundred_thousand_writers() -> None:
    """Ten thousand writers are remembered, whatever they are called; a name over 256 characters is none."""
    reader = Reader(default_catalog())
    for start in range(0, 200_000, 20_000):
        reader.lines([tool_call(writer=f"w{number}", seq=1) for number in range(start, start + 20_000)])
    reader.lines([tool_call(writer="x" * 257, seq=1), tool_call(writer="x" * 257, seq=9)])
    known = reader.state.sequences.dump()[2]

    assert 10_000 == len(known)
    assert 256 >= max(map(len, known))
    assert 0 == reader.stats.gaps


def test_numbers_that_leave_out_more_than_64_bits() -> None:
    """Writers may claim what they like: a checkpoint of the counts can always be written."""
    reader = Reader(default_catalog())
    for writer in "abcd":
        reader.lines([tool_call(writer=writer, seq=number) for number in (1, 2**63 - 1, 2**64 - 1, 0)])
    reader.state.sequences.finish(1)
    reader.stats.number(*reader.state.sequences.take())
    dumped = msgspec.msgpack.encode([reader.stats.dump(), reader.state.dump()])

    assert 2**64 - 1 == msgspec.msgpack.decode(dumped)[0]["gaps"]


@long
@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_a_bomb_is_a_line(suffix: str, pack: Callable[[bytes], bytes], log: Log, tail_of: Callable[..., Tail]) -> None:
    """Zeros without end, in gzip and zstd a gigabyte, are one line that is too long, and take a few megabytes."""
    block = bytes(64 << 20)
    length = (1 << 30) if suffix in (".gz", ".zst") else 2 * len(block)
    with Path(f"{log.path}{suffix}").open("wb") as file:
        file.writelines(pack(block) for _ in range(length // len(block)))
        file.write(pack(b"\nnext\n"))
    log.path.unlink()
    tail = tail_of(log.path.parent)
    pieces: list[object] = []

    def read_all() -> None:
        tail.scan()
        pieces.extend(piece for chunk in tail.read() for piece in chunk.pieces)

    assert peak_of(read_all) < 24 << 20
    assert [length + 1, 5] == [getattr(piece, "length", 5) for piece in pieces]


def test_a_window_that_is_too_large_is_damage(log: Log, tail_of: Callable[..., Tail]) -> None:
    """A zstd file that wants more than 128 MiB to be unpacked is told as damaged, and not unpacked."""
    head = bytes.fromhex("28b52ffd00") + bytes([(31 - 10) << 3])  # a frame with a window of 2 GiB
    Path(f"{log.path}.zst").write_bytes(head + bytes([1, 0, 0]))
    log.path.unlink()
    tail = tail_of(log.path.parent)

    assert MAX_WINDOW_BYTES == 128 << 20
    assert peak_of(tail.scan) < 8 << 20
    assert ["Damaged"] == [type(item).__name__ for chunk in tail.read() for item in chunk.happenings]


def test_a_line_in_a_million_pieces() -> None:
    """A line that comes byte by byte costs as much as its bytes, not their square."""
    buffer = LineBuffer(MANY)
    pieces = [piece for _ in range(MANY) for piece in buffer.feed(b"x")] + buffer.feed(b"\n")

    assert [MANY + 1] == [len(piece.data) for piece in pieces]  # type: ignore[union-attr]  # a blob


@pytest.mark.parametrize("words", ["replay --format prometheus", "replay --format json", "report --format json"])
def test_no_format_drives_a_terminal(words: str, log: Log) -> None:
    """Also what is made for machines has no control characters when it is written to a terminal."""
    escape = "\x1b]0;title\x07\x1b[31m\x9b1m"
    log.append(
        json.dumps(json.loads(tool_call(tool=escape)), ensure_ascii=False).encode(),
        json.dumps(json.loads(llm_call(model=escape)), ensure_ascii=False).encode(),
    )
    command = [sys.executable, "-m", "extractor", *words.split(), str(log.path)]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # as a terminal ends
            while part := os.read(ours, 65536):
                said += part
    os.close(ours)
    piped = subprocess.run(command, capture_output=True, check=False).stdout

    assert process.returncode in (0, 3)
    assert b"title" in piped
    assert not any(control in said for control in (b"\x1b", b"\x07", b"\xc2\x9b"))


def test_a_state_that_saw_all_of_it_is_kept() -> None:
    """What counted wild values comes back from a checkpoint as it was."""
    rng = random.Random(1)
    numbers = [1e308, 1.7e308, 5e-324, 2**53, 0, 1e300]
    reader = Reader(default_catalog())
    reader.lines([tool_call(duration_ms=rng.choice(numbers), tool=f"t{rng.random()}") for _ in range(2000)])
    again = State(default_catalog())
    again.load(msgspec.msgpack.decode(msgspec.msgpack.encode(reader.state.dump())))

    assert text(reader.state) == text(again)
