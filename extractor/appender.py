"""
Whole lines in, the end of a log file out.

A line is one `write` to a descriptor opened with O_APPEND, which the kernel puts at the end of the file in one piece,
whoever else writes there. When rotation has renamed or removed the file, the next line opens the path anew. Where a
full disk tore a line, the next one starts with a line break, so that only the torn one is lost.

Knows nothing of JSON, and takes no lock: its owner does.
"""

import os
from pathlib import Path
from stat import S_ISREG

# Without O_NONBLOCK, opening a pipe that nobody reads would hang the agent.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK


class Appender:
    """The end of the file at *path*, which is made, with its directory, when the first line comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._identity: os.stat_result | None = None
        self._torn = False

    def append(self, line: bytes) -> None:
        """
        Write *line*, which ends in a line break.

        Raises:
            OSError: it is not in the file, or only a torn part of it is.

        """
        descriptor = self._follow()
        left = b"\n" + line if self._torn else line
        self._torn = True
        left = left[os.write(descriptor, left) :]
        # A short write means a full disk or a limit. Others may have written behind the torn part by now, so the rest
        # cannot follow: the line is written again from its start. A line that lacks nothing but its line break is not,
        # or it would count twice.
        if left not in (b"", b"\n"):
            left = b"\n" + line
            left = left[os.write(descriptor, left) :]
        if left == b"\n":
            left = left[os.write(descriptor, left) :]
        if left:
            raise OSError(f"{self.path}: only a part of a line could be written")
        self._torn = False

    def close(self) -> None:
        """Let go of the file; the next line opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        # A program that became a daemon closes all descriptors, and the number may be somebody else's file now.
        if descriptor is not None and self._identity is not None and _is(descriptor, self._identity):
            os.close(descriptor)

    def _follow(self) -> int:
        # Looked at for every line, not once a second: it costs 2 us, and no line goes into a file that a rotation
        # has already handed to a compressor.
        if self._descriptor is not None:
            try:
                here = os.stat(self.path)  # noqa: PTH116 - half the time of Path.stat
            except OSError:
                here = None
            if here is not None and _is(self._descriptor, here):
                return self._descriptor
            self.close()
        return self._open()

    def _open(self) -> int:
        try:
            descriptor = os.open(self.path, _FLAGS, 0o644)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, _FLAGS, 0o644)
        self._descriptor = descriptor
        self._identity = os.fstat(descriptor)
        self._torn = self._ends_torn()
        return descriptor

    def _ends_torn(self) -> bool:
        """Whether a writer that died, or a full disk, left the file without a line break at its end."""
        if self._identity is None or not S_ISREG(self._identity.st_mode) or not self._identity.st_size:
            return False
        # A writer in the middle of a long line looks the same. Then the line break comes after that line, and makes
        # an empty one, which readers skip.
        try:
            with self.path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except OSError:  # the agent may write its log but not read it
            return False


def _is(descriptor: int, expected: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), expected)
    except OSError:
        return False
