"""
One file: what makes it the same file under any name, how far it was read, and reading on from there.

A source is opened read-only, and only when it is a regular file. While it is open it can be read to its end, whatever
becomes of its name. Before anything is read, the bytes before it are compared with what they were.

Knows nothing of folders, JSON or metrics.
"""

import os
import stat
from contextlib import suppress
from enum import StrEnum

from extractor.fingerprints import WINDOW, Trace, digest
from extractor.lines import MAX_LINE_BYTES, NEWLINE, LineBuffer, Piece
from extractor.packed import Content, Packed, Plain
from extractor.positions import Found, Position
from extractor.rotation import packed_suffix, plain_name

PEEK_BYTES = 16384
"""How much is read ahead to find the first unread line."""

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Without O_NONBLOCK the open would hang if a FIFO took the file's name since it was looked at."""


class FileState(StrEnum):
    """What is known of a source; a closed set, fit for a label."""

    ACTIVE = "active"
    """It has a log's name."""
    RENAMED = "renamed"
    """Its name is no log's, or out of sight; it is read as long as it exists."""
    COPY = "copy"
    """What it holds is read from another file."""
    DELETED = "deleted"
    """It has no name left and is read to its end."""
    MISSING = "missing"
    """It was not found, and it was not open."""
    UNREADABLE = "unreadable"
    """It could not be opened or read; tried again."""


class Source:
    """
    One file and how far it was read.

    *path* is where it was last seen; it is only used to open the file, and the open file must have the same identity.
    *former* is where it was before it was renamed. *claim* is the position that was saved of it, until its content was
    compared with it. *since* says which files were seen earlier than others. *time* is the event time of a line that
    was first in it when it waited among others, None if it had none. Offsets are in the content, which of a compressed
    file is what was compressed; sizes are those of the file.
    """

    __slots__ = (
        "_content",
        "_cut_from",
        "_fd",
        "_limit",
        "_lines",
        "_read_to",
        "_saved",
        "_saved_for",
        "_spent",
        "_trace",
        "_verified",
        "claim",
        "former",
        "identity",
        "largest",
        "modified",
        "packed",
        "path",
        "since",
        "size",
        "state",
        "time",
    )

    def __init__(self, found: Found, *, claim: Position | None = None, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.path = found.path
        self.former = found.path
        self.identity = found.identity
        self.packed = packed_suffix(found.path)
        self.size = self.largest = found.size
        self._cut_from = 0  # how large it was when it became smaller
        self._verified = 0  # how large it was when it held what was read
        self.modified = found.modified
        self.state = FileState.ACTIVE
        self.since = 0
        self.time: float | None = None
        self.claim = claim
        self._limit = max_line_bytes
        self._fd: int | None = None
        self._content: Content | None = None
        self._saved: Position | None = None
        self._saved_for: tuple[object, ...] = ()
        self._start(claim.offset if claim else 0, Trace())
        # Size and time at which there was nothing more to read.
        self._spent = (claim.read_size, claim.modified) if claim else (0, found.modified)

    @property
    def name(self) -> str:
        """The file name, as it would be if the file were not compressed."""
        return plain_name(self.path)

    @property
    def offset(self) -> int:
        """Where the first line begins that was not handed out."""
        return self._lines.offset

    def has_reached(self, size: int) -> bool:
        """Whether all was read, or cannot be read here, of what was there when the file had this *size*."""
        if self.state in (FileState.COPY, FileState.UNREADABLE) or not self.has_news:
            return True
        return self._raw_read_to() >= size

    @property
    def unread(self) -> int | None:
        """How much was seen after the offset, and is not there any more; None if that cannot be known."""
        if self.packed or (self.claim is not None and not self._verified):
            return None
        return max((self._cut_from or self._verified) - self.offset, 0)

    @property
    def read_to(self) -> int:
        """Where the next read begins."""
        return self._read_to

    @property
    def shrank(self) -> bool:
        """Whether the file is smaller than what was read of it; or than it was, if nothing was."""
        return not self.packed and self.size < (self._read_to or self.largest)

    @property
    def is_open(self) -> bool:
        """Whether the file can be read without its name."""
        return self._fd is not None

    @property
    def has_news(self) -> bool:
        """Whether there may be something to read; a file that was written to without growing has news, too."""
        return (self.size, self.modified) != self._spent

    @property
    def behind(self) -> int:
        """How many bytes were not read yet, as far as the file was looked at; of a compressed file, its own bytes."""
        if not self.has_news:
            return 0
        return max(self.size - self._raw_read_to(), 0)

    @property
    def pending(self) -> int:
        """How many bytes there are of a line that has no end yet."""
        closed = not self.is_open and not self.packed and not self.has_news
        return max(self.size - self.offset, 0) if closed else self._lines.pending

    def saved(self) -> Position:
        """What `Tail` must be given to read on from here."""
        if self.claim is not None:
            return self.claim
        key = (self.path, self.offset, self._spent, self.has_news)
        if self._saved is None or key != self._saved_for:
            head, last = self._trace.head(self.offset), self._trace.last
            end = (-1, self.modified) if self.has_news else self._spent
            self._saved = Position(self.path, *self.identity, self.offset, *head, len(last), digest(last), *end)
            self._saved_for = key
        return self._saved

    def open(self) -> None:
        """Open the file; FileNotFoundError if another one, or none, has its name by now."""
        fd = os.open(self.path, OPEN_FLAGS)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or Found.of(self.path, status).identity != self.identity:
            os.close(fd)
            raise FileNotFoundError(self.path)
        self._fd = fd
        self._content = Packed(fd, self.packed) if self.packed else Plain(fd)

    def close(self) -> None:
        """Close the file; a partial line is not held meanwhile, but read again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = self._content = None
            self._lines.release()
            self._read_to = self.offset + self._lines.pending
            if self._read_to == self.offset:
                self._trace.release()

    def look(self) -> bool:
        """Look at the open file, which needs no name; whether it still has one."""
        status = os.fstat(self._descriptor())
        self.note(status.st_size, status.st_mtime_ns)
        return status.st_nlink > 0

    def note(self, size: int, modified: int) -> None:
        """The file was seen to have this *size*, and to be written at *modified*."""
        if size < self.size and not self._cut_from:
            self._cut_from = self.largest
        self.size, self.modified = size, modified
        self.largest = max(self.largest, size)

    def peek(self) -> bytes:
        """The first unread line; empty if its end is not near, or if what was read before it is not there any more."""
        before = self._trace.last
        data = self.content().read_at(self.offset - len(before), len(before) + PEEK_BYTES)
        if self.claim is not None or not data.startswith(before):
            return b""
        return data[len(before) : max(data.find(NEWLINE, len(before)), 0)]

    def head(self) -> bytes:
        """The first bytes of the content, whatever of it was read; nothing if they cannot be had."""
        if self._fd is None:
            return b""
        # Of a compressed file anew: what is unpacked so far is read on.
        content = Packed(self._fd, self.packed) if self.packed else Plain(self._fd)
        with suppress(OSError):
            return content.read_at(0, PEEK_BYTES)
        return b""

    def content(self) -> Content:
        """What is in the file, which must be open."""
        if self._content is None:
            raise FileNotFoundError(f"{self.path} is not open")
        return self._content

    def holds(self, position: Position) -> bool:
        """Whether the content begins with what was read of the file that *position* was saved of."""
        content = self.content()
        if not self.packed and self.size < position.offset:
            return False
        if digest(content.read_at(0, position.head_length)) != position.head:
            return False
        return digest(content.read_at(position.offset - position.last_length, position.last_length)) == position.last

    def go_on(self, offset: int) -> None:
        """Read on at *offset*, of content that is known up to there."""
        content = self.content()
        head = content.read_at(0, WINDOW) if offset >= WINDOW else b""
        last = content.read_at(max(offset - WINDOW, 0), min(offset, WINDOW))
        self.claim = None
        self._start(offset, Trace(last, digest(head)), inside=last[-1:] not in (b"", NEWLINE))

    def begin_again(self) -> None:
        """Read from 0; what was read is not there any more."""
        self.claim = None
        self.time = None
        self._start(0, Trace())
        self._spent = (0, -1)
        self.largest = self.size
        self._cut_from = 0

    def is_intact(self) -> bool:
        """Whether what was read is still there, going by size and the bytes that were read last."""
        self.look()
        recent = self._trace.recent
        if self.claim is not None or self.shrank:
            return self.claim is not None
        return self.content().read_at(self._read_to - len(recent), len(recent)) == recent

    def read(self, max_bytes: int) -> list[Piece] | None:
        """Read on, at most *max_bytes*: the lines they end; None if what was read before is not there any more."""
        self.look()
        content = self.content()
        if self.claim is not None:
            if not self.holds(self.claim):
                return None
            self.go_on(self.claim.offset)
        recent = self._trace.recent
        start = self._read_to - len(recent)
        if self.shrank:
            return None
        data = content.read_at(start, len(recent) + max_bytes)
        if not data.startswith(recent):
            return None
        self._verified = self.size
        chunk = data[len(recent) :]
        pieces = self._lines.feed(chunk)
        self._read_to += len(chunk)
        self._trace.extend(data, start, self.offset)
        if not chunk or (not self.packed and self._read_to >= self.size):
            self._spent = (self.size, self.modified)
        if not chunk and content.has_ended and (last := self.finish()) is not None:
            pieces.append(last)
        return pieces

    def finish(self) -> Piece | None:
        """The last line, when no newline will ever end it."""
        last = self._lines.finish()
        self._trace.last = self._trace.recent
        return last

    def _raw_read_to(self) -> int:
        if self.packed:
            return self._content.raw_at if isinstance(self._content, Packed) else 0
        return self._read_to

    def _start(self, offset: int, trace: Trace, *, inside: bool = False) -> None:
        self._lines = LineBuffer(self._limit, offset, inside=inside)
        self._read_to = offset
        self._trace = trace

    def _descriptor(self) -> int:
        if self._fd is None:
            raise FileNotFoundError(f"{self.path} is not open")
        return self._fd
