"""
An open file in, its content out, piece by piece, also if it is compressed.

A compressed file is read from front to back in bounded memory, whatever the ratio; going back a little is free, going
back further begins again. One that is still being written is read as far as it goes, and on when it has grown. What is
damaged raises nothing: `damage` says so, and what was before it can be read.

Knows nothing of lines.
"""

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

import zstandard

from extractor.tail.holes import MOST_BYTES, first_text, text_at, text_length

RAW_BYTES = 65536
STEP_BYTES = 131072
BACK_BYTES = 32768
"""How much of what was read last can be read again."""

HEAD_BYTES = 1024
"""How much of the beginning can be read at any time."""

MAX_WINDOW_BYTES = 1 << 27
"""What xz and zstd may ask for to unpack a file; `xz -9` asks for half of it."""

MAX_EMPTY = 1000
"""How many streams without content may follow one another: a gigabyte of them would keep all else waiting for hours."""

_ZSTD_FEED = 256  # zstandard cannot be told how much to give: a few bytes in are at most some megabytes out


class Unpacker(Protocol):
    """What `bz2` and `lzma` have, and the others are made to have: one compressed stream."""

    @property
    def eof(self) -> bool:
        """Whether the stream was read to its end."""

    @property
    def needs_input(self) -> bool:
        """Whether there is nothing more to get out without more input."""

    @property
    def unused_data(self) -> bytes:
        """What was put in after the end of the stream."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Put in *data*, and get out at most *max_length* bytes."""


class _Gzip:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(out) < max_length
        return out


class _Zstd:
    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
        self._raw = b""
        self._fed = 0
        self._out = b""

    @property
    def eof(self) -> bool:
        return self._zstd.eof and not self._out

    @property
    def needs_input(self) -> bool:
        return not self._out and self._fed >= len(self._raw)

    @property
    def unused_data(self) -> bytes:
        return self._zstd.unused_data + self._raw[self._fed :]

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._raw, self._fed = self._raw[self._fed :] + data, 0
        while not self._out and self._fed < len(self._raw) and not self._zstd.eof:
            self._out = self._zstd.decompress(self._raw[self._fed : self._fed + _ZSTD_FEED])
            self._fed += _ZSTD_FEED
        out, self._out = self._out[:max_length], self._out[max_length:]
        return out


_UNPACKERS: Mapping[str, Callable[[], Unpacker]] = {
    ".gz": _Gzip,
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=MAX_WINDOW_BYTES),
    ".zst": _Zstd,
}
_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError)


class Packed:
    """What is in the open file *fd*, which was compressed by the program whose files end in *suffix*."""

    def __init__(self, fd: int, suffix: str) -> None:
        self.fd = fd
        self._make = _UNPACKERS[suffix]
        self._begin()

    def _begin(self) -> None:
        self._unpacker: Unpacker | None = None
        self._rest = b""  # read, and not yet given to an unpacker
        self._head = self._back = b""
        self.raw_at = 0  # how much of the file itself was read
        self.at = 0  # how much of its content was read
        self._has_stream = False  # one was read to its end
        self._empty = 0  # streams since the last content
        self.is_whole = False  # what was read ends where a compressed stream ends
        self.damage = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be expected."""
        return self.is_whole or bool(self.damage)

    def read_at(self, at: int, length: int) -> bytes:
        """*length* bytes of the content from *at* on; fewer if there are no more."""
        if at + length <= len(self._head):
            return self._head[at : at + length]
        if at < self.at - len(self._back):
            self._begin()
        while self.at < at:
            if not self._step(min(at - self.at, STEP_BYTES)):
                return b""
        data = self._back[len(self._back) - (self.at - at) :][:length]
        while len(data) < length and (more := self._step(min(length - len(data), STEP_BYTES))):
            data += more
        return data

    def text_at(self, at: int, most: int) -> tuple[int, bool | None]:
        """As `holes.text_at`, of the content."""
        while most > 0:
            piece = self.read_at(at, min(STEP_BYTES, most))
            if not piece:
                return at, False
            if length := text_length(piece):
                return at + first_text(piece[:length]), True
            at += len(piece)
            most -= len(piece)
        return at, None

    def is_as_packed_as(self, other: "Packed") -> bool:
        """Whether the compressed files are the same, byte by byte."""
        size = os.fstat(self.fd).st_size
        if size != os.fstat(other.fd).st_size:
            return False
        files = self.fd, other.fd
        return all(
            os.pread(files[0], RAW_BYTES, at) == os.pread(files[1], RAW_BYTES, at) for at in range(0, size, RAW_BYTES)
        )

    def length(self) -> int:
        """How long the content is, as far as there is any; reads all of it."""
        while self._step(STEP_BYTES):
            pass
        return self.at

    def _step(self, length: int) -> bytes:
        """The next bytes of the content, at most *length*."""
        data = b""
        while not data and not self.damage and self._feed():
            assert self._unpacker is not None
            try:
                data = self._unpacker.decompress(self._rest, length)
            except _ERRORS as error:
                self.damage = str(error) or type(error).__name__
            self._rest = b""
        if data:
            self._empty = 0
        self.at += len(data)
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self._back = (self._back + data)[-BACK_BYTES:]
        return data

    def _feed(self) -> bool:
        """Make the unpacker ready for a step; whether it has anything to work on."""
        if self._unpacker is not None and self._unpacker.eof:
            # Streams may follow one another, with zeros between them.
            self._rest, self._unpacker = self._unpacker.unused_data.lstrip(b"\0"), None
            self._has_stream = True
            self._empty += 1
            if self._empty > MAX_EMPTY:
                self.damage = f"more than {MAX_EMPTY} empty streams"
                return False
        if self._unpacker is not None and not self._unpacker.needs_input:
            return True
        if not self._rest:
            raw = os.pread(self.fd, RAW_BYTES, self.raw_at)
            self.raw_at += len(raw)
            if self._unpacker is None:
                raw = raw.lstrip(b"\0")
                self.is_whole = self._has_stream and not raw
            self._rest = raw
        if self._rest and self._unpacker is None:
            self._unpacker = self._make()
        return bool(self._rest)


class Plain:
    """What is in the open file *fd*, which is not compressed; the counterpart of `Packed`."""

    has_ended = False
    damage = ""
    raw_at = 0

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read_at(self, at: int, length: int) -> bytes:
        """*length* bytes from *at* on; fewer if there are no more."""
        return os.pread(self.fd, length, at)

    def text_at(self, at: int, most: int) -> tuple[int, bool | None]:
        """As `holes.text_at`."""
        return text_at(self.fd, at, most)

    def next_text(self, at: int) -> int:
        """Where the next byte other than NUL is, from *at* on; the end, or beyond it, if there is none."""
        found: bool | None = None
        while found is None:
            at, found = text_at(self.fd, at, MOST_BYTES)
        return at

    def length(self) -> int:
        """How long it is."""
        return os.fstat(self.fd).st_size


Content = Plain | Packed
