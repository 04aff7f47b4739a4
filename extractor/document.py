"""
Samples in the order of time in, an OpenMetrics document out that is there whole or not at all.

It is written under a name of its own and takes its final one at the end. The metadata stands once, at the head, and the
samples are in the order of time, not of families as OpenMetrics has it: that is what promtool and VictoriaMetrics can
read piece by piece, and neither minds.

Knows nothing of states, metrics or events.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Self

from extractor.errors import OutputError

STDOUT = "-"
_UNFINISHED = ".part"


class Document:
    """
    A document at *path*, or on standard output for `-`; a context, at whose good end it is there.

    What is no regular file, a pipe say, is written to as it is.
    """

    def __init__(self, path: str | Path) -> None:
        self._final = None if path == STDOUT else Path(path)
        if self._final is not None and self._final.is_dir():
            raise OutputError(f"{path} is a folder", "give the name of a file, or - for standard output")
        direct = self._final is None or (self._final.exists() and not self._final.is_file())
        self._part = None if direct else Path(f"{path}{_UNFINISHED}")
        self._opened = ExitStack()
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        if self._final is None:
            self._file = sys.stdout.buffer
            return self
        with self._telling():
            self._file = self._opened.enter_context((self._part or self._final).open("wb"))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._telling(), self._opened:
                if kind is None:
                    self.write("# EOF\n")
                    self._file.flush()
            if kind is None and self._part is not None and self._final is not None:
                self._part.replace(self._final)
        finally:
            if self._part is not None:
                self._part.unlink(missing_ok=True)

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
            raise OutputError(f"cannot write {self._final or 'standard output'}: {error.strerror}") from error
