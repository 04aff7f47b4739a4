"""
Reloads the configuration of the running process on a signal; if it is invalid, nothing changes.

All files are read and validated before anything changes. The state is carried over as after a restart: metrics with an
unchanged declaration continue, the others start at zero.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from extractor.errors import ExtractorError
from extractor.service.checkpoint import as_read
from extractor.service.log import Log
from extractor.state.internal_errors import InternalErrors, origin
from extractor.state.state import State
from extractor.state.stats import Stats

Notes = Iterable[str]


class Reloading:
    """
    Reloads when it was asked to: what *read* gives puts what it has read into force.

    *read* raises where something is wrong, and changes nothing; what it gives cannot fail, and says what a person
    should know. *tell* is entered for as long as a reload lasts. The outcome is in *log*
    and *stats*.
    """

    def __init__(
        self,
        read: Callable[[], Callable[[], Notes]],
        log: Log,
        stats: Stats,
        errors: InternalErrors,
        tell: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.asked = False
        self._read = read
        self._log = log
        self._stats = stats
        self._errors = errors
        self._tell = tell
        stats.reloaded, stats.reloaded_at = 1, time.time()

    def ask(self) -> None:
        """Reload when next there is time to; may be called from a signal handler."""
        self.asked = True

    def run(self) -> None:
        """Reload now."""
        self.asked = False  # whoever asks from now on may have changed what is being read
        with self._tell():
            try:
                apply = self._read()
            except Exception as error:  # noqa: BLE001  # whatever stands in a file must not end what runs
                self._stats.reloaded = 0
                why = str(error)
                if not isinstance(error, ExtractorError):
                    self._errors.contain("reload", error)
                    why = origin(error)
                self._log.error(f"reload failed, the previous configuration stays in force: {why}")
                return
            for note in apply():
                self._log.warning(note)
            self._stats.reloaded, self._stats.reloaded_at = 1, time.time()
            self._log.info("reloaded")


def taken_over(before: State, lock: AbstractContextManager[Any], state: State) -> list[str]:
    """
    Take over into *state*, which is empty, what *before* has counted; what could not be, in words.

    *lock* is held for the moment in which *before* is looked at: a scrape, too, moves what is in a sliding window.
    """
    with lock:
        dumped = before.dump()
    notes = state.load(as_read(dumped))
    state.idle, state.read_to = before.idle, before.read_to
    return notes
