"""
What a file is known by, in plain values that can be saved.

Knows nothing of how a file is read.
"""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple


class Identity(NamedTuple):
    """What makes a file the same file under any name."""

    device: int
    inode: int


NO_FILE = Identity(0, 0)


class Fate(StrEnum):
    """Why a position is no place to read on at."""

    COPY = "copy"
    """So much of it was read from another file, which still holds it."""
    VANISHED = "vanished"
    """It, or what was read of it, was not there when reading began again after a restart."""
    HIDDEN = "hidden"
    """It went out of sight and was let go."""
    DELETED = "deleted"
    """It was seen to have no name left."""
    REWRITTEN = "rewritten"
    """It holds something else now."""


class Position(NamedTuple):
    """
    What must be saved to read on later, in plain values: *offset* is the end of the last line handed out.

    *head* and *last* are digests of the first bytes of the content and of those before the offset. *read_size* is the
    size of the file if it was read to its end, else -1; *modified* is when it was written, in ns. *fate* is empty as
    long as it is a place to read on at. *low*, *rungs* and *ends* tell how much of the content still stands where not
    all of it does; an older version did not save them.
    """

    path: str
    device: int
    inode: int
    offset: int
    head_length: int
    head: str
    last_length: int
    last: str
    read_size: int
    modified: int
    fate: str = ""
    low: bytes = b""
    rungs: bytes = b""
    ends: bytes = b""

    @property
    def identity(self) -> Identity:
        """The file that this is a position in."""
        return Identity(self.device, self.inode)

    def plain(self) -> list[object]:
        """What `of_plain` takes; the path is bytes, as a name of the file system is, which need not be UTF-8."""
        return [os.fsencode(self.path), *self[1:]]

    @classmethod
    def of_plain(cls, plain: Sequence[Any]) -> "Position":
        """The position that *plain* was made of; also of an older one, whose path was text."""
        return cls(os.fsdecode(plain[0]), *plain[1:])

    def given_up(self, fate: Fate, *, reused: bool = False) -> "Position":
        """The same when the file is gone; no file has its identity and its content any more if that was *reused*."""
        device, inode = NO_FILE if reused or fate is Fate.DELETED else self.identity
        return self._replace(device=device, inode=inode, fate=fate.value)


class Found(NamedTuple):
    """A regular file as it was when it was looked at; *modified* in ns."""

    path: str
    identity: Identity
    size: int
    modified: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "Found":
        """What *status* says of the file at *path*."""
        return cls(path, Identity(status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)
