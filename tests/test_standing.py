"""How much of what was counted still stands in a file, and whether another one holds it."""

from hypothesis import assume, example, given
from hypothesis import strategies as st

from extractor.tail.comparison import compare
from extractor.tail.cursor import Cursor
from extractor.tail.fingerprint import RUNGS, STEP, WINDOW, Ladder, climb, rung, window_before
from extractor.tail.position import Position
from extractor.tail.standing import begins, continues, holds, stands


class Bytes:
    """A content that is only bytes."""

    has_ended = True
    damage = ""
    raw_at = 0

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_at(self, at: int, length: int) -> bytes:
        """*length* bytes from *at* on."""
        return self.data[at : at + length]


def lines(first: int, last: int, width: int = 30) -> bytes:
    """Lines of which no two are alike, and that differ from their first byte on."""
    return b"".join((b"%d," % number * width)[:width] + b"\n" for number in range(first, last))


LOGS = st.builds(lines, st.just(1000), st.integers(1001, 4000), st.sampled_from([9, 30, 200]))


def counted(content: bytes, chunk: int = 70_000) -> tuple[Position, bytes]:
    """What is saved when all of *content* was read in chunks, and the last bytes of it."""
    cursor = Cursor()
    while not cursor.is_done:
        cursor.read(Bytes(content), len(content), chunk)  # type: ignore[arg-type]
    return cursor.position(("path", 1, 2), -1, 0), cursor.last


@given(LOGS, LOGS, st.integers(1, 100_000))
def test_what_is_as_it_was_stands(content: bytes, more: bytes, chunk: int) -> None:
    """A file that only grew holds all that was counted, and so does any that begins with it."""
    position, last = counted(content, chunk)
    file = Bytes(content + more)

    assert len(content) == position.offset
    assert holds(file, position)
    assert continues(file, position)
    assert len(content) == stands(file, len(content + more), position, last)


@given(LOGS, st.integers(0, 1 << 30), st.booleans(), st.integers(1, 100_000))
def test_what_is_left_of_a_file_that_was_cut_stands(content: bytes, cut: int, known: bool, chunk: int) -> None:
    """Its whole lines are known as counted, as long as there are `STEP` bytes, or little of it was cut."""
    size = cut % len(content)
    position, last = counted(content, chunk)
    left = content[:size]
    kept = stands(Bytes(left), size, position, last if known else b"")

    assert kept in (left.rfind(b"\n") + 1, None)
    if size >= STEP or (known and len(content) <= WINDOW and b"\n" in left):
        assert left.rfind(b"\n") + 1 == kept


@given(LOGS, st.integers(1, 16), st.integers(0, 100), st.booleans())
def test_lines_that_were_taken_back(content: bytes, back: int, new: int, known: bool) -> None:
    """Up to 16 lines within the last `WINDOW` may be replaced by others: what is before them stands, if a line is."""
    ends = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    assume(len(ends) > back and len(content) - ends[-back - 1] < WINDOW)
    position, last = counted(content)
    kept = content[: ends[-back - 1]]
    has_line = b"\n" in content[max(len(content) - WINDOW, 0) : len(kept) - 1]
    assume(len(content) <= WINDOW or len(kept) >= STEP or has_line)
    other = kept + lines(7000, 7001 + new)

    assert len(kept) == stands(Bytes(other), len(other), position, last if known else b"")


@given(LOGS, st.integers(0, 2000), st.booleans())
@example(content=lines(1000, 1034), new=0, known=True)
@example(content=lines(1000, 1034), new=0, known=False)
def test_another_content_holds_nothing(content: bytes, new: int, known: bool) -> None:
    """Of a file that was rewritten from its first line on nothing stands, however large it is."""
    position, last = counted(content)
    other = lines(5000, 5001 + new)

    assert stands(Bytes(other), len(other), position, last if known else b"") is None
    assert not continues(Bytes(other), position)
    assert not begins(Bytes(other), len(other), position)


@given(LOGS, st.integers(0, 1 << 30))
def test_one_changed_byte_is_seen_where_it_is_sampled(content: bytes, place: int) -> None:
    """A byte within any window that is compared makes another content of it."""
    position, _ = counted(content)
    rungs = [at for at, _ in climb(position.low, position.rungs)]
    changed = place % len(content)
    other = bytearray(content)
    other[changed] ^= 1
    windows = [*rungs, min(WINDOW, len(content)), len(content)]

    assert any(max(at - WINDOW, 0) <= changed < at for at in windows) != continues(Bytes(bytes(other)), position)


@given(st.integers(0, 300_000), st.integers(0, 300_000), st.integers(1, 50_000))
def test_a_ladder_is_the_same_however_it_was_climbed(size: int, cut: int, chunk: int) -> None:
    """It has few rungs, each of the window before it, whether it was built at once, in steps, or after a cut."""
    content = lines(0, size // 31 + 1)
    ladder = Ladder()
    for end in range(0, len(content) + chunk, chunk):
        while ladder.next <= min(end, len(content)):
            ladder.add(window_before(Bytes(content).read_at, ladder.next))
    low, rungs = ladder.up_to(len(content))
    found = dict(climb(low, rungs))

    assert Ladder.of(Bytes(content).read_at, len(content)).up_to(len(content)) == (low, rungs)
    assert {at: rung(window_before(Bytes(content).read_at, at)) for at in found} == found
    assert len(found) <= RUNGS + 20
    kept = min(cut, len(content))
    ladder.cut(kept)
    while ladder.next <= len(content):
        ladder.add(window_before(Bytes(content).read_at, ladder.next))
    again = dict(climb(*ladder.up_to(len(content))))
    assert {at: rung(window_before(Bytes(content).read_at, at)) for at in again} == again
    assert all(at // 2 in again or at == STEP for at in again if at & (at - 1) == 0)


@given(LOGS, st.integers(0, 1 << 30), LOGS, st.integers(0, 1 << 30))
def test_two_contents_are_compared_line_by_line(content: bytes, at: int, other: bytes, end: int) -> None:
    """They are alike up to the first byte that differs; each is inside the other if it has no whole line beyond."""
    start = at % (len(content) + 1)
    one = content[:start] + other
    two = content[: end % (len(content) + 1)]
    alike = compare(Bytes(one), Bytes(two))  # type: ignore[arg-type]
    same = next((place for place, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), None)
    same = min(len(one), len(two)) if same is None else same

    assert (same, one[:same].rfind(b"\n") + 1) == alike[:2]
    for text, is_inside in ((one, alike.is_inside), (two, alike.is_around)):
        only_part = not alike.whole and len(text) > same
        assert is_inside == (bool(same) and b"\n" not in text[same:] and not only_part)
