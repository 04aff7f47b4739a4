"""
One file: what makes it the same file under any name, how far it was read, and reading on from there.

A source is opened read-only, and only when it is a regular file. While it is open it can be read to its end, whatever
becomes of its name.

Knows nothing of folders, JSON or metrics.
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


class SourceMark(NamedTuple):
    """Where a source was read on, and what was known of its end."""

    cursor: Mark
    claim: Position | None
    spent: tuple[int, int]
    verified: int
    cut_from: int
    largest: int


class Source:
    """
    One file and how far it was read.

    *path* is where it was last seen; it is only used to open the file, and the open file must have the same identity.
    *former* is where it was before it was renamed. *claim* is the position that was saved of it, until its content was
    compared with it. *since* says which files were seen earlier than others, *noted* by what beginning it is found,
    *is_told* that it was said that it is read. *time* is the event time of a line that
    was first in it when it waited among others, None if it had none. Offsets are in the content, which of a compressed
    file is what was compressed; sizes are those of the file.
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
        self._cut_from = 0  # how large it was when it became smaller
        self._verified = 0  # how large it was when it held what was read
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
        """The file name, as it would be if the file were not compressed."""
        return plain_name(self.path)

    @property
    def offset(self) -> int:
        """Where the first line begins that was not handed out."""
        return self._cursor.offset

    @property
    def begin(self) -> str:
        """What stands for the first `WINDOW` bytes, once they were read; empty until then."""
        if self.claim is not None:
            return self.claim.head if self.claim.head_length == WINDOW else ""
        return self._cursor.begin

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
        return self._cursor.read_to

    @property
    def shrank(self) -> bool:
        """Whether the file is smaller than what was read of it; or than it was, if nothing was."""
        return not self.packed and self.size < (self.read_to or self.largest)

    @property
    def is_open(self) -> bool:
        """Whether the file can be read without its name."""
        return self._file is not None

    @property
    def has_news(self) -> bool:
        """Whether there may be something to read; a file that was written to without growing has news, too."""
        return (self.size, self.modified) != self._spent

    @property
    def is_due(self) -> bool:
        """Whether to read on; NULs may be filled within one tick of the clock that tells when."""
        return self.has_news or self._looks_again

    @property
    def is_searching(self) -> bool:
        """Whether what follows is NULs, of which the end was not found yet."""
        return not self._cursor.search.is_over

    @property
    def behind(self) -> int:
        """How many bytes were not read yet, as far as the file was looked at; of a compressed file, its own."""
        return max(self.end - self._raw_read_to(), 0) if self.has_news else 0

    @property
    def pending(self) -> int:
        """How many bytes there are of a line that has no end yet."""
        closed = not self.is_open and not self.packed and not self.has_news
        return max(self.end - self.offset, 0) if closed else self._cursor.pending

    def saved(self) -> Position:
        """What `Tail` must be given to read on from here."""
        if self.claim is not None:
            return self.claim
        key = (self.path, self.offset, self._spent, self.has_news)
        if self._saved is None or key != self._saved_for:
            end = (-1, self.modified) if self.has_news else self._spent
            self._saved = self._cursor.position((self.path, *self.identity), *end)
            self._saved_for = key
        return self._saved

    def open(self) -> None:
        """Open the file; FileNotFoundError if another one, or none, has its name by now."""
        self._file = OpenFile(self.path, self.identity, self.packed)

    def close(self) -> None:
        """Close the file; a partial line is not held meanwhile, but read again."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._cursor.release()

    def look(self) -> bool:
        """Look at the open file, which needs no name; whether it still has one."""
        status = self._opened().status()
        self.note(status.st_size, status.st_mtime_ns)
        return status.st_nlink > 0

    def note(self, size: int, modified: int) -> None:
        """The file was seen to have this *size*, and to be written at *modified*."""
        if size < self.size:
            self._cut_from = self._cut_from or self.largest
            self._cursor.search.forget()
        self.size, self.modified = size, modified
        if not self._cursor.is_padded(size):
            self.largest = max(self.largest, size)

    def look_again(self) -> None:
        """Something may have happened to the file, though neither its size nor its time need say so."""
        self._looks_again = self._cursor.is_padded(self.size) and self.is_open

    def peek(self) -> bytes:
        """The first unread line; empty if its end is not near, or if what was read before it is not there any more."""
        return b"" if self.claim is not None else self._cursor.peek(self.content())

    def head(self) -> bytes:
        """The first bytes of the content, whatever of it was read; nothing if they cannot be had."""
        if self._file is None:
            return b""
        # Of a compressed file anew: what is unpacked so far is read on.
        with suppress(OSError), self._file.apart() as content:
            return content.read_at(0, PEEK_BYTES)
        return b""

    def content(self) -> Content:
        """What is in the file, which must be open."""
        return self._opened().content

    def apart(self) -> AbstractContextManager[Content]:
        """The same, to be read beside it from its beginning, and also if it is closed meanwhile."""
        return self._opened().apart()

    def first(self) -> str:
        """What stands for the first `WINDOW` bytes of the open file; empty as long as there are fewer."""
        return self.begin or self._cursor.first(self.content(), self.size)

    def goes_on(self) -> bytes:
        """What stands for some more windows of the open file, behind its first one."""
        return self._cursor.goes_on(self.content(), self.size)

    def is_intact(self) -> bool:
        """Whether the open file holds what was read of it, going by size and the bytes that were read last."""
        self.look()
        return self.claim is not None or (not self.shrank and self._cursor.is_there(self.content(), self.size))

    def stands(self) -> int | None:
        """How much of what was counted the open file still holds, up to the end of a line; None if it holds another."""
        self.look()
        if not self.offset:
            return None if self.shrank and not self.read_to else 0
        if self.packed:
            return self.offset if holds(self.content(), self.saved()) else None
        return stands(self.content(), self.size, self.saved(), b"" if self.claim else self._cursor.last)

    def go_on(self, offset: int) -> None:
        """Read on at *offset*, of content that is known up to there."""
        self._cursor.go_on(self.content(), offset, self.claim)  # if it fails, nothing has changed
        self.claim = self._saved = None

    def restart_line(self) -> None:
        """Read the line again that has no end yet; it was taken back, or is written anew."""
        self._cursor.restart_line()
        self.largest, self._cut_from = self.size, 0

    def begin_again(self) -> None:
        """Read from 0; what was read is not there any more."""
        self.claim = self._saved = None
        self.time = None
        self._cursor.begin_again()
        self._spent = (0, -1)
        self.largest = self.size
        self._cut_from = 0

    def mark(self) -> SourceMark:
        """What `set_back` takes to read on again where it is read on now."""
        return SourceMark(self._cursor.mark(), self.claim, self._spent, self._verified, self._cut_from, self.largest)

    def set_back(self, mark: SourceMark) -> None:
        """Read on at *mark*, of the content as it is then: reading on failed, or what came of it was lost."""
        self._cursor.set_back(mark.cursor)
        _, self.claim, self._spent, self._verified, self._cut_from, self.largest = mark
        self._saved = None
        if self._file is not None:
            self._file.renew()

    def read(self, max_bytes: int) -> list[Piece] | None:
        """Read on, at most *max_bytes*: the lines they end; None if what was read is not there as it was."""
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
        """The last line, when no newline will ever end it."""
        return self._cursor.finish()

    @property
    def end(self) -> int:
        """Where the text ends, as far as is known; NULs may follow."""
        return self._cursor.end(self.size)

    def _raw_read_to(self) -> int:
        if self.packed:
            return self._file.content.raw_at if self._file is not None else 0
        return self.read_to

    def _opened(self) -> OpenFile:
        if self._file is None:
            raise FileNotFoundError(f"{self.path} is not open")
        return self._file
