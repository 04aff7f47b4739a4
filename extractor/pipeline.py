"""
Pieces of log files in, one state further on: decode, group, fold.

Events are first grouped by key, as raw numbers; `fold` turns the groups into updates and applies them. What costs per
series is so paid once per fold, not once per line. Nothing is visible in the state before it is folded.

Knows nothing of directories, HTTP or Prometheus.
"""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import NamedTuple, Protocol

from extractor.catalog import Pack
from extractor.columns import Columns, Places, RunIds
from extractor.derive import Plan, plans
from extractor.events import Event, Reason, Reject, lines_of, number_of, read_line
from extractor.fastpath import Batch, FastPath, FastType, Part
from extractor.gathering import Gathered, gather
from extractor.lines import Blob, Piece, TooLong, Unfinished
from extractor.prices import Prices
from extractor.sequences import Sequences
from extractor.state import State
from extractor.stats import Stats
from extractor.structs import Object
from extractor.updates import Update

FOLD_AFTER = 200_000
"""Events after which a reader should fold: enough to make the cost per series small, few enough to hold in memory."""


_NEAR = 32 << 20  # bytes behind
_TOGETHER = 64  # events of a type; fewer cost as much as so many


class Rejected(NamedTuple):
    """A line that is no event: its file and where it begins there, why, and the line (of a too long one, its head)."""

    path: str
    offset: int
    reject: Reject
    line: bytes


class Steps(Protocol):
    """Time cut into steps, each with a state of its own."""

    def step(self, time: float) -> int:
        """The step in which *time* lies."""
        ...

    def enter(self, step: int) -> State:
        """The state for the events of *step* that come now; the one before it has all of its own."""
        ...

    def bound(self, floor: float) -> None:
        """Keep memory bounded; no event that is still to come is far before *floor*."""
        ...


class Listener(Protocol):
    """Who is told of every update, once it is applied."""

    wanted: frozenset[str]
    """The metrics it wants to know the slots of."""

    def note(self, update: Update) -> None:
        """Take an update into account."""
        ...


class _Nobody:
    """Listens to nothing."""

    wanted: frozenset[str] = frozenset()

    def note(self, update: Update) -> None:
        """Take no note."""


class _Reader:
    """What the lines of one pack are read with."""

    def __init__(self, catalog_pack: Pack, pack_plans: dict[str, Plan]) -> None:
        self.pack = catalog_pack
        self.plans = pack_plans
        self.fast = FastPath(catalog_pack, pack_plans)
        self.columns = {name: _columns(plan) for name, plan in pack_plans.items()}
        self.runs: RunIds = Places()
        self._waiting: dict[str, tuple[FastType, list[Object]]] = {
            fast.plan.event.name: (fast, []) for fast in self.fast.types.values()
        }

    def put(self, part: Part) -> None:
        """Put events into their columns; those of a rare type together with more of it."""
        name = part.type.plan.event.name
        columns, (_, waiting) = self.columns[name], self._waiting[name]
        columns.slots.extend(part.slots)
        columns.times.extend(part.times)
        waiting += part.objects
        if len(waiting) >= _TOGETHER:
            self._take(name)
        else:
            part.type.name_runs(part.objects, self.runs)  # past a limit those that came first count

    def put_event(self, event: Event, slot: int) -> None:
        """Put an event of the exact path into its columns."""
        if event.type.name in self._waiting:
            self._take(event.type.name)  # rows are in the order in which they were read
        plan = self.plans[event.type.name]
        texts, marks = plan.texts_of(event.line), plan.marks_of(event.line)
        columns = self.columns[event.type.name]
        columns.add(plan.key(event.line), slot, event.time, plan.row(event.line), texts=texts, marks=marks)
        if self.pack.run is not None:
            columns.runs.append(self.runs[event.run])

    def finish(self) -> None:
        """Put everything that waits into its columns."""
        for name in self._waiting:
            self._take(name)

    def _take(self, name: str) -> None:
        fast, waiting = self._waiting[name]
        if waiting:
            fast.take(waiting, self.columns[name], self.runs)
            waiting.clear()


def _columns(plan: Plan) -> Columns:
    return Columns(len(plan.numbers), timed=plan.timed, texts=len(plan.texts), marks=len(plan.marks))


class Pipeline:
    """
    Reads pieces into *state* and counts in *stats*.

    *latest* tells the latest event time allowed now; *on_reject* is told of every line that is no event.
    Calls that do not say what they cost are priced by *prices*, or by the table alone.
    With *steps*, the state is each time the one of the step in which the events lie. A *listener* hears all updates.
    """

    def __init__(  # noqa: PLR0913  # each is a way in or out
        self,
        state: State,
        stats: Stats,
        latest: Callable[[], float] = lambda: inf,
        on_reject: Callable[[Rejected], None] = lambda _: None,
        *,
        steps: Steps | None = None,
        prices: Prices | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.state = state
        self._listener = listener or _Nobody()
        self._steps = steps
        self._prices = prices or Prices()
        self._step: int | None = None
        self.stats = stats
        self.sequences = Sequences()
        self.pending = 0
        self._gathered: list[Gathered] = []
        self._latest = latest
        self._on_reject = on_reject
        self._readers = {pack.name: _Reader(pack, plans(state.catalog, pack)) for pack in state.catalog.packs}
        stats.rejects.update(dict.fromkeys(map(str, Reason), 0))
        self._watermark = state.watermark  # ahead of the state's by what is not folded yet

    def feed(self, pack: Pack, path: str, pieces: Iterable[Piece]) -> None:
        """Read *pieces* of the file at *path*, whose lines are those of *pack*."""
        reader = self._readers[pack.name]
        for piece in pieces:
            if isinstance(piece, TooLong):
                self.stats.bytes_read += piece.length
                self.stats.lines_read += 1
                reject = Reject(Reason.TOO_LONG, "", f"the line has {piece.length} bytes")
                self._reject(Rejected(path, piece.offset, reject, piece.head))
            elif isinstance(piece, Unfinished):
                self.stats.lines_read += 1
                reject = Reject(Reason.NOT_JSON, "", "the file was rotated away within the line")
                self._reject(Rejected(path, piece.offset, reject, piece.data))
            else:
                self._read(reader, path, piece)

    def fold(self) -> None:
        """Bring everything read so far into the state."""
        self.gather()
        self.apply()

    def gather(self) -> None:
        """Make everything read so far ready for `apply`; nobody sees anything of it before."""
        for reader in self._readers.values():
            reader.finish()
            parts = [(plan, reader.columns[name]) for name, plan in reader.plans.items()]
            runs = list(reader.runs)
            self._gathered.append(gather(reader.pack, parts, runs, self.state, self._prices, self._by_slot()))
            reader.runs.clear()
            for _, columns in parts:
                columns.clear()

    def apply(self) -> None:
        """Bring everything gathered into the state."""
        self.state.advance(self._watermark)
        for gathered in self._gathered:
            self.stats.unpriced_calls(gathered.unpriced)
            gathered.apply(self.state, self._heard)
        self._gathered.clear()
        for update in self.state.sweep():
            self._listener.note(update)
        self.pending = 0

    def _by_slot(self) -> frozenset[str]:
        # Of a long past nobody wants to know; and where 32 MiB are but minutes, a fold is but seconds.
        return self._listener.wanted if self.stats.bytes_behind <= _NEAR else frozenset()

    def _heard(self, some: Iterable[Update]) -> Iterator[Update]:
        for update in some:
            yield update
            self._listener.note(update)  # now that it is applied

    def _read(self, reader: _Reader, path: str, blob: Blob) -> None:
        latest = self._latest()
        self.stats.bytes_read += len(blob.data)
        batch = reader.fast.decode(blob.data, latest)
        if batch is not None:
            self.stats.lines_read += len(batch.objects)
            self._number(reader.fast.numbers(batch.objects))
            self._take(reader, batch)
            return
        objects = []
        numbers: list[tuple[object, object]] = []
        for start, line in lines_of(blob.data):
            self.stats.lines_read += 1
            if not line.strip():
                self.stats.blank_lines += 1
            elif (item := reader.fast.decode_line(line, latest)) is not None:
                objects.append(item)
                numbers += reader.fast.numbers([item])
            else:
                self.stats.exact_lines += 1
                numbers.append(number_of(line, reader.pack))
                verdict = read_line(line, reader.pack, latest)
                if isinstance(verdict, Reject):
                    self._reject(Rejected(path, blob.offset + start, verdict, line))
                else:
                    self._take_event(reader, verdict)
        self._number(numbers)
        if objects:
            self._take(reader, Batch(objects))

    def _number(self, lines: Iterable[tuple[object, object]]) -> None:
        gaps, repeats = self.sequences.see(lines)
        self.stats.gaps += gaps
        self.stats.repeats += repeats

    def _take(self, reader: _Reader, batch: Batch) -> None:
        if self._steps is not None:
            within = self._steps.step
            if within(batch.earliest) != within(batch.latest):
                cut: dict[int, list[Object]] = {}
                for item, time in zip(batch.objects, batch.seconds(), strict=True):
                    cut.setdefault(within(time), []).append(item)
                for step in sorted(cut):
                    self._take(reader, Batch(cut[step]))
                return
            self._enter(self._steps, batch.earliest)
        self._seen(len(batch.objects), batch.earliest, batch.latest, batch.seconds)
        for part in reader.fast.by_type(batch, self.state.slot):
            reader.put(part)

    def _take_event(self, reader: _Reader, event: Event) -> None:
        if self._steps is not None:
            self._enter(self._steps, event.time)
        self._seen(1, event.time, event.time, lambda: [event.time])
        reader.put_event(event, self.state.slot(event.time))

    def _enter(self, steps: Steps, time: float) -> None:
        step = steps.step(time)
        if step != self._step:
            if self._step is not None:
                self.fold()
            self._step, self.state, self._watermark = step, steps.enter(step), -inf

    def _seen(self, events: int, earliest: float, latest: float, times: Callable[[], Iterable[float]]) -> None:
        self.stats.events += events
        self.pending += events
        late = self._watermark - self.state.window_seconds
        if earliest < late:
            self.stats.late_events += sum(1 for time in times() if time < late)
        self._watermark = max(self._watermark, latest)

    def _reject(self, rejected: Rejected) -> None:
        self.stats.rejects[rejected.reject.reason] += 1
        self._on_reject(rejected)
