"""A late event is found without reading the logs, and it is one that will be counted."""

import gzip
from math import inf
from pathlib import Path

import pytest

from extractor.history.replay import Options, Replay
from extractor.history.time_range import Period
from tests.conftest import Log
from tests.reading import T0, default_catalog, tool_call


def late(path: Path, **options: object) -> float:
    """The time of an event in *path*, after the start of the tests' events."""
    return Replay(default_catalog(), Options(paths=(str(path),), **options)).late_time() - T0  # type: ignore[arg-type]


def test_the_latest_of_the_last_lines(log: Log) -> None:
    """Of the last lines of all files the latest event counts, whatever their order."""
    log.append(tool_call(900), *(tool_call(at) for at in range(3000)), tool_call(5))
    log.path.with_name("other.jsonl").write_bytes(tool_call(7) + b"\n")

    assert 2999.0 == late(log.path.parent)


@pytest.mark.parametrize(
    "last",
    [b"{", tool_call(99)[:-1], tool_call(99, status="no"), tool_call(99, message="x" * 500), tool_call(10**10), b""],
    ids=["no JSON", "torn", "invalid", "too long", "too late", "blank"],
)
def test_only_what_will_be_counted(last: bytes, log: Log) -> None:
    """A line that will be rejected tells no time, nor does one that is not finished, or lies outside the period."""
    log.append(tool_call(3), last)
    log.tear(tool_call(50))

    assert 3.0 == late(log.path, max_line_bytes=400)
    assert -inf == late(log.path, max_line_bytes=400, period=Period(until=T0 + 3))


@pytest.mark.parametrize("damage", [b"", b"x"])
def test_first_lines_of_compressed_files(damage: bytes, log: Log) -> None:
    """Of a compressed file the first events are known, damaged or not; of an empty one nothing."""
    path = log.path.with_name("old.jsonl.gz")
    lines = b"".join(tool_call(at) + b"\n" for at in range(3, 20_000))
    packed = gzip.compress(lines)
    path.write_bytes(packed[: len(packed) // 2] + damage if damage else packed)

    assert 3.0 <= late(path) < 100
    assert -inf == late(log.path)
