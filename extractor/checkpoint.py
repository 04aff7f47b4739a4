"""
A state to disk and back, in one atomic step.

A checkpoint is written beside the last one, brought to disk, and only then given its name, so that a crash at any point
leaves a whole one: the new, or the last. The last one is kept under a name of its own, should the new one be damaged
later. The first line of the file has the version of its format and a checksum of the rest, which is MessagePack.

Knows nothing of what is in it.
"""

import fcntl
import os
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from extractor.errors import CheckpointError

_FORMAT = b"extractor checkpoint"
_VERSION = 2
_NAME, _PREVIOUS, _NEW, _LOCK = "checkpoint", "checkpoint.previous", "checkpoint.new", "lock"


class Loaded(NamedTuple):
    """What was found: the value, None if there is none to use, and what a person should know of it."""

    value: Any
    notes: list[str]


class _Damaged(Exception):  # noqa: N818  # a finding, not an error of the program
    """The file is not what was once written."""


class StateDirectory:
    """
    The folder of one process's state; held exclusively until `close`.

    Raises `CheckpointError` if it cannot be made or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1
        try:
            self._hold()
        except OSError as error:
            raise CheckpointError(
                f"cannot use the state directory {path}: {error.strerror}", "give another one with --state-dir"
            ) from error

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def load(self) -> Loaded:
        """
        The last checkpoint, or else the one before it.

        A damaged one is kept aside with the suffix `.damaged`. Raises `CheckpointError` for one of a newer version: to
        go on without it would count again what it has.
        """
        notes: list[str] = []
        for name in (_NAME, _PREVIOUS):
            path = self.path / name
            try:
                return Loaded(_decoded(path.read_bytes(), path), notes)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise CheckpointError(f"cannot read {path}: {error.strerror}", "is it yours?") from error
            except _Damaged as damage:
                aside = path.with_name(name + ".damaged")
                path.replace(aside)
                notes.append(f"{path} is damaged ({damage}); it is kept as {aside.name}")
        return Loaded(None, notes)

    def has_checkpoint(self) -> bool:
        """Whether the last checkpoint is still there."""
        return (self.path / _NAME).exists()

    def save(self, value: Any) -> None:  # noqa: ANN401  # whatever MessagePack can say
        """Make *value* the last checkpoint. Raises `OSError` if the disk refuses; then the last one stays."""
        body = msgspec.msgpack.encode(value)
        head = b"%b %d %b\n" % (_FORMAT, _VERSION, sha256(body).hexdigest().encode())
        self._hold()
        new, last = self.path / _NEW, self.path / _NAME
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(head)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        if last.exists():
            beside = self.path / (_PREVIOUS + ".new")
            beside.unlink(missing_ok=True)
            beside.hardlink_to(last)
            beside.replace(self.path / _PREVIOUS)
        new.replace(last)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _hold(self) -> None:
        """Make the directory, and lock it: also when it has vanished since, and the lock with it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._lock >= 0 and os.path.sameopenfile(lock, self._lock):
            os.close(lock)
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise CheckpointError(
                f"the state directory {self.path} is in use by process {holder}",
                "stop that process, or give another directory with --state-dir",
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = lock


def as_read(value: Any) -> Any:  # noqa: ANN401  # whatever MessagePack can say
    """*value* as it would come back from the disk."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))


def _decoded(content: bytes, path: Path) -> Any:  # noqa: ANN401  # whatever MessagePack can say
    head, _, body = content.partition(b"\n")
    words = head.split(b" ")
    if not head.startswith(_FORMAT) or len(words) != 4 or not _is_number(words[2]):  # as `save` writes it
        raise _Damaged("not a checkpoint")
    if int(words[2]) > _VERSION:
        raise CheckpointError(
            f"{path} is of version {int(words[2])}, this program reads up to {_VERSION}",
            "use a newer extractor, or an empty directory with --state-dir to count the logs again",
        )
    if int(words[2]) < _VERSION:
        raise _Damaged(f"it is of version {int(words[2])}, which this program does not read")
    if sha256(body).hexdigest().encode() != words[3]:
        raise _Damaged("its checksum is wrong")
    try:
        return msgspec.msgpack.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _Damaged(f"it cannot be decoded: {error}") from None


def _is_number(word: bytes) -> bool:
    return word.isdigit() and len(word) <= len(str(2**64))
