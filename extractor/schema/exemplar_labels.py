"""
The `exemplar` of one metric's declaration in, the labels of its exemplars out, proved.

Without the keyword counters and histograms show the run of an event. Whatever a label shows must be text.

Knows nothing of events.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from extractor.schema.model import Kind, Value
from extractor.schema.naming import check_label_name
from extractor.schema.place import Place
from extractor.schema.pointer import Pointer
from extractor.schema.properties import Properties

RUN_LABEL = "run_id"
"""The label of an exemplar that has the run's id."""

MOST = 128
"""How many characters the labels of an exemplar may have in OpenMetrics, names and values together."""

_HAVE_ONE = (Kind.COUNTER, Kind.HISTOGRAM)


class ExemplarLabels(NamedTuple):
    """The names of the labels, and the property that each shows; None for the run."""

    names: tuple[str, ...]
    pointers: tuple[Pointer | None, ...]


_NONE = ExemplarLabels((), ())
_RUN = ExemplarLabels((RUN_LABEL,), (None,))


def read_exemplar(
    declared: Mapping[str, str] | Literal[False] | None,
    metric: tuple[str, Kind, Value],
    properties: Properties,
    place: Place,
) -> ExemplarLabels:
    """What *declared* says for a *metric* of this name, kind and value, in a schema with these *properties*."""
    name, kind, value = metric
    if kind not in _HAVE_ONE:
        if declared is not None:
            raise place.error(f"a {kind} has no exemplars", "drop it; counters and histograms have them")
        return _NONE
    if declared is False:
        return _NONE
    if declared is None:
        return _RUN
    if value.run is not None or value.total is not None or value.repeated is not None:
        raise place.error("the exemplar of what is found in a run is the run", "drop it, or write false")
    if value.span is not None:
        raise place.error("a span has no exemplars", "drop it")
    for label in declared:
        check_label_name(label, name, kind, place / label)
    used = sum(map(len, declared))
    if used >= MOST:
        raise place.error(f"the names have {used} characters, and names and texts may have {MOST}", "shorten the names")
    return ExemplarLabels(
        tuple(declared), tuple(_text(declared[label], properties, place / label) for label in declared)
    )


def _text(reference: str, properties: Properties, place: Place) -> Pointer:
    prop = properties.find(reference, place)
    if "string" not in prop.types:
        raise place.error(f"'{reference}' is not text", 'show a property that may be a "string"')
    return prop.pointer
