"""
Pieces of log files in, one state further on: read, gather, merge.

A batch of lines is counted apart from the state, and merged into it when that went well. A batch that raises is
counted again in halves, until the line that raises stands alone: that one is a reject, and all others count. A merge
that raises leaves a state that must not be used any more (`MergeError`): its owner goes on from what was saved last,
with a pipeline that is `careful`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from math import inf

from extractor.cost.costs import Prices
from extractor.events.reader import Reason, lines_of
from extractor.ingest.counting import Counted, Counting, Fed, Reader, Rejected, Steps
from extractor.ingest.derive import plans
from extractor.ingest.isolation import Dead, isolated
from extractor.schema.model import Pack
from extractor.state.internal_errors import InternalErrors, origin
from extractor.state.state import State
from extractor.state.stats import Stats
from extractor.state.updates import Listener, Nobody, Update
from extractor.tail.line_buffer import Blob, Piece

__all__ = ["FOLD_AFTER", "MergeError", "Pipeline", "Rejected", "Steps"]

FOLD_AFTER = 200_000
"""Events after which a reader should fold: enough to make the cost per series small, few enough to hold in memory."""

_EVENT_BYTES = 256  # of a line, more or less
_NEAR = 32 << 20  # bytes behind


class MergeError(Exception):
    """What was counted could not be merged: the state is neither what it was nor what it should be."""


class Pipeline:
    """
    Reads pieces into *state* and counts in *stats*.

    *latest* tells the latest event time allowed now; *on_reject* is told of every line that is no event.
    Calls that do not say what they cost are priced by *prices*, or by the table alone.
    With *steps*, the state is each time the one of the step in which the events lie. A *listener* hears all updates.
    *errors* is told what was contained. While `careful` every batch is tried in a process of its own first. Unless
    *numbered*, the numbers of writers are not looked at: those of lines that were read before are known.
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
        errors: InternalErrors | None = None,
        careful: bool = False,
        numbered: bool = True,
    ) -> None:
        self.state = state
        self._numbered = numbered
        self.stats = stats
        self._sequences = state.sequences  # those of all steps are together
        self.careful = careful
        self._listener = listener or Nobody()
        self._steps = steps
        self._step: int | None = None
        self._prices = prices or Prices()
        self._latest = latest
        self._on_reject = on_reject
        self._errors = errors or InternalErrors(stats)
        self._readers = {pack.name: Reader(pack, plans(state.catalog, pack)) for pack in state.catalog.packs}
        stats.rejects.update(dict.fromkeys(map(str, Reason), 0))
        self._counting = self._new_counting(state.watermark)
        self._began_at = state.watermark
        self._batch: list[Fed] = []
        self._bytes = 0
        self._failure: Exception | None = None
        self._counted: list[Counted] = []

    @property
    def pending(self) -> int:
        """How many events are not in the state yet; enough for a fold if one must be made now."""
        if self._failure is not None:
            return FOLD_AFTER
        return self._bytes // _EVENT_BYTES if self.careful else self._counting.events

    @property
    def lines_read(self) -> int:
        """How many lines were read, also those that are not in `stats` yet."""
        return self.stats.lines_read + self._counting.stats.lines_read

    def feed(self, pack: Pack, path: str, pieces: Iterable[Piece], rank: int = 0) -> None:
        """Read *pieces* of the file at *path*, whose lines are those of *pack*; *rank* is the file's among all."""
        latest = self._latest()
        fed = [Fed(pack, path, piece, latest, rank) for piece in pieces]
        self._batch += fed
        self._bytes += sum(len(each.piece.data) for each in fed if isinstance(each.piece, Blob))
        if self._failure is not None or self.careful:
            return
        try:
            for each in fed:
                self._counting.read(each)
        except Exception as error:  # noqa: BLE001  # it is found out which line it was
            self._failure = error

    def hold(self, now: float, skew: float) -> bool:
        """As `State.hold`: whether a clock was ahead that has come back."""
        came_back = self.state.hold(now, skew)
        if came_back:
            self._counting.watermark = self._began_at = now
        return came_back

    def fold(self) -> None:
        """Bring everything read so far into the state."""
        self.gather()
        self.apply()

    def gather(self) -> None:
        """Make everything read ready for `apply`; nobody sees anything of it before, but the rejected lines."""
        if not self._batch:
            return
        batch, self._batch, self._bytes = self._batch, [], 0
        counted = self._gathered() if not self.careful else None
        if counted is None:
            self._failure = None
            self._counting = self._new_counting(self._began_at)
            for each in self._apart(batch):
                self._take(each)
        else:
            self._take(counted)
        self._began_at = max([self._began_at, *(latest for each in self._counted for _, latest, _ in each.parts)])

    def apply(self) -> None:
        """Bring everything gathered into the state. Raises `MergeError`."""
        counted, self._counted = self._counted, []
        try:
            self._merge(counted)
            self._settle()
        except Exception as error:
            raise MergeError(origin(error)) from error

    def _gathered(self) -> Counted | None:
        if self._failure is not None:
            return None
        try:
            return self._counting.gather()
        except Exception:  # noqa: BLE001  # it is found out which line it was
            return None

    def _take(self, counted: Counted) -> None:
        self._counted.append(counted)
        for rejected in counted.rejects:
            try:
                self._on_reject(rejected)
            except Exception as error:  # noqa: BLE001  # it is counted, but not kept
                self.stats.lost_rejects += 1
                self._errors.contain("rejects", error)

    def _merge(self, counted: Iterable[Counted]) -> None:
        for each in counted:
            self.stats.add(each.stats)
            for lines, slot in each.numbers if self._numbered else ():
                self._sequences.see(lines, slot)
            for step, latest, parts in each.parts:
                self._enter(step)
                self.state.advance(latest)
                for gathered in parts:
                    self.stats.unpriced_calls(gathered.unpriced)
                    gathered.apply(self.state, self._heard)

    def _settle(self) -> None:
        if self.careful:
            for pack in self.state.accounts:
                self._drop_unsettleable(pack)
        for update in self.state.sweep():
            self._note(update)
        self.stats.number(*self._sequences.take())

    def _drop_unsettleable(self, pack: str) -> None:
        """Drop the runs of *pack* that cannot be settled."""
        accounts = self.state.accounts[pack]

        def death(names: Collection[str] | None = None) -> str:
            def settle() -> None:
                if names is not None:
                    accounts.runs.known = {name: accounts.runs.known[name] for name in names}
                self.state.sweep()

            return isolated(settle)

        if death([]):  # whatever it is, it is no single run
            self._errors.contain("settle", Dead("calls and intervals cannot be decided"), f"the pack {pack!r}")
            accounts.forget_calls()
        while accounts.runs.known and (why := death()):
            names = list(accounts.runs.known)
            while len(names) > 1:
                half = len(names) // 2
                # Where neither half fails without the other, one of the two goes all the same.
                names = names[:half] if death(names[:half]) else names[half:]
            self._errors.contain("settle", Dead(why), f"the run {names[0]!r}")
            self.state.drop_run(pack, names[0])

    def _enter(self, step: int | None) -> None:
        if self._steps is not None and step is not None and step != self._step:
            self._step, self.state = step, self._steps.enter(step)

    def _heard(self, some: Iterable[Update]) -> Iterator[Update]:
        for update in some:
            yield update
            self._note(update)  # now that it is applied

    def _note(self, update: Update) -> None:
        try:
            self._listener.note(update)
        except Exception as error:  # noqa: BLE001  # trends are for people; counting goes on
            self._errors.contain("trends", error)

    def _apart(self, batch: Sequence[Fed]) -> list[Counted]:
        """What the lines of *batch* add, where counting them together fails or is not to be trusted."""
        done: list[Counted] = []
        waiting: list[list[Fed]] = [list(batch)]
        while waiting:
            fed = waiting.pop()
            try:
                counted = self._tried(fed, done)
            except Exception as error:  # noqa: BLE001  # whatever it is, one line must not take others with it
                lines = fed if len(fed) > 1 else list(_cut(fed[0]))
                if len(lines) > 1:
                    half = len(lines) // 2
                    waiting += [lines[half:], lines[:half]]
                    continue
                self._errors.contain("read", error, f"the line at byte {lines[0].piece.offset} of {lines[0].path}")
                counting = self._new_counting(self._began_at)
                counting.refuse(lines[0], f"it cannot be counted: {origin(error)}")
                counted = counting.gather()
            done.append(counted)
        return done

    def _tried(self, fed: Sequence[Fed], done: Sequence[Counted]) -> Counted:
        watermark = max([self._began_at, *(latest for each in done for _, latest, _ in each.parts)])

        def count() -> Counted:
            counting = self._new_counting(watermark, singly=True)
            for each in fed:
                counting.read(each)
            return counting.gather()

        def try_all() -> None:
            self._listener = Nobody()
            self._merge([*done, count()])

        if self.careful and (death := isolated(try_all)):
            raise Dead(death)
        return count()

    def _new_counting(self, watermark: float, *, singly: bool = False) -> Counting:
        return Counting(
            self._readers,
            self.state if self._steps is None else self._steps.like,
            self._prices,
            watermark=watermark,
            steps=self._steps,
            by_slot=partial(_by_slot, self._listener, self.stats),
            singly=singly,
        )


def _by_slot(listener: Listener, stats: Stats) -> frozenset[str]:
    # Of a long past nobody wants to know; and where 32 MiB are but minutes, a fold is but seconds.
    return listener.wanted if stats.bytes_behind <= _NEAR else frozenset()


def _cut(fed: Fed) -> Iterable[Fed]:
    """The lines of *fed*, one by one."""
    if not isinstance(fed.piece, Blob):
        return [fed]
    data, offset = fed.piece.data, fed.piece.offset
    begins = [start for start, _ in lines_of(data)]
    ends = [*begins[1:], len(data)]
    return [fed._replace(piece=Blob(data[begin:end], offset + begin)) for begin, end in zip(begins, ends, strict=True)]
