"""
Whole lines in, the end of a log file out.

A line is one `write` to a descriptor opened with O_APPEND, which the kernel puts at the end of the file in one piece,
whatever other processes write there. When rotation has renamed or removed the file, the next line opens the path anew.

A full disk, or a kill in the middle of a long line, leaves a torn line at the end of the file, and a line appended to
it would be lost with it. So an appender that was not the last to write looks at the last byte of the file first and, if
that is not a line break, begins with one. Another process may tear a line between this look and the write. The offset
at which the kernel put the line shows that something came between, and a line behind a torn one is written again.
Bytes of other processes are never changed.

There is no lock between processes: a stopped process, or a child that inherited the descriptor, could hold it for ever,
and every agent would wait.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from extractor.emit.interrupts import from_signal_handler, suppress

_BREAK = b"\n"
_UNKNOWN = -1

# Without O_NONBLOCK, opening a pipe without a reader would block the agent; without O_NOCTTY, a terminal could become
# its controlling terminal.
_FLAGS = os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY


class Appender:
    """
    The end of a file. The file and its directory are created with the first line.

    Its owner must not call it from a thread or a signal handler while another call runs. A signal handler may raise at
    any point of a call; the next line is written correctly all the same.

    Args:
        path: The file, or a directory.
        name: The name of the file if *path* is a directory.
        directory: Whether *path* is a directory even if it does not exist yet.
        write: `os.write`, or a substitute for tests.

    """

    def __init__(
        self, path: Path, name: str, *, directory: bool = False, write: Callable[[int, bytes], int] = os.write
    ) -> None:
        self._path = os.fspath(path)
        self._name = name
        self._directory = directory
        self._write = write
        self._file = self._path
        self._descriptors: list[int] = []  # at most one
        self._identity: tuple[int, int] | None = None  # device and inode of the open file; None until they are known
        self._is_regular = True
        # The size of the file after our last line, if that is whole. A file of this size is taken for unchanged, so one
        # that others emptied and filled to the same byte is not looked at.
        self._end = _UNKNOWN

    def __del__(self) -> None:
        self.close()

    def append(self, line: bytes) -> None:
        """
        Write *line*, which ends in a line break.

        Raises:
            OSError: the line is not in the file, or only a part of it is, or it lacks its line break, which the next
                line begins with.
            ValueError: no file can have this name.

        """
        size = self._follow()
        is_torn = size != self._end and self._ends_torn(size)
        if self._put(_BREAK + line if is_torn else line, size):
            return
        # Other processes may have written behind a torn part by now, so the whole line is written again.
        if not self._put(_BREAK + line, size):
            raise OSError(errno.ENOSPC, "only a part of a line could be written", self._file)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        for descriptor in self._descriptors:
            # A program that becomes a daemon closes all descriptors, and the number may belong to another file now.
            with suppress(OSError):
                if self._identity is None or _identity(os.fstat(descriptor)) == self._identity:
                    # Python calls signal handlers after calls, so none can raise between these two statements.
                    self._descriptors = []
                    os.close(descriptor)
        self._descriptors = []

    def abandon(self) -> None:
        """Close the file for good. In the child of a fork, the line that is being written belongs to the parent."""
        self._write = _refuse
        self.close()

    def _put(self, data: bytes, size: int) -> bool:
        """
        Write *data*; return whether it is a line of its own in the file.

        Args:
            data: A line, with a line break before it if the file did not end with one.
            size: The size of the file when its last byte was looked at.

        """
        self._end = _UNKNOWN
        written = self._write(self._descriptors[0], data)
        # A short write means a full disk or a limit. A line that lacks only its line break is not written again: it
        # would be counted twice.
        missing = data[written:]
        if missing not in (b"", _BREAK):
            return False
        end = os.lseek(self._descriptors[0], 0, os.SEEK_CUR) if self._is_regular else size
        if missing:
            self._write(self._descriptors[0], missing)
        else:
            self._end = end
            if data.startswith(_BREAK) or end - written == size:
                return True
        return not self._is_regular or self._stands_alone(data.strip(_BREAK), end + len(missing) - 1)

    def _stands_alone(self, text: bytes, end: int) -> bool:
        """Whether *text*, which ends at offset *end*, has a line break, or nothing, before and after it."""
        start = end - len(text)
        before = min(start, 1)
        with suppress(OSError):
            found = _BREAK[before:] + os.pread(self._descriptors[0], before + len(text) + 1, start - before)
            if found[1 : 1 + len(text)] == text:
                return found[:1] == _BREAK and found[1 + len(text) :] in (b"", _BREAK)
        # The file was truncated since, or cannot be read: assume that the line is there.
        return True

    def _ends_torn(self, size: int) -> bool:
        """Whether the file lacks a line break at its end."""
        if self._is_regular and not size:
            return False
        # A process in the middle of writing a long line looks like a torn line. Our line break then comes after that
        # line and makes an empty one, which readers skip.
        with suppress(OSError):
            return os.pread(self._descriptors[0], 1, size - 1) not in (b"", _BREAK)
        return True  # a file that cannot be read: an empty line too many does no harm

    def _follow(self) -> int:
        """Open the file that is at the path now, unless it is open already; return its size."""
        # Checked for every line, not once a second: it costs 2 us, and no line goes into a file that rotation has
        # already handed to a compressor.
        if self._descriptors:
            try:
                there = os.stat(self._file)  # noqa: PTH116 - half the time of Path.stat
                here = os.fstat(self._descriptors[0])
                if here.st_ino == there.st_ino and here.st_dev == there.st_dev:
                    return here.st_size
            except OSError as error:
                if from_signal_handler(error):
                    raise
            self.close()
        return self._open()

    def _open(self) -> int:
        mode = _mode(self._path)
        self._directory = self._directory or S_ISDIR(mode)
        if self._directory:
            self._file = os.path.join(self._path, self._name)  # noqa: PTH118 - as in _follow
            mode = _mode(self._file)
        # Reading is for the look at the last byte. A pipe opened for reading would have a reader: the agent itself.
        access = os.O_RDWR if S_ISREG(mode) or not mode else os.O_WRONLY
        try:
            self._open_for(access)
        except FileNotFoundError:
            Path(self._file).parent.mkdir(parents=True, exist_ok=True)
            self._open_for(access)
        except PermissionError:
            self._open_for(os.O_WRONLY)
        here = os.fstat(self._descriptors[0])
        self._identity = _identity(here)
        self._is_regular = S_ISREG(here.st_mode)
        self._end = _UNKNOWN if self._is_regular else here.st_size
        return here.st_size

    def _open_for(self, access: int) -> None:
        self._identity = None
        # A single call, so that no signal handler can raise after the file is opened and before the list has it.
        self._descriptors.extend(map(os.open, (self._file,), (_FLAGS | access,), (0o644,)))


def _refuse(descriptor: int, data: bytes) -> int:
    raise OSError(errno.ESTALE, "the line belongs to the parent process", descriptor, None, len(data))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _mode(path: str) -> int:
    """The mode of *path*; 0 if there is nothing, or it cannot be examined."""
    with suppress(OSError):
        return os.stat(path).st_mode  # noqa: PTH116 - as in _follow
    return 0
