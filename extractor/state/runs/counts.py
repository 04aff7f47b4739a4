"""
A catalog in, the counts of runs that its packs declare out: of those that are open, and of those that were abandoned.

Knows nothing of which runs there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from extractor.schema.conditions import label_value
from extractor.schema.model import Catalog, Label
from extractor.schema.run_specs import run_fields, run_totals


@dataclass(frozen=True, slots=True)
class RunCount:
    """
    A count of runs of the pack named *pack*: of those that are "open", or that were "abandoned".

    *places* are those of *labels* among the run fields, None for constants.
    """

    metric: str
    of: str
    pack: str
    labels: tuple[Label, ...]
    places: tuple[int | None, ...]

    def named_by(self, values: Sequence[object]) -> bool:
        """Whether these values of the run fields name all labels."""
        return all(place is None or values[place] is not None for place in self.places)

    def labels_of(self, values: Sequence[object]) -> tuple[str, ...]:
        """The label set of a run with these values of the run fields."""
        return tuple(
            label_value(label, None if place is None else values[place])
            for label, place in zip(self.labels, self.places, strict=True)
        )


def run_counts(catalog: Catalog) -> list[RunCount]:
    """Every count of runs that the packs declare."""
    return [
        RunCount(
            metric=feed.metric,
            of=feed.value.run,
            pack=pack.name,
            labels=feed.labels,
            places=tuple(
                None if label.const is not None else run_fields(pack).index(label.pointer) for label in feed.labels
            ),
        )
        for pack in catalog.packs
        for event in pack.events.values()
        for feed in event.feeds
        if feed.value.run is not None
    ]


def totals_of(catalog: Catalog) -> dict[str, list[tuple[str, int]]]:
    """The metrics of what a run adds up: of each, its packs, and the places of its totals there."""
    found: dict[str, list[tuple[str, int]]] = {}
    for pack in catalog.packs:
        totals = run_totals(pack)
        for event in pack.events.values():
            for feed in event.feeds:
                if feed.value.total is not None:
                    found.setdefault(feed.metric, []).append((pack.name, totals.index(feed.value.total)))
    return found
