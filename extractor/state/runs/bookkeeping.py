"""Create the accounts of the runs of a pack, and describe which data of runs they store."""

from dataclasses import replace

from extractor.schema.digests import interval_text, pattern_text, total_text
from extractor.schema.model import Catalog, Pack
from extractor.schema.pointer import pointer_text
from extractor.schema.run_specs import intervals, patterns, run_fields, run_totals
from extractor.state.runs.anomalies import Anomalies
from extractor.state.runs.counts import run_counts
from extractor.state.runs.intervals import Intervals
from extractor.state.runs.loops import Repeats
from extractor.state.runs.registry import Runs
from extractor.state.runs.settlement import Accounts
from extractor.state.runs.totals import Ledger


def open_accounts(  # noqa: PLR0913  # options, given by name
    catalog: Catalog, pack: Pack, *, timeout: float, linger: float, most: int, slot_seconds: float
) -> Accounts:
    """Return empty accounts for the runs of *pack*; the options are those of a `State`."""
    counts = [count for count in run_counts(catalog) if (count.pack, count.of) == (pack.name, "abandoned")]
    linger += slot_seconds  # ends of runs are accurate only to a slot
    return Accounts(
        Runs(len(run_fields(pack)), timeout),
        Ledger(len(run_totals(pack))),
        [
            (
                pattern,
                Repeats(
                    pattern.repeated.times,
                    pattern.repeated.within,
                    linger,
                    slot_seconds,
                    [pointer in pattern.repeated.of for pointer in pattern.named],
                ),
            )
            for pattern in patterns(pack)
        ],
        [(interval, Intervals(timeout, linger, most)) for interval in intervals(pack)],
        anomalies=Anomalies(linger, starts=any(event.run == "start" for event in pack.events.values())),
        metrics=catalog.metrics,
        abandoned=lambda values: [(count.metric, count.labels_of(values)) for count in counts],
        linger=linger,
        most=most,
        slot_of=lambda time: int(time // slot_seconds),
        time_of=lambda slot: slot * slot_seconds,
    )


def known_of_runs(pack: Pack) -> list[str]:
    """Return a description of the stored data of runs of *pack*; open runs are restored only if it is unchanged."""
    # Older versions compared reports by fewer values; that difference is no reason to drop open runs.
    known = [
        replace(pattern, named=tuple(pointer for pointer in pattern.named if pointer in pattern.repeated.of))
        for pattern in patterns(pack)
    ]
    return [
        *map(pointer_text, run_fields(pack)),
        *map(total_text, run_totals(pack)),
        *map(pattern_text, known),
        *map(interval_text, intervals(pack)),
    ]
