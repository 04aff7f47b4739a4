"""
Lines in, what they add out: a value apart from any state, which is merged into one whole or not at all.

Events are first grouped by key, as raw numbers; `Counting.gather` turns the groups into updates. What costs per series
is so paid once per batch, not once per line. Nothing here changes a state: whatever a line does to this code, what was
counted before stays as it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import NamedTuple, Protocol

from extractor.cost.costs import Prices
from extractor.events.reader import Event, Reason, Reject, lines_of, number_of, numbering, read_line
from extractor.ingest.columns import Columns, Places, RunIds
from extractor.ingest.derive import Plan
from extractor.ingest.fastpath import Batch, FastPath, FastType, Part
from extractor.ingest.gathering import Gathered, gather
from extractor.ingest.structs import Object
from extractor.schema.model import Pack
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.tail.line_buffer import Blob, Piece, TooLong, Unfinished

_TOGETHER = 64  # events of a type; fewer cost as much as so many


class Rejected(NamedTuple):
    """A line that is no event: its file and where it begins there, why, and the line (of a too long one, its head)."""

    path: str
    offset: int
    reject: Reject
    line: bytes


class Fed(NamedTuple):
    """Lines of one file as they were read: whose they are, the file's rank, and the latest event time allowed then."""

    pack: Pack
    path: str
    piece: Piece
    latest: float
    rank: int = 0


Numbered = Sequence[tuple[object, object]]
"""What lines say of their writers and their numbers."""


class Counted(NamedTuple):
    """
    What a batch of lines adds: to the counts of the extractor, to the numbers of writers, and to a state.

    *numbers* are writers and numbers with the slot of their lines, None where a line has no time. *parts* has, for each
    run of events that lie in one step (None without steps), what is added and the latest time.
    """

    stats: Stats
    numbers: list[tuple[Numbered, int | None]]
    rejects: list[Rejected]
    parts: list[tuple[int | None, float, list[Gathered]]]


class Steps(Protocol):
    """Time cut into steps, each with a state of its own."""

    @property
    def like(self) -> State:
        """A state like those of all steps; for how they cut time."""
        ...

    def step(self, time: float) -> int:
        """The step in which *time* lies."""
        ...

    def enter(self, step: int) -> State:
        """The state for the events of *step* that come now; the one before it has all of its own."""
        ...

    def bound(self, floor: float) -> None:
        """Keep memory bounded; no event that is still to come is far before *floor*."""
        ...


class Reader:
    """What the lines of one pack are read with; compiled once, and the same for every batch."""

    def __init__(self, pack: Pack, plans: Mapping[str, Plan]) -> None:
        self.pack = pack
        self.plans = plans
        self.fast = FastPath(pack, plans)


class _Rows:
    """The events of one pack that were read and are not gathered yet."""

    def __init__(self, reader: Reader) -> None:
        self._pack = reader.pack
        self._plans = reader.plans
        self.columns = {name: _columns(plan) for name, plan in reader.plans.items()}
        self.runs: RunIds = Places()
        self._waiting: dict[str, tuple[FastType, list[Object]]] = {
            fast.plan.event.name: (fast, []) for fast in reader.fast.types.values()
        }

    def put(self, part: Part, rank: int, offset: int) -> None:
        """Put events of a blob into their columns, which lies at *offset*; those of a rare type with more of it."""
        name = part.type.plan.event.name
        columns, (_, waiting) = self.columns[name], self._waiting[name]
        columns.slots.extend(part.slots)
        columns.times.extend(part.times)
        if columns.timed:
            columns.orders.extend(part.numbers, rank, [offset + begin for begin in part.offsets])
        waiting += part.objects
        if len(waiting) >= _TOGETHER:
            self._take(name)
        else:
            part.type.name_runs(part.objects, self.runs)  # past a limit those that came first count

    def put_event(self, event: Event, slot: int, rank: int, offset: int) -> None:
        """Put an event of the exact path, whose line is at *offset*, into its columns."""
        if event.type.name in self._waiting:
            self._take(event.type.name)  # rows are in the order in which they were read
        plan = self._plans[event.type.name]
        texts, marks = plan.texts_of(event.line), plan.marks_of(event.line)
        columns = self.columns[event.type.name]
        columns.add(plan.key(event.line), slot, event.time, plan.row(event.line), texts=texts, marks=marks)
        if columns.timed:
            columns.orders.extend([numbering(event.line, self._pack)], rank, [offset])
        if self._pack.run is not None:
            columns.runs.append(self.runs[event.run])

    def finish(self) -> list[tuple[Plan, Columns]]:
        """All columns, with everything in them that waited."""
        for name in self._waiting:
            self._take(name)
        return [(plan, self.columns[name]) for name, plan in self._plans.items()]

    def clear(self) -> None:
        """Forget the events."""
        self.runs.clear()
        for columns in self.columns.values():
            columns.clear()

    def _take(self, name: str) -> None:
        fast, waiting = self._waiting[name]
        if waiting:
            fast.take(waiting, self.columns[name], self.runs)
            waiting.clear()


def _columns(plan: Plan) -> Columns:
    return Columns(len(plan.numbers), timed=plan.timed, texts=len(plan.texts), marks=len(plan.marks))


class Counting:
    """
    Counts lines, read with *readers*, as *state* would have it, which stays as it is.

    Calls that do not say what they cost are priced by *prices*. *by_slot* says of which counters it matters what is of
    which slot. With *steps* events are told apart by the step in which they lie. With *singly* each line is looked at
    on its own: slower, but whatever a line does to the fast path, the exact path judges it. The *watermark* is the
    latest event time read.
    """

    def __init__(  # noqa: PLR0913  # what a line is judged and counted by
        self,
        readers: Mapping[str, Reader],
        state: State,
        prices: Prices,
        *,
        watermark: float,
        steps: Steps | None = None,
        by_slot: Callable[[], frozenset[str]] = frozenset,
        singly: bool = False,
    ) -> None:
        self._readers = readers
        self._state = state
        self._prices = prices
        self._steps = steps
        self._by_slot = by_slot
        self._singly = singly
        self._rows = {name: _Rows(reader) for name, reader in readers.items()}
        self.watermark = watermark
        self._begin()

    @property
    def events(self) -> int:
        """How many events were read and are not gathered yet."""
        return self.stats.events

    def read(self, fed: Fed) -> None:
        """Read lines; they are in what `gather` gives next."""
        piece = fed.piece
        if isinstance(piece, TooLong):
            self.stats.bytes_read += piece.length
            self.stats.lines_read += 1
            reject = Reject(Reason.TOO_LONG, "", f"the line has {piece.length} bytes")
            self._reject(Rejected(fed.path, piece.offset, reject, piece.head))
        elif isinstance(piece, Unfinished):
            self.stats.lines_read += 1
            reject = Reject(Reason.NOT_JSON, "", "the file was rotated away within the line")
            self._reject(Rejected(fed.path, piece.offset, reject, piece.data))
        else:
            self._read(fed, piece)

    def refuse(self, fed: Fed, why: str) -> None:
        """Reject the one line in *fed*, which cannot be counted, without looking at it."""
        piece = fed.piece
        data = piece.head if isinstance(piece, TooLong) else piece.data
        self.stats.bytes_read += piece.length if isinstance(piece, TooLong) else len(piece.data)
        self.stats.lines_read += 1
        line = data.rstrip(b"\r\n")
        with suppress(Exception):  # a rejected line is not a lost one, if its number can be told
            self._numbers.append(([number_of(line, fed.pack)], None))
        self._reject(Rejected(fed.path, piece.offset, Reject(Reason.INTERNAL, "", why), line))

    def gather(self) -> Counted:
        """What everything read since this was asked last adds."""
        self._close_step()
        counted = Counted(self.stats, self._numbers, self._rejects, self._parts)
        self._begin()
        return counted

    def _begin(self) -> None:
        self.stats = Stats()
        self._numbers: list[tuple[Numbered, int | None]] = []
        self._rejects: list[Rejected] = []
        self._parts: list[tuple[int | None, float, list[Gathered]]] = []
        self._step: int | None = None
        self._latest = -inf

    def _close_step(self) -> None:
        if self._latest == -inf:
            return
        gathered = []
        for name, rows in self._rows.items():
            pack = self._readers[name].pack
            parts = rows.finish()
            gathered.append(gather(pack, parts, list(rows.runs), self._state, self._prices, self._by_slot()))
            rows.clear()
        self._parts.append((self._step, self._latest, gathered))
        self._latest = -inf

    def _read(self, fed: Fed, blob: Blob) -> None:
        reader = self._readers[fed.pack.name]
        self.stats.bytes_read += len(blob.data)
        batch = None if self._singly else reader.fast.decode(blob.data, fed.latest)
        if batch is not None:
            self.stats.lines_read += len(batch.objects)
            self._number(reader, batch)
            self._take(reader, batch, fed.rank, blob.offset)
            return
        objects, offsets = [], []
        for start, line in lines_of(blob.data):
            self.stats.lines_read += 1
            if not line.strip():
                self.stats.blank_lines += 1
            elif (item := self._decoded(reader, line, fed.latest)) is not None:
                objects.append(item)
                offsets.append(start)
            else:
                self.stats.exact_lines += 1
                verdict = read_line(line, reader.pack, fed.latest)
                if isinstance(verdict, Reject):
                    self._numbers.append(([number_of(line, reader.pack)], None))
                    self._reject(Rejected(fed.path, blob.offset + start, verdict, line))
                else:
                    slot = self._state.slot(verdict.time)
                    self._numbers.append(([numbering(verdict.line, reader.pack)], slot))
                    self._take_event(reader, verdict, fed.rank, blob.offset + start)
        if objects:
            batch = Batch(objects, offsets)
            self._number(reader, batch)
            self._take(reader, batch, fed.rank, blob.offset)

    def _decoded(self, reader: Reader, line: bytes, latest: float) -> Object | None:
        """The event of *line* by the fast path; None if the exact path has to judge it."""
        item = reader.fast.decode_line(line, latest)
        return None if item is not None and self._singly and reader.fast.has_tiny(item) else item

    def _number(self, reader: Reader, batch: Batch) -> None:
        if reader.pack.sequence is None:
            return
        first = self._state.slot(batch.earliest)
        if first == self._state.slot(batch.latest):
            self._numbers.append((reader.fast.numbers(batch.objects), first))
            return
        by_slot: dict[int, list[Object]] = {}
        for item, time in zip(batch.objects, batch.seconds(), strict=True):
            by_slot.setdefault(self._state.slot(time), []).append(item)
        self._numbers += [(reader.fast.numbers(objects), slot) for slot, objects in by_slot.items()]

    def _take(self, reader: Reader, batch: Batch, rank: int, offset: int) -> None:
        if self._steps is not None:
            within = self._steps.step
            if within(batch.earliest) != within(batch.latest):
                cut: dict[int, tuple[list[Object], list[int]]] = {}
                for item, begin, time in zip(batch.objects, batch.offsets, batch.seconds(), strict=True):
                    objects, offsets = cut.setdefault(within(time), ([], []))
                    objects.append(item)
                    offsets.append(begin)
                for step in sorted(cut):
                    self._take(reader, Batch(*cut[step]), rank, offset)
                return
            self._enter(within(batch.earliest))
        self._seen(len(batch.objects), batch.earliest, batch.latest, batch.seconds)
        for part in reader.fast.by_type(batch, self._state.slot):
            self._rows[reader.pack.name].put(part, rank, offset)

    def _take_event(self, reader: Reader, event: Event, rank: int, offset: int) -> None:
        if self._steps is not None:
            self._enter(self._steps.step(event.time))
        self._seen(1, event.time, event.time, lambda: [event.time])
        self._rows[reader.pack.name].put_event(event, self._state.slot(event.time), rank, offset)

    def _enter(self, step: int) -> None:
        if step != self._step:
            self._close_step()
            self._step, self.watermark = step, -inf

    def _seen(self, events: int, earliest: float, latest: float, times: Callable[[], Iterable[float]]) -> None:
        self.stats.events += events
        self.stats.earliest = min(self.stats.earliest, earliest)
        late = self.watermark - self._state.window_seconds
        if earliest < late:
            self.stats.late_events += sum(1 for time in times() if time < late)
        self.watermark = max(self.watermark, latest)
        self._latest = max(self._latest, latest)

    def _reject(self, rejected: Rejected) -> None:
        self.stats.rejects[rejected.reject.reason] += 1
        self._rejects.append(rejected)
