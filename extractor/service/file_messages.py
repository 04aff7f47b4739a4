"""Changes of log files and problems with watching them in, log messages out."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from extractor.service.log import Log
from extractor.tail import changes
from extractor.tail.changes import Duplicate, Happening, Unreadable, unmatched_text
from extractor.tail.file import FileState, Source

_UNREADABLE = "unreadable "
_WATCHING = "watching"
_KEPT = 1000
"""Of how many pairs of logs it is remembered that they were told to be one: either may be ahead of the other."""


class Telling:
    """Tells *log*: what recurs once, and its end once."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._empty_roots: dict[str, str] | None = None  # what was reported of each
        self._alike: dict[frozenset[str], None] = {}

    def roots(self, look: Callable[[], Mapping[str, int | None]], patterns: Sequence[str]) -> None:
        """
        All was looked at; *look* gives `Tail.without_logs`.

        Each root is reported once, and no longer once a log was in it: a log may be away while it is rotated.
        """
        if self._empty_roots == {}:
            return
        found = look()
        before = dict.fromkeys(found, "") if self._empty_roots is None else self._empty_roots
        self._empty_roots = {root: said for root, said in before.items() if root in found}
        for root, said in self._empty_roots.items():
            files = found[root]
            kind = "missing" if files is None else "unmatched" if files else said
            if kind != said:
                text = unmatched_text(root, files, patterns) if files else f"{root}: does not exist yet; waiting for it"
                self._log.warning(text, kind=kind, file=root)
                self._empty_roots[root] = kind

    def happening(self, happening: Happening) -> None:
        """Something has happened to a file."""
        text = changes.trouble(happening)
        if isinstance(happening, Duplicate) and self._is_known(frozenset((happening.path, happening.of))):
            return
        if isinstance(happening, Unreadable):
            self._log.trouble(_UNREADABLE + happening.path, text, kind="unreadable", file=happening.path)
        elif text:
            kind = type(happening).__name__.lower()
            self._log.warning(text, kind=kind, file=happening.path, lost_bytes=happening.lost)

    def scanned(self, sources: Iterable[Source], problem: str) -> None:
        """All was looked at: there are these files, and watching has this problem, if any."""
        if problem:
            self._log.trouble(_WATCHING, problem)
        else:
            self._log.over(_WATCHING, "watching for changes again")
        if troubles := self._log.troubles(_UNREADABLE):
            still = {source.path for source in sources if source.state is FileState.UNREADABLE}
            for path in troubles:
                if path not in still and (os.access(path, os.R_OK) or not os.path.lexists(path)):
                    self._log.over(_UNREADABLE + path, f"{path}: no longer unreadable")

    def _is_known(self, pair: frozenset[str]) -> bool:
        """Whether it was told that these two are one; it is from now on."""
        known = pair in self._alike
        self._alike[pair] = None
        if len(self._alike) > _KEPT:
            del self._alike[next(iter(self._alike))]
        return known
