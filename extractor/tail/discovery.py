"""
List the regular files below some roots.

Only regular files are returned. A symbolic link below a root is followed only on request: there are no loops, nothing
outside is found, and no FIFO or device is touched. A root itself may be a link. This holds even while folders are being
replaced by links: a folder is opened step by step from its root, and its files are examined through its descriptor.
"""
# ruff: noqa: PTH100, PTH116, PTH118, PTH120, PTH206  # paths are text: a `Path` costs more than the look itself

import errno
import os
import stat
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from extractor.tail.position import Found, Identity
from extractor.tail.rotated_names import is_rotated, is_rotation, plain_name, unrotated

MAX_DEPTH = 100
"""Maximum depth of a folder below its root; each level costs one step to open."""

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC

Key = tuple[int, int]
"""Device and inode of a folder."""


class Folders:
    """
    The files below *roots*, each a folder or a single file; roots need not exist.

    *wanted* returns whether a file name, without the suffix of a compression, is that of a log. A root that is a file
    always is a log, and so are its rotations. A rotation that exists when the root is first looked for is ignored,
    unless it was written since the time in ns that *since* holds for the root. With *follow*, symbolic links are
    followed, and a folder that several paths lead to is listed once.

    `passed_over` is the number of regular files without the name of a log in the last listing, by folder.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        wanted: Callable[[str], bool],
        since: Mapping[str, int] | None = None,
        *,
        follow: bool = False,
    ) -> None:
        self.roots = tuple(os.path.abspath(root) for root in roots)
        self._wanted = wanted
        self._follow = follow
        self._since = dict(since or {})
        self._older: dict[str, set[Identity]] = {}
        self.passed_over: dict[str, int] = {}

    def is_log(self, path: str) -> bool:
        """Return whether *path* has the name of a log to read."""
        if path in self.roots or self._is_sibling(path):
            return True
        return self._wanted(plain_name(path)) and self._is_inside(path)

    def may_follow(self, path: str) -> bool:
        """Return whether *path* may be a rotation of a root that is a file, or another log, by its name."""
        return any(self._may_be_of(path, root) for root in self._older)

    def holds(self, path: str) -> bool:
        """Return whether a scan would find *path*: it is below a root, and not behind a link that is not followed."""
        folder = os.path.dirname(path)
        for root in self.roots:
            if path == root:
                return True
            if is_below(path, root):
                if self._follow:
                    return True
                below = os.path.relpath(folder, root)
                return os.path.realpath(folder) == os.path.normpath(os.path.join(os.path.realpath(root), below))
        return False

    def status(self, path: str) -> os.stat_result | None:
        """Return the status of *path*, of the link itself if that is not followed; None if it is unavailable."""
        folder, name = os.path.split(path)
        with suppress(OSError, ValueError):
            if path in self.roots:
                return os.stat(path)
            with self._opened(folder, os.O_PATH) as fd:
                return os.stat(name, dir_fd=fd, follow_symlinks=self._follow)
        return None

    def file(self, path: str) -> Found | None:
        """Return the regular file at *path*; None if there is none."""
        status = self.status(path)
        return Found.of(path, status) if status is not None and stat.S_ISREG(status.st_mode) else None

    def is_folder(self, path: str) -> bool:
        """Return whether *path* is a folder."""
        status = self.status(path)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def walk(self, top: str, inodes: Container[int], closed: dict[str, OSError]) -> list[Found]:
        """
        Return the logs in *top* and all folders below it, and files of any name that have one of *inodes*.

        Errors of folders that could not be listed are added to *closed*.
        """
        found: list[Found] = []
        folders = [top]
        listed: set[Key] = set()
        while folders:
            found += self._list(folders.pop(), inodes, closed, folders, listed)
        return found + (self._siblings(top, inodes) if top in self.roots else [])

    def listed(self, folder: str, inodes: Container[int]) -> list[Found]:
        """Like `walk`, for one folder without its subfolders."""
        found = self._list(folder, inodes, {}, [], set()) if self._is_inside(os.path.join(folder, "")) else []
        for root in self.roots:
            if os.path.dirname(root) == folder:
                file = self.file(root)
                found += ([] if file is None else [file]) + self._siblings(root, inodes)
        return found

    def _list(
        self,
        folder: str,
        inodes: Container[int],
        closed: dict[str, OSError],
        folders: list[str],
        listed: set[Key],
    ) -> list[Found]:
        found: list[Found] = []
        passed_over = 0
        try:
            with self._opened(folder) as fd, os.scandir(fd) as entries:
                if self._follow and _is_among(fd, listed):
                    return []
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    if entry.is_dir(follow_symlinks=self._follow):
                        folders.append(path)
                    elif self._is_wanted(entry, inodes):
                        with suppress(OSError):
                            found.append(Found.of(path, entry.stat(follow_symlinks=self._follow)))
                    else:
                        passed_over += entry.is_file(follow_symlinks=self._follow)
        except NotADirectoryError:
            file = self.file(folder)
            return [] if file is None else [file]
        except OSError as error:
            closed[folder] = error
        if passed_over:
            self.passed_over[folder] = passed_over
        else:
            self.passed_over.pop(folder, None)
        return found

    def _is_wanted(self, entry: "os.DirEntry[str]", inodes: Container[int]) -> bool:
        return (self._wanted(plain_name(entry.name)) or entry.inode() in inodes) and entry.is_file(
            follow_symlinks=self._follow
        )

    @contextmanager
    def _opened(self, folder: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Yield a descriptor of *folder*, without following links below a root unless requested."""
        root = max((root for root in self.roots if is_below(folder, root)), key=len, default=folder)
        if self._follow:
            root = folder
        names = [name for name in folder[len(root) :].split(os.sep) if name]
        if len(names) > MAX_DEPTH:
            raise OSError(errno.ENAMETOOLONG, f"more than {MAX_DEPTH} folders in one another", folder)
        fd = os.open(root, _FOLDER | (os.O_PATH if names else flags))
        try:
            for left, name in enumerate(names, 1 - len(names)):
                above, way = fd, os.O_PATH if left else flags
                fd = os.open(name, _FOLDER | os.O_NOFOLLOW | way, dir_fd=above)
                os.close(above)
            yield fd
        finally:
            os.close(fd)

    def _siblings(self, root: str, inodes: Container[int]) -> list[Found]:
        """Return the rotations of *root* since it was first looked for, and files with one of *inodes*."""
        if self.is_folder(root):
            return []
        found: list[Found] = []
        with suppress(OSError), os.scandir(os.path.dirname(root)) as entries:
            for entry in entries:
                if (self._may_be_of(entry.path, root) or entry.inode() in inodes) and entry.is_file(
                    follow_symlinks=False
                ):
                    with suppress(OSError):
                        found.append(Found.of(entry.path, entry.stat(follow_symlinks=False)))
        if root not in self._older:
            since = self._since.get(root)
            older = [each for each in found if since is None or each.modified < since]
            self._older[root] = {each.identity for each in older}
            # The compressed copy of an older file keeps its time, but not its identity.
            self._since[root] = max((each.modified + 1 for each in older), default=0)
        return [each for each in found if each.identity.inode in inodes or self._is_newer(each, root)]

    def _may_be_of(self, path: str, root: str) -> bool:
        return os.path.dirname(path) == os.path.dirname(root) and is_rotation(path, root)

    def _is_newer(self, found: Found, root: str) -> bool:
        return found.identity not in self._older[root] and found.modified >= self._since[root]

    def _is_sibling(self, path: str) -> bool:
        return bool(self._older) and is_rotated(path) and unrotated(path) in self._older

    def _is_inside(self, path: str) -> bool:
        return any(is_below(path, root) for root in self.roots)


def is_below(path: str, folder: str) -> bool:
    """Return whether *path* is *folder* or in it, by their names."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_among(fd: int, listed: set[Key]) -> bool:
    """Return whether the open folder is in *listed*, and add it."""
    status = os.fstat(fd)
    key = (status.st_dev, status.st_ino)
    known = key in listed
    listed.add(key)
    return known
