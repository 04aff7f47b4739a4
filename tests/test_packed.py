"""What comes out of a compressed file, however it is read and in whatever state it is."""

import bz2
import gzip
import lzma
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from extractor.tail.compression import BACK_BYTES, Packed

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
CONTENT = b"".join(b'{"number":%d}\n' % number for number in range(100_000))

suffixes = pytest.mark.parametrize("suffix", PACK)


@contextmanager
def opened(path: Path, suffix: str) -> Iterator[Packed]:
    """The content of the file at *path*."""
    fd = os.open(path, os.O_RDONLY)
    try:
        yield Packed(fd, suffix)
    finally:
        os.close(fd)


@suffixes
def test_any_part_can_be_read(tmp_path: Path, suffix: str) -> None:
    """Forward, a little back, far back and beyond the end, the bytes are those that were compressed."""
    path = tmp_path / "a"
    path.write_bytes(PACK[suffix](CONTENT))
    with opened(path, suffix) as packed:
        for at in (0, 100, 50, 500_000, 499_000, 500_000 - BACK_BYTES, 10, 1_500_000, 0, len(CONTENT) - 5):
            assert CONTENT[at : at + 2000] == packed.read_at(at, 2000)
        assert b"" == packed.read_at(len(CONTENT) + 1000, 10)
        assert len(CONTENT) == packed.length()
        assert (True, "") == (packed.is_whole, packed.damage)


@suffixes
def test_it_can_be_read_while_it_is_written(tmp_path: Path, suffix: str) -> None:
    """What is there is read, and the rest when it has come; only then it is whole."""
    path = tmp_path / "a"
    data = PACK[suffix](CONTENT)
    path.touch()
    with opened(path, suffix) as packed:
        read = b""
        for end in (0, 1, 5, len(data) // 2, len(data) - 1):
            with path.open("ab") as file:
                file.write(data[path.stat().st_size : end])
            read += packed.read_at(len(read), len(CONTENT))
            assert not packed.has_ended
        with path.open("ab") as file:
            file.write(data[-1:])
        assert CONTENT == read + packed.read_at(len(read), len(CONTENT))
        packed.length()
        assert packed.is_whole


@suffixes
def test_streams_may_follow_one_another(tmp_path: Path, suffix: str) -> None:
    """What `cat` made of two compressed files is the content of both; an empty one is whole."""
    path = tmp_path / "a"
    path.write_bytes(PACK[suffix](b"") + PACK[suffix](b"one\n") + PACK[suffix](b"two\n"))
    with opened(path, suffix) as packed:
        assert b"one\ntwo\n" == packed.read_at(0, 100)
        assert packed.is_whole
    path.write_bytes(PACK[suffix](b""))
    with opened(path, suffix) as packed:
        assert b"" == packed.read_at(0, 100)
        assert packed.is_whole


@suffixes
@pytest.mark.parametrize("junk", [b"this is no compressed file", bytes(range(256)) * 40], ids=["text", "bytes"])
def test_what_is_not_compressed_is_damaged(tmp_path: Path, suffix: str, junk: bytes) -> None:
    """A file that only has the name raises nothing; nor does junk after the end."""
    path = tmp_path / "a"
    path.write_bytes(junk)
    with opened(path, suffix) as packed:
        assert b"" == packed.read_at(0, 100)
        assert packed.damage
    path.write_bytes(PACK[suffix](b"one\n") + junk)
    with opened(path, suffix) as packed:
        assert b"one\n" == packed.read_at(0, 100)
        assert packed.damage


@suffixes
def test_what_is_before_the_damage_is_read(tmp_path: Path, suffix: str) -> None:
    """Of a file with wrong bytes in it, what could be unpacked is the beginning of what was compressed."""
    content = os.urandom(3_000_000)
    data = bytearray(PACK[suffix](content))
    data[len(data) // 2 : len(data) // 2 + 100] = b"\xff" * 100
    path = tmp_path / "a"
    path.write_bytes(data)
    with opened(path, suffix) as packed:
        read = packed.read_at(0, len(content))
        assert packed.has_ended
        assert content.startswith(read[: len(content) // 4])


@suffixes
def test_memory_does_not_grow_with_the_content(tmp_path: Path, suffix: str) -> None:
    """A hundred megabytes of zeros in a few hundred bytes are read piece by piece."""
    path = tmp_path / "a"
    path.write_bytes(PACK[suffix](bytes(100 << 20)))
    with opened(path, suffix) as packed:
        tracemalloc.start()
        try:
            assert 100 << 20 == packed.length()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20 << 20
