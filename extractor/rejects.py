"""
Rejected lines in, a file that a person can read out: `rejects.jsonl` in the state directory.

Each line is kept once, even through kill -9: a checkpoint has the file's length with the offsets of the logs, and after
a restart what was written since is cut off, because those lines are read again.

Knows nothing of schemas or metrics.
"""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extractor.escapes import printable_json
from extractor.pipeline import Rejected

_NAME, _ROTATED, _NEW = "rejects.jsonl", "rejects.jsonl.1", "rejects.jsonl.new"


class RejectFile:
    """
    The rejects kept in *directory*: at most *max_bytes* in the file being written, and as much in the one before it.

    A line that the disk refuses is lost, and following goes on.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._pending: list[bytes] = []
        self._fd = -1
        self._size = 0
        self._saved = True

    @property
    def full(self) -> bool:
        """Whether it is time for a checkpoint, after which the file can be rotated."""
        return self._size >= self._max_bytes

    def restore(self, position: list[int] | None) -> None:
        """Go on at *position*, as the checkpoint had it; None if there was no checkpoint."""
        names = [self._directory / name for name in (_NEW, _NAME, _ROTATED)]
        inode, size = position or (0, 0)
        found = next((path for path in names if path.exists() and path.stat().st_ino == inode), None)
        if found is not None:
            # What was begun after the checkpoint, by rotating or requeueing, is taken back or brought to its end.
            if found.name == _NEW:
                (self._directory / _ROTATED).unlink(missing_ok=True)
            found.replace(self._directory / _NAME)
        (self._directory / _NEW).unlink(missing_ok=True)
        self._open()
        if position is None or found is not None:
            os.ftruncate(self._fd, size)
        self._size = os.fstat(self._fd).st_size

    def close(self) -> None:
        """Let go of the file, and forget what is pending; for `restore`."""
        self._pending = []
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def write(self, rejected: Rejected) -> None:
        """Keep a line, once `flush` is called."""
        self._pending.append(entry_of(rejected))

    def flush(self) -> int:
        """Write what is pending; how many lines could not be written."""
        if not self._pending:
            return 0
        lines, self._pending = self._pending, []
        # Two rotations between two checkpoints could not be taken back, so without checkpoints there is an end.
        if self._size >= 2 * self._max_bytes:
            return len(lines)
        self._saved = False
        try:
            if self._fd < 0:
                self._open()
            self._size += _written(self._fd, b"".join(lines), self._size)
        except OSError:
            return len(lines)
        return 0

    def position(self) -> list[int]:
        """What `restore` must be given to go on from here. Raises `OSError`."""
        if self._fd < 0:
            return [0, 0]
        path = self._directory / _NAME
        if not path.exists():
            # The directory has vanished and come back: what it had is still to be read through the open file.
            old = self._fd
            content = os.pread(old, self._size, 0)
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
            self._size = _written(self._fd, content, 0)
            self._saved = False
            os.close(old)
        return [os.fstat(self._fd).st_ino, self._size]

    def sync(self) -> None:
        """Bring to disk what was written. Raises `OSError`."""
        if self._fd >= 0 and not self._saved:
            os.fsync(self._fd)
            self._saved = True

    def rotate(self) -> None:
        """Begin a new file if this one is full; right after a checkpoint, and once."""
        if self.full:
            (self._directory / _NAME).replace(self._directory / _ROTATED)
            os.close(self._fd)
            self._open()

    def replace(self, kept: list[bytes]) -> list[int]:
        """Put *kept* in place of all entries; the position is that of a file that gets its name by `restore`."""
        path = self._directory / _NEW
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.writelines(kept)
            file.flush()
            os.fsync(file.fileno())
        return [path.stat().st_ino, path.stat().st_size]

    def entries(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Every kept line, oldest first: as decoded, and as it stands in the file."""
        for name in (_ROTATED, _NAME):
            path = self._directory / name
            if path.exists():
                with path.open("rb") as file:
                    yield from ((json.loads(line), line) for line in file)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._directory / _NAME, flags, 0o600)
        self._size = os.fstat(self._fd).st_size


def _written(fd: int, content: bytes, at: int) -> int:
    # Where the disk is full half a line may stand; the next write begins where this one began.
    done = 0
    while done < len(content):
        done += os.pwrite(fd, content[done:], at + done)
    return done


def entry_of(rejected: Rejected) -> bytes:
    """The line of the file that keeps *rejected*: file, offset, reason, pointer, message, and the line itself."""
    reject = rejected.reject
    entry: dict[str, Any] = {
        "file": rejected.path,
        "offset": rejected.offset,
        "reason": str(reject.reason),
        "pointer": reject.pointer,
        "message": reject.message,
    }
    try:
        entry["line"] = rejected.line.decode()
    except UnicodeDecodeError:
        entry["line_base64"] = b64encode(rejected.line).decode()
    return printable_json(json.dumps(entry, ensure_ascii=False)).encode() + b"\n"


def line_of(entry: dict[str, Any]) -> bytes:
    """The line that an entry keeps; of one that was too long, its head."""
    text = entry.get("line")
    return text.encode() if isinstance(text, str) else b64decode(entry["line_base64"])
