"""The extractor's own counts in, one sentence out: how far behind the logs it is, and how fast it reads."""

import time
from collections.abc import Callable

from extractor.state.stats import Stats

_SHORT_SECONDS = 0.5  # over less, lines per second say nothing


class Pace:
    """Says where reading is; the speed is that since the sentence before."""

    def __init__(self, stats: Stats, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats = stats
        self._clock = clock
        self._at, self._lines, self._speed = clock(), stats.lines_read, 0

    def words(self, *, catching_up: bool) -> str:
        """Where reading is now; *catching_up* until the start of the process has been made up for."""
        stats, now = self._stats, self._clock()
        if now - self._at >= _SHORT_SECONDS:
            self._speed = round((stats.lines_read - self._lines) / (now - self._at))
            self._at, self._lines = now, stats.lines_read
        behind = f"{stats.bytes_behind:,} bytes behind" if stats.bytes_behind else "up to date"
        if catching_up:
            behind = f"catching up, {stats.bytes_behind:,} bytes behind"
        files = sum(number for state, number in stats.files.items() if state not in ("copy", "missing"))
        return (
            f"{behind[0].upper()}{behind[1:]}: {_counted(files, 'file')}, "
            f"{_counted(stats.lines_read, 'line')} read, {self._speed:,} a second"
        )


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
