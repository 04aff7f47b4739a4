"""
Wait for changes in folders; return hints.

A hint only means that files *may* have changed: it may omit paths, or name unchanged ones. Where nothing can be watched
(no inotify, too many folders, a root that does not exist yet), `wait` lasts for its whole timeout, so that the caller
polls.
"""
# ruff: noqa: PTH100, PTH112, PTH114, PTH116, PTH120  # hints are text; `Path.is_dir` raises where it may not look

import os
import select
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from watchfiles import Change, watch

from extractor.tail.discovery import MAX_DEPTH

STEP_MS = 10
"""Interval in ms at which watchfiles collects changes; it returns after the first step without a new path."""

DEBOUNCE_MS = 20
"""
Maximum time in ms for which changes are collected before `wait` returns.

Measured at 1000 lines a second: `wait` returns 10 ms after a line was written (p50), and at most 21 ms after it. Idle,
it costs 0.4 % of a core.
"""

ARMING_ATTEMPTS = 10
"""Maximum number of times the folders are listed because they changed while watches were added."""

Identity = tuple[int, int]
"""Device and inode of a folder; a folder that replaced another of its name must be watched anew."""


class Waker:
    """
    Watch *roots*, each a folder with all folders below it, or a single file.

    Every folder is watched on its own, without watchfiles' recursion: that follows symbolic links, and a link to `/`
    would exhaust the watches of the machine. *problem* holds the reason why nothing is watched; it is empty otherwise.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.problem = ""
        self._roots = tuple(os.path.abspath(root) for root in roots)
        self._below = tuple(root.rstrip(os.sep) + os.sep for root in self._roots)
        self._stop = _Stop()
        self._stop_reader, self._stop_writer = os.pipe()
        self._events: Generator[set[tuple[Change, str]]] | None = None
        self._armed: dict[str, Identity] = {}
        self._tops: list[Identity | None] = []
        self._hints = self._arm()

    def wait(self, timeout: float) -> frozenset[str]:
        """Block until a change, `stop`, `wake` or *timeout* seconds have passed; return the hinted paths."""
        hints, self._hints = self._hints, set()
        if self._tops != self._identities():
            hints |= self._arm().union(self._roots)
        hints |= self._changes(0 if hints else timeout)
        if self._stop.woken and not self._stop.stopped:
            os.read(self._stop_reader, 1)  # before the reset: this wait covers a concurrent `wake`
            self._stop.woken = False
        if any(hint in self._armed or _is_folder(hint) for hint in hints):
            # Changes in a new folder before it was watched are covered by the hint of its own path.
            hints |= self._arm()
        return frozenset(hint for hint in hints if hint in self._roots or hint.startswith(self._below))

    def stop(self) -> None:
        """End the current and every later wait at once; safe to call from a signal handler or another thread."""
        self._stop.stopped = True
        os.write(self._stop_writer, b"\0")

    def wake(self) -> None:
        """End the current wait, or else the next one, at once; safe to call where `stop` is."""
        if not self._stop.woken:
            self._stop.woken = True
            os.write(self._stop_writer, b"\0")

    def close(self) -> None:
        """Remove all watches; `wait` must not be called afterwards."""
        self._disarm()
        os.close(self._stop_reader)
        os.close(self._stop_writer)

    def _changes(self, timeout: float) -> set[str]:
        if self._events is None:
            select.select([self._stop_reader], [], [], timeout)
            return set()
        found: set[tuple[Change, str]] = set()
        deadline = time.monotonic() + timeout
        try:
            while not found:
                found = next(self._events)
                if self._stop.is_set() or time.monotonic() >= deadline:
                    break
        except (OSError, RuntimeError) as error:
            self._give_up(error)
        except BaseException:  # raised by a signal handler; it has ended the generator as well
            self._disarm()
            self._tops = []
            raise
        return {path for _, path in found}

    def _arm(self) -> set[str]:
        """Watch all folders that exist now; return the changes that the previous watches still reported."""
        self._tops = self._identities()
        for _ in range(ARMING_ATTEMPTS):
            folders = self._folders()
            try:
                events, left = _watch(folders) if folders else (None, set())
            except (FileNotFoundError, PermissionError):
                continue
            except (OSError, RuntimeError) as error:
                self._give_up(error)
                return set()
            if folders == self._folders():
                left |= self._changes(0) if self._events is not None else set()
                self._disarm()
                self._events, self._armed, self.problem = events, folders, ""
                return left
        self._give_up("folders come and go too fast")
        return set()

    def _folders(self) -> dict[str, Identity]:
        """Return all folders to watch; a root that is no folder, or missing, is watched through its parent folder."""
        folders = {}
        for root in self._roots:
            for folder in _below(root) if os.path.isdir(root) else (_top(root),):
                identity = _identity(folder)
                # watchfiles supports only UTF-8 names; other folders are covered by polling.
                if identity is not None and _is_text(folder):
                    folders[folder] = identity
        return folders

    def _identities(self) -> list[Identity | None]:
        return [_identity(_top(root)) for root in self._roots]

    def _give_up(self, why: object) -> None:
        # Retried when a root is replaced, not on every wait: detecting too many folders is expensive.
        self._disarm()
        self.problem = f"cannot watch for changes, looking by time only: {why}"

    def _disarm(self) -> None:
        if self._events is not None:
            self._events.close()
        self._events = None
        self._armed = {}


def _watch(folders: Iterable[str]) -> tuple[Generator[set[tuple[Change, str]]], set[str]]:
    """Watch each of *folders* on its own; return the stream of changes, and the paths of its first step."""
    events = watch(
        *folders,
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=STEP_MS,
        yield_on_timeout=True,
        debug=False,
        force_polling=False,
        recursive=False,
    )
    return events, {path for _, path in next(events)}  # watching starts with the first step


class _Stop:
    """Flags that watchfiles checks on every step; no lock, because the interrupted thread may hold it."""

    def __init__(self) -> None:
        self.stopped = self.woken = False

    def is_set(self) -> bool:
        return self.stopped or self.woken


def _is_text(name: str) -> bool:
    with suppress(UnicodeEncodeError):
        return bool(name.encode())
    return False


def _below(root: str) -> Iterator[str]:
    """Yield *root* and the folders below it, without following links."""
    waiting = [(root, 0)]  # `os.walk` of Python 3.11 is recursive, and fails on a deep tree
    while waiting:
        folder, depth = waiting.pop()
        yield folder
        if depth < MAX_DEPTH:
            with suppress(OSError), os.scandir(folder) as entries:
                waiting += [(entry.path, depth + 1) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _top(root: str) -> str:
    return root if os.path.isdir(root) else os.path.dirname(root)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
