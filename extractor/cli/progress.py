"""
Bytes and lines read in, a progress bar on the terminal out, with speed and remaining time.

Nothing is shown if standard error is not a terminal or the total is unknown.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from extractor.history.reader import Read

_MEGABYTE = 1_000_000
_WARM_UP = 0.5  # seconds before there is a speed to tell


@contextmanager
def shown(total: int) -> Iterator[Callable[[Read], None]]:
    """Return a callback that reports each read to the bar, out of *total* bytes."""
    if not total or not sys.stderr.isatty():
        yield lambda _: None
        return
    started = time.monotonic()
    done = lines = 0

    def told(read: Read) -> None:
        nonlocal done, lines
        done += read.bytes
        lines += read.lines
        seconds = time.monotonic() - started
        speed = f"  {lines / seconds:,.0f} lines/s" if seconds > _WARM_UP else ""
        bar.update(read.bytes, f"{done / _MEGABYTE:,.0f} of {total / _MEGABYTE:,.0f} MB{speed}")

    with click.progressbar(length=total, label="Reading", file=sys.stderr, item_show_func=lambda item: item) as bar:
        yield told


@contextmanager
def counted(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Return a callback that reports to the bar how many of *total* parts are done."""
    if not total or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)
