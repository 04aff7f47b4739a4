"""
What the packs declare, once it is proved: event types, their metrics, and how each event feeds them.

`schema.load` alone makes these values; every other module may trust them. A name that is here exists, has the right
type, and is closed or limited where it must be.

Knows nothing of files, lines or numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache

from extractor.schema.lookback import Repetition, Span
from extractor.schema.pointer import Pointer
from extractor.schema.report_rows import Recommendation, ReportRow, Signal

UNKNOWN = "unknown"
"""The label value of a property that is absent, null or empty."""

OTHER = "__other__"
"""The label value into which values past a limit are folded."""

PER_SECOND = {"ns": 10**9, "us": 10**6, "ms": 10**3, "s": 1}
"""How many of a unit are one second; metrics are in seconds whatever unit the agent wrote."""


class Kind(StrEnum):
    """The type of a metric; exactly Prometheus's and OpenMetrics' meanings."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    STATESET = "stateset"


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a line is not what its schema says: where in the line (a JSON Pointer), and what is wrong."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Label:
    """
    How one label of a metric gets its value from one event type.

    With *const* the value is fixed and *pointer* is empty. With *mapping* what the agent wrote is looked up in it, and
    what is not in it becomes *other*. Whatever is absent, null or empty becomes `UNKNOWN`. *values* are all values the
    label can take from this event type; None when the text is open.
    """

    name: str
    pointer: Pointer = ()
    const: str | None = None
    mapping: Mapping[str, str] | None = None
    other: str | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """
    One entry of `where`: *pointer* must lead to a value that fits.

    *present* asks only that the value is there and not null. *values* (from `const` or `enum`) lists what fits. The
    bounds are JSON Schema's. *closed* says that the property can only take few values: a row can be grouped by it.
    """

    pointer: Pointer
    present: bool = False
    values: tuple[str | int | float | bool | None, ...] | None = None
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Pricing:
    """
    Where an event says what it cost.

    If it does not, the cost follows from its *model* and its *tokens*: input, output, cache read and cache creation,
    None for kinds that it does not count. No token is counted twice.
    """

    model: Pointer
    cost: Pointer
    tokens: tuple[Pointer | None, ...]


@dataclass(frozen=True, slots=True)
class RunTotal:
    """
    What a run added up by its end.

    The sum of *fields* over its events of the types *of*; without fields, how many those are. If the event that ends
    the run has a value at *own*, that one counts.
    """

    of: tuple[str, ...]
    fields: tuple[Pointer, ...] = ()
    own: Pointer | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """
    Where the number of an update comes from; exactly one of these shapes:

    - nothing set: 1 for each event (counters only);
    - *fields* with one entry `("", pointer)`: that numeric property;
    - *fields* with several: numeric properties told apart by the values of *label*;
    - *run* = "open": how many runs are open; "abandoned": how many were given up;
    - *total*: what the run that this event ends added up;
    - *span*: the seconds since another event (histograms and summaries only);
    - *repeated*: 1 for each loop of such events (counters only);
    - *state*: the state that this event means (state sets only).
    """

    fields: tuple[tuple[str, Pointer], ...] = ()
    label: str | None = None
    run: str | None = None
    state: str | None = None
    total: RunTotal | None = None
    repeated: Repetition | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """
    How one event type feeds one metric.

    *labels* are in the order of the metric's label names, without `value.label` (which is the last label name).
    *exemplar* has, for each label of the metric's exemplars, where its text stands; None for the run's id.
    """

    metric: str
    labels: tuple[Label, ...]
    value: Value
    where: tuple[Condition, ...] = ()
    exemplar: tuple[Pointer | None, ...] = field(default=(), repr=False)  # not part of what a total means


@dataclass(frozen=True, slots=True)
class Metric:
    """
    A metric family, as all event types that feed it declare it.

    *label_values* stands beside *label_names*: the closed set of the label's values, or None when it is open; then the
    number in *label_limits* (0 for closed labels) is how many different values are told apart. *limit* caps the series
    of the metric. *bounds* are the upper bounds of a histogram in base units, ascending, without infinity. *states* are
    those of a state set. *run* is `Value.run`. *per_unit* is how many of the unit written in the
    log are one base unit (1000 for `ms`): values are kept as written, and divided by it when they are shown.
    *exemplar* names the labels of its exemplars; without any it has none.
    """

    name: str
    kind: Kind
    help: str
    label_names: tuple[str, ...]
    label_values: tuple[tuple[str, ...] | None, ...]
    label_limits: tuple[int, ...]
    limit: int
    bounds: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    states: tuple[str, ...] = ()
    run: str | None = None
    per_unit: int = 1
    exemplar: tuple[str, ...] = ()

    @property
    def bounds_as_written(self) -> tuple[float, ...]:
        """The bounds in the unit of the log."""
        return _scaled(self.bounds, self.per_unit)


@cache
def _scaled(bounds: tuple[float, ...], per_unit: int) -> tuple[float, ...]:
    # In decimal, as they are written: 1.001 * 1000 is below 1001 as a float, and 1001 ms would miss its bucket.
    return tuple(float(Decimal(repr(bound)) * per_unit) for bound in bounds)


@dataclass(frozen=True, slots=True, eq=False)
class EventType:
    """
    What one schema file describes.

    *run* is "start", "end" or None. *schema* is the whole JSON Schema as read. *violation* gives the first reason why a
    decoded line is not valid, None when it is.
    """

    name: str
    file: str
    description: str
    run: str | None
    schema: Mapping[str, object]
    feeds: tuple[Feed, ...]
    violation: Callable[[object], Violation | None]
    price: Pricing | None = None


@dataclass(frozen=True, slots=True)
class Numbering:
    """Where in a line its writer and its number stand; each writer numbers its lines 1, 2, 3, …."""

    writer: Pointer
    number: Pointer


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """
    A folder of event types that share an envelope: where in a line the event's name, its time and its run stand.

    *patterns* are shell patterns of the names of the files that hold such lines; *release* is the label that tells
    releases apart. *numbers* says where the lines of each event type have numbers that something is made of.
    """

    name: str
    event: Pointer
    time: Pointer
    run: Pointer | None
    sequence: Numbering | None
    patterns: tuple[str, ...]
    events: Mapping[str, EventType]
    report: tuple[ReportRow, ...]
    signals: tuple[Signal, ...] = ()
    release: str | None = None
    recommended: tuple[Recommendation, ...] = ()
    numbers: Mapping[str, tuple[Pointer, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """All packs, in the order in which their file patterns are tried, and all metrics by name."""

    packs: tuple[Pack, ...]
    metrics: Mapping[str, Metric]

    def pack_for(self, file_name: str) -> Pack | None:
        """The pack whose lines a file of this name holds; None if no pattern matches."""
        for pack in self.packs:
            if any(fnmatchcase(file_name, pattern) for pattern in pack.patterns):
                return pack
        return None

    @property
    def patterns(self) -> tuple[str, ...]:
        """The file patterns of all packs, in the order in which they are tried."""
        return tuple(dict.fromkeys(pattern for pack in self.packs for pattern in pack.patterns))

    def buckets(self) -> dict[str, tuple[float, ...]]:
        """The upper bounds of the buckets of each histogram, without infinity."""
        return {name: metric.bounds for name, metric in self.metrics.items() if metric.kind is Kind.HISTOGRAM}

    @property
    def default_pack(self) -> Pack:
        """The pack of a file that was named although no pattern matches it."""
        return self.packs[-1]
