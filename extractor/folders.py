"""
Roots in, the regular files below them out.

Only regular files are ever named, and a symbolic link below a root is not followed: there are no loops, nothing outside
is found, and no FIFO or device is touched. A root itself may be a link.

Knows nothing of what was read of a file.
"""
# ruff: noqa: PTH100, PTH116, PTH118, PTH119, PTH120  # paths are text: a `Path` costs more than the look itself

import os
import stat
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path

from extractor.sources import Found


class Folders:
    """
    What is below *roots*, each a folder or a single file; none of them needs to exist.

    *wanted* says whether a file of this name is a log; a root that is a file always is.
    """

    def __init__(self, roots: Sequence[Path], wanted: Callable[[str], bool]) -> None:
        self.roots = tuple(os.path.abspath(root) for root in roots)
        self._wanted = wanted

    def is_log(self, path: str) -> bool:
        """Whether what is at *path* is to be read because of its name."""
        return self._wanted(os.path.basename(path)) or path in self.roots

    def holds(self, path: str) -> bool:
        """Whether a scan would come to *path*: it is below a root, and not through a symbolic link."""
        folder = os.path.dirname(path)
        for root in self.roots:
            if path == root:
                return True
            if is_below(path, root):
                below = os.path.relpath(folder, root)
                return os.path.realpath(folder) == os.path.normpath(os.path.join(os.path.realpath(root), below))
        return False

    def status(self, path: str) -> os.stat_result | None:
        """What is at *path*, which is a link itself if it is one below a root; None if that cannot be known."""
        with suppress(OSError):
            return os.stat(path) if path in self.roots else os.lstat(path)
        return None

    def file(self, path: str) -> Found | None:
        """The regular file at *path*, if there is one."""
        status = self.status(path)
        return Found.of(path, status) if status is not None and stat.S_ISREG(status.st_mode) else None

    def is_folder(self, path: str) -> bool:
        """Whether a folder is at *path*."""
        status = self.status(path)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def walk(self, top: str, inodes: Container[int], closed: dict[str, OSError]) -> list[Found]:
        """
        The logs in *top* and all folders below it, and what has another name but one of *inodes*.

        What could not be listed is put into *closed*.
        """
        found: list[Found] = []
        folders = [top]
        while folders:
            found += self._list(folders.pop(), inodes, closed, folders)
        return found

    def listed(self, folder: str, inodes: Container[int]) -> list[Found]:
        """As `walk`, for one folder without those in it."""
        return self._list(folder, inodes, {}, [])

    def _list(self, folder: str, inodes: Container[int], closed: dict[str, OSError], folders: list[str]) -> list[Found]:
        found: list[Found] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and (self._wanted(entry.name) or entry.inode() in inodes):
                        with suppress(FileNotFoundError):
                            found.append(Found.of(entry.path, entry.stat(follow_symlinks=False)))
        except NotADirectoryError:
            file = self.file(folder)
            return [] if file is None else [file]
        except OSError as error:
            closed[folder] = error
        return found


def is_below(path: str, folder: str) -> bool:
    """Whether *path* is *folder* or in it, going by their names."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
