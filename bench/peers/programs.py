"""
The programs that are given the job: how each is started, how its answer is read, and what it leaves undone.

Knows nothing of how they are measured.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.peers.answers import Counted, of_exposition, of_extractor, of_rows

HERE = Path(__file__).parent
_READS_ONCE = "no following, no scrapes, no validation"


@dataclass(frozen=True)
class Program:
    """One way to do the job."""

    name: str
    command: list[str]  # the log is the last word
    read: Callable[[str], Counted]
    undone: str
    version: str | None = None  # None: it is not installed
    install: str = ""
    more: dict[str, str] = field(default_factory=dict)  # variables of its environment


def programs() -> list[Program]:
    """All of them: ours first, the plain loop that the others are held against last."""
    extractor = [str(Path(sys.executable).with_name("extractor")), "replay", "--format", "prometheus"]
    parallel = b"--jobs" in subprocess.run([*extractor[:2], "--help"], capture_output=True, check=True).stdout
    jobs = [(f"extractor replay --jobs {n}", [*extractor, "--jobs", str(n)]) for n in (1, 2)]
    ours = jobs if parallel else [("extractor replay", extractor)]
    everything = "(does all other metrics of the default pack as well, with all labels)"
    return [
        *(Program(name, command, of_extractor, everything, _package("extractor")) for name, command in ours),
        *_engines(),
        Program(
            "mtail",
            ["mtail", "--one_shot", "--one_shot_format=prometheus", "--address=127.0.0.1", "--port=0",
             f"--progs={HERE / 'agents.mtail'}", "--logs"],
            of_exposition,
            "no JSON (patterns need the fields in one order), no validation, no quantiles, not exact after a restart",
            _printed("mtail", "--version"),
            "apt install mtail",
        ),
        Program(
            "jq",
            ["jq", "--null-input", "--compact-output", "--from-file", str(HERE / "agents.jq")],
            of_rows,
            f"{_READS_ONCE}, no quantiles",
            _printed("jq", "--version"),
            "apt install jq",
        ),
        *(
            Program(
                f"{parser} and prometheus_client by hand",
                [sys.executable, "-m", "bench.peers.by_hand", parser],
                of_exposition,
                "no validation, no quantiles, nothing kept over a restart",
                f"prometheus_client {_package('prometheus-client')}"
                + (f", orjson {_package('orjson')}" if parser == "orjson" else ""),
            )
            for parser in ("json", "orjson")
        ),
    ]  # fmt: skip


def _engines() -> list[Program]:
    engines = []
    for name in ("DuckDB", "chDB", "Polars"):
        for threads in ("1", "0"):
            limited = name == "Polars"  # by a variable, which it reads when it is imported
            engines.append(
                Program(
                    f"{name}, {'one thread' if threads == '1' else 'its own choice of threads'}",
                    [sys.executable, "-m", f"bench.peers.by_{name.lower()}", *([] if limited else [threads])],
                    of_rows,
                    f"{_READS_ONCE}, no histogram, a table in memory",
                    _package(name.lower()),
                    "pip install '.[bench]'",
                    {"POLARS_MAX_THREADS": "1"} if limited and threads == "1" else {},
                )
            )
    return engines


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _printed(*command: str) -> str | None:
    if not shutil.which(command[0]):
        return None
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d[\w.~-]*", text)
    return found[0] if found else text.strip()
