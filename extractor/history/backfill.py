"""
Compute the samples of log files at every step of the past, as if they had been scraped at the time.

All input is read first, in any order, and samples are then written in the order of time. While there are events, every
series has a sample at every step. After an hour without any event there is a gap, up to the step before the next event,
so that a single event with a wrong time, years ago, does not produce years of samples.
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
    """Destination of samples."""

    def write(self, text: str) -> None:
        """Write metadata, before the first sample."""
        ...

    def add(self, at: int, text: str, /) -> None:
        """Write samples, whole lines of *text*, all at the time *at*, in seconds; *at* must not decrease."""
        ...


class Written(NamedTuple):
    """What was written: the numbers of samples and series, and the first and last time in seconds since the epoch."""

    samples: int
    series: int
    first: int
    last: int


class Backfill:
    """
    The backfill of the files of *options* in steps of *seconds*; its series get *labels* in addition to their own.

    Values beyond *held* bytes are stored in a temporary file. Raises `OutputError` if a metric already has one of
    *labels*.
    """

    def __init__(  # input, output and memory limit
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
        """Read all input; *progress* is called with what was read since its last call."""
        return self._replay.run(progress, self._steps)

    @property
    def parts(self) -> int:
        """Number of parts to write, as far as input is read."""
        return self._spill.values

    def write(self, output: Output, progress: Callable[[int], None] = lambda _: None) -> Written | None:
        """
        Write all samples to *output*; return None if there was no event.

        *progress* is called with the number of `parts` written so far.
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
        """Yield all samples: their time in seconds since the epoch, their lines, and the number of lines."""

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
    """Return the steps without an event, between *last* and *step*, that have samples."""
    if last is None:
        return ()
    if step - last - 1 <= patience:
        return range(last + 1, step)
    return chain(range(last + 1, last + 1 + patience), (step - 1,))
