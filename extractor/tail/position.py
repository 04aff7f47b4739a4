"""Identity of files and reading positions, as plain values that can be saved."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple


class Identity(NamedTuple):
    """Identity of a file under any name."""

    device: int
    inode: int


NO_FILE = Identity(0, 0)


class Fate(StrEnum):
    """Reason why reading cannot resume at a position."""

    COPY = "copy"
    """The content was read from another file, which still holds it."""
    VANISHED = "vanished"
    """The file, or the content read of it, was missing after a restart."""
    HIDDEN = "hidden"
    """The path of the file became unknown, and the file was dropped."""
    DELETED = "deleted"
    """The file has no name left."""
    REWRITTEN = "rewritten"
    """The file holds other content now."""


class Position(NamedTuple):
    """
    A position to resume reading at, in plain values: *offset* is the end of the last line that was returned.

    *head* and *last* are digests of the first *head_length* bytes of the content and of the *last_length* bytes before
    the offset. *read_size* is the size of the file in bytes if it was read to its end, otherwise -1; *modified* is its
    modification time in ns. *fate* is empty as long as reading can resume here. *low*, *rungs* and *ends* show how much
    of the content still exists where it was partly changed; older versions did not save them.
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
        """Identity of the file."""
        return Identity(self.device, self.inode)

    def plain(self) -> list[object]:
        """Return the values that `of_plain` takes; the path is bytes, because it need not be UTF-8."""
        return [os.fsencode(self.path), *self[1:]]

    @classmethod
    def of_plain(cls, plain: Sequence[Any]) -> "Position":
        """Return the position for *plain*; also for that of an older version, whose path was text."""
        return cls(os.fsdecode(plain[0]), *plain[1:])

    def given_up(self, fate: Fate, *, reused: bool = False) -> "Position":
        """Return the position with *fate*; without an identity if it was *reused* or the file was deleted."""
        device, inode = NO_FILE if reused or fate is Fate.DELETED else self.identity
        return self._replace(device=device, inode=inode, fate=fate.value)


class Found(NamedTuple):
    """A regular file as it was when it was found: *size* in bytes, *modified* in ns."""

    path: str
    identity: Identity
    size: int
    modified: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "Found":
        """Return the file at *path* that has *status*."""
        return cls(path, Identity(status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)
