"""
One file: what makes it the same file under any name, how far it was read, and reading on from there.

A source is opened read-only, and only when it is a regular file. While it is open it can be read to its end, whatever
becomes of its name. What happened to it is returned as a value.

Knows nothing of folders, JSON or metrics.
"""

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from extractor.lines import MAX_LINE_BYTES, NEWLINE, LineBuffer, Piece

PEEK_BYTES = 16384
"""How much is read ahead to find the first unread line."""

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Without O_NONBLOCK the open would hang if a FIFO took the file's name since it was looked at."""


class Identity(NamedTuple):
    """What makes a file the same file under any name."""

    device: int
    inode: int


class Position(NamedTuple):
    """What must be saved to read on later: *offset* is the end of the last line handed out."""

    path: str
    identity: Identity
    offset: int


class Found(NamedTuple):
    """A regular file as it was when it was looked at."""

    path: str
    identity: Identity
    size: int
    modified: float

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "Found":
        """What *status* says of the file at *path*."""
        return cls(path, Identity(status.st_dev, status.st_ino), status.st_size, status.st_mtime)


class FileState(StrEnum):
    """What is known of a source; a closed set, fit for a label."""

    ACTIVE = "active"
    """It has a log's name."""
    RENAMED = "renamed"
    """Its name is no log's, or out of sight; it is read as long as it exists."""
    DELETED = "deleted"
    """It has no name left and is read to its end."""
    MISSING = "missing"
    """It was not found, and it was not open."""
    UNREADABLE = "unreadable"
    """It could not be opened or read; tried again."""


@dataclass(frozen=True, slots=True)
class Appeared:
    """A file was seen for the first time; it is read from *offset* on, which is 0 unless a position was saved."""

    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """What was at *path* is now at *to*; None: out of sight, but still open and still read."""

    path: str
    to: str | None


@dataclass(frozen=True, slots=True)
class Truncated:
    """
    The file became smaller than what was read of it, and is read from 0 again.

    Lines end at *offset* before; *partial* bytes of a line after it were dropped. What was written and truncated away
    before anyone could read it is not known.
    """

    path: str
    offset: int
    partial: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The file is gone; *rest* is its last line if no newline ended it, *unread* the bytes that nobody could read."""

    path: str
    rest: Piece | None
    unread: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder cannot be read; said once, until it could be."""

    path: str
    why: str


Happening = Appeared | Renamed | Truncated | Forgotten | Unreadable


class Source:
    """
    One file and how far it was read.

    *path* is where it was last seen; it is only used to open the file, and the open file must have the same identity.
    *time* is the event time of a line that was first in it when it waited among others, None if it had none.
    """

    __slots__ = ("_fd", "_limit", "_lines", "_read_to", "identity", "modified", "path", "size", "state", "time")

    def __init__(self, found: Found, *, offset: int = 0, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.path = found.path
        self.identity = found.identity
        self.size = found.size
        self.modified = found.modified
        self.state = FileState.ACTIVE
        self.time: float | None = None
        self._limit = max_line_bytes
        self._lines = LineBuffer(max_line_bytes, offset)
        self._read_to = offset
        self._fd: int | None = None

    @property
    def offset(self) -> int:
        """Where the first line begins that was not handed out."""
        return self._lines.offset

    @property
    def is_open(self) -> bool:
        """Whether the file can be read without its name."""
        return self._fd is not None

    @property
    def has_news(self) -> bool:
        """Whether there is something to read; a file that shrank has news, too."""
        return self.size != self._read_to

    @property
    def behind(self) -> int:
        """How many bytes were not read yet, as far as the file was looked at."""
        return max(self.size - self._read_to, 0)

    @property
    def pending(self) -> int:
        """How many bytes were read of a line that has no end yet."""
        return self._lines.pending

    def saved(self) -> Position:
        """What `Tail` must be given to read on from here."""
        return Position(self.path, self.identity, self.offset)

    def open(self) -> None:
        """Open the file; FileNotFoundError if another one, or none, has its name by now."""
        fd = os.open(self.path, OPEN_FLAGS)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or Found.of(self.path, status).identity != self.identity:
            os.close(fd)
            raise FileNotFoundError(self.path)
        self._fd = fd

    def close(self) -> None:
        """Close the file; a partial line is not held meanwhile, but read again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._lines.release()

    def look(self) -> bool:
        """Look at the open file, which needs no name; whether it still has one."""
        status = os.fstat(self._descriptor())
        self.size, self.modified = status.st_size, status.st_mtime
        return status.st_nlink > 0

    def peek(self) -> bytes:
        """The first unread line; empty if its end is not near."""
        head = os.pread(self._descriptor(), PEEK_BYTES, self._lines.offset)
        return head[: max(head.find(NEWLINE), 0)]

    def read(self, max_bytes: int) -> tuple[list[Piece], Truncated | None]:
        """Read on, at most *max_bytes*: the lines they end, and whether the file was truncated before."""
        fd = self._descriptor()
        self.look()
        truncated = None
        if self.size < self._read_to:
            truncated = Truncated(self.path, self.offset, self._lines.pending)
            self._lines = LineBuffer(self._limit)
        chunk = os.pread(fd, max_bytes, self._lines.offset + self._lines.pending)
        pieces = self._lines.feed(chunk)
        self._read_to = self._lines.offset + self._lines.pending
        return pieces, truncated

    def finish(self) -> Piece | None:
        """The last line, when no newline will ever end it."""
        return self._lines.finish()

    def _descriptor(self) -> int:
        if self._fd is None:
            raise ValueError(f"{self.path} is not open")
        return self._fd
