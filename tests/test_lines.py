"""However the bytes are cut into chunks, the same lines come out."""

import re
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from extractor.tail.line_buffer import HEAD_BYTES, HOLE, Blob, LineBuffer, Piece, TooLong, Unfinished

LIMIT = 8
"""Small, so that Hypothesis meets it from both sides."""

CONTENT = st.lists(
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from(
            [b"\n", b"\r\n", b"\n\n", b"x" * (LIMIT - 1), b"x" * LIMIT, b"x" * (LIMIT + 1), b"\xc3", b"\0"]
        ),
    ),
    max_size=20,
).map(b"".join)


PADDED = st.lists(
    st.sampled_from([b"\n", b"x", b"x\n", b"y" * (LIMIT + 1), b"\0", b"\0" * (HOLE - 1), b"\0" * HOLE, b"\0" * 99]),
    max_size=15,
).map(b"".join)


def cut(content: bytes, places: list[int]) -> list[bytes]:
    """*content* in pieces, cut at *places* and at no other."""
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[begin:end] for begin, end in pairwise(edges)]


def fed(chunks: list[bytes]) -> tuple[list[Piece], LineBuffer]:
    """What a buffer hands out for *chunks*, and the buffer."""
    buffer = LineBuffer(LIMIT)
    return [piece for chunk in chunks for piece in buffer.feed(chunk)], buffer


def lines_of(pieces: list[Piece]) -> list[tuple[int, bytes | int]]:
    """Every line with its offset; of one that is too long its length."""
    lines: list[tuple[int, bytes | int]] = []
    for piece in pieces:
        if isinstance(piece, TooLong):
            lines.append((piece.offset, piece.length))
            continue
        at = piece.offset
        for line in piece.data.split(b"\n")[:-1]:
            lines.append((at, line + b"\n"))
            at += len(line) + 1
    return lines


@given(CONTENT, st.lists(st.integers(min_value=0), max_size=8))
def test_any_cutting_gives_the_same_lines(content: bytes, places: list[int]) -> None:
    """What comes out is the whole split at newlines: each line with its offset, an over-long one with its length."""
    expected: list[tuple[int, bytes | int]] = []
    at = 0
    for line in content.split(b"\n")[:-1]:
        expected.append((at, line + b"\n" if len(line) <= LIMIT else len(line) + 1))
        at += len(line) + 1

    pieces, buffer = fed(cut(content, places))

    assert expected == lines_of(pieces)
    assert (at, len(content) - at) == (buffer.offset, buffer.pending)


@given(CONTENT, st.lists(st.integers(min_value=0), max_size=8))
def test_a_blob_is_whole_lines(content: bytes, places: list[int]) -> None:
    """A blob is never empty, ends in a newline, and is found in the file at its offset."""
    pieces, _ = fed(cut(content, places))

    for piece in pieces:
        if isinstance(piece, Blob):
            assert piece.data.endswith(b"\n")
            assert piece.data == content[piece.offset : piece.offset + len(piece.data)]


@given(CONTENT, st.lists(st.integers(min_value=0), max_size=8))
@example(b"1\n" + b"x" * (LIMIT + 1), [])
def test_the_last_line_may_have_no_newline(content: bytes, places: list[int]) -> None:
    """`finish` gives what follows the last newline, once; what ends that line later is dropped."""
    start = content.rfind(b"\n") + 1
    rest = content[start:]
    expected: Piece | None = Unfinished(start, rest) if rest else None
    if len(rest) > LIMIT:
        expected = TooLong(start, len(rest), rest[:LIMIT])

    _, buffer = fed(cut(content, places))

    assert expected == buffer.finish()
    assert buffer.finish() is None
    assert (len(content), 0) == (buffer.offset, buffer.pending)
    if rest:
        assert [] == buffer.feed(b"en")
        assert [Blob(b"new\n", len(content) + 4)] == buffer.feed(b"d\nnew\n")


@given(CONTENT, st.lists(st.integers(min_value=0), max_size=8), st.integers(min_value=0, max_value=8))
def test_what_is_released_is_fed_again(content: bytes, places: list[int], when: int) -> None:
    """A buffer that let go of its partial line loses nothing when it is fed on from where it says."""
    whole, _ = fed([content])
    buffer = LineBuffer(LIMIT)
    pieces = []
    for number, chunk in enumerate(cut(content, places)):
        pieces += buffer.feed(chunk)
        if number == when:
            read = buffer.offset + buffer.pending
            buffer.release()
            pieces += buffer.feed(content[buffer.offset + buffer.pending : read])

    assert lines_of(whole) == lines_of(pieces)


def test_an_overlong_line_is_not_held() -> None:
    """A line of many chunks is measured and its head kept, while the memory held stays that of the head."""
    buffer = LineBuffer(limit=1000)
    for _ in range(1000):
        assert buffer.feed(b"y" * 1000) == []
        assert len(buffer._partial) <= 1000

    expected = [TooLong(0, 1_000_001, b"y" * HEAD_BYTES), Blob(b"next\n", 1_000_001)]

    assert expected == buffer.feed(b"\nnext\nhalf")
    assert 1_000_006 == buffer.offset


def test_a_carriage_return_stays() -> None:
    """Only the newline is known here; what is before it is the line's own, also when the cut is between the two."""
    buffer = LineBuffer()

    assert [] == buffer.feed(b"one\r")
    assert [Blob(b"one\r\ntwo\r\n", 0)] == buffer.feed(b"\ntwo\r\n")


def lines_in(content: bytes) -> list[tuple[int, bytes | int]]:
    """Every line of *content* with its offset; of one that is too long its length. Holes before lines are left out."""
    lines: list[tuple[int, bytes | int]] = []
    at = 0
    for line in content.split(b"\n")[:-1]:
        hole = re.match(rb"\0{%d,}(?=[^\0])" % HOLE, line)
        start = hole.end() if hole else 0
        text = line[start:]
        lines.append((at + start, text + b"\n" if len(text) <= LIMIT else len(text) + 1))
        at += len(line) + 1
    return lines


@given(PADDED, st.lists(st.integers(min_value=0), max_size=8))
def test_a_hole_before_a_line_is_no_line(content: bytes, places: list[int]) -> None:
    """Many NULs between two lines are in none of them, however they are cut; a few, or those in a line, are its own."""
    pieces, buffer = fed(cut(content, places))

    assert lines_in(content) == lines_of(pieces)
    for piece in pieces:
        if isinstance(piece, Blob):
            assert piece.data == content[piece.offset : piece.offset + len(piece.data)]
    rest = content[content.rfind(b"\n") + 1 :]
    hole = re.match(rb"\0{%d,}" % HOLE, rest)
    text = rest[hole.end() if hole else 0 :]
    last = buffer.finish()
    assert (last is None) == (not text)
    assert last is None or isinstance(last, TooLong) or last.data == text


@given(PADDED, st.lists(st.integers(min_value=0), max_size=8))
def test_nuls_that_are_only_counted_are_nuls(content: bytes, places: list[int]) -> None:
    """What is fed by `pad` gives the same lines as if it were fed."""
    whole, _ = fed([content])
    buffer = LineBuffer(LIMIT)
    pieces = []
    for chunk in cut(content, places):
        text = chunk.rstrip(b"\0")
        pieces += buffer.feed(text)
        buffer.pad(len(chunk) - len(text))

    assert lines_of(whole) == lines_of(pieces)


def test_a_gigabyte_of_nuls_costs_nothing() -> None:
    """A hole, or NULs within a line, are not held, however many."""
    buffer = LineBuffer(1000)
    buffer.pad(1 << 40)
    assert [Blob(b"1\n", 1 << 40)] == buffer.feed(b"1\nhalf")
    buffer.pad(1 << 40)
    assert [TooLong((1 << 40) + 2, 4 + (1 << 40) + 1, b"half" + bytes(HEAD_BYTES - 4))] == buffer.feed(b"\n")
    buffer.pad(1 << 40)
    assert [TooLong((2 << 40) + 7, (1 << 40) + 1, bytes(HEAD_BYTES))] == buffer.feed(b"\n")


def test_a_line_that_is_taken_back_is_forgotten() -> None:
    """Whatever was fed after the last newline, also too much of it to be held, is fed anew from the offset on."""
    for half in (b"half", b"y" * 100, b"\0" * 100):
        buffer = LineBuffer(LIMIT)
        assert [Blob(b"1\n", 0)] == buffer.feed(b"1\n" + half)
        buffer.restart()
        assert (2, 0) == (buffer.offset, buffer.pending)
        assert [Blob(b"2\n", 2)] == buffer.feed(b"2\n")
