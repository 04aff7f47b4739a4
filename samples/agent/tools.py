"""
The tools of the agent: each takes one text and returns one.

They really read the files of one folder, and really fail: a file that is not there, a path that leads out of the
folder, a wait that takes too long, an archive whose connection breaks.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path

from samples.agent.pace import Pace

DOCUMENTS = Path(__file__).parent / "documents"
WAIT_SECONDS = 1.5


class Tools:
    """
    What can be done with the documents in *folder*.

    Args:
        pace: How long waiting takes.
        rng: When the archive's connection breaks.
        flakiness: How often it does, from 0 to 1.
        folder: Nothing outside of it is read.

    """

    def __init__(self, pace: Pace, rng: random.Random, flakiness: float, folder: Path = DOCUMENTS) -> None:
        self._folder = folder.resolve()
        self._pace = pace
        self._rng = rng
        self._flakiness = flakiness
        self.by_name: dict[str, Callable[[str], str]] = {
            "list_files": self.list_files,
            "read_file": self.read_file,
            "search_text": self.search_text,
            "count_words": self.count_words,
            "wait_for_file": self.wait_for_file,
            "fetch_archive": self.fetch_archive,
        }

    def list_files(self, pattern: str) -> str:
        """The names that match *pattern*."""
        return "\n".join(sorted(path.name for path in self._folder.glob(pattern) if path.is_file()))

    def read_file(self, name: str) -> str:
        """The text of a document."""
        return self._inside(name).read_text()

    def search_text(self, text: str) -> str:
        """The lines that contain *text*, each with the name of its document."""
        self._pace.wait(0.02)
        found = []
        for path in sorted(self._folder.glob("*.md")):
            found += [f"{path.name}: {line}" for line in path.read_text().splitlines() if text.lower() in line.lower()]
        return "\n".join(found) or "nothing found"

    def count_words(self, name: str) -> str:
        """The number of words of a document."""
        return str(len(self._inside(name).read_text().split()))

    def wait_for_file(self, name: str) -> str:
        """The text of a document that may still come."""
        deadline = time.monotonic() + WAIT_SECONDS * self._pace.scale
        while not self._inside(name).exists():
            if time.monotonic() >= deadline:
                raise TimeoutError(name)
            self._pace.wait(0.1)
        return self.read_file(name)

    def fetch_archive(self, name: str) -> str:
        """The text of a document that was put away, over a line that is not the best."""
        self._pace.wait(self._rng.lognormvariate(-2, 0.6))
        if self._rng.random() < self._flakiness:
            raise ConnectionResetError(name)
        return self._inside(f"archive/{name}").read_text()

    def _inside(self, name: str) -> Path:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            raise PermissionError(name)
        return path
