"""The observations that a counter or a bucket counted in, the one that stands for them out."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from tests.oracle.observations import Observation, Texts
from tests.oracle.options import SECOND, Options

CHARACTERS = 128
"""What OpenMetrics allows, names and texts of all labels together."""


@dataclass(frozen=True)
class Exemplar:
    """What is shown."""

    texts: Texts
    value: float
    time: float
    """The begin of the slot, in seconds."""


def of(counted: Iterable[Observation], unit: Fraction, options: Options) -> Exemplar | None:
    """The latest to the slot, then the greatest value, then the greatest texts, of those that have a text to show."""
    found = [
        (options.begin(each.event_time), each.value, [text for _, text in shown], shown)
        for each in counted
        if each.value is not None and (shown := _shown(each.texts))
    ]
    if not found:
        return None
    begin, value, _, shown = max(found)
    return Exemplar(shown, float(value * unit), float(begin / SECOND))


def _shown(texts: Texts) -> Texts:
    shown: Texts = ()
    for name, text in texts:
        room = CHARACTERS - sum(len(name) + len(text) for name, text in shown)
        if "\0" not in text and len(name) + len(text) <= room:
            shown += ((name, text),)
    return shown
