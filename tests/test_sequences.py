"""Gaps and repeats in the numbers that writers give their lines, through any cutting and through restarts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.sequences import Sequences
from tests.reading import Reader, default_catalog, tool_call

LINES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9)), max_size=20)


def counted(lines: list[tuple[str, int]]) -> tuple[int, int]:
    """Gaps and repeats, said in another way: how far each writer's highest number is beyond those it used."""
    gaps = repeats = 0
    for writer in {name for name, _ in lines}:
        numbers = [number for name, number in lines if name == writer]
        highest = numbers[0] - 1
        for number in numbers:
            if number > highest:
                gaps += number - highest - 1
                highest = number
            else:
                repeats += 1
    return gaps, repeats


@settings(max_examples=200, deadline=None)
@given(LINES, st.integers(0, 20))
def test_counts_do_not_depend_on_the_cut(lines: list[tuple[str, int]], place: int) -> None:
    """Lines seen at once or in two parts, with a restart between, have the same gaps and repeats."""
    first, second = Sequences(), Sequences()
    before = first.see(lines[:place])
    second.load(first.dump())
    after = second.see(lines[place:])

    assert counted(lines) == Sequences().see(lines)
    assert counted(lines) == (before[0] + after[0], before[1] + after[1])


def test_what_is_no_number_tells_nothing() -> None:
    """A line without writer or number, or with something else there, is neither a gap nor a repeat."""
    sequences = Sequences()

    assert (0, 0) == sequences.see([("a", 1), (None, 7), ("a", None), ("a", "3"), ("a", True), (5, 9), ("a", 2)])


def test_the_longest_silent_is_forgotten() -> None:
    """Writers without end do not grow the memory: past a limit the one longest silent is forgotten."""
    sequences = Sequences()
    sequences.see((str(writer), 1) for writer in range(10_001))

    assert 10_000 == len(sequences.dump())
    assert (0, 0) == sequences.see([("0", 9)])
    assert (7, 0) == sequences.see([("10000", 9)])


def test_numbers_of_every_path_are_seen_in_order() -> None:
    """Lines of the fast path, of the exact path and rejected ones, mixed in one blob, make no gap among them."""
    numbered = [
        tool_call(writer="w", seq=1),
        tool_call(writer="w", seq=2, duration_ms=-1),
        tool_call(writer="w", seq=3),
        tool_call(writer="w", seq=4, error_class=5.0),
        tool_call(writer="w", seq=7),
        tool_call(writer="w", seq=7),
    ]
    reader = Reader(default_catalog())
    reader.lines(numbered)

    assert (2, 1) == (reader.stats.gaps, reader.stats.repeats)
