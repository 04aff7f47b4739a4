"""
Rejected lines in, human-readable files out: `rejects.jsonl` in the state directory, and its predecessor.

Each line is kept once, across kill -9, copies of the directory and edits of the files: an entry holds the number of the
first checkpoint that counts it. After a restart, entries that the current checkpoint does not count are removed,
because their lines are read again. Every rejected line is kept, or counted as lost: a checkpoint holds the number of
entries, so that missing ones are noticed.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate, takewhile
from typing import BinaryIO

from extractor.errors import CheckpointError
from extractor.files.atomic import Range, open_regular, opened, remove, size_of, sync, whole_file
from extractor.ingest.pipeline import Rejected
from extractor.service import former_rejects
from extractor.service.checkpoint import StateDirectory
from extractor.service.former_rejects import NAME, ROTATED
from extractor.service.reject_entry import Line, checkpoint_of, entry_of, lines_of

_REPLACEMENT = re.compile(r"rejects\.jsonl\.new-(\d{1,18})", re.ASCII)

_NO_LIMIT = 1 << 62
_PENDING = 4 << 20  # bytes of lines that wait while they cannot be written


class RejectFile:
    """
    The rejects kept in *directory*: at most *max_bytes* in all files together.

    When the file being written has half of that, it becomes the one before, and what that was is lost. Its methods
    raise `OSError` and `CheckpointError` if the directory refuses.
    """

    def __init__(self, directory: StateDirectory, max_bytes: int = _NO_LIMIT) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._pending: list[Rejected] = []
        self._entries = {ROTATED: 0, NAME: 0}
        self._returns = directory.returns
        self._torn: tuple[int, int] | None = None  # inode and size of the file before a write that failed
        self._is_synced = False
        self._lost = 0

    @property
    def kept(self) -> int:
        """How many entries the files have."""
        return sum(self._entries.values())

    @property
    def pending(self) -> int:
        """How many rejects are not written yet."""
        return len(self._pending)

    def losses(self) -> int:
        """How many rejects were lost since this was asked last."""
        lost, self._lost = self._lost, 0
        return lost

    def clear(self) -> None:
        """Remove everything: there is no checkpoint, and all lines are read again."""
        self._pending.clear()
        with self._directory.opened() as folder:
            for name in (*_replacements(folder).values(), *former_rejects.NAMES):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def restore(self, number: int, saved: int | Sequence[int]) -> None:
        """
        Bring the files to what they were at checkpoint *number*.

        *saved* is the `kept` of that moment; of a checkpoint of an earlier version, what that has instead. What is
        pending is forgotten, because its lines are read again.
        """
        self._pending.clear()
        with self._directory.opened() as folder:
            self._take_replacement(folder, number)
            if isinstance(saved, int):
                self._restore(folder, number, saved)
            else:
                former_rejects.cut(folder, *saved)
                self._restore(folder, number, None)
            self._trim(folder)

    def write(self, rejected: Rejected) -> None:
        """Keep a line, once `flush` is called."""
        self._pending.append(rejected)

    def flush(self, number: int) -> None:
        """Write what is pending, which checkpoint *number* will count. What raises stays pending, up to a limit."""
        try:
            with self._opened(number) as folder:
                entries = self._encoded(number)
                if sum(map(len, entries)) > self._max_bytes:
                    self._skip(folder, entries)
                while entries:
                    done = self._append(folder, entries)
                    del entries[:done], self._pending[:done]
        except (OSError, CheckpointError):
            if sum(len(each.line) for each in self._pending) > _PENDING:
                self.give_up()
            raise

    def give_up(self) -> None:
        """Lose what is pending."""
        self._lost += len(self._pending)
        self._pending.clear()

    def check(self, number: int) -> None:
        """Make sure that the files are those that `kept` is about; for before checkpoint *number* is put together."""
        with self._opened(number):
            pass

    def sync(self) -> None:
        """Bring to disk what was written; may be called from another thread."""
        if self._is_synced:
            return
        self._is_synced = True
        try:
            with self._directory.opened() as folder:
                # In this order a file that is rotated meanwhile is not missed.
                for name in (NAME, ROTATED):
                    with suppress(FileNotFoundError), opened(name, os.O_RDONLY, folder) as file:
                        os.fsync(file.fileno())
                os.fsync(folder)
        except BaseException:
            self._is_synced = False
            raise

    @contextmanager
    def replacement(self, number: int) -> Iterator[BinaryIO]:
        """A file for all entries that checkpoint *number* counts: in force by `restore`, once that is saved."""
        name = f"{NAME}.new-{number}"
        with self._directory.opened() as folder:
            # Until that checkpoint is saved nobody looks at it, be it whole or not: it needs no other name.
            with whole_file(name, folder=folder, temporary=name, mode=0o600) as file:
                yield file
                sync(file)
            os.fsync(folder)

    def lines(self) -> Iterator[tuple[str, BinaryIO, Line]]:
        """Every line of the files, oldest first, with the name of its file and the file itself, open."""
        with self._directory.opened() as folder:
            for name in (ROTATED, NAME):
                with suppress(FileNotFoundError), opened(name, os.O_RDONLY, folder) as file:
                    for line in lines_of(file):
                        yield name, file, line

    @contextmanager
    def _opened(self, number: int) -> Iterator[int]:
        with self._directory.opened() as folder:
            if self._directory.returns != self._returns:
                # It was away, and may be an older one, or a new one, now.
                self._returns = self._directory.returns
                self._restore(folder, number, self.kept)
            yield folder

    def _take_replacement(self, folder: int, number: int) -> None:
        """Bring to its end what replaces all entries by checkpoint *number*; take back what was to do so later."""
        found = _replacements(folder)
        due = max((each for each in found if each <= number), default=None)
        if due is not None:
            os.close(open_regular(found[due], os.O_RDONLY, folder=folder))
            # The lines that were counted are in no reject file any more, so no checkpoint from before may be used.
            self._directory.forget_previous()
            with suppress(FileNotFoundError):
                os.unlink(ROTATED, dir_fd=folder)
            os.replace(found.pop(due), NAME, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        for name in found.values():
            os.unlink(name, dir_fd=folder)

    def _restore(self, folder: int, number: int, saved: int | None) -> None:
        """Remove the entries that checkpoint *number* does not count; of *saved* those that are not there are lost."""
        self._entries = dict.fromkeys(self._entries, 0)
        self._is_synced = False  # what is removed must not be there again after a power cut
        is_later = False  # what does not say is of the same time as what is before it
        for name in self._entries:
            with suppress(FileNotFoundError), opened(name, os.O_RDWR, folder) as file:
                removed: list[Range] = []
                for line in lines_of(file):
                    if line.is_blank:
                        continue
                    first = checkpoint_of(line)
                    is_later = is_later if first is None else first > number
                    if is_later or line.is_begun:
                        removed.append((line.start, line.end))
                    else:
                        self._entries[name] += 1
                remove(file, removed, name, folder)
        self._lost += max((saved or 0) - self.kept, 0)

    def _trim(self, folder: int) -> None:
        """Lose the oldest entries that are too many, of a directory that had another limit."""
        size = size_of(NAME, folder)
        if size + size_of(ROTATED, folder) > self._max_bytes:
            self._lose_file(folder, ROTATED)
        if size > self._max_bytes:
            with opened(NAME, os.O_RDWR, folder) as file:
                begin, lost = size, 0
                for line in lines_of(file):
                    if size - line.start <= self._max_bytes // 2:
                        begin = line.start
                        break
                    lost += not line.is_blank
                remove(file, [(0, begin)], NAME, folder)
            self._entries[NAME] -= lost
            self._lost += lost

    def _encoded(self, number: int) -> list[bytes]:
        """The entries of what is pending; those that are too long for any file are lost."""
        found = [(each, entry_of(each, number)) for each in self._pending]
        fitting = [(each, entry) for each, entry in found if len(entry) <= self._max_bytes // 2]
        self._lost += len(found) - len(fitting)
        self._pending = [each for each, _ in fitting]
        return [entry for _, entry in fitting]

    def _skip(self, folder: int, entries: list[bytes]) -> None:
        """Lose all that *entries* would push out, and the first of them, without writing what would be gone at once."""
        for name in self._entries:
            self._lose_file(folder, name)
        left = len(_fitting(entries[::-1], self._max_bytes // 2))
        self._lost += len(entries) - left
        del entries[: len(entries) - left], self._pending[: len(self._pending) - left]

    def _append(self, folder: int, entries: Sequence[bytes]) -> int:
        """Write the first of *entries*, as many as the file has room for; how many are done with."""
        half = self._max_bytes // 2
        before = size_of(ROTATED, folder)
        fd = open_regular(NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND, folder=folder)
        try:
            size = self._mended(fd)
            if fitting := _fitting(entries, min(half, self._max_bytes - before) - size):
                self._write(fd, size, b"".join(fitting))
                self._entries[NAME] += len(fitting)
                return len(fitting)
        finally:
            os.close(fd)
        if size:
            self._rotate(folder)
        else:
            self._lose_file(folder, ROTATED)
        return 0

    def _mended(self, fd: int) -> int:
        """The size of the file, which ends with a whole line now."""
        status = os.fstat(fd)
        torn, self._torn = self._torn, None
        if torn is not None and torn[0] == status.st_ino and torn[1] < status.st_size:
            os.ftruncate(fd, torn[1])
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":  # somebody has edited it
            size += os.write(fd, b"\n")
        return size

    def _write(self, fd: int, size: int, content: bytes) -> None:
        self._is_synced = False
        self._torn = os.fstat(fd).st_ino, size
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        self._torn = None

    def _rotate(self, folder: int) -> None:
        os.replace(NAME, ROTATED, src_dir_fd=folder, dst_dir_fd=folder)
        self._lost += self._entries[ROTATED]
        self._entries = {ROTATED: self._entries[NAME], NAME: 0}

    def _lose_file(self, folder: int, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        self._lost += self._entries[name]
        self._entries[name] = 0


def _replacements(folder: int) -> dict[int, str]:
    """The files that replace all entries, by the checkpoints that they belong to."""
    found = (_REPLACEMENT.fullmatch(name) for name in os.listdir(folder))
    return {int(each[1]): each[0] for each in found if each}


def _fitting(entries: Sequence[bytes], room: int) -> Sequence[bytes]:
    """As many of *entries* as fit into *room* bytes."""
    ends = accumulate(map(len, entries))
    return entries[: sum(1 for _ in takewhile(lambda end: end <= room, ends))]
