"""What the tests of tailing share: what is a log there, what time a line has, and reading a tail to its end."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from extractor.tail.line_buffer import Blob, Piece, TooLong
from extractor.tail.tailer import Chunk, Tail


def is_log(name: str) -> bool:
    """The names that are read in these tests."""
    return ".jsonl" in name and not name.endswith(".gone")


def time_of(line: bytes) -> float | None:
    """The event time, which is the whole line here."""
    return float(line) if line.isdigit() else None


def tails() -> Iterator[Callable[..., Tail]]:
    """Make tails that are closed afterwards; a fixture where it is named one."""
    made: list[Tail] = []

    def make(*roots: Path, **options: object) -> Tail:
        made.append(Tail(roots, is_log, time_of, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for tail in made:
        tail.close()


def lines_of(chunks: Iterable[Chunk]) -> list[bytes]:
    """All lines of *chunks*."""
    blobs = [piece.data for chunk in chunks for piece in chunk.pieces if isinstance(piece, Blob)]
    return [line for data in blobs for line in data.splitlines(keepends=True)]


def read(tail: Tail) -> list[bytes]:
    """Look everywhere and read everything."""
    tail.scan()
    return lines_of(tail.read())


def numbers(chunk: Chunk | None) -> list[int]:
    """The numbers before the colon in the lines of *chunk*, also of those that are too long or have no end."""
    lines = [line for piece in (chunk.pieces if chunk else ()) for line in _lines(piece)]
    return [int(line.split(b":")[0]) for line in lines if b":" in line]


def _lines(piece: Piece) -> list[bytes]:
    if isinstance(piece, TooLong):
        return [piece.head]
    return piece.data.split(b"\n")
