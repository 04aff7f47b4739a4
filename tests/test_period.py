"""--since and --until: which lines lie in a period, and that those outside leave no trace."""

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.history.time_range import Period, seconds_of, timer, within
from extractor.tail.line_buffer import Blob, Piece, TooLong, Unfinished
from tests.reading import T0, default_catalog, tool_call

PACK = default_catalog().default_pack

LINES = st.lists(
    st.one_of(
        st.integers(-5, 15).map(tool_call),
        st.integers(-5, 15).map(lambda at: b'{"ts": "2026-01-01T00:00:%02dZ", "event": "?"}\r' % abs(at)),
        st.sampled_from([b"", b"{", b'{"event": "step"}', b'{"ts": true}', b'{"ts": -1}', b'{"ts": "noon"}', b"\xff"]),
    ),
    max_size=12,
)
PERIOD = Period(T0 + 3, T0 + 8)


@given(LINES, st.lists(st.integers(0, 12), max_size=3))
def test_lines_of_the_period_are_left(lines: list[bytes], cuts: list[int]) -> None:
    """Whatever the pieces, what is left are the lines with a time in the period or none, each where it was."""
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    pieces: list[Piece] = []
    offset = 0
    for begin, end in pairwise(edges):
        data = b"".join(item + b"\n" for item in lines[begin:end])
        if data:
            pieces.append(Blob(data, offset))
        offset += len(data)
    time = timer(PACK)
    expected = [item for item in lines if (at := time(item)) is None or PERIOD.since <= at < PERIOD.until]

    left = within(PERIOD, pieces, time)

    blobs = [piece for piece in left.pieces if isinstance(piece, Blob)]
    whole = b"".join(item + b"\n" for item in lines)
    assert b"".join(item + b"\n" for item in expected) == b"".join(blob.data for blob in blobs)
    assert len(lines) - len(expected) == left.outside
    assert len(whole) == left.dropped + sum(len(blob.data) for blob in blobs)
    assert [] == [blob for blob in blobs if not whole[blob.offset :].startswith(blob.data)]


def test_pieces_that_are_no_lines() -> None:
    """A line that is too long has no time that could be known; one that nobody will end has."""
    long, early = TooLong(0, 9, b"x"), Unfinished(9, tool_call(-100))

    assert ([long], 1) == within(PERIOD, [long, early], timer(PACK))[:2]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"1767225600", T0), (b'"2026-01-01T00:00:00.5Z"', T0 + 0.5), (b'"2026-01-01T01:00:00+01:00"', T0),
        (b'"2026-01-01T00:00:00"', None), (b"null", None), (b'"soon"', None), (b"[]", None), (b"-1", None),
    ],
)  # fmt: skip
def test_time_of_a_line(raw: bytes, expected: float | None) -> None:
    """The time is that of the event, in whichever form; what is no event time is none."""
    assert expected == timer(PACK)(b'{"event": "x", "a": {"ts": 5}, "ts": %b}' % raw)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01", T0), ("2026-01-01T00:00:00Z", T0), ("2026-01-01T02:00:00+02:00", T0), ("1767225600", T0),
        ("1767225600.5", T0 + 0.5), ("2026-13-01", None), ("2026-01-01T00:00:00", None), ("yesterday", None),
        ("nan", None), ("inf", None), ("", None),
    ],
)  # fmt: skip
def test_time_that_a_person_writes(text: str, expected: float | None) -> None:
    """A date is its first moment in UTC; a time needs its offset, since nobody knows where the log was written."""
    assert expected == seconds_of(text)


def test_always_holds_everything() -> None:
    """Without --since and --until no line lies outside, and none is looked at."""
    assert Period().is_always
    assert not Period(until=5.0).is_always
    assert Period(since=-inf, until=inf).holds(0.0)
