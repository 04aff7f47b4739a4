"""However the bytes are cut into chunks, the same lines come out."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from extractor.lines import HEAD_BYTES, Blob, LineBuffer, Piece, TooLong, Unfinished

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
