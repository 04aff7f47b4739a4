"""Read and check the `x-price` of one event's schema; return the properties that determine its cost."""

from collections.abc import Mapping
from typing import Any

from extractor.schema.model import Pricing
from extractor.schema.place import Place
from extractor.schema.pointer import Pointer
from extractor.schema.properties import NUMBER_TYPES, Properties

KINDS = ("input", "output", "cache_read", "cache_creation")


def read_pricing(schema: Mapping[str, Any], place: Place) -> Pricing | None:
    """Return the pricing of *schema*, which conforms to the meta-schema; None without one; raise `SchemaError`."""
    declared, at = schema.get("x-price"), place / "x-price"
    if declared is None:
        return None
    properties = Properties(schema)
    model = properties.find(declared["model"], at / "model")
    if not model.types <= {"string", "null"}:
        raise (at / "model").error(f"'{declared['model']}' is not text", 'give the property "type": "string"')
    cost = _number(properties, declared["cost"], at / "cost")
    tokens = declared["tokens"]
    counts = [_number(properties, tokens[kind], at / "tokens" / kind) if kind in tokens else None for kind in KINDS]
    return Pricing(model.pointer, cost, tuple(counts))


def _number(properties: Properties, reference: str, place: Place) -> Pointer:
    prop = properties.find(reference, place)
    if not prop.types <= NUMBER_TYPES | {"null"} or not prop.types & NUMBER_TYPES:
        raise place.error(f"'{reference}' is not a number", 'give the property "type": "number" or "integer"')
    return prop.pointer
