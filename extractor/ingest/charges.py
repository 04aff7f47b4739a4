"""
Columns of calls in, their costs filled in: what a call cost that does not say so itself.

Knows nothing of where prices come from.
"""

from collections import Counter as Tally
from collections.abc import Callable

import numpy as np

from extractor.cost.costs import Prices
from extractor.ingest.columns import Columns
from extractor.ingest.derive import Plan
from extractor.state.exact_sum import Floats

_CHUNK = 4096  # rows; in larger arrays a row costs several times as much


def charge(plan: Plan, columns: Columns, prices: Prices, time_of: Callable[[int], float]) -> Tally[str]:
    """
    Fill in the cost of every call in *columns* that has none, by its tokens; how many have no price, by model.

    Their rows are then *unpriced* in *columns*. *time_of* is the time of a slot, in seconds since the epoch. Of a call
    that states no number of tokens nothing is known, and nothing is filled in.
    """
    unpriced: Tally[str] = Tally()
    if plan.price is None or not columns.places:
        return unpriced
    costs: Floats = np.array(columns.numbers[plan.price.cost])
    nothing: Floats = np.full(len(costs), np.nan)
    counts = [nothing if column is None else np.array(columns.numbers[column]) for column in plan.price.tokens]
    wanted = np.flatnonzero(np.isnan(costs) & ~np.isnan(np.stack(counts)).all(axis=0))
    if not len(wanted):
        return unpriced
    models = [key[plan.price.model] for key in columns.keys]
    model_of = np.array([str(model or "") for model in models], dtype=object)[np.array(columns.places)[wanted]]
    times = np.array([time_of(slot) for slot in np.array(columns.slots)[wanted].tolist()])
    for model in sorted(set(model_of.tolist())):
        rows = np.flatnonzero(model_of == model)
        price = prices.of(model) if model else None
        for chunk in np.array_split(rows, len(rows) // _CHUNK + 1):
            places = wanted[chunk]
            given, taken, read, created = (count[places] for count in counts)
            costs[places] = np.nan if price is None else price.cost(given, taken, read, created, times[chunk])
        missing = int(np.isnan(costs[wanted[rows]]).sum())
        if missing:
            unpriced[model or "unknown"] += missing
    columns.fill(plan.price.cost, costs)
    columns.unpriced = wanted[np.isnan(costs[wanted])].tolist()
    return unpriced
