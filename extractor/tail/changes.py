"""
Changes of log files as values: a closed set, returned to the caller.

Each change has `lost`: the number of bytes that were, or may have been, removed before they could be read; None if it
cannot be determined. `table` lists the set with its documentation, which is taken from the docstrings of the classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args


@dataclass(frozen=True, slots=True)
class Appeared:
    """A file was seen for the first time; it is read from *offset* on, which is 0 unless a position was saved."""

    lost: ClassVar[int] = 0
    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """What was at *path* is now at *to*; None: out of sight, but still open and still read."""

    lost: ClassVar[int] = 0
    path: str
    to: str | None


@dataclass(frozen=True, slots=True)
class Truncated:
    """
    The file became smaller than what was read of it, and is read on where what is left of that ends.

    Lines ended at *offset* before; now they end at *kept*. *lost* is what was seen after *offset* and is in no copy
    that was found.
    """

    path: str
    offset: int
    lost: int | None
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Rewritten:
    """
    The file is as large as what was read of it, or larger, but holds something else, and is read from there.

    It was truncated and grew again, or its inode was given to another file. *lost* and *kept* are as with `Truncated`.
    """

    path: str
    offset: int
    lost: int | None
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """
    The file holds nothing that *of* does not hold, and is not read as long as that is so.

    It was rotated, compressed or copied; with *by_rotation* their names say so.
    """

    lost: ClassVar[int] = 0
    path: str
    of: str
    by_rotation: bool = True


@dataclass(frozen=True, slots=True)
class Continued:
    """The file holds what was read of *of*, which does not hold it any more, and is read from *offset* on."""

    lost: ClassVar[int] = 0
    path: str
    of: str
    offset: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """The file was there when its position was saved, and nothing that holds its content is there now."""

    path: str
    offset: int
    lost: int | None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The file is gone and let go; *lost* bytes of it were seen and could not be read."""

    path: str
    lost: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The last line of a file that was rotated away has no end and is no longer waited for; it began at *offset*."""

    lost: ClassVar[int] = 0
    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """A compressed file cannot be read beyond *offset* of its content."""

    lost: ClassVar[None] = None
    path: str
    offset: int
    why: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder cannot be read; said once, until it could be."""

    lost: ClassVar[int] = 0
    path: str
    why: str


Happening = (
    Appeared
    | Renamed
    | Truncated
    | Rewritten
    | Duplicate
    | Continued
    | Vanished
    | Forgotten
    | GivenUp
    | Damaged
    | Unreadable
)


def unmatched_text(root: str, files: int, patterns: Sequence[str]) -> str:
    """What to report of the folder *root*, which holds so many *files* and none that matches one of *patterns*."""
    held = "the only file in it does not match" if files == 1 else f"none of the {files:,} files in it matches"
    which = "the pattern" if len(patterns) == 1 else "any of the patterns"
    return f"{root}: {held} {which} of log files: {', '.join(patterns)} (name the files to read them all the same)"


def trouble(happening: Happening) -> str:  # noqa: PLR0911  # one return a kind
    """What a person should know of it, in a line; empty when all is well."""
    lost = "" if happening.lost == 0 else f", {happening.lost or 'some'} bytes lost"
    match happening:
        case Truncated(path, offset) | Rewritten(path, offset):
            place = f"byte {happening.kept}" if happening.kept else "its start"
            return f"{path}: truncated after byte {offset}{lost}; reading it from {place}"
        case Duplicate(path, of) if not happening.by_rotation:
            return f"{path}: has the same lines as {of}; they are counted once"
        case Vanished(path, offset) if happening.lost != 0:
            return f"{path}: gone since the last run, read up to byte {offset}{lost}"
        case Forgotten(path) if happening.lost:
            return f"{path}: gone{lost}"
        case GivenUp(path, offset):
            return f"{path}: rotated away within the line at byte {offset}"
        case Damaged(path, offset, why):
            return f"{path}: cannot be read beyond byte {offset} of its content: {why}"
        case Unreadable(path, why):
            return f"{path}: cannot be read: {why}"
        case _:
            return ""


def table() -> Iterator[tuple[str, str]]:
    """Every kind of happening with what it means."""
    for kind in get_args(Happening):
        yield kind.__name__.lower(), " ".join(kind.__doc__.split())
