"""
A blob of lines in, typed objects out at once: an optimistic path beside the exact one.

Where an event's schema can be said as a msgspec Struct (`structs`), a whole blob is decoded and validated in one call.
That is what makes the extractor fast: parsing, validating and picking out the fields of a line costs less than
`orjson.loads` of it alone. The path may only *accept*, and only what the exact path (`events`) would accept; what it
refuses is judged again there, line by line, and only there rejected.

Knows nothing of metrics or files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from extractor.catalog import Pack
from extractor.derive import Key, Plan, Row, run_fields
from extractor.pointers import Pointer
from extractor.runs import Sighting
from extractor.structs import Beyond, Decoder, Object, everywhere, property_names, struct_of

Groups = dict[Key, list[Row]]
Raw = datetime | float
"""An event's time as decoded: RFC 3339 or epoch seconds."""


class Seen:
    """
    When each run was last seen, in each epoch: the run's id and the values of the run fields, to the time as decoded.

    *epoch_of* numbers the epochs of time. That a run was seen in an epoch is never lost (see `runs`).
    """

    def __init__(self, epoch_of: Callable[[float], int]) -> None:
        self._epoch_of = epoch_of
        self._last: dict[int, dict[tuple[Any, ...], Any]] = {}
        self._latest: Any = None

    def see(self, runs: Sequence[tuple[Any, ...]], batch: "Batch") -> None:
        """Note one event for each of *runs*, at the times of *batch*."""
        epoch = self._epoch_of(batch.earliest)
        if epoch == self._epoch_of(batch.latest) and self._in_order(batch.times):
            self._last.setdefault(epoch, {}).update(zip(runs, batch.times, strict=True))
            return
        for run, time in zip(runs, batch.times, strict=True):
            last = self._last.setdefault(self._epoch_of(seconds(time)), {})
            if run not in last or seconds(last[run]) < seconds(time):
                last[run] = time

    def taken(self, *, end: bool = False) -> Iterator[Sighting]:
        """What was seen, of events that *end* their run or of any; after that, nothing was."""
        for last in self._last.values():
            for (run, *fields), time in last.items():
                if run is not None:
                    yield Sighting(run, seconds(time), tuple(fields), end)
        self._last.clear()

    def _in_order(self, times: Sequence[Any]) -> bool:
        # If the times ascend, from where the last ones ended, then the last sighting of a run is its latest.
        try:
            ascending = sorted(times) == times and (self._latest is None or self._latest <= times[0])
            self._latest = times[-1] if ascending else max(self._latest or times[0], *times)
        except TypeError:  # both ways of writing a time
            return False
        return ascending


class FastType:
    """One event type as a Struct, with the loop that is specialised for it."""

    def __init__(self, plan: Plan, pack: Pack) -> None:
        self.plan = plan
        if any(len(pointer) > 1 for pointer in (*plan.keys, *plan.numbers, *run_fields(pack))):
            raise Beyond
        names: dict[Pointer, str] = {(name,): f"f{place}" for place, name in enumerate(property_names(plan.event))}
        shared = everywhere(pack)
        own = {pointer: shared.get(pointer, name) for pointer, name in names.items()}
        self.struct = struct_of(plan.event, pack, own)
        self.group = _group_loop(plan, own) if plan.feeds else None


class Batch:
    """The events of a blob, and the span of their times in seconds since the epoch."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = objects
        self.times = _times(objects)
        try:
            self.earliest, self.latest = seconds(min(self.times)), seconds(max(self.times))
        except TypeError:  # both ways of writing a time in one blob
            numbers = self.seconds()
            self.earliest, self.latest = min(numbers), max(numbers)

    def seconds(self) -> list[float]:
        """The time of each event, in seconds since the epoch."""
        return [seconds(time) for time in self.times]


class Part(NamedTuple):
    """Events of one type, each with its slot beside it."""

    type: FastType
    objects: Sequence[Object]
    slots: Iterable[int]


class FastPath:
    """The event types of one pack that a Struct can say."""

    def __init__(self, pack: Pack, plans: Mapping[str, Plan]) -> None:
        self.types: dict[type[Object], FastType] = {}
        for plan in plans.values():
            try:
                fast = FastType(plan, pack)
            except Beyond:
                continue
            self.types[fast.struct] = fast
        names = everywhere(pack)
        self._runs = _loop([name for pointer, name in names.items() if pointer in (pack.run, *run_fields(pack))])
        self._numbers = _loop([names[pack.sequence.writer], names[pack.sequence.number]]) if pack.sequence else None
        self._decoder = Decoder(self.types, pack) if self.types else None

    def decode(self, blob: bytes, latest: float) -> Batch | None:
        """
        All events of *blob*, which is whole lines; None unless every one of its lines is accepted.

        *latest* is the latest time allowed, in seconds since the epoch.
        """
        if self._decoder is None or not _is_utf_8(blob):
            return None
        if b"\r" in blob:
            blob = blob.replace(b"\r\n", b"\n")
        lines = _object_lines(blob)
        if not lines:
            return None
        objects = self._decoder.lines(blob)
        return _checked(objects, latest) if objects is not None and len(objects) == lines else None

    def decode_line(self, line: bytes, latest: float) -> Object | None:
        """The event of one *line*, without its newline; None unless it is accepted."""
        if self._decoder is None or not _is_utf_8(line):
            return None
        decoded = self._decoder.line(line)
        return decoded if decoded is not None and _checked([decoded], latest) else None

    def runs(self, objects: Sequence[Object]) -> list[tuple[Any, ...]]:
        """The run's id, None if it has none, and the run fields of each of *objects*."""
        return self._runs(objects)

    def numbers(self, objects: Sequence[Object]) -> list[tuple[Any, ...]]:
        """The writer and the number of each of *objects*, as far as it has them."""
        return self._numbers(objects) if self._numbers is not None else []

    def by_type(self, batch: Batch, slot_of: Callable[[float], int]) -> Iterator[Part]:
        """The events of each type, each with the slot of its time."""
        objects: dict[type[Object], list[Object]] = {struct: [] for struct in self.types}
        put = {struct: kept.append for struct, kept in objects.items()}
        for item in batch.objects:
            put[type(item)](item)
        first = slot_of(batch.earliest)
        one_slot = first == slot_of(batch.latest)
        for struct, kept in objects.items():
            if kept:
                # Most blobs lie within one slot, and then no time of a single line needs to be converted.
                slots = repeat(first) if one_slot else [slot_of(seconds(time)) for time in _times(kept)]
                yield Part(self.types[struct], kept, slots)


def _times(objects: Iterable[Any]) -> list[Any]:
    return [item.time for item in objects]


def _checked(objects: Sequence[Object], latest: float) -> Batch | None:
    batch = Batch(objects)
    return batch if batch.latest <= latest else None


def seconds(time: Raw) -> float:
    """*time* in seconds since the epoch."""
    return time.timestamp() if isinstance(time, datetime) else time


def _object_lines(blob: bytes) -> int:
    """
    How many lines *blob* has, if each begins with { and ends with }; else 0.

    decode_lines takes two objects on one line, and one object on two lines. But between } and { JSON wants a comma, so
    that here no object can go on over a newline; and two on one line are then one too many. numpy, because counting a
    substring of three bytes takes as long as parsing a third of them (300 against 60 ns a line).
    """
    data = np.frombuffer(blob, dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    if not len(ends) or ends[0] == 0 or ends[-1] != len(data) - 1 or data[0] != ord("{"):
        return 0
    whole = (data[ends - 1] == ord("}")).all() and (data[ends[:-1] + 1] == ord("{")).all()
    return len(ends) if whole else 0


def _is_utf_8(data: bytes) -> bool:
    # msgspec does not look at strings that it skips.
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# The two loops below run once for every line. As generated code, with the attributes spelled out, they take half the
# time of attrgetter or getattr (43 against 76 ns for four attributes); the names in them are our own f0, f1, ….


def _group_loop(plan: Plan, names: Mapping[Pointer, str]) -> Callable[..., None]:
    """`loop(objects, slots, groups)`: put the row of each object under its key."""
    keys = "".join(f"{_attribute(pointer, names)}, " for pointer in plan.keys)
    row = ["s", *(_attribute(pointer, names) for pointer in plan.numbers), *(["seconds(o.time)"] if plan.timed else [])]
    source = (
        "def loop(objects, slots, groups):\n"
        "    for o, s in zip(objects, slots):\n"
        f"        groups[({keys})].append(({', '.join(row)},))\n"
    )
    scope: dict[str, Any] = {"seconds": seconds}
    exec(source, scope)  # noqa: S102
    loop: Callable[..., None] = scope["loop"]
    return loop


def _loop(names: Sequence[str]) -> Callable[[Sequence[Object]], list[tuple[Any, ...]]]:
    """`loop(objects)`: these attributes of each object, of whatever type."""
    wanted = "".join(f"o.{name}, " for name in names) or "None,"
    loop: Callable[[Sequence[Object]], list[tuple[Any, ...]]] = eval(f"lambda objects: [({wanted}) for o in objects]")  # noqa: S307
    return loop


def _attribute(pointer: Pointer, names: Mapping[Pointer, str]) -> str:
    return f"o.{names[pointer]}" if pointer in names else "None"
