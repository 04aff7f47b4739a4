"""
Distribute items of work to several processes; return their results as they become ready.

The processes belong to a `ProcessPoolExecutor`. They are forks: the catalog with its compiled validators cannot be
pickled, and loading it in each process would take as long as reading some ten megabytes.

Results are not sent through the executor's pipe, because its reader waits forever for the rest of a result whose sender
was killed (decision 14). Each task in flight has a memory file instead, and two shared counters for its progress.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, Self

import msgspec

from extractor.errors import ExtractorError, SourceError, WorkerError
from extractor.ingest.pipeline import MergeError
from extractor.state.internal_errors import origin

_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_PROGRESS_SECONDS = 0.1
_CONTEXT = get_context("fork")

Progress = Callable[[int, int], None]
"""Called with the bytes and lines that were read since the last call."""

Work = Callable[[Iterable[int], Progress], bytes]
"""Do some of the items, in order; return the result of those that were taken from the iterable."""


class _Shared:
    """Data shared by the parent and its forks: the work, and the progress and result of each task in flight."""

    def __init__(self, work: Work, jobs: int, items: int) -> None:
        self.work = work
        self.items = items
        self.taken = _CONTEXT.RawValue("q", 0)
        self._lock = _CONTEXT.Lock()  # the parent never takes it: a process may be killed while it holds it
        self.progress = [_CONTEXT.RawArray("q", 2) for _ in range(jobs)]
        self.results = [os.memfd_create(f"result-{slot}") for slot in range(jobs)]

    def take(self, into: list[int]) -> Iterator[int]:
        """Yield the items that no process has taken yet; each is also appended to *into*."""
        while True:
            with self._lock:
                item = self.taken.value
                if item == self.items:
                    return
                self.taken.value = item + 1
            into.append(item)
            yield item

    def write(self, slot: int, items: list[int], result: bytes) -> None:
        """Store the *result* of *items*."""
        with os.fdopen(self.results[slot], "wb", closefd=False) as file:
            file.write(msgspec.msgpack.encode((items, result)))

    def read(self, slot: int) -> tuple[list[int], bytes]:
        """Return what was written last, and release its memory."""
        fd = self.results[slot]
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)  # all processes share the file position
        return msgspec.msgpack.decode(data, type=tuple[list[int], bytes])


_shared: _Shared
"""In a worker: set once, when it starts."""


class Workers:
    """*jobs* processes that share the items 0 to *items* - 1; they are killed when the block is left."""

    def __init__(self, work: Work, jobs: int, items: int) -> None:
        self._shared = _Shared(work, jobs, items)
        self._slots = range(jobs)
        self._executor = ProcessPoolExecutor(jobs, _CONTEXT, _start, (self._shared,))
        self._processes: set[BaseProcess] = set()
        self.open_items = set(range(items))
        """Items whose results were not returned yet."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        self._executor.shutdown(cancel_futures=True)
        for fd in self._shared.results:
            os.close(fd)

    def results(self, progress: Progress) -> Iterator[bytes]:
        """
        Yield each result as soon as it is ready.

        Raises `WorkerError` if a process dies, and any error that the work raises.
        """
        seen = [0, 0]
        running = self._start()
        while running:
            done, _ = wait(running, _PROGRESS_SECONDS, FIRST_COMPLETED)
            total = [sum(counts) for counts in zip(*self._shared.progress, strict=True)]
            progress(total[0] - seen[0], total[1] - seen[1])
            seen = total
            for future in done:
                slot = running.pop(future)
                try:
                    future.result()
                    items, result = self._shared.read(slot)
                    if self._shared.taken.value < self._shared.items:
                        running[self._executor.submit(_do, slot)] = slot
                except BrokenProcessPool:
                    raise self._died() from None
                self.open_items.difference_update(items)
                if items:
                    yield result

    def _start(self) -> dict[Future[None], int]:
        before = set(active_children())
        # A terminal sends Ctrl-C to all its processes, and only the parent answers it. Blocked here, the signals reach
        # a fork only when it has set its own handlers.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        running: dict[Future[None], int] = {}
        try:
            for slot in self._slots:
                running[self._executor.submit(_do, slot)] = slot
                # At once: one that is killed and not known yet would not say how it died.
                self._processes |= {process for process in active_children() if process not in before}
            return running
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _died(self) -> WorkerError:
        self._executor.shutdown()
        codes = {process.exitcode or 0 for process in self._processes}
        code = min(codes - {-signal.SIGTERM}, default=-signal.SIGTERM)  # the executor sends SIGTERM to the others
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return WorkerError(f"a process of the replay {how}; nothing was counted", "was memory short? try fewer --jobs")


def _start(shared: _Shared) -> None:
    global _shared  # noqa: PLW0603  # a task finds here what cannot be pickled
    _shared = shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent: Any = parent_process()
    parent.join()
    os._exit(1)


def _do(slot: int) -> None:
    progress = _shared.progress[slot]

    def add(size: int, lines: int) -> None:
        progress[0] += size
        progress[1] += lines

    items: list[int] = []
    try:
        result = _shared.work(_shared.take(items), add)
    except (ExtractorError, MergeError):
        raise
    except Exception as error:  # noqa: BLE001  # its traceback does not reach the parent
        raise SourceError(f"a process of the replay failed: {origin(error)}", "is it the same with --jobs 1?") from None
    _shared.write(slot, items, result)
