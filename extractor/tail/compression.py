"""
Read the content of an open file in pieces, compressed or not.

A compressed file is read from front to back in bounded memory, whatever its ratio. Seeking back by up to `BACK_BYTES`
is free; seeking back further starts over. A file that is still being written is read as far as it goes, and resumed
when it has grown. Damaged data raise nothing: `damage` holds the error, and the content before it is readable.
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
"""Number of bytes that can be read again after they were read."""

HEAD_BYTES = 1024
"""Number of bytes at the beginning that can be read at any time."""

MAX_WINDOW_BYTES = 1 << 27
"""Memory limit for unpacking xz and zstd; `xz -9` needs half of it."""

MAX_EMPTY = 1000
"""Maximum number of consecutive streams without content; a gigabyte of them would block all other files for hours."""

_ZSTD_FEED = 256  # zstandard has no output limit: a few bytes of input yield at most some megabytes


class Unpacker(Protocol):
    """One compressed stream, with the interface of `bz2.BZ2Decompressor` and `lzma.LZMADecompressor`."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether more input is needed for more output."""

    @property
    def unused_data(self) -> bytes:
        """The input after the end of the stream."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Add *data* to the input, and return at most *max_length* bytes of output."""


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
    """Content of the open file *fd*, compressed in the format of *suffix*."""

    def __init__(self, fd: int, suffix: str) -> None:
        self.fd = fd
        self._make = _UNPACKERS[suffix]
        self._begin()

    def _begin(self) -> None:
        self._unpacker: Unpacker | None = None
        self._rest = b""  # read, but not yet passed to an unpacker
        self._head = self._back = b""
        self.raw_at = 0  # bytes read of the file itself
        self.at = 0  # bytes read of its content
        self._has_stream = False  # whether a stream was read to its end
        self._empty = 0  # number of streams since the last content
        self.is_whole = False  # what was read ends where a compressed stream ends
        self.damage = ""

    @property
    def has_ended(self) -> bool:
        """Whether no more content can follow."""
        return self.is_whole or bool(self.damage)

    def read_at(self, at: int, length: int) -> bytes:
        """Return *length* bytes of the content from offset *at*; fewer at its end."""
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
        """Like `holes.text_at`, for the unpacked content."""
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
        """Return whether the compressed files are equal byte by byte."""
        size = os.fstat(self.fd).st_size
        if size != os.fstat(other.fd).st_size:
            return False
        files = self.fd, other.fd
        return all(
            os.pread(files[0], RAW_BYTES, at) == os.pread(files[1], RAW_BYTES, at) for at in range(0, size, RAW_BYTES)
        )

    def length(self) -> int:
        """Return the length of the readable content in bytes; reads all of it."""
        while self._step(STEP_BYTES):
            pass
        return self.at

    def _step(self, length: int) -> bytes:
        """Return the next bytes of the content, at most *length*."""
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
        """Prepare the unpacker for a step; return whether it has input."""
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
    """Content of the open file *fd*, which is not compressed; the counterpart of `Packed`."""

    has_ended = False
    damage = ""
    raw_at = 0

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read_at(self, at: int, length: int) -> bytes:
        """Return *length* bytes from offset *at*; fewer at the end."""
        return os.pread(self.fd, length, at)

    def text_at(self, at: int, most: int) -> tuple[int, bool | None]:
        """Like `holes.text_at`."""
        return text_at(self.fd, at, most)

    def next_text(self, at: int) -> int:
        """Return the offset of the next byte other than NUL from *at* on; the end, or beyond it, if there is none."""
        found: bool | None = None
        while found is None:
            at, found = text_at(self.fd, at, MOST_BYTES)
        return at

    def length(self) -> int:
        """Return the size of the file in bytes."""
        return os.fstat(self.fd).st_size


Content = Plain | Packed
