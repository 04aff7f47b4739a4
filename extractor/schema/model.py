"""
Checked declarations of packs: event types, their metrics, and how each event feeds them.

Only `schema.load` creates these values, and other modules can rely on them: every name exists, has the right type, and
is closed or limited where required.
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
"""Label value of a property that is absent, null or empty."""

OTHER = "__other__"
"""Label value that replaces values past a limit."""

PER_SECOND = {"ns": 10**9, "us": 10**6, "ms": 10**3, "s": 1}
"""Number of units per second; metrics are in seconds whatever the unit of the log."""


class Kind(StrEnum):
    """The type of a metric, as defined by Prometheus and OpenMetrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    STATESET = "stateset"


@dataclass(frozen=True, slots=True)
class Violation:
    """Reason why a line does not match its schema: a JSON Pointer into the line, and a message."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Label:
    """
    How one label of a metric gets its value from one event type.

    With *const* the value is fixed and *pointer* is empty. With *mapping* the raw value is looked up, and replaced by
    *other* if missing. Absent, null and empty values become `UNKNOWN`. *values* holds all values the label can have
    from this event type; None for open text.
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
    One entry of `where`: the value at *pointer* must match.

    *present* only requires a value other than null. *values* (from `const` or `enum`) lists the matching values. The
    bounds are those of JSON Schema. *closed* is set if the property has few possible values, so that rows can be
    grouped by it.
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
    The properties of an event that hold its cost.

    Without a value at *cost*, the cost is computed from *model* and *tokens*: input, output, cache read and cache
    creation, None for kinds without a property. No token is counted twice.
    """

    model: Pointer
    cost: Pointer
    tokens: tuple[Pointer | None, ...]


@dataclass(frozen=True, slots=True)
class RunTotal:
    """
    A total over one run.

    It is the sum of *fields* over its events of the types *of*; without fields, the number of these events. A value at
    *own* in the event that ends the run takes precedence.
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
    *exemplar* holds, for each exemplar label of the metric, the pointer to its text; None for the run id.
    """

    metric: str
    labels: tuple[Label, ...]
    value: Value
    where: tuple[Condition, ...] = ()
    exemplar: tuple[Pointer | None, ...] = field(default=(), repr=False)  # does not affect the meaning of a total


@dataclass(frozen=True, slots=True)
class Metric:
    """
    A metric family, as declared by all event types that feed it.

    For each of *label_names*, *label_values* holds its closed set of values, or None for an open label; then
    *label_limits* (0 for closed labels) holds its maximum number of values. *limit* is the maximum number of series.
    *bounds* are the upper bounds of a histogram in base units, ascending, without infinity. *states* are those of a
    state set. *run* is `Value.run`. *per_unit* is the number of log units per base unit (1000 for `ms`): values are
    stored as written, and divided by it on exposition. *exemplar* holds the names of the exemplar labels; empty for
    none.
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
    # In decimal: as a float, 1.001 * 1000 is below 1001, and 1001 ms would miss its bucket.
    return tuple(float(Decimal(repr(bound)) * per_unit) for bound in bounds)


@dataclass(frozen=True, slots=True, eq=False)
class EventType:
    """
    The content of one schema file.

    *run* is "start", "end" or None. *schema* is the whole JSON Schema as read. *violation* returns the first reason why
    a decoded line is invalid, None if it is valid.
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
    """Pointers to the writer and the sequence number of a line; each writer numbers its lines 1, 2, 3, …"""

    writer: Pointer
    number: Pointer


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """
    A folder of event types that share an envelope: the pointers to the event's name, its time and its run.

    *patterns* are shell patterns for the names of files with such lines; *release* is the label that identifies
    releases. *numbers* holds the numeric properties of each event type that metrics or prices use.
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
    """All packs, in the order in which their file patterns are matched, and all metrics by name."""

    packs: tuple[Pack, ...]
    metrics: Mapping[str, Metric]

    def pack_for(self, file_name: str) -> Pack | None:
        """Return the pack of the lines in a file of this name; None if no pattern matches."""
        for pack in self.packs:
            if any(fnmatchcase(file_name, pattern) for pattern in pack.patterns):
                return pack
        return None

    @property
    def patterns(self) -> tuple[str, ...]:
        """The file patterns of all packs, in the order in which they are matched."""
        return tuple(dict.fromkeys(pattern for pack in self.packs for pattern in pack.patterns))

    def buckets(self) -> dict[str, tuple[float, ...]]:
        """Return the upper bounds of the buckets of each histogram, without infinity."""
        return {name: metric.bounds for name, metric in self.metrics.items() if metric.kind is Kind.HISTOGRAM}

    @property
    def default_pack(self) -> Pack:
        """The pack of an explicitly named file that no pattern matches."""
        return self.packs[-1]
