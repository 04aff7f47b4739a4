"""
The path of a state directory in, a descriptor of the locked folder out; or an error, but never another folder.

A lock file identifies the folder. While this process runs, the path may come to refer to another folder: the disk is
unmounted, or the folder is renamed and replaced. Nothing is written there: the folder at the path must contain the
locked file, or one with the same content, as when a disk is mounted again as another device. Only a deleted folder is
created again.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from extractor.errors import CheckpointError
from extractor.files.atomic import open_regular, reason

_LOCK = "lock"
_MARK = 64  # bytes of the lock file: the process that holds it, and a random word

_ELSEWHERE = "use another --state-dir"


class StateFolder:
    """
    The folder at *path*, made if need be, and held exclusively until `close`; may be used from any thread.

    Raises `CheckpointError` if it cannot be made or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.returns = 0
        """How often the folder had to be taken hold of again: what stands in it may be older, or be gone."""
        self._lock = -1
        self._mark = b""
        self._one = threading.Lock()
        try:
            with self.opened():
                pass
        except OSError as error:
            raise CheckpointError(f"cannot use the state directory {path}: {reason(error)}", _ELSEWHERE) from error

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """
        A descriptor of the folder, for names relative to it.

        Raises `OSError` if it cannot be reached, `CheckpointError` if another folder has its path.
        """
        with self._one:
            folder = self._found()
        try:
            yield folder
        finally:
            os.close(folder)

    def _found(self) -> int:
        folder = self._find()
        try:
            self._hold(folder)
        except BaseException:
            os.close(folder)
            raise
        return folder

    def _find(self) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            return os.open(self.path, flags)
        except FileNotFoundError:
            if not self._may_make():
                raise self._away("it is missing") from None
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self.path, flags)

    def _hold(self, folder: int) -> None:
        """Make sure that *folder* is the one, and locked."""
        is_free = self._may_make()
        try:
            lock = open_regular(_LOCK, os.O_RDWR | (os.O_CREAT if is_free else 0), folder=folder)
        except FileNotFoundError:
            raise self._away("another directory is in its place") from None
        if self._lock >= 0 and os.path.sameopenfile(lock, self._lock):
            os.close(lock)
            return
        try:
            self._take(lock, is_free=is_free)
        except BaseException:
            os.close(lock)
            raise

    def _take(self, lock: int, *, is_free: bool) -> None:
        mark = os.pread(lock, _MARK, 0)
        if self._lock >= 0 and not (mark == self._mark if mark else is_free):
            raise self._away("another directory is in its place")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = mark.partition(b"\n")[0].decode(errors="replace").strip()
            raise CheckpointError(
                f"the state directory {self.path} is in use by process {holder if holder.isdecimal() else 'unknown'}",
                f"stop that process, or {_ELSEWHERE}",
            ) from error
        self._mark = _marked(lock)
        if self._lock >= 0:
            os.close(self._lock)
            self.returns += 1
        self._lock = lock

    def _may_make(self) -> bool:
        """Whether there is no folder that is held: none was yet, or it was deleted."""
        return self._lock < 0 or os.fstat(self._lock).st_nlink == 0

    def _away(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path} is not the directory that this process started with: {what}",
            "is its disk mounted? nothing is written until it returns",
        )


def _marked(lock: int) -> bytes:
    """What the lock file says of this process alone."""
    mark = f"{os.getpid()}\n{token_hex(16)}\n".encode()
    with suppress(OSError):  # a full disk, which is reported when no checkpoint can be saved
        os.pwrite(lock, mark, 0)
        os.ftruncate(lock, len(mark))
    return os.pread(lock, _MARK, 0)
