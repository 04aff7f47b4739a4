"""Files are cut where lines end, and nothing is left out or read twice."""

import gzip
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.errors import SourceError
from extractor.events.reader import time_of
from extractor.history.shards import Extent, Shard, cut, opened
from extractor.tail.position import Found
from extractor.tail.tailer import Tail
from tests.reading import T0, default_catalog, line

LINES = st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=30)


def cut_up(folder: Path, jobs: int = 1, most: int = 64) -> list[Shard]:
    """The shards of all logs in *folder*; none has a trouble."""
    tail = Tail([folder], lambda name: name.endswith(".jsonl"), lambda _: None)
    tail.scan()
    troubles: list[str] = []
    pack = default_catalog().default_pack
    shards = cut(tail.sources(), lambda item: time_of(item, pack), jobs, troubles.append, most)
    tail.close()
    assert [] == troubles
    return shards


def extents_of(shards: Iterable[Shard]) -> list[Extent]:
    """All extents, file by file."""
    return sorted((extent for shard in shards for extent in shard.extents), key=lambda each: (each.path, each.start))


@settings(deadline=None)
@given(st.lists(LINES, max_size=4), st.binary(max_size=20), st.integers(1, 4), st.integers(1, 200))
def test_shards_are_the_files(files: list[list[bytes]], rest: bytes, jobs: int, most: int) -> None:
    """Side by side, the extents of a file are its text; each begins where a line begins and is not much too long."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number, lines in enumerate(files):
            (folder / f"{number}.jsonl").write_bytes(b"".join(lines) + rest.replace(b"\n", b""))
        extents = extents_of(cut_up(folder, jobs, most))
        for path in folder.iterdir():
            content = path.read_bytes().rstrip(b"\0")  # NULs at the end are no text
            own = [extent for extent in extents if extent.path == str(path)]
            assert [0, len(content)] == [own[0].start, own[-1].end] if content else [] == own
            assert [] == [pair for pair in pairwise(own) if pair[0].end != pair[1].start]
            assert {b"\n"} >= {content[extent.start - 1 : extent.start] for extent in own[1:]}
            assert [] == [extent for extent in own if extent.end - extent.start > 2 * most + 64]


def test_small_files_share_a_shard(tmp_path: Path) -> None:
    """What a thousand small files cost is not a thousand times what one costs to hand out."""
    for number in range(50):
        (tmp_path / f"{number}.jsonl").write_bytes(b"{}\n")

    assert [50] == [len(shard.extents) for shard in cut_up(tmp_path, most=1000)]


def test_shards_are_in_order_of_time(tmp_path: Path) -> None:
    """Whatever the files are called, the earliest events are read first: so runs can be forgotten that are over."""
    for name, at in (("a", 500), ("b", 100), ("c", 300)):
        (tmp_path / f"{name}.jsonl").write_bytes(line("step", at, step=1) + b"\n")

    assert [T0 + 100, T0 + 300, T0 + 500] == [shard.time for shard in cut_up(tmp_path, most=1)]


def test_large_compressed_files_are_first(tmp_path: Path) -> None:
    """What cannot be cut is begun with, or all would wait for whoever gets it last."""
    (tmp_path / "a.jsonl").write_bytes(line("step", step=1) + b"\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line("step", 1, step=1) + b"\n"))

    shards = cut_up(tmp_path, most=8)
    assert [".gz", ""] == [extent.packed for shard in shards for extent in shard.extents]
    assert T0 + 1 == shards[0].time


def test_file_is_found_under_its_new_name(tmp_path: Path) -> None:
    """A file that is rotated between being found and being read is read all the same, and no other in its place."""
    path, later = tmp_path / "a.jsonl", tmp_path / "a.jsonl.1"
    path.write_bytes(b"old\n")
    identity = Found.of(str(path), path.stat()).identity
    path.rename(later)
    path.write_bytes(b"new\n")
    with opened(str(path), identity) as fd, open(fd, "rb", closefd=False) as file:
        assert b"old\n" == file.read()
    later.rename(tmp_path.parent / "elsewhere")
    with pytest.raises(SourceError, match="taken away"), opened(str(path), identity):
        pass
