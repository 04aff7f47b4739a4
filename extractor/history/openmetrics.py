"""
Write samples, in the order of time, as an OpenMetrics document that appears complete or not at all.

Metadata is written once, at the beginning, and samples are sorted by time, not by family as OpenMetrics requires:
promtool and VictoriaMetrics accept this order, and can read it piece by piece.
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
    A context that writes a document to *path*, or to standard output for `-`.

    The document appears when the context ends without an exception. A path that is not a regular file, such as a pipe,
    is written directly. Raises `OutputError` if *path* is a folder or cannot be written.
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
            # The target of a link is replaced, not the link.
            self._file = self._opened.enter_context(path.open("wb") if is_odd else whole_file(path.resolve()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with suppress(OSError):  # earlier write errors may repeat on close
                self._opened.__exit__(kind, error, trace)
            return
        with self._telling(), ExitStack() as ending:
            ending.push(self._opened)
            self.write("# EOF\n")
            self._file.flush()

    def write(self, text: str) -> None:
        """Write whole lines of metadata or samples."""
        with self._telling():
            self._file.write(text.encode())

    def add(self, _at: int, text: str) -> None:
        """Write samples, whole lines of *text*, in the order of time."""
        self.write(text)

    def notes(self) -> list[str]:
        """Return notes for the user about what was written."""
        return []

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # the reader of the pipe has closed it
            raise
        except OSError as error:
            raise OutputError(f"cannot write {self._path or 'standard output'}: {error.strerror}") from error
