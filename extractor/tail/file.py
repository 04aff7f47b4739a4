"""
One file: its identity under any name, how far it was read, and how to resume reading.

A source is opened read-only, and only if it is a regular file. While it is open, it can be read to its end even if it
is renamed or deleted.
"""

from contextlib import AbstractContextManager, suppress
from enum import StrEnum
from typing import NamedTuple

from extractor.tail.compression import Content
from extractor.tail.cursor import PEEK_BYTES, Cursor, Mark
from extractor.tail.fingerprint import WINDOW
from extractor.tail.line_buffer import MAX_LINE_BYTES, Piece
from extractor.tail.open_file import OpenFile
from extractor.tail.position import Found, Position
from extractor.tail.rotated_names import packed_suffix, plain_name
from extractor.tail.standing import holds, stands


class FileState(StrEnum):
    """State of a source; a closed set, suitable as a label value."""

    ACTIVE = "active"
    """It has the name of a log."""
    RENAMED = "renamed"
    """Its name is not that of a log, or is unknown; it is read as long as it exists."""
    COPY = "copy"
    """Its content is read from another file."""
    DELETED = "deleted"
    """It has no name left and is read to its end."""
    MISSING = "missing"
    """It was not found, and was not open."""
    UNREADABLE = "unreadable"
    """It could not be opened or read; it is tried again."""


class SourceMark(NamedTuple):
    """The reading position of a source, and the state that depends on it."""

    cursor: Mark
    claim: Position | None
    spent: tuple[int, int]
    verified: int
    cut_from: int
    largest: int


class Source:
    """
    One file and how far it was read.

    *path* is where the file was last found. It is only used to open the file, and the opened file must have the same
    identity. *former* is its path before it was renamed. *claim* is its saved position, until the content is compared
    with it. *since* is the number of the scan that found the file. *noted* is the digest under which the file is
    indexed. *is_told* is set once the file was reported as being read. *time* is the event time of its first unread
    line when it last waited to be read; None if it had none.

    Offsets are in bytes of the content, which is uncompressed for a compressed file. Sizes are those of the file.
    """

    __slots__ = (
        "_cursor",
        "_cut_from",
        "_file",
        "_looks_again",
        "_saved",
        "_saved_for",
        "_spent",
        "_verified",
        "claim",
        "former",
        "identity",
        "is_told",
        "largest",
        "modified",
        "noted",
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
        self._cut_from = 0  # size before the file shrank
        self._verified = 0  # size when the content last matched
        self.modified = found.modified
        self.state = FileState.ACTIVE
        self.since = 0
        self.noted = ""
        self.is_told = False
        self.time: float | None = None
        self.claim = claim
        self._cursor = Cursor(max_line_bytes, claim.offset if claim else 0)
        self._file: OpenFile | None = None
        self._saved: Position | None = None
        self._saved_for: tuple[object, ...] = ()
        self._looks_again = False
        self._spent = (claim.read_size, claim.modified) if claim else (0, found.modified)

    @property
    def name(self) -> str:
        """File name without the suffix of a compression."""
        return plain_name(self.path)

    @property
    def offset(self) -> int:
        """Offset of the first line that was not returned."""
        return self._cursor.offset

    @property
    def begin(self) -> str:
        """Digest of the first `WINDOW` bytes; empty until they are read."""
        if self.claim is not None:
            return self.claim.head if self.claim.head_length == WINDOW else ""
        return self._cursor.begin

    def has_reached(self, size: int) -> bool:
        """Return whether everything up to *size* bytes of the file was read, or cannot be read here."""
        if self.state in (FileState.COPY, FileState.UNREADABLE) or not self.has_news:
            return True
        return self._raw_read_to() >= size

    @property
    def unread(self) -> int | None:
        """Number of bytes after the offset that were found and are gone; None if unknown."""
        if self.packed or (self.claim is not None and not self._verified):
            return None
        return max((self._cut_from or self._verified) - self.offset, 0)

    @property
    def read_to(self) -> int:
        """Offset of the next read."""
        return self._cursor.read_to

    @property
    def shrank(self) -> bool:
        """Whether the file is smaller than what was read of it; if nothing was read, smaller than it was."""
        return not self.packed and self.size < (self.read_to or self.largest)

    @property
    def is_open(self) -> bool:
        """Whether the file can be read without its name."""
        return self._file is not None

    @property
    def has_news(self) -> bool:
        """Whether there may be something to read; also after a write that did not grow the file."""
        return (self.size, self.modified) != self._spent

    @property
    def is_due(self) -> bool:
        """Whether to read on; NULs may be filled without a change of the modification time."""
        return self.has_news or self._looks_again

    @property
    def is_searching(self) -> bool:
        """Whether NULs follow whose end was not found yet."""
        return not self._cursor.search.is_over

    @property
    def behind(self) -> int:
        """Number of bytes not read yet, as of the last look; of a compressed file, compressed bytes."""
        return max(self.end - self._raw_read_to(), 0) if self.has_news else 0

    @property
    def pending(self) -> int:
        """Number of bytes in an unfinished line."""
        closed = not self.is_open and not self.packed and not self.has_news
        return max(self.end - self.offset, 0) if closed else self._cursor.pending

    def saved(self) -> Position:
        """Return the position that `Tail` needs to resume here."""
        if self.claim is not None:
            return self.claim
        key = (self.path, self.offset, self._spent, self.has_news)
        if self._saved is None or key != self._saved_for:
            end = (-1, self.modified) if self.has_news else self._spent
            self._saved = self._cursor.position((self.path, *self.identity), *end)
            self._saved_for = key
        return self._saved

    def open(self) -> None:
        """Open the file; raise FileNotFoundError if another file, or none, has its name by now."""
        self._file = OpenFile(self.path, self.identity, self.packed)

    def close(self) -> None:
        """Close the file; a partial line is released, and read again later."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._cursor.release()

    def look(self) -> bool:
        """Update size and time from the open file; return whether it still has a name."""
        status = self._opened().status()
        self.note(status.st_size, status.st_mtime_ns)
        return status.st_nlink > 0

    def note(self, size: int, modified: int) -> None:
        """Update the *size* in bytes and the time *modified*, in ns."""
        if size < self.size:
            self._cut_from = self._cut_from or self.largest
            self._cursor.search.forget()
        self.size, self.modified = size, modified
        if not self._cursor.is_padded(size):
            self.largest = max(self.largest, size)

    def look_again(self) -> None:
        """Mark the file as possibly changed, even if neither its size nor its time shows it."""
        self._looks_again = self._cursor.is_padded(self.size) and self.is_open

    def peek(self) -> bytes:
        """Return the first unread line; empty if its end is too far away, or if the content before it has changed."""
        return b"" if self.claim is not None else self._cursor.peek(self.content())

    def head(self) -> bytes:
        """Return the first bytes of the content, read or not; empty if they are unavailable."""
        if self._file is None:
            return b""
        # A separate reader, because seeking back would disturb the current unpacker.
        with suppress(OSError), self._file.apart() as content:
            return content.read_at(0, PEEK_BYTES)
        return b""

    def content(self) -> Content:
        """Return the content of the file, which must be open."""
        return self._opened().content

    def apart(self) -> AbstractContextManager[Content]:
        """Return a context with a second reader of the content, independent of `content` and of `close`."""
        return self._opened().apart()

    def first(self) -> str:
        """Return the digest of the first `WINDOW` bytes of the open file; empty if it is shorter."""
        return self.begin or self._cursor.first(self.content(), self.size)

    def goes_on(self) -> bytes:
        """Return digests of some more windows of the open file, behind its first one."""
        return self._cursor.goes_on(self.content(), self.size)

    def is_intact(self) -> bool:
        """Return whether the open file holds what was read of it, by its size and the bytes that were read last."""
        self.look()
        return self.claim is not None or (not self.shrank and self._cursor.is_there(self.content(), self.size))

    def stands(self) -> int | None:
        """Return how many counted bytes the open file still holds, up to a line end; None if it holds other content."""
        self.look()
        if not self.offset:
            return None if self.shrank and not self.read_to else 0
        if self.packed:
            return self.offset if holds(self.content(), self.saved()) else None
        return stands(self.content(), self.size, self.saved(), b"" if self.claim else self._cursor.last)

    def go_on(self, offset: int) -> None:
        """Resume at *offset* of content that is known up to there."""
        self._cursor.go_on(self.content(), offset, self.claim)  # first: if it raises, nothing has changed
        self.claim = self._saved = None

    def restart_line(self) -> None:
        """Read the unfinished line anew, because it was taken back or rewritten."""
        self._cursor.restart_line()
        self.largest, self._cut_from = self.size, 0

    def begin_again(self) -> None:
        """Resume at 0, because the content that was read is gone."""
        self.claim = self._saved = None
        self.time = None
        self._cursor.begin_again()
        self._spent = (0, -1)
        self.largest = self.size
        self._cut_from = 0

    def mark(self) -> SourceMark:
        """Return a mark for `set_back` at the current position."""
        return SourceMark(self._cursor.mark(), self.claim, self._spent, self._verified, self._cut_from, self.largest)

    def set_back(self, mark: SourceMark) -> None:
        """Resume at *mark* with the current content, after a failed read or a loss of its results."""
        self._cursor.set_back(mark.cursor)
        _, self.claim, self._spent, self._verified, self._cut_from, self.largest = mark
        self._saved = None
        if self._file is not None:
            self._file.renew()

    def read(self, max_bytes: int) -> list[Piece] | None:
        """Read at most *max_bytes*; return the lines ending in them, or None if earlier content has changed."""
        self._looks_again = False
        self.look()
        if self.claim is not None:
            if self.stands() != self.claim.offset:
                return None
            self.go_on(self.claim.offset)
        pieces = None if self.shrank else self._cursor.read(self.content(), self.size, max_bytes)
        if pieces is None:
            return None
        self._verified, self._cut_from = self.end, 0
        if self._cursor.is_done:
            self._spent = (self.size, self.modified)
            self.largest = self.end
        return pieces

    def finish(self) -> Piece | None:
        """Return the unfinished last line, if no newline will follow."""
        return self._cursor.finish()

    @property
    def end(self) -> int:
        """Offset at which the text ends, as far as known; NULs may follow."""
        return self._cursor.end(self.size)

    def _raw_read_to(self) -> int:
        if self.packed:
            return self._file.content.raw_at if self._file is not None else 0
        return self.read_to

    def _opened(self) -> OpenFile:
        if self._file is None:
            raise FileNotFoundError(f"{self.path} is not open")
        return self._file
