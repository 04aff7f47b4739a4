"""
A state to disk and back, in one atomic step.

A checkpoint is written to a temporary file, synced, and then renamed, so that a crash at any point leaves a complete
one: the new or the previous. The previous checkpoint is kept in case the new one is damaged later. The first line of
the file holds the format version and a checksum of the rest, which is MessagePack.
"""

import os
from contextlib import suppress
from hashlib import sha256
from stat import S_ISDIR
from typing import Any, NamedTuple

import msgspec

from extractor.errors import CheckpointError
from extractor.files.atomic import open_regular, reason, sync, whole_file
from extractor.service.state_folder import StateFolder

_FORMAT = b"extractor checkpoint"
_VERSION = 3
_OLDEST = 2  # whose rejects are found as `service.former_rejects` has it
_NAME, _PREVIOUS, _NEW = "checkpoint", "checkpoint.previous", ".new"


class Loaded(NamedTuple):
    """What was found: the value, None if there is none to use, and what a person should know of it."""

    value: Any
    notes: list[str]


class _Damaged(Exception):  # noqa: N818  # a finding, not an error of the program
    """The file is not what was once written."""


class StateDirectory(StateFolder):
    """The folder of one process's state, with its checkpoints."""

    def load(self) -> Loaded:
        """
        The last checkpoint, or else the one before it.

        A damaged one is kept aside with the suffix `.damaged`. Raises `CheckpointError` for one of a newer version, as
        to go on without it would count again what it has, and for what cannot be read.
        """
        notes: list[str] = []
        try:
            with self.opened() as folder:
                for name in (_NAME, _PREVIOUS):
                    path = self.path / name
                    try:
                        return Loaded(_decoded(_read(folder, name), str(path)), notes)
                    except FileNotFoundError:
                        continue
                    except _Damaged as damage:
                        aside = _set_aside(folder, name)
                        notes.append(f"{path} is damaged ({damage}); it is kept as {aside}")
        except OSError as error:
            raise CheckpointError(
                f"cannot read the state in {self.path}: {reason(error)}", "check its owner and permissions"
            ) from error
        return Loaded(None, notes)

    def has_checkpoint(self) -> bool:
        """Whether the last checkpoint is still there."""
        with suppress(OSError, CheckpointError), self.opened() as folder:
            os.stat(_NAME, dir_fd=folder)
            return True
        return False

    def save(self, value: Any) -> None:  # noqa: ANN401  # whatever MessagePack can say
        """
        Make *value* the last checkpoint.

        Raises `OSError` if the disk refuses, `CheckpointError` if the directory is away; then the last one stays.
        """
        body = msgspec.msgpack.encode(value)
        head = b"%b %d %b\n" % (_FORMAT, _VERSION, sha256(body).hexdigest().encode())
        with self.opened() as folder:
            with whole_file(_NAME, folder=folder, temporary=_NAME + _NEW, mode=0o600) as file:
                file.write(head)
                file.write(body)
                sync(file)
                # A crash between the two renames leaves the last one under the name of the one before it.
                with suppress(FileNotFoundError):
                    os.replace(_NAME, _PREVIOUS, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def forget_previous(self) -> None:
        """Let the checkpoint before the last one be a copy of the last one. Raises `OSError`."""
        with self.opened() as folder, suppress(FileNotFoundError):  # if there is but the one before, it is the last one
            content = _read(folder, _NAME)
            with whole_file(_PREVIOUS, folder=folder, temporary=_PREVIOUS + _NEW, mode=0o600) as file:
                file.write(content)
                sync(file)
            os.fsync(folder)


def number_of(value: dict[str, Any]) -> int:
    """The number of the checkpoint *value*, by which rejects are told apart; 0 for one of an earlier version."""
    number: int = value.get("number", 0)
    return number


def as_read(value: Any) -> Any:  # noqa: ANN401  # whatever MessagePack can say
    """*value* as it would come back from the disk."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))


def _read(folder: int, name: str) -> bytes:
    with os.fdopen(open_regular(name, os.O_RDONLY, folder=folder), "rb") as file:
        return file.read()


def _set_aside(folder: int, name: str) -> str:
    """Rename the file *name*; its new name, which is not that of a folder."""
    aside = f"{name}.damaged"
    while _is_folder(folder, aside):
        aside += "-"
    os.replace(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    return aside


def _is_folder(folder: int, name: str) -> bool:
    try:
        return S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _decoded(content: bytes, path: str) -> Any:  # noqa: ANN401  # whatever MessagePack can say
    head, _, body = content.partition(b"\n")
    words = head.split(b" ")
    if not head.startswith(_FORMAT) or len(words) != 4 or not _is_number(words[2]):  # as `save` writes it
        raise _Damaged("not a checkpoint")
    if int(words[2]) > _VERSION:
        raise CheckpointError(
            f"{path} has version {int(words[2])}, but this extractor reads up to {_VERSION}",
            "use a newer extractor, or a new --state-dir to read the logs again",
        )
    if int(words[2]) < _OLDEST:
        raise _Damaged(f"version {int(words[2])} is not supported")
    if sha256(body).hexdigest().encode() != words[3]:
        raise _Damaged("checksum mismatch")
    try:
        return msgspec.msgpack.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _Damaged(f"cannot be decoded: {error}") from None


def _is_number(word: bytes) -> bool:
    return word.isdigit() and len(word) <= len(str(2**64))
