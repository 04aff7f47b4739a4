"""
Compute texts and digests of declarations; numbers saved under another digest have another meaning.

The text of a declaration is spelled out here, field by field, and does not depend on names of classes or fields, so
that renaming one resets no metric. Checkpoints contain digests of these texts: they must not change. Fields added to
declarations later appear only where they are set.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from extractor.schema.lookback import Repetition, Span
from extractor.schema.model import Catalog, Condition, Feed, Label, Metric, RunTotal, Value
from extractor.schema.run_specs import End, Interval, Pattern


@lru_cache(maxsize=4)  # a process has one catalog, and two during a reload
def digests(catalog: Catalog) -> dict[str, str]:
    """Return a digest of each metric's meaning: its shape, and what feeds it."""
    feeds: dict[str, list[str]] = {name: [] for name in catalog.metrics}
    for pack in catalog.packs:
        for event in pack.events.values():
            for feed in event.feeds:
                feeds[feed.metric].append(f"({pack.name!r}, {event.name!r}, {_feed(feed)})")
    texts = {name: f"({_shape(metric)}, {sorted(feeds[name])!r})" for name, metric in catalog.metrics.items()}
    return {name: sha256(text.encode()).hexdigest() for name, text in texts.items()}


def total_text(total: RunTotal) -> str:
    """Return the text of *total*."""
    return f"RunTotal(of={total.of!r}, fields={total.fields!r}, own={total.own!r})"


def pattern_text(pattern: Pattern) -> str:
    """Return the text of *pattern*."""
    return (
        f"Pattern(event={pattern.event!r}, metric={pattern.metric!r}, labels={_tuple(map(_label, pattern.labels))}, "
        f"repeated={_repetition(pattern.repeated)}, named={pattern.named!r})"
    )


def interval_text(interval: Interval) -> str:
    """Return the text of *interval*."""
    return f"Interval(span={_span(interval.span)}, ends={_tuple(map(_end, interval.ends))})"


def _shape(metric: Metric) -> str:
    kind = f"<Kind.{metric.kind.name}: {metric.kind.value!r}>"
    rest = (metric.label_names, metric.bounds, metric.per_unit, metric.states, metric.run)
    return f"({kind}, {', '.join(map(repr, rest))})"


def _feed(feed: Feed) -> str:
    # Exemplars do not affect the meaning of a total.
    return (
        f"Feed(metric={feed.metric!r}, labels={_tuple(map(_label, feed.labels))}, value={_value(feed.value)}, "
        f"where={_tuple(map(_condition, feed.where))})"
    )


def _label(label: Label) -> str:
    mapping = None if label.mapping is None else dict(label.mapping)
    return (
        f"Label(name={label.name!r}, pointer={label.pointer!r}, const={label.const!r}, mapping={mapping!r}, "
        f"other={label.other!r}, values={label.values!r})"
    )


def _condition(condition: Condition) -> str:
    return (
        f"Condition(pointer={condition.pointer!r}, present={condition.present!r}, values={condition.values!r}, "
        f"minimum={condition.minimum!r}, exclusive_minimum={condition.exclusive_minimum!r}, "
        f"maximum={condition.maximum!r}, closed={condition.closed!r})"
    )


def _value(value: Value) -> str:
    total = None if value.total is None else total_text(value.total)
    repeated = None if value.repeated is None else _repetition(value.repeated)
    span = None if value.span is None else _span(value.span)
    return (
        f"Value(fields={value.fields!r}, label={value.label!r}, run={value.run!r}, state={value.state!r}, "
        f"total={total}, repeated={repeated}, span={span})"
    )


def _repetition(repeated: Repetition) -> str:
    return (
        f"Repetition(of={repeated.of!r}, times={repeated.times!r}, within={repeated.within!r}, "
        f"unless={repeated.unless!r})"
    )


def _span(span: Span) -> str:
    return f"Span(since={span.since!r}, key={span.key!r})"


def _end(end: End) -> str:
    return f"End(event={end.event!r}, metric={end.metric!r}, labels={_tuple(map(_label, end.labels))})"


def _tuple(texts: Iterable[str]) -> str:
    members = list(texts)
    return f"({', '.join(members)}{',' if len(members) == 1 else ''})"
