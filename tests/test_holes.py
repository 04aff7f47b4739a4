"""Where a file has text, whatever holes and zeros are in it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.tail.holes import BLOCK_BYTES, MOST_BYTES, Search, text_at, text_end, text_length

PARTS = st.lists(
    st.tuples(st.sampled_from(["text", "zeros", "hole", "allocated"]), st.sampled_from([1, 100, 4096, 5000, 70_000])),
    max_size=8,
)


@pytest.fixture(params=["holes", "no holes"])
def seek(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file system as it is, and with one that knows no holes."""
    if request.param == "no holes":

        def no_holes(fd: int, at: int, how: int) -> int:
            return at if how == os.SEEK_DATA else os.fstat(fd).st_size

        monkeypatch.setattr(os, "lseek", no_holes)


@pytest.fixture
def made() -> Iterator[Callable[[list[tuple[str, int]]], tuple[int, bytes]]]:
    """Make a file of parts: its descriptor, and what is in it."""
    fd, path = tempfile.mkstemp()

    def make(parts: list[tuple[str, int]]) -> tuple[int, bytes]:
        os.ftruncate(fd, 0)
        content = b""
        for kind, size in parts:
            if kind == "text":
                os.pwrite(fd, b"x" * size, len(content))
            elif kind == "zeros":
                os.pwrite(fd, bytes(size), len(content))
            elif kind == "hole":
                os.ftruncate(fd, len(content) + size)
            else:
                os.posix_fallocate(fd, len(content), size)
            content += b"x" * size if kind == "text" else bytes(size)
        return fd, content

    yield make
    os.close(fd)
    Path(path).unlink()


def test_text_is_found(seek: None, made: Callable[[list[tuple[str, int]]], tuple[int, bytes]]) -> None:
    """From any place on, the next text and the end of all text are where they are in the bytes."""

    @settings(deadline=None, max_examples=200)
    @given(PARTS, st.integers(0, 100_000))
    def found(parts: list[tuple[str, int]], at: int) -> None:
        fd, content = made(parts)
        at = min(at, len(content))
        text = len(content[at:]) - len(content[at:].lstrip(b"\0"))
        place, is_there = text_at(fd, at, MOST_BYTES)

        assert (at + text < len(content)) is is_there
        assert place == at + text if is_there else place >= len(content)
        assert len(content.rstrip(b"\0")) == text_end(fd, len(content))

    found()


@given(st.binary(max_size=20), st.integers(0, 20_000))
def test_nuls_at_the_end_are_not_counted(data: bytes, nuls: int) -> None:
    """A length without NULs is that of what `rstrip` leaves."""
    assert len(data.rstrip(b"\0")) == text_length(data + bytes(nuls))


def test_a_search_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at is not looked at again as long as the file only grows; what it grew by is."""
    monkeypatch.setattr(os, "lseek", lambda fd, at, how: at if how == os.SEEK_DATA else os.fstat(fd).st_size)
    path = tmp_path / "file"
    size = 2 * MOST_BYTES + BLOCK_BYTES
    path.write_bytes(b"text" + bytes(size - 4))
    search = Search()
    with path.open("r+b") as file:
        looked: list[int] = []

        def look(at: int, most: int) -> tuple[int, bool | None]:
            looked.append(at)
            return text_at(file.fileno(), at, most)

        assert [None] * 3 == [search.find(look, 4, size) for _ in range(3)]
        assert search.is_over
        assert [4, 4 + MOST_BYTES, 4 + 2 * MOST_BYTES] == looked
        os.pwrite(file.fileno(), bytes(1000) + b"more", size)
        assert size + 1000 == search.find(look, 4, size + 1004)
        assert [size] == looked[3:]
