"""
Roots in, the regular files below them out.

Only regular files are ever named, and a symbolic link below a root is not followed: there are no loops, nothing outside
is found, and no FIFO or device is touched. A root itself may be a link.

Knows nothing of what was read of a file.
"""
# ruff: noqa: PTH100, PTH116, PTH118, PTH120  # paths are text: a `Path` costs more than the look itself

import os
import stat
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from extractor.positions import Found, Identity
from extractor.rotation import is_rotated, plain_name, unrotated


class Folders:
    """
    What is below *roots*, each a folder or a single file; none of them needs to exist.

    *wanted* says whether a file of this name, which is not that of a compression, is a log; a root that is a file
    always is, and so is what it is rotated to. What has such a name when the root is first seen is none of ours, unless
    it was written since the time in ns that *since* has for the root.
    """

    def __init__(
        self, roots: Sequence[Path], wanted: Callable[[str], bool], since: Mapping[str, int] | None = None
    ) -> None:
        self.roots = tuple(os.path.abspath(root) for root in roots)
        self._wanted = wanted
        self._since = dict(since or {})
        self._older: dict[str, set[Identity]] = {}

    def is_log(self, path: str) -> bool:
        """Whether what is at *path* is to be read because of its name."""
        if path in self.roots or self._is_sibling(path):
            return True
        return self._wanted(plain_name(path)) and self._is_inside(path)

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
        with suppress(OSError, ValueError):
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
        return found + (self._siblings(top, inodes) if top in self.roots else [])

    def listed(self, folder: str, inodes: Container[int]) -> list[Found]:
        """As `walk`, for one folder without those in it."""
        found = self._list(folder, inodes, {}, []) if self._is_inside(os.path.join(folder, "")) else []
        for root in self.roots:
            if os.path.dirname(root) == folder:
                file = self.file(root)
                found += ([] if file is None else [file]) + self._siblings(root, inodes)
        return found

    def _list(self, folder: str, inodes: Container[int], closed: dict[str, OSError], folders: list[str]) -> list[Found]:
        found: list[Found] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif self._is_wanted(entry, inodes):
                        with suppress(OSError):
                            found.append(Found.of(entry.path, entry.stat(follow_symlinks=False)))
        except NotADirectoryError:
            file = self.file(folder)
            return [] if file is None else [file]
        except OSError as error:
            closed[folder] = error
        return found

    def _is_wanted(self, entry: "os.DirEntry[str]", inodes: Container[int]) -> bool:
        return (self._wanted(plain_name(entry.name)) or entry.inode() in inodes) and entry.is_file(
            follow_symlinks=False
        )

    def _siblings(self, root: str, inodes: Container[int]) -> list[Found]:
        """What the file *root* was rotated to since it was first looked for, and what has one of *inodes*."""
        if self.is_folder(root):
            return []
        found: list[Found] = []
        folder, name = os.path.split(root)
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                is_ours = entry.name.startswith(name) and is_rotated(entry.name) and unrotated(entry.path) == root
                if (is_ours or entry.inode() in inodes) and entry.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        found.append(Found.of(entry.path, entry.stat(follow_symlinks=False)))
        if root not in self._older:
            since = self._since.get(root)
            older = [each for each in found if since is None or each.modified < since]
            self._older[root] = {each.identity for each in older}
            # What an older one is compressed to keeps its time, but not its identity.
            self._since[root] = max((each.modified + 1 for each in older), default=0)
        return [each for each in found if each.identity.inode in inodes or self._is_newer(each, root)]

    def _is_newer(self, found: Found, root: str) -> bool:
        return found.identity not in self._older[root] and found.modified >= self._since[root]

    def _is_sibling(self, path: str) -> bool:
        return is_rotated(path) and unrotated(path) in self._older

    def _is_inside(self, path: str) -> bool:
        return any(is_below(path, root) for root in self.roots)


def is_below(path: str, folder: str) -> bool:
    """Whether *path* is *folder* or in it, going by their names."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
