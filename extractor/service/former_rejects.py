"""
Restores the rejects of a state directory that was written by an earlier version.

Its checkpoint holds the inode of `rejects.jsonl` and the number of valid bytes. In a copied directory inodes differ, so
the file is identified by its size and by a line that ends at that offset.
"""

import os
from contextlib import suppress
from typing import NamedTuple

from extractor.files.atomic import open_regular

NAME, ROTATED = "rejects.jsonl", "rejects.jsonl.1"
_NEW = "rejects.jsonl.new"  # which requeue wrote, to be renamed once its checkpoint was saved
NAMES = (_NEW, NAME, ROTATED)


def cut(folder: int, inode: int, size: int) -> None:
    """Leave in *folder* what a checkpoint with *inode* and *size* counts."""
    files = {name: file for name in NAMES if (file := _looked_at(folder, name, size)) is not None}
    found = next((name for name, file in files.items() if file.inode == inode), None)
    if inode and (found is None or (found != NAME and not files[found].ends)):  # it was copied
        found = next((name for name, file in files.items() if file.ends and (name != _NEW or file.size == size)), None)
    if found == _NEW:
        _unlink(folder, ROTATED)
    if found is not None and found != NAME:
        # What was begun after the checkpoint, by rotating, is taken back; by requeueing, it is brought to its end.
        os.replace(found, NAME, src_dir_fd=folder, dst_dir_fd=folder)
    _unlink(folder, _NEW)
    if found is not None and files[found].ends:  # or else somebody has edited it
        fd = open_regular(NAME, os.O_RDWR, folder=folder)
        os.ftruncate(fd, size)
        os.close(fd)


class _File(NamedTuple):
    """A file: its inode and size, and whether a line of it ends where the checkpoint says."""

    inode: int
    size: int
    ends: bool


def _looked_at(folder: int, name: str, size: int) -> _File | None:
    try:
        fd = open_regular(name, os.O_RDONLY, folder=folder)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(fd)
        ends = status.st_size >= size and (size == 0 or os.pread(fd, 1, size - 1) == b"\n")
        return _File(status.st_ino, status.st_size, ends)
    finally:
        os.close(fd)


def _unlink(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
