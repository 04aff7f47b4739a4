"""
The path of a configuration file in, its content out, without ever waiting for it.

A schema, a price list, objectives, options and a web configuration are regular files of limited size. A reload reads
them in the thread that follows logs, and the server reads the web configuration in the thread that answers scrapes: a
FIFO in place of one of them must not stop either.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from extractor.errors import UnreadableError

MOST_BYTES = 1 << 20
"""How long a file of configuration may be."""

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of the file at *path*, without a byte order mark; raises `UnreadableError`."""
    content = read_bytes(path, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"cannot be read: it is not UTF-8 text (byte {error.start})"
        raise UnreadableError(reason, "save it as UTF-8") from error


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of the regular file at *path*, which links may lead to; raises `UnreadableError`."""
    try:
        # Looked at before it is opened, because opening a device can have effects, and again once it is open, because
        # it may have been replaced.
        _check_regular(path.stat().st_mode)
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            _check_regular(os.fstat(file.fileno()).st_mode)
            content = file.read(most + 1) or b""  # of a file of the kernel that would block, nothing
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL, or what no file name can be encoded from
        raise UnreadableError("cannot be read: no file can have this name") from error
    if len(content) > most:
        raise UnreadableError(f"cannot be read: it has more than {most:,} bytes", "name a smaller file")
    return content


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no file")
        raise UnreadableError(f"cannot be read: it is {kind}", "name a regular file, or a link to one")
