"""
A place in a schema or pack file, to say in an error what is wrong there.

Knows nothing of what a schema says.
"""

from dataclasses import dataclass

from extractor.errors import SchemaError
from extractor.pointers import Pointer, pointer_text


@dataclass(frozen=True, slots=True)
class Place:
    """A place in *file*; `place / token` is one step deeper, `place / pointer` as many as the pointer has."""

    file: str
    pointer: Pointer = ()

    def __truediv__(self, step: str | int | Pointer) -> "Place":
        return Place(self.file, (*self.pointer, *(step if isinstance(step, tuple) else (str(step),))))

    def error(self, message: str, hint: str = "") -> SchemaError:
        """The error to raise for this place."""
        return SchemaError(self.file, pointer_text(self.pointer), message, hint)
