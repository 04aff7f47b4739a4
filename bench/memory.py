"""
A process in, the most memory it and its children held at one moment out.

The kernel's own answer at the end (`ru_maxrss`) is of the largest process alone, and never below what the process that
started it held at that moment, since a child begins as a copy. So the tree is looked at while it runs.

Knows nothing of what the processes do.
"""

import re
import threading
from pathlib import Path

EVERY = 0.02  # seconds between two looks


class Watch:
    """Looks at process *pid* until it is told to stop."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The most that was seen, in bytes."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            pids = tree(self._pid)
            # One process knows its own peak; of several what they share counts once.
            now = peak(pids[0]) if len(pids) == 1 else sum(map(proportional, pids))
            self._peak = max(self._peak, now)


def tree(pid: int) -> list[int]:
    """*pid* and its descendants."""
    found = [pid]
    for each in found:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:  # it ended meanwhile
            continue
    return found


def peak(pid: int) -> int:
    """The most that process *pid* has held so far, in bytes."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM")


def resident(pid: int) -> int:
    """What process *pid* holds now, in bytes."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS")


def proportional(pid: int) -> int:
    """What process *pid* holds now, its share of what it shares, in bytes."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def _kilobytes(file: Path, name: str) -> int:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    except OSError:  # it ended meanwhile
        return 0
    return int(found[1]) * 1024 if found else 0
