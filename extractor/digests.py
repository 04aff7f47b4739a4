"""
A catalog in, digests of what each metric means out: what was saved under another one means something else.

Knows nothing of how they are saved.
"""

from functools import lru_cache
from hashlib import sha256

from extractor.catalog import Catalog


@lru_cache(maxsize=4)  # a process has one, and during a reload two
def digests(catalog: Catalog) -> dict[str, str]:
    """A digest of what each metric means: how it is kept, and what feeds it."""
    feeds: dict[str, list[str]] = {name: [] for name in catalog.metrics}
    for pack in catalog.packs:
        for event in pack.events.values():
            for feed in event.feeds:
                feeds[feed.metric].append(repr((pack.name, event.name, feed)))
    shapes = {
        name: (metric.kind, metric.label_names, metric.bounds, metric.per_unit, metric.states, metric.run)
        for name, metric in catalog.metrics.items()
    }
    return {name: sha256(repr((shapes[name], sorted(feeds[name]))).encode()).hexdigest() for name in shapes}
