"""
Log files in, their samples at every step of the past out, as if they had been scraped all along.

Everything is read first, whatever its order, and then written in the order of time. While history goes on every series
has a sample at every step. After an hour without any event there is a pause, up to the step before the next event; so
one event with a wrong time, years ago, does not bring years of samples with it.

Knows nothing of text formats, terminals or where the samples go.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, Protocol

from extractor.errors import OutputError
from extractor.history.external_sort import HELD, Spill
from extractor.history.reader import Read
from extractor.history.replay import Options, Replay, Replayed
from extractor.history.steps import Steps
from extractor.history.timeline import Timeline
from extractor.schema.model import Catalog
from extractor.state.state import State

_NO_LABELS: Mapping[str, str] = MappingProxyType({})

_PATIENCE = 3600
"""Seconds without an event after which samples pause."""


class Output(Protocol):
    """Where samples go."""

    def write(self, text: str) -> None:
        """Say what holds for all samples; for before the first of them."""
        ...

    def add(self, at: int, text: str, /) -> None:
        """Add samples, whole lines of *text*, all at the time *at*, which is not earlier than those before."""
        ...


class Written(NamedTuple):
    """What was written: from the first to the last sample, in seconds since the epoch; nothing if there is no event."""

    samples: int
    series: int
    first: int
    last: int


class Backfill:
    """
    The backfill of the files of *options* in steps of *seconds*; its series get *labels* besides their own.

    What does not fit into *held* bytes waits in a temporary file.
    """

    def __init__(  # what is read, how it is written, and what it may take
        self,
        catalog: Catalog,
        options: Options,
        *,
        seconds: int,
        labels: Mapping[str, str] = _NO_LABELS,
        held: int = HELD,
    ) -> None:
        own = {name for metric in catalog.metrics.values() for name in metric.label_names} | {"le", "quantile"}
        if taken := sorted(own & labels.keys()):
            raise OutputError(f"{taken[0]} is a label of the metrics themselves", "give another name")
        self._labels = labels
        window, timeout, linger = options.window, options.run_timeout, options.run_linger
        self._catalog = catalog
        self._replay = Replay(catalog, options)
        self._seconds = seconds
        self._spill = Spill(held)
        self._steps = Steps(catalog, seconds, self._spill, window_seconds=window, run_timeout=timeout)
        self._state = State(catalog, window_seconds=window, run_timeout=timeout, run_linger=linger)
        self.total_bytes = self._replay.total_bytes

    def read(self, progress: Callable[[Read], None] = lambda _: None) -> Replayed:
        """Read everything; *progress* is told how much was read since it was told last."""
        return self._replay.run(progress, self._steps)

    @property
    def parts(self) -> int:
        """How many parts there are to write, as far as is read."""
        return self._spill.values

    def write(self, output: Output, progress: Callable[[int], None] = lambda _: None) -> Written | None:
        """
        Write all samples to *output*; None if there was no event.

        *progress* is told how many of `parts` are done.
        """
        from extractor.exposition.text import metadata  # noqa: PLC0415  # prometheus-client takes 50 ms to import

        timeline = Timeline(self._state, self._labels)
        output.write(metadata(self._catalog))
        samples, last, first = 0, 0, None
        for last, text, lines in self._samples(timeline):
            output.add(last, text)
            progress(self._spill.given)
            samples += lines
            first = last if first is None else first
        return None if first is None else Written(samples, timeline.samples, first, last)

    def _samples(self, timeline: Timeline) -> Iterator[tuple[int, str, int]]:
        """All samples: their time in seconds since the epoch, their lines, and how many these are."""

        def now(step: int) -> tuple[int, str, int]:
            return step * self._seconds, timeline.at(step * self._seconds), timeline.samples

        last: int | None = None  # step with an event
        for step, added in self._steps.changes():
            yield from map(now, _between(last, step, _PATIENCE // self._seconds))
            before = (step - 1) * self._seconds
            if born := timeline.add(added, before):
                yield before, born, born.count("\n")
            yield now(step)
            last = step
        if last is not None and (settled := timeline.end(last * self._seconds)) is not None:
            yield last * self._seconds, settled, settled.count("\n")
            yield now(last + 1)


def _between(last: int | None, step: int, patience: int) -> Iterable[int]:
    """The steps without an event from the one after *last* to the one before *step* that have samples."""
    if last is None:
        return ()
    if step - last - 1 <= patience:
        return range(last + 1, step)
    return chain(range(last + 1, last + 1 + patience), (step - 1,))
