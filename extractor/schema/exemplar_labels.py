"""
Read and check the `exemplar` of a metric's declaration, and return the labels of its exemplars.

Without the keyword, the exemplars of counters and histograms have the run id. Exemplar labels must be text.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from extractor.schema.model import Kind, Value
from extractor.schema.naming import check_label_name
from extractor.schema.place import Place
from extractor.schema.pointer import Pointer
from extractor.schema.properties import Properties

RUN_LABEL = "run_id"
"""The exemplar label with the run id."""

MOST = 128
"""Maximum number of characters of an exemplar's label names and values together, as in OpenMetrics 1.0."""

_HAVE_ONE = (Kind.COUNTER, Kind.HISTOGRAM)


class ExemplarLabels(NamedTuple):
    """The label names, and the property of each; None for the run id."""

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
    """Return the exemplar labels *declared* for a *metric* of this name, kind and value; raise `SchemaError`."""
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
