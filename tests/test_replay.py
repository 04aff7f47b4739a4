"""
A replay prints the same bytes however many processes read, and however the lines were cut into files.

`REPLAY_BYTES` in the environment is how much log is read; `make soak-replay` reads a gigabyte.
"""

import bz2
import gzip
import lzma
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest
import zstandard

from bench.gen import lines as generated
from extractor.cli.output import FORMATS
from extractor.history import shards
from extractor.history.replay import Options, Replay, Replayed
from extractor.history.time_range import Period
from tests.conftest import Log
from tests.reading import T0, default_catalog, line, sampled, text, tool_call

BYTES = int(os.environ.get("REPLAY_BYTES", "16_000_000"))
LINE_BYTES = 311  # about, of what is generated
FILES = 6
BATCH = 2000  # lines written at once

pytestmark = pytest.mark.timeout(120 + BYTES // 500_000)

_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, 1),
    ".bz2": lambda data: bz2.compress(data, 1),
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": zstandard.ZstdCompressor(level=1).compress,
}


def replay(*paths: Path | str, jobs: int = 1, **options: object) -> Replayed:
    """What a replay of *paths* finds."""
    chosen = Options(tuple(map(str, paths)), jobs=jobs, **options)  # type: ignore[arg-type]
    return Replay(default_catalog(), chosen).run()


def everything(replayed: Replayed) -> dict[str, str]:
    """What is printed of it, in every format."""
    return {form: printer(replayed) for form, printer in FORMATS.items()}


def command(*words: object) -> list[str]:
    """`extractor replay` as a user types it."""
    return [sys.executable, "-m", "extractor", "replay", *map(str, words)]


def printed(*words: object) -> bytes:
    """What `extractor replay` prints, in a process of its own."""
    return subprocess.run(command(*words), stdout=subprocess.PIPE, check=True, timeout=60 + BYTES // 500_000).stdout


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of a few lines, so that little is enough for several processes."""
    monkeypatch.setattr(shards, "_LEAST_BYTES", 2000)


def batches() -> Iterator[list[bytes]]:
    """The lines of the log, some of them no events, numbered by their writers or not."""
    count, every = BYTES // LINE_BYTES, generated(BYTES // LINE_BYTES, seed=7)
    for begin in range(0, count, BATCH):
        batch = [next(every) for _ in range(min(BATCH, count - begin))]
        for place in range(0, len(batch), 500):
            number = begin // 500 + place // 500
            batch[place] = (b"{\n", b"\n", tool_call(number, writer="w", seq=number) + b"\n")[number % 3]
        yield batch


def in_one_file(folder: Path) -> None:
    """All lines in one file, from the first to the last."""
    with (folder / "agents.jsonl").open("wb") as file:
        file.writelines(chain.from_iterable(batches()))


def rotated(folder: Path) -> None:
    """A file and what it was rotated to, the oldest compressed, and one of them there in both forms."""
    every = list(batches())
    size = -(-len(every) // FILES)
    for number in range(FILES):
        data = b"".join(chain.from_iterable(every[number * size : (number + 1) * size]))
        age = FILES - 1 - number
        path = folder / (f"agents.jsonl.{age}" if age else "agents.jsonl")
        packer = list(_PACKERS)[number % len(_PACKERS)]
        if age >= 2:
            path.with_name(path.name + packer).write_bytes(_PACKERS[packer](data))
        if age <= 2:
            path.write_bytes(data)


def dealt_out(folder: Path) -> None:
    """Each line in any one of some files, and the files in folders."""
    dice = random.Random(3)
    paths = [folder / f"host-{number % 2}" / f"agent-{number}.jsonl" for number in range(FILES)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
    for batch in batches():
        dealt: list[list[bytes]] = [[] for _ in paths]
        for item in batch:
            dealt[dice.randrange(len(paths))].append(item)
        for path, some in zip(paths, dealt, strict=True):
            with path.open("ab") as file:
                file.writelines(some)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the same lines, cut in different ways."""
    folders = {}
    for way in (in_one_file, rotated, dealt_out):
        folders[way.__name__] = folder = tmp_path_factory.mktemp(way.__name__)
        way(folder)
    return folders


def test_same_bytes_for_every_cut_and_every_number_of_jobs(cut: dict[str, Path]) -> None:
    """One file, a rotated family with compressed files and a copy, and lines dealt out: all print the same."""
    expected = everything(replay(cut["in_one_file"]))
    differing = [
        (way, jobs, form)
        for way, folder in cut.items()
        for jobs in (1, 2, 5)
        for form, shown in everything(replay(folder, jobs=jobs)).items()
        if expected[form] != shown
    ]

    assert [] == differing


def test_command_prints_the_same_by_default(cut: dict[str, Path]) -> None:
    """What is typed prints what one process finds, to the byte, with as many as there are cores."""
    expected = everything(replay(cut["in_one_file"]))["openmetrics"].encode()

    assert expected == printed(cut["in_one_file"], "--format", "openmetrics")
    assert expected == printed(cut["rotated"], "--format", "openmetrics", "--jobs", 3)


def test_everything_is_counted(cut: dict[str, Path]) -> None:
    """Lines, bytes, rejects and the numbers that writers gave are counted in all processes together."""
    every = list(chain.from_iterable(batches()))
    for folder in cut.values():
        found = replay(folder, jobs=2).stats

        assert (len(every), sum(map(len, every))) == (found.lines_read, found.bytes_read)
        assert every.count(b"{\n") == found.rejects["not_json"] == found.rejects.total()
        assert every.count(b"\n") == found.blank_lines
        numbered = sum(b'"writer"' in item for item in every)
        assert (2 * (numbered - 1), 0) == (found.gaps, found.repeats)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("jobs", [1, 3])
def test_half_lines_are_told(tmp_path: Path, jobs: int) -> None:
    """The bytes after the last newline of each file are not counted, and said, whoever read them."""
    for number in range(4):
        log = Log(tmp_path / f"{number}.jsonl")
        log.append(*(tool_call(at, tool=str(number)) for at in range(40)))
        log.tear(b'{"half')

    found = replay(tmp_path, jobs=jobs)
    assert (160, 24) == (found.stats.lines_read, found.unfinished)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("jobs", [1, 3])
def test_lines_over_the_limit(tmp_path: Path, jobs: int) -> None:
    """A line that is longer than a shard is one reject."""
    log = Log(tmp_path / "a.jsonl")
    log.append(*[tool_call(), b"x" * 30_000] * 5, tool_call())

    found = replay(tmp_path, jobs=jobs, max_line_bytes=1000).stats
    assert (11, {"too_long": 5}) == (found.lines_read, {name: n for name, n in found.rejects.items() if n})


@pytest.mark.usefixtures("small_shards")
def test_a_large_part_is_handed_on_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process does not hold more and more: it hands on what it has, and nothing is lost or counted twice."""
    log = Log(tmp_path / "a.jsonl")
    log.append(*(line("step", at * 50, step=1, run_id=f"r{at % 90}", agent=f"a{at % 90}") for at in range(400)))
    expected = text(replay(tmp_path).state)
    monkeypatch.setattr("extractor.history.partial.MOST_SERIES_OF_PARTS", 300)
    monkeypatch.setattr("extractor.history.reader.FOLD_AFTER", 10)

    assert expected == text(replay(tmp_path, jobs=3).state)
    assert 400.0 == sum(sampled(replay(tmp_path, jobs=3).state, "agent_steps_total").values())


@pytest.mark.parametrize("jobs", [1, 2])
def test_copies_are_counted_once(tmp_path: Path, jobs: int) -> None:
    """A rotated file that is there both plain and compressed, and a copied one, is counted once."""
    data = b"".join(tool_call(at) + b"\n" for at in range(100))
    (tmp_path / "app.jsonl").write_bytes(tool_call(100) + b"\n")
    (tmp_path / "app.jsonl.1").write_bytes(data)
    (tmp_path / "app.jsonl.1.gz").write_bytes(gzip.compress(data))
    (tmp_path / "app.jsonl.2.xz").write_bytes(lzma.compress(tool_call(-1) + b"\n"))

    assert 102 == replay(tmp_path, jobs=jobs).stats.events


@pytest.mark.parametrize("jobs", [1, 2])
def test_logs_that_are_longer_than_their_text(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NULs at the end of a log are not half a line, and a hole before a line costs nothing and is in no line."""
    monkeypatch.setattr(shards, "_LEAST_BYTES", 1 << 12)
    lines = [tool_call(at, tool=str(at % 7)) + b"\n" for at in range(600)]
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.writelines(lines[:200])
        file.write(b"half")
        file.truncate(1 << 40)
    with (tmp_path / "b.jsonl").open("wb") as file:
        file.seek(1 << 40)
        file.writelines(lines[200:300])
        file.write(bytes(100_000))
        file.writelines(lines[300:400])
    with gzip.open(tmp_path / "c.jsonl.gz", "wb") as packed:
        packed.write(bytes(1 << 20) + b"".join(lines[400:]) + bytes(1 << 20))
    replayed = replay(tmp_path, jobs=jobs)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "d.jsonl").write_bytes(b"".join(lines))

    assert ([], 600, 4) == ([*replayed.troubles], replayed.stats.events, replayed.unfinished)
    assert 0 == replayed.stats.rejects.total()
    assert text(replay(alone).state) == text(replayed.state)


def test_patterns_folders_and_files_together(tmp_path: Path) -> None:
    """What is named twice is read once."""
    for name in ("a.jsonl", "b.ndjson", "c.txt"):
        (tmp_path / name).write_bytes(tool_call() + b"\n")

    assert 2 == replay(tmp_path, tmp_path / "*.jsonl", tmp_path / "a.jsonl").stats.events
    assert 1 == replay(tmp_path / "c.*").stats.events


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    """What a shell makes of `<(zcat old.gz)` is a log like any other; so is standard input beside files."""
    pipe, file = tmp_path / "pipe", tmp_path / "a.jsonl"
    os.mkfifo(pipe)
    file.write_bytes(tool_call() + b"\n")
    with subprocess.Popen(
        command(file, pipe, "-", "--format", "json"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        process.stdin.write(tool_call() + b"\n")
        process.stdin.close()
        pipe.write_bytes(tool_call() + b"\n" + b"half")
        assert process.stdout
        found = process.stdout.read()

    assert b'"lines": 3,' in found
    assert b'"unfinished_bytes": 4,' in found


@pytest.mark.parametrize(
    ("cut", "end", "what"), [(8, bytes(8), "is damaged after"), (20_000, b"", "breaks off after")], ids=["crc", "end"]
)
def test_damaged_file_is_told(tmp_path: Path, cut: int, end: bytes, what: str) -> None:
    """What can be read of a damaged file is counted, and that there is more is not passed over in silence."""
    whole = gzip.compress(b"".join(tool_call(at, tool=os.urandom(8).hex()) + b"\n" for at in range(5000)))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(whole[:-cut] + end)
    found = replay(tmp_path)

    assert 0 < found.stats.events < 5000
    assert 1 == len(found.troubles)
    assert found.troubles[0].startswith(f"{path} {what} ")


@pytest.mark.parametrize("jobs", [1, 2])
def test_period(tmp_path: Path, jobs: int) -> None:
    """--since is part of the period and --until is not; what lies outside is no reject and moves nothing."""
    log = Log(tmp_path / "a.jsonl")
    log.append(*(tool_call(at, tool=str(at)) for at in range(10)), line("no.such.event", 9), b"{")
    found = replay(tmp_path, jobs=jobs, period=Period(T0 + 3, T0 + 8))

    assert (12, 5, 6) == (found.stats.lines_read, found.stats.events, found.outside)
    assert ["3", "4", "5", "6", "7"] == sorted({labels[1] for labels in sampled(found.state, "agent_tool_calls_total")})
    assert T0 + 7 == found.state.watermark
    assert {"not_json": 1} == {reason: lines for reason, lines in found.stats.rejects.items() if lines}
    assert len(log.path.read_bytes()) == found.stats.bytes_read
