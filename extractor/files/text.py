"""
Read configuration files without ever blocking.

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
"""Maximum size of a configuration file in bytes."""

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of the file at *path*, without a byte order mark; raise `UnreadableError`."""
    content = read_bytes(path, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"cannot be read: it is not UTF-8 text (byte {error.start})"
        raise UnreadableError(reason, "save it as UTF-8") from error


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of the regular file at *path*, or of the target of a link; raise `UnreadableError`."""
    try:
        # Checked before it is opened, because opening a device can have effects, and again once it is open, because
        # it may have been replaced.
        _check_regular(path.stat().st_mode)
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            _check_regular(os.fstat(file.fileno()).st_mode)
            content = file.read(most + 1) or b""  # None for a kernel file that would block
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL, or text that cannot be encoded as a file name
        raise UnreadableError("cannot be read: no file can have this name") from error
    if len(content) > most:
        raise UnreadableError(f"cannot be read: it has more than {most:,} bytes", "name a smaller file")
    return content


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no file")
        raise UnreadableError(f"cannot be read: it is {kind}", "name a regular file, or a link to one")
