"""Gaps and repeats in the numbers of writers: the same in any order of reading, in any parts, and through restarts."""

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.state.sequences import Sequences
from tests.reading import Reader, default_catalog, tool_call

Lines = list[tuple[int, int | None]]
LINES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5)), max_size=9)
SOME_UNTIMED = st.lists(st.tuples(st.integers(0, 7), st.none() | st.integers(0, 5)), max_size=9)
REACH = st.integers(0, 2)


def truth(lines: Lines, reach: int) -> tuple[int, int]:
    """Gaps and repeats of one writer, straight from the rule in docs/numbers.md; a line is a number and its slot."""

    def is_there(number: int) -> bool:
        limits = [slot + reach for other, slot in lines if other > number and slot is not None]
        slots = [slot for other, slot in lines if other == number]
        return any(slot is None or not limits or slot <= min(limits) for slot in slots)

    numbers = [number for number, _ in lines]
    there = [number for number in set(numbers) if is_there(number)]
    if not there:
        return 0, 0
    gaps = max(numbers) - min(there) + 1 - len(there)
    return gaps, sum(numbers.count(number) - 1 for number in there)


def saved(sequences: Sequences) -> Sequences:
    """The same after a restart."""
    again = Sequences()
    again.load(msgspec.msgpack.decode(msgspec.msgpack.encode(sequences.dump())))
    return again


@settings(max_examples=500, deadline=None)
@given(SOME_UNTIMED, REACH, st.randoms())
def test_the_order_of_reading_and_the_parts_do_not_matter(lines: Lines, reach: int, random: Random):
    """However the lines are shuffled and spread over parts that are put together in the end."""
    parts = [Sequences() for _ in range(3)]
    for number, slot in random.sample(lines, len(lines)):
        random.choice(parts).see([("a", number)], slot)
    whole = Sequences()
    for part in parts:
        whole.merge(saved(part))
    whole.finish(reach)

    assert truth(lines, reach) == whole.take()


@settings(max_examples=500, deadline=None)
@given(LINES, REACH, st.randoms())
def test_following_equals_replaying(lines: Lines, reach: int, random: Random):
    """Read in the order of time, decided slot by slot, with restarts between: what is decided stays."""
    seen = Sequences()
    for number, slot in sorted(random.sample(lines, len(lines)), key=lambda line: line[1] or 0):
        seen.see([("a", number)], slot)
        seen = saved(seen)
        assert slot is not None
        seen.settle(slot - reach - random.choice((1, 1, 2)), reach)
    seen.finish(reach)

    assert truth(lines, reach) == seen.take()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([(1, 0), (3, 0), (2, 0)], (0, 0)),  # two files, or a signal handler
        ([(1, 0), (3, 0), (2, 1)], (0, 0)),
        ([(1, 0), (3, 0), (2, 2)], (1, 0)),  # it came too late, and changes nothing
        ([(1, 0), (3, 0), (4, 0)], (1, 0)),
        ([(1, 0), (1, 9), (2, 9)], (0, 1)),
        ([(5, 0), (6, 1), (2, 9)], (0, 0)),  # what is before all that came in time is no gap
    ],
)
def test_numbers_that_come_out_of_order(lines: Lines, expected: tuple[int, int]):
    """A number is missing if it has not come by the slot after that of a greater one."""
    seen = Sequences()
    for number, slot in lines:
        seen.see([("a", number)], slot)
    seen.finish(1)

    assert expected == seen.take()
    assert expected == truth(lines, 1)


def test_what_is_no_number_tells_nothing():
    """A line without writer or number, or with something else there, is neither a gap nor a repeat; 2.0 is 2."""
    lines: list[tuple[object, object]] = [
        ("a", 1), (None, 7), ("a", None), ("a", "3"), ("a", True), (5, 9), ("", 9), ("a", 2.0), ("a", 2.5), ("a", -1),
    ]  # fmt: skip
    seen = Sequences()
    seen.see(lines, 0)
    seen.finish(1)

    assert (0, 0) == seen.take()


def test_the_longest_silent_is_forgotten():
    """Writers without end do not grow the memory: past a limit the one longest silent is decided and forgotten."""
    seen = Sequences()
    seen.see((("0", 1), ("0", 3)), 0)
    seen.see(((str(writer), 1) for writer in range(1, 10_001)), 0)

    assert 10_000 == len(seen)
    assert (1, 0) == seen.take()
    seen.see([("0", 9), ("10000", 9)], 0)
    seen.finish(1)
    assert (7, 0) == seen.take()


def test_holes_do_not_grow_the_memory():
    """A writer whose numbers have holes all over costs no more memory; the holes are counted all the same."""
    seen = Sequences()
    for begin in range(0, 60_000, 500):
        seen.see([("a", 2 * number) for number in range(begin, begin + 500)], begin)
    seen.finish(1)

    assert (59_999, 0) == seen.take()
    assert len(msgspec.msgpack.encode(seen.dump())) < 100_000


def test_the_last_number_of_before_is_gone_on_from():
    """A checkpoint that has no more than the last number of each writer is read."""
    seen = Sequences()
    seen.load({"a": 3})
    seen.see([("a", 2), ("a", 3), ("a", 6)], 0)
    seen.finish(1)

    assert (2, 2) == seen.take()


def test_numbers_of_every_path_are_seen():
    """Lines of the fast path, of the exact path and rejected ones, mixed in one blob, make no gap among them."""
    numbered = [
        tool_call(writer="w", seq=1),
        tool_call(writer="w", seq=2, duration_ms=-1),
        tool_call(writer="w", seq=3),
        tool_call(writer="w", seq=4.0, error_class=5.0),
        tool_call(writer="w", seq=7),
        tool_call(writer="w", seq=7),
        tool_call(100, writer="w", seq=8),
    ]
    reader = Reader(default_catalog())
    reader.lines(numbered)

    assert (2, 1) == (reader.stats.gaps, reader.stats.repeats)
