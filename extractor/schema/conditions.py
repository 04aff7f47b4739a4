"""Match raw property values with the conditions of `where`, and convert them to label values."""

from extractor.schema.label_values import servable
from extractor.schema.model import UNKNOWN, Condition, Label


def scalar(raw: object) -> object:
    """Return *raw* as a key that equals only values of the same JSON type."""
    # True and 1 are equal keys of a dict, but different labels.
    return ("true" if raw else "false") if isinstance(raw, bool) else raw


def fits(item: Condition, raw: object) -> bool:
    """Return whether a raw property value meets one condition of `where`."""
    if raw is None:
        return item.values is not None and None in item.values
    if item.present:
        return True
    if item.values is not None:
        return any(_same(raw, wanted) for wanted in item.values)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return False
    return (
        (item.minimum is None or raw >= item.minimum)
        and (item.exclusive_minimum is None or raw > item.exclusive_minimum)
        and (item.maximum is None or raw <= item.maximum)
    )


def _same(raw: object, wanted: object) -> bool:
    return scalar(raw) == scalar(wanted)


def label_text(raw: object) -> str:
    """Return the label text of a raw property value that is not None."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)  # in JSON Schema, 429.0 is an integer
    return str(raw)


def label_value(label: Label, raw: object) -> str:
    """Return the value of *label* for a raw property value."""
    if label.const is not None:
        return label.const
    if raw is None or raw == "":
        return UNKNOWN
    text = label_text(raw)
    return servable(text) if label.mapping is None else label.mapping.get(text, label.other or UNKNOWN)


def mark_text(raw: object) -> str:
    """Return a raw property value as text for comparisons; empty for None."""
    return "" if raw is None else label_text(raw)
