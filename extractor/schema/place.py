"""Places in schema and pack files, for error messages; and collected errors, to report all at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from extractor.errors import SchemaError
from extractor.schema.pointer import Pointer, pointer_text

_LONGEST_STEP, _LONGEST_MESSAGE, _LONGEST_HINT = 200, 300, 1000  # characters; a hint may list all choices


@dataclass(frozen=True, slots=True)
class Place:
    """A place in *file*; `place / token` is one step deeper, `place / pointer` one step per token."""

    file: str
    pointer: Pointer = ()

    def __truediv__(self, step: str | int | Pointer) -> "Place":
        return Place(self.file, (*self.pointer, *(step if isinstance(step, tuple) else (str(step),))))

    def error(self, message: str, hint: str = "") -> SchemaError:
        """Return the error to raise for this place."""
        pointer = pointer_text(tuple(short(step) for step in self.pointer))
        return SchemaError(self.file, pointer, short(message, _LONGEST_MESSAGE), short(hint, _LONGEST_HINT))


class Problems:
    """Collected errors: a check collects what its parts raise, and raises the first, which carries the others."""

    def __init__(self) -> None:
        self.found: list[SchemaError] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Collect the error that the block raises, and those it carries."""
        try:
            yield
        except SchemaError as error:
            self.found += (error, *error.others)

    def raise_any(self) -> None:
        """Raise the collected errors, if any."""
        if self.found:
            first, *others = {str(each): each for each in self.found}.values()
            first.others = tuple(others)
            raise first


def short(text: str, most: int = _LONGEST_STEP) -> str:
    """Return *text*, with its middle cut out if it is long, because messages about values end with the reason."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"
