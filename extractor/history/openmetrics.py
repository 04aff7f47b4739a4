"""
Samples in the order of time in, an OpenMetrics document out that is there whole or not at all.

The metadata stands once, at the head, and the
samples are in the order of time, not of families as OpenMetrics has it: that is what promtool and VictoriaMetrics can
read piece by piece, and neither minds.

Knows nothing of states, metrics or events.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from extractor.errors import OutputError
from extractor.files.atomic import whole_file

STDOUT = "-"


class Document:
    """
    A document at *path*, or on standard output for `-`; a context, at whose good end it is there.

    What is no regular file, a pipe say, is written to as it is.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = None if path == STDOUT else Path(path)
        if self._path is not None and self._path.is_dir():
            raise OutputError(f"{path} is a folder", "give the name of a file, or - for standard output")
        self._opened = ExitStack()
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        path = self._path
        if path is None:
            self._file = sys.stdout.buffer
            return self
        with self._telling():
            is_odd = path.exists() and not path.is_file()
            # What a link leads to is replaced, not the link.
            self._file = self._opened.enter_context(path.open("wb") if is_odd else whole_file(path.resolve()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with suppress(OSError):  # what could not be written before cannot be written now
                self._opened.__exit__(kind, error, trace)
            return
        with self._telling(), ExitStack() as ending:
            ending.push(self._opened)
            self.write("# EOF\n")
            self._file.flush()

    def write(self, text: str) -> None:
        """Add whole lines of metadata or samples."""
        with self._telling():
            self._file.write(text.encode())

    def add(self, _at: int, text: str) -> None:
        """Add samples, whole lines of *text*, which are not earlier than those before."""
        self.write(text)

    def notes(self) -> list[str]:
        """What a person should know of what was written."""
        return []

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # whoever reads has enough
            raise
        except OSError as error:
            raise OutputError(f"cannot write {self._path or 'standard output'}: {error.strerror}") from error
