"""
Write samples as blocks of Prometheus' storage, with promtool, two hours at a time.

promtool reads a whole document again for every two hours of samples: a month in one document would take it 360 times as
long as necessary. Here each two hours are a separate document, removed once its block is written. At the end either all
blocks appear or none.
"""

import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from extractor.errors import OutputError
from extractor.files.atomic import PREFIX
from extractor.history.openmetrics import Document

_SPAN = 2 * 3600
"""Duration in seconds of Prometheus' shortest block; blocks begin at whole multiples of it."""

_HEAD = 3 * 3600
"""Period in seconds that Prometheus may hold in memory, without a block."""

_PROMTOOL = "promtool"


class Blocks:
    """A context that writes blocks to *folder*, created if missing; they appear when it ends without an exception."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which(_PROMTOOL)
        if program is None:
            raise OutputError(
                "promtool is not installed, and it makes the blocks",
                "apt install prometheus on Debian and Ubuntu; it comes with every download of Prometheus",
            )
        self._program = program
        self._folder = folder
        self._head = ""
        self._span: int | None = None
        self._document: Document | None = None
        self._making: subprocess.Popen[str] | None = None
        self._opened = ExitStack()
        self._work: Path
        self._made_from: Path
        self._latest = 0
        self._made = 0

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # In the target folder, so that blocks only need to be renamed.
            within = TemporaryDirectory(dir=self._folder, prefix=PREFIX)
        except OSError as error:
            raise OutputError(f"cannot write to {self._folder}: {error.strerror}") from error
        self._work = Path(self._opened.enter_context(within))
        self._opened.callback(self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._opened:
            if error is None:
                self._finish_span()
                self._wait()
                self._show()
            elif self._document is not None:
                self._document.__exit__(kind, error, trace)

    def _show(self) -> None:
        """Move all blocks to *folder*, or none."""
        shown: list[Path] = []
        try:
            for meta in sorted(self._work.glob("blocks-*/*/meta.json")):
                shown.append(self._folder / meta.parent.name)
                meta.parent.replace(shown[-1])
        except BaseException as error:
            for block in shown:
                shutil.rmtree(block, ignore_errors=True)
            if isinstance(error, OSError):
                raise OutputError(f"cannot write to {self._folder}: {error.strerror}") from error
            raise
        self._made = len(shown)

    def write(self, text: str) -> None:
        """Write metadata, before the first sample."""
        self._head += text

    def add(self, at: int, text: str) -> None:
        """Write samples, whole lines of *text*, all at the time *at*, in seconds; *at* must not decrease."""
        self._latest = at
        span = at // _SPAN
        if span != self._span:
            self._finish_span()
            self._span = span
            self._document = Document(self._work / f"{span}.om").__enter__()
            self._document.write(self._head)
        assert self._document is not None
        self._document.add(at, text)

    def notes(self) -> list[str]:
        """Return notes for the user about what was written."""
        notes = [f"{self._made:,} blocks in {self._folder}"]
        if self._latest > time.time() - _HEAD:
            notes.append(
                "the last three hours are in them; a Prometheus that is running has yet to write its own blocks of "
                "that time (--until leaves it out)"
            )
        return notes

    def _finish_span(self) -> None:
        if self._document is None:
            return
        self._document.__exit__(None, None, None)
        self._document = None
        self._wait()
        self._made_from = self._work / f"{self._span}.om"
        # promtool processes these two hours while the next ones are written.
        self._making = subprocess.Popen(  # noqa: S603  # a resolved program with our own arguments
            [
                self._program, "tsdb", "create-blocks-from", "openmetrics", "--quiet",
                self._made_from, self._work / f"blocks-{self._span}",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def _wait(self) -> None:
        making, self._making = self._making, None
        if making is None:
            return
        said, _ = making.communicate()
        if making.returncode:
            raise OutputError(f"promtool could not make blocks: {said.strip() or making.returncode}")
        self._made_from.unlink()

    def _stop(self) -> None:
        if self._making is not None:
            self._making.kill()
            self._making.communicate()
