"""
Work in, done by several processes at once; what they make of it out, in the order in which they are done.

Each process has a pipe of its own and nothing that it shares, so that one that dies can neither block nor garble the
others: its pipe ends, and so does the whole, with one error. They end with the parent, too, however that ends.

They are forked: the catalog with its compiled validators cannot be pickled, and to load it anew in each process would
take as long as to read some ten megabytes. Nothing here has a thread that could hold a lock meanwhile.

Knows nothing of what the work is.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, Literal, NamedTuple, Self

import msgspec

from extractor.errors import ExtractorError, SourceError, WorkerError
from extractor.internal_errors import origin

_ANSWERED = {signal.SIGINT, signal.SIGTERM}

Kind = Literal["progress", "next", "result", "error", "broken"]


class Told(NamedTuple):
    """What a worker says: how far it is, that it wants the next item, what came of all items since the last result."""

    kind: Kind
    content: Any = None


Tell = Callable[[Told], None]
Work = Callable[[int], None]
"""Do an item of work."""

Finish = Callable[[], None]
"""Tell the rest of the results."""

Make = Callable[[Tell], tuple[Work, Finish]]
"""What a worker makes for itself once it is a process of its own; it tells progress and results."""


class _Worker:
    """
    One process, and the parent's end of its pipe.

    *open_items* are those whose result is not here yet, or not all of it; *current* is the one at which it works.
    """

    def __init__(self, make: Make, others: Sequence["_Worker"]) -> None:
        context = get_context("fork")
        self.pipe, theirs = context.Pipe()
        inherited = [self.pipe, *(other.pipe for other in others)]
        self.process: ForkProcess = context.Process(target=_serve, args=(make, theirs, inherited), daemon=True)
        self.process.start()
        theirs.close()
        self.open_items: list[int] = []
        self.current: int | None = None


class Workers:
    """*jobs* processes that do the work that *make* makes; leave the block, and they are gone."""

    def __init__(self, make: Make, jobs: int) -> None:
        self._make = make
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._left: list[int] = []

    def __enter__(self) -> Self:
        # Ctrl-C is sent to all processes of a terminal, and only the parent answers it: a worker is born deaf. Nor does
        # it do what the parent does on SIGTERM.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ANSWERED)
        try:
            for _ in range(self._jobs):
                self._workers.append(_Worker(self._make, self._workers))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    @property
    def open_items(self) -> Iterator[int]:
        """The items whose results have not come yet."""
        yield from self._left
        for worker in self._workers:
            yield from worker.open_items

    def run(self, items: int) -> Iterator[Told]:
        """
        Do the items 0 to *items*, each given out to the first who is free; the progress and the results.

        Raises `WorkerError` if a worker dies, and what error a worker says.
        """
        self._left = list(range(items))[::-1]
        busy = {worker.pipe: worker for worker in self._workers}
        while busy:
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                worker = busy[pipe]
                told = self._heard(worker)
                if told is None:
                    del busy[pipe]
                elif told.kind == "next":
                    self._give(worker)
                elif told.kind == "error":
                    raise SourceError(*told.content)
                else:
                    if told.kind == "result":
                        worker.open_items = [] if worker.current is None else [worker.current]
                    yield told

    def _give(self, worker: _Worker) -> None:
        item = worker.current = self._left.pop() if self._left else None
        if item is not None:
            worker.open_items.append(item)
        try:
            worker.pipe.send_bytes(msgspec.msgpack.encode(item))
        except OSError:
            raise self._died(worker) from None

    def _heard(self, worker: _Worker) -> Told | None:
        """What *worker* says; None if it has ended, as it should."""
        try:
            return Told(*msgspec.msgpack.decode(worker.pipe.recv_bytes()))
        except (EOFError, OSError):  # the latter if it died in the middle of a word
            worker.process.join()
            if worker.process.exitcode or worker.open_items:
                raise self._died(worker) from None
            return None

    def _died(self, worker: _Worker) -> WorkerError:
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return WorkerError(f"a process of the replay {how}; nothing was counted", "was memory short? try fewer --jobs")


def _serve(make: Make, pipe: Connection, inherited: Sequence[Connection]) -> None:
    """What a worker does all its life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ANSWERED)
    # Only the parent may hold its ends, so that its workers see when it is gone.
    for end in inherited:
        end.close()

    def tell(told: Told) -> None:
        try:
            pipe.send_bytes(msgspec.msgpack.encode(told))
        except OSError:
            os._exit(1)  # the parent is gone, and nobody is left to be told

    def asked() -> int | None:
        try:
            return msgspec.msgpack.decode(pipe.recv_bytes(), type=int | None)
        except (EOFError, OSError):
            os._exit(1)

    try:
        work, finish = make(tell)
        tell(Told("next"))
        while (item := asked()) is not None:
            work(item)
            tell(Told("next"))
        finish()
    except ExtractorError as error:
        tell(Told("error", [error.message, error.hint]))
    except Exception as error:  # noqa: BLE001  # which would be a traceback among what the parent says
        tell(Told("error", [f"a process of the replay failed: {origin(error)}", "is it the same with --jobs 1?"]))
