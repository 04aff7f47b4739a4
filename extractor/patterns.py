"""
The loops that a pack wants found in its runs: which events, alike by what, and who else may report them.

Knows nothing of runs.
"""

from dataclasses import dataclass

from extractor.catalog import Label, Pack, Repetition
from extractor.pointers import Pointer, found


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    Events of type *event* that are *repeated* in a run; a loop of them counts in *metric*.

    *named* are the properties by which a report of the loop and the loop know each other.
    """

    event: str
    metric: str
    labels: tuple[Label, ...]
    repeated: Repetition
    named: tuple[Pointer, ...]


def patterns(pack: Pack) -> list[Pattern]:
    """Every loop to be found in the runs of *pack*."""
    return [
        Pattern(name, feed.metric, feed.labels, feed.value.repeated, _named(pack, feed.labels, feed.value.repeated))
        for name, event in pack.events.items()
        for feed in event.feeds
        if feed.value.repeated is not None
    ]


def _named(pack: Pack, labels: tuple[Label, ...], repeated: Repetition) -> tuple[Pointer, ...]:
    """Properties that are labels, so that there are few values, and that the report has, too."""
    if repeated.unless is None:
        return ()
    schema = pack.events[repeated.unless].schema
    known = [label.pointer for label in labels if label.const is None and label.pointer in repeated.of]
    return tuple(pointer for pointer in known if declared(schema, pointer))


def declared(schema: object, pointer: Pointer) -> bool:
    """Whether *schema* declares a property there."""
    return all((schema := found(schema, ("properties", token))) is not None for token in pointer)
