"""
A blob of lines in, typed objects out at once: an optimistic path beside the exact one.

Where an event's schema can be said as a msgspec Struct (`ingest.structs`), a whole blob is decoded and validated in one
call. That is what makes the extractor fast: parsing, validating and picking out the fields of a line costs less than
`orjson.loads` of it alone. The path may only *accept*, and only what the exact path (`events.reader`) would accept;
what it refuses is judged again there, line by line, and only there rejected.

Knows nothing of metrics or files.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from extractor.events.number_range import is_in_range
from extractor.events.reader import DEEP, is_deep
from extractor.ingest.columns import Columns, RunIds, Texts, floats, integers
from extractor.ingest.derive import Plan
from extractor.ingest.structs import Beyond, Decoder, Object, everywhere, property_names, struct_of
from extractor.schema.conditions import mark_text
from extractor.schema.model import Condition, Pack
from extractor.schema.pointer import Pointer
from extractor.schema.run_specs import run_fields

_SCARCE = 8  # one byte in so many; if there are more that are not ASCII, it is faster to look at all of them together
_HIGH, _MARK, _CONTINUED = 0x80, 0xC0, 0x80  # bytes of UTF-8: not ASCII; and those within a character

Raw = datetime | float
"""An event's time as decoded: RFC 3339 or epoch seconds."""
Tuple = tuple[Any, ...]


class FastType:
    """One event type as a Struct, with the loop that is specialised for it."""

    def __init__(self, plan: Plan, pack: Pack) -> None:
        self.plan = plan
        tested = [item.pointer for item in plan.tests]
        pointers = (*plan.keys, *plan.numbers, *plan.texts, *plan.marks, *tested, *run_fields(pack))
        if any(len(pointer) > 1 for pointer in pointers):
            raise Beyond
        names: dict[Pointer, str] = {(name,): f"f{place}" for place, name in enumerate(property_names(plan.event))}
        shared = everywhere(pack)
        own = {pointer: shared.get(pointer, name) for pointer, name in names.items()}
        # A column of numbers is filled faster with NaN than with None, unless a test would take it for a value.
        asked = {item.pointer for item in plan.tests if item.present or None in (item.values or ())}
        numbers = set(plan.numbers) - set(plan.keys) - asked - set(shared)
        self.struct = struct_of(plan.event, pack, own, numbers=numbers, texts=plan.texts)
        self._run = shared.get(pack.run) if pack.run else None
        self._numbers = [own[pointer] for pointer in plan.numbers if pointer in own]
        self.take = _take_loop(plan, own, self._run)

    def has_tiny(self, item: Object) -> bool:
        """Whether a number of *item* is too small to be added up."""
        numbers = (getattr(item, name) for name in self._numbers)
        return any(number is not None and not isnan(number) and not is_in_range(number) for number in numbers)

    def name_runs(self, objects: Iterable[Object], runs: RunIds) -> None:
        """Give the runs of *objects* their places among *runs*."""
        if self._run is not None:
            for item in objects:
                runs[getattr(item, self._run)]  # asking for a place gives it


class Batch:
    """The events of a blob, where their lines begin in it, and the span of their times in seconds since the epoch."""

    def __init__(self, objects: Sequence[Object], offsets: Sequence[int]) -> None:
        self.objects = objects
        self.offsets = offsets
        self.times = _times(objects)
        try:
            ordered = sorted(self.times)  # mostly they are: then this costs less than min and max
        except TypeError:  # both ways of writing a time in one blob
            ordered = sorted(self.seconds())
        self.earliest, self.latest = seconds(ordered[0]), seconds(ordered[-1])

    def seconds(self) -> list[float]:
        """The time of each event, in seconds since the epoch."""
        return [seconds(time) for time in self.times]


class Part(NamedTuple):
    """
    Events of one type, the slot of each, and where its line begins.

    If the type is timed, also the *times* in seconds since the epoch, and what each says of its writer and its number.
    """

    type: FastType
    objects: Sequence[Object]
    slots: "array[int]"
    offsets: Sequence[int]
    times: "array[float]"
    numbers: Sequence[tuple[object, object]]


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
        self._numbers = _loop(["writer", "number"], "writer") if pack.sequence else None
        self._every_number = _loop(["writer", "number"]) if pack.sequence else None
        self._decoder = Decoder(self.types, pack) if self.types else None

    def decode(self, blob: bytes, latest: float) -> Batch | None:
        """
        All events of *blob*, which is whole lines; None unless every one of its lines is accepted.

        *latest* is the latest time allowed, in seconds since the epoch.
        """
        if self._decoder is None:
            return None
        if b"\r" in blob:
            blob = blob.replace(b"\r\n", b"\n")
        offsets = _object_lines(blob)
        if not offsets:
            return None
        objects = self._decoder.lines(blob)
        return _checked(objects, offsets, latest) if objects is not None and len(objects) == len(offsets) else None

    def decode_line(self, line: bytes, latest: float) -> Object | None:
        """The event of one *line*, without its newline; None unless it is accepted."""
        if self._decoder is None or not _is_utf_8(line) or is_deep(line):
            return None
        decoded = self._decoder.line(line)
        return decoded if decoded is not None and _checked([decoded], [0], latest) else None

    def has_tiny(self, item: Object) -> bool:
        """Whether a number of *item* is too small to be added up."""
        return self.types[type(item)].has_tiny(item)

    def numbers(self, objects: Sequence[Object]) -> list[tuple[Any, ...]]:
        """The writer and the number of each of *objects*, in their order; of those without a writer, nothing."""
        return self._numbers(objects) if self._numbers is not None else []

    def _pairs(self, objects: Sequence[Object]) -> Sequence[tuple[object, object]]:
        """The writer and the number of each of *objects*."""
        return self._every_number(objects) if self._every_number is not None else [(None, None)] * len(objects)

    def by_type(self, batch: Batch, slot_of: Callable[[float], int]) -> Iterator[Part]:
        """The events of each type, each with the slot of its time."""
        grouped: defaultdict[type[Object], tuple[list[Object], list[int]]] = defaultdict(lambda: ([], []))
        for item, offset in zip(batch.objects, batch.offsets, strict=True):
            objects, offsets = grouped[type(item)]
            objects.append(item)
            offsets.append(offset)
        first = slot_of(batch.earliest)
        one_slot = first == slot_of(batch.latest)
        for struct, (kept, offsets) in grouped.items():
            # Most blobs lie within one slot, and then no time of a single line needs to be converted.
            slots = [first] if one_slot else [slot_of(seconds(time)) for time in _times(kept)]
            timed = self.types[struct].plan.timed
            yield Part(
                self.types[struct],
                kept,
                array("q", slots) * (len(kept) if one_slot else 1),
                offsets,
                _exact(_times(kept)) if timed else array("d"),
                self._pairs(kept) if timed else (),
            )


def _times(objects: Iterable[Any]) -> list[Any]:
    return [item.time for item in objects]


def _checked(objects: Sequence[Object], offsets: Sequence[int], latest: float) -> Batch | None:
    batch = Batch(objects, offsets)
    return batch if batch.earliest >= 0 and batch.latest <= latest else None


def seconds(time: Raw) -> float:
    """*time* in seconds since the epoch."""
    return time.timestamp() if isinstance(time, datetime) else time


def _exact(times: Sequence[Any]) -> "array[float]":
    """*times* in seconds since the epoch."""
    try:
        return array("d", [time.timestamp() for time in times])
    except AttributeError:  # they are seconds since the epoch, at least one
        return array("d", map(seconds, times))


def _object_lines(blob: bytes) -> list[int]:
    """
    Where the lines of *blob* begin, if it is UTF-8 and each begins with { and ends with }; else nothing.

    decode_lines takes two objects on one line, and one object on two lines. But between } and { JSON wants a comma, so
    that here no object can go on over a newline; and two on one line are then one too many. numpy, because counting a
    substring of three bytes takes as long as parsing a third of them (300 against 60 ns a line).
    """
    data = np.frombuffer(blob, dtype=np.uint8)
    # One look at all bytes, for the ends of lines and for what is not ASCII: as signed numbers both are small.
    marked = (data.view(np.int8) <= ord("\n")).nonzero()[0]
    found = data[marked]
    is_end = found == ord("\n")
    ends = marked[is_end]
    if len(ends) < len(marked) and not _are_utf_8(blob, marked, found):
        return []
    if not len(ends) or ends[0] == 0 or ends[-1] != len(data) - 1 or data[0] != ord("{"):
        return []
    whole = (data[ends - 1] == ord("}")).all() and (data[ends[:-1] + 1] == ord("{")).all()
    # Only a long line can be deep, and mostly no line is long.
    is_long = ends[0] > 2 * DEEP or (len(ends) > 1 and (ends[1:] - ends[:-1]).max() > 2 * DEEP)
    if not whole or (is_long and any(map(is_deep, blob.split(b"\n")))):
        return []
    begins: list[int] = (ends[:-1] + 1).tolist()
    return [0, *begins]


def _are_utf_8(blob: bytes, places: NDArray[np.intp], found: NDArray[np.uint8]) -> bool:
    """Whether *blob* is UTF-8; *found* at *places* are all of its bytes that are not ASCII, and others."""
    if len(places) > len(blob) // _SCARCE:
        return _is_utf_8(blob)
    # They are if they are without all that lies between them, as long as it lies between characters.
    high = found >= _HIGH
    places, found = places[high], found[high]
    goes_on = (found[1:] & _MARK) == _CONTINUED
    return _is_utf_8(found.tobytes()) and bool((places[1:] - places[:-1] == 1)[goes_on].all())


def _is_utf_8(data: bytes) -> bool:
    # msgspec does not look at strings that it skips.
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# The loops below run once for every line. As generated code, with the attributes spelled out, they take half the
# time of attrgetter or getattr (43 against 76 ns for four attributes); the names in them are our own f0, f1, ….


def _take_loop(
    plan: Plan, names: Mapping[Pointer, str], run: str | None
) -> Callable[[Sequence[Object], Columns, RunIds], None]:
    """`take(objects, columns, runs)`: add the key, the numbers and the run of each object to the columns."""
    scope: dict[str, Any] = {"integers": integers, "floats": floats, "extend": _extend}
    tests = [_test(item, _attribute(item.pointer, names), scope) for item in plan.tests]
    key = "".join(f"{part}, " for part in [*(_attribute(pointer, names) for pointer in plan.keys), *tests])
    lines = [f"columns.places.frombytes(integers([keys[({key})] for o in objects]))"]
    for place, pointer in enumerate(plan.numbers):
        lines.append(f"columns.numbers[{place}].frombytes(floats([{_attribute(pointer, names)} for o in objects]))")
    for place, pointer in enumerate(plan.texts):
        lines.append(
            f"columns.texts[{place}].frombytes(integers([words[{_attribute(pointer, names)}] for o in objects]))"
        )
    for place, pointer in enumerate(plan.marks):
        lines.append(f"extend(columns.marks[{place}], [{_attribute(pointer, names)} for o in objects])")
    if run is not None:
        lines.append(f"columns.runs.frombytes(integers([runs[o.{run}] for o in objects]))")
    exec("\n ".join(["def take(objects, columns, runs):", "keys, words = columns.keys, columns.words", *lines]), scope)  # noqa: S102
    # Out of its own scope, or the two keep each other until the garbage collector runs, which is seldom.
    take: Callable[[Sequence[Object], Columns, RunIds], None] = scope.pop("take")
    return take


def _extend(texts: Texts, values: list[Any]) -> None:
    try:
        texts.extend(values)
    except TypeError:  # not all are text
        texts.extend([mark_text(value) for value in values])


def _test(item: Condition, attribute: str, scope: dict[str, Any]) -> str:
    """`conditions.fits` as an expression, for what a Struct can hold: text, numbers that are no booleans, or None."""
    if item.values is not None and not item.present:
        name = f"values{len(scope)}"
        scope[name] = frozenset(item.values)
        return f"{attribute} in {name}"
    bounds = [(">=", item.minimum), (">", item.exclusive_minimum), ("<=", item.maximum)]
    wanted = [f"{attribute} {sign} {bound!r}" for sign, bound in bounds if bound is not None and not item.present]
    return " and ".join([f"{attribute} is not None", *wanted])


def _loop(names: Sequence[str], needed: str = "") -> Callable[[Sequence[Object]], list[tuple[Any, ...]]]:
    """`loop(objects)`: these attributes of each object, of whatever type, that has the one that is *needed*."""
    wanted = "".join(f"o.{name}, " for name in names) or "None,"
    chosen = f" if o.{needed} is not None" if needed else ""
    loop: Callable[[Sequence[Object]], list[Tuple]] = eval(f"lambda objects: [({wanted}) for o in objects{chosen}]")  # noqa: S307
    return loop


def _attribute(pointer: Pointer, names: Mapping[Pointer, str]) -> str:
    return f"o.{names[pointer]}" if pointer in names else "None"
