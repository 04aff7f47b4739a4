"""List the counts of runs that a catalog declares: of open runs, and of abandoned ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from extractor.schema.conditions import label_value
from extractor.schema.model import Catalog, Label
from extractor.schema.run_specs import run_fields, run_totals


@dataclass(frozen=True, slots=True)
class RunCount:
    """
    A count of the runs of the pack named *pack* that are "open", or were "abandoned".

    *places* holds the index of each of *labels* among the run fields, None for constants.
    """

    metric: str
    of: str
    pack: str
    labels: tuple[Label, ...]
    places: tuple[int | None, ...]

    def named_by(self, values: Sequence[object]) -> bool:
        """Return whether these run field values include all labels."""
        return all(place is None or values[place] is not None for place in self.places)

    def labels_of(self, values: Sequence[object]) -> tuple[str, ...]:
        """Return the label set of a run with these run field values."""
        return tuple(
            label_value(label, None if place is None else values[place])
            for label, place in zip(self.labels, self.places, strict=True)
        )


def run_counts(catalog: Catalog) -> list[RunCount]:
    """Return all declared counts of runs."""
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
    """Return the metrics of run totals, each with its packs and the indexes of its totals there."""
    found: dict[str, list[tuple[str, int]]] = {}
    for pack in catalog.packs:
        totals = run_totals(pack)
        for event in pack.events.values():
            for feed in event.feeds:
                if feed.value.total is not None:
                    found.setdefault(feed.metric, []).append((pack.name, totals.index(feed.value.total)))
    return found
