"""
Write files completely or not at all, and open only regular files.

A file is written under a temporary name in the folder of its final one, and renamed last. Anything that ends the
writing before, an error or a signal that raises, removes the temporary file; only a kill leaves it. Two processes that
write the same file use different temporary names: the one that finishes last wins.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

PREFIX = ".extractor-"
"""Prefix of the names of temporary files and folders."""

Range = tuple[int, int]
"""Begin and end of a part of a file, in bytes."""

_PIECE = 1 << 20
_ODD = {errno.EISDIR, errno.ENXIO, errno.ENOTDIR, errno.ENODEV}
"""Errors on opening a folder, a FIFO without a reader, or a socket."""

_NAMED = _ODD | {errno.EINVAL, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.ENOENT}
"""Errors that concern one file; others, such as a full disk, concern all files."""


@contextmanager
def whole_file(
    path: str | Path, *, folder: int | None = None, temporary: str = "", mode: int = 0o666
) -> Iterator[BinaryIO]:
    """
    Yield a file to write that replaces *path* when the block ends without an exception.

    *path* is relative to the descriptor *folder*, if given. *temporary* is the name to write under, for a folder that
    no other process writes to: a file left there by a kill is overwritten. By default the name is random.
    """
    final = Path(path)
    beside = final.with_name(temporary or f"{PREFIX}{token_hex(8)}")
    if temporary:
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = None
    try:
        file = os.fdopen(os.open(beside, flags, mode, dir_fd=folder), "wb")
        yield file
        file.close()
        os.replace(beside, final, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        if file is not None:
            with suppress(OSError):  # a full disk cannot take the rest of the buffer
                file.close()
        with suppress(OSError):
            os.unlink(beside, dir_fd=folder)
        raise


def sync(file: BinaryIO) -> None:
    """Flush *file* to disk."""
    file.flush()
    os.fsync(file.fileno())


def open_regular(name: str, flags: int, *, folder: int, mode: int = 0o600) -> int:
    """
    Open the file *name* in *folder*, which must be a regular file, and return its descriptor.

    Raises `OSError`, with the reason in `strerror`; never blocks, as opening a FIFO would.
    """
    try:
        fd = os.open(name, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in _ODD:
            raise OSError(errno.EINVAL, "it is not a regular file", name) from error
        if error.errno == errno.ENOENT and _is_link(name, folder):
            raise OSError(errno.EINVAL, "it is a link that leads nowhere", name) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file", name)
    return fd


@contextmanager
def opened(name: str, flags: int, folder: int) -> Iterator[BinaryIO]:
    """Open the regular file *name* in *folder* for reading."""
    with os.fdopen(open_regular(name, flags, folder=folder), "rb") as file:
        yield file


def size_of(name: str, folder: int) -> int:
    """Return the size in bytes of the file *name* in *folder*; 0 if it does not exist."""
    try:
        return os.stat(name, dir_fd=folder).st_size
    except FileNotFoundError:
        return 0


def copy(file: BinaryIO, part: Range, to: BinaryIO) -> None:
    """Copy a part of *file*, in pieces."""
    at, end = part
    while at < end and (piece := os.pread(file.fileno(), min(_PIECE, end - at), at)):
        to.write(piece)
        at += len(piece)


def remove(file: BinaryIO, parts: Sequence[Range], name: str, folder: int) -> None:
    """Remove ascending *parts* from *file*, which is *name* in *folder*."""
    if not parts:
        return
    size, begin = os.fstat(file.fileno()).st_size, parts[0][0]
    if sum(end - start for start, end in parts) == size - begin:
        os.ftruncate(file.fileno(), begin)  # also works on a full disk
        return
    kept = zip([0, *(end for _, end in parts)], [*(start for start, _ in parts), size], strict=True)
    with whole_file(name, folder=folder, temporary=f"{name}.cut", mode=0o600) as new:
        for part in kept:
            copy(file, part, new)
        sync(new)


def reason(error: BaseException) -> str:
    """Return the reason of *error* in constant words, with the file name if it concerns one in a folder."""
    if not isinstance(error, OSError):
        return str(error)
    name, what = error.filename2 or error.filename, error.strerror or str(error)
    is_named = isinstance(name, str) and not Path(name).is_absolute() and error.errno in _NAMED
    return f"{name}: {what}" if is_named else what


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False
