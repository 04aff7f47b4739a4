"""
`python -m tests.faults STAGE KIND COMMAND…`: the program with a fault in it.

At the stage STAGE it fails as KIND says wherever the word `bomb` is in what it works on, or, where no text of a line is
at hand, once there was such a line. With a number behind it, as in `ValueError/1`, only so many times.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from extractor.exposition import self_metrics
from extractor.ingest import counting
from extractor.ingest.fastpath import FastPath
from extractor.service import daemon
from extractor.service.persistence import Keeper
from extractor.service.rejects import RejectFile
from extractor.state.runs.settlement import Accounts
from extractor.state.state import State
from extractor.tail.admission import Contents
from extractor.tail.file import Source
from extractor.tail.tailer import Tail
from extractor.web.page.history import Trends
from extractor.web.page.monitor import Overview
from extractor.web.scrape import SeriesText

MARK = "bomb"


def detonate(kind: str) -> None:
    """Fail."""
    if kind == "SIGSEGV":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "exit":
        os._exit(9)
    raise {"ValueError": ValueError, "MemoryError": MemoryError, "OSError": OSError, "KeyError": KeyError}[kind](MARK)


def faulty(function: Callable[..., Any], kind: str, *, armed: Callable[[tuple[Any, ...]], bool]) -> Callable[..., Any]:
    """*function*, which fails where *armed* says so of its arguments."""
    kind, _, times = kind.partition("/")
    left = int(times or 1 << 30)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        if left and armed(arguments):
            left -= 1
            detonate(kind)
        return function(*arguments, **named)

    return wrapped


def is_marked(arguments: tuple[Any, ...]) -> bool:
    """Whether the mark is in one of the arguments."""
    return any(MARK in (repr(bytes(each)) if isinstance(each, bytes) else repr(each)) for each in arguments[1:])


def seen(arguments: tuple[Any, ...]) -> bool:
    """Whether a label set of some series has the mark."""
    state = next((each for each in (arguments[0], *vars_of(arguments[0])) if isinstance(each, State)), None)
    return state is not None and any(MARK in labels for family in state.families.values() for labels in family.series)


def vars_of(item: object) -> list[object]:
    """What the attributes of *item* are."""
    return [getattr(item, name, None) for name in ("_state", "_pipeline")]


def knows_run(arguments: tuple[Any, ...]) -> bool:
    """Whether a run with the mark has ended."""
    return any(MARK in name and run.ending is not None for name, run in arguments[0].runs.known.items())


Place = tuple[Any, str, Callable[[tuple[Any, ...]], bool]]

STAGES: dict[str, list[Place]] = {
    "fast": [(FastPath, "decode", is_marked)],
    "decode": [
        (FastPath, "decode", is_marked),
        (FastPath, "decode_line", is_marked),
        (counting, "read_line", lambda arguments: MARK.encode() in arguments[0]),
    ],
    "gather": [(counting, "gather", lambda arguments: any(MARK in key for _, c in arguments[1] for key in c.keys))],
    "merge": [(State, "apply", lambda arguments: MARK in repr(arguments[1]))],
    "settle": [(Accounts, "settle", knows_run)],
    "trends": [(Trends, "note", is_marked)],
    "folded": [(Overview, "folded", seen)],
    "page": [(Overview, "page", seen)],
    "scrape": [(SeriesText, "write", seen)],
    "own": [(self_metrics.OwnText, "write", lambda _: True)],
    "checkpoint": [(Keeper, "_dump", lambda _: True)],
    "save": [(Keeper, "_write", lambda _: True)],
    "rejects": [(RejectFile, "write", lambda _: True)],
    "scan": [(Tail, "scan", lambda _: True)],
    "look": [(Tail, "look", lambda _: True)],
    "chunk": [(Tail, "next_chunk", lambda _: True)],
    "file": [(Source, "read", lambda arguments: MARK in arguments[0].path)],
    "first": [(Source, "peek", lambda arguments: MARK in arguments[0].path)],
    "pieces": [(Tail, "_go_on", lambda arguments: MARK in arguments[1].path)],
    "compare": [(Contents, "_decide", lambda arguments: MARK in arguments[1].path)],
    "reload": [(daemon, "load", lambda _: True)],
}


def plant(stage: str, kind: str) -> None:
    """Put the fault in."""
    for owner, name, armed in STAGES[stage]:
        function = getattr(owner, name)
        if stage == "merge":  # the updates come one by one
            apply = function

            def function(self: State, updates: Any, apply: Any = apply) -> None:
                wrapped = faulty(lambda update: update, kind, armed=lambda arguments: MARK in arguments[0].labels)
                apply(self, (wrapped(update) for update in updates))

            setattr(owner, name, function)
            continue
        setattr(owner, name, faulty(function, kind, armed=armed))


if __name__ == "__main__":
    plant(sys.argv[1], sys.argv[2])
    sys.argv = ["extractor", *sys.argv[3:]]
    from extractor.__main__ import main

    main()
