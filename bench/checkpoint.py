"""
What a checkpoint costs where there is much to keep: 10,000 series, 1,000 of them summaries with a full window.

    python -m bench.checkpoint

A real extractor follows a log that is written all the while and saves twice a second. Shown are how long a checkpoint
held up reading, how large it is, how much memory the process has, and how long it takes to be ready after a restart.

Knows nothing of the package but its command line and its own metrics.
"""

import json
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

from bench import memory
from bench.following import Following, following, get

TOOLS = 1000
STATUSES = ("ok", "error", "timeout", "cancelled", "refused", "retried", "skipped", "unknown")
LINES = 300_000
SECONDS = 20
BURST = 500


@dataclass
class Measured:
    """Of a process that has followed for a while; times in seconds."""

    series: int
    stalls: list[float]
    checkpoint_bytes: int
    resident_bytes: int
    peak_bytes: int
    ready_again: float
    ready_empty: float


def measure(folder: Path) -> Measured:
    """Follow a log of many series in *folder*, and start again."""
    logs, state_dir, pack = folder / "logs", folder / "state", folder / "pack"
    logs.mkdir()
    write_pack(pack)
    written = lines(1)
    with (logs / "agent.jsonl").open("wb", buffering=0) as log:
        log.write(b"".join(islice(written, LINES)))
        with _kept(logs, state_dir, pack) as it:
            stalls = []
            pause = threading.Event()
            for _ in range(SECONDS * 5):
                log.write(b"".join(islice(written, BURST)))
                pause.wait(0.2)
                stalls.append(value(it.address, "extractor_checkpoint_stall_seconds"))
            resident, most = memory.resident(it.pid), memory.peak(it.pid)
            numbers = re.findall(r"^extractor_series\{.*\} (.*)$", get(it.address, "/metrics"), re.MULTILINE)
            series = int(sum(map(float, numbers)))
    size = (state_dir / "checkpoint").stat().st_size
    with _kept(logs, state_dir, pack) as again:
        pass
    (logs / "agent.jsonl").unlink()
    with _kept(logs, folder / "empty", pack) as empty:
        pass
    return Measured(series, stalls, size, resident, most, again.seconds, empty.seconds)


def _kept(logs: Path, state_dir: Path, pack: Path) -> AbstractContextManager[Following]:
    return following(logs, "--state-dir", str(state_dir), "--checkpoint-interval", "0.5", "--schemas", str(pack))


def lines(seed: int) -> Iterator[bytes]:
    """Calls of all tools in turn, a millisecond apart, so that each has some in every slot of the window."""
    random = Random(seed)
    for i in range(sys.maxsize):
        line = {
            "ts": 1767607200 + i / 1000, "event": "call", "run_id": f"run-{i // 50}", "tool": f"tool-{i % TOOLS:04}",
            "status": "ok", "duration_ms": round(random.lognormvariate(5, 1), 3),
        }  # fmt: skip
        yield json.dumps(line).encode() + b"\n"


def write_pack(folder: Path) -> None:
    """One event type with ten series for each tool: eight of a counter, a histogram and a summary."""
    duration = {"labels": ["tool"], "value": "duration_ms", "unit": "ms", "limit": TOOLS}
    schema = {
        "type": "object",
        "required": ["ts", "event", "run_id", "tool", "status", "duration_ms"],
        "properties": {
            "ts": {"type": "number"},
            "event": {"const": "call"},
            "run_id": {"type": "string"},
            "tool": {"type": "string", "maxLength": 20},
            "status": {"enum": STATUSES},
            "duration_ms": {"type": "number", "minimum": 0},
        },
        "examples": [{"ts": 0, "event": "call", "run_id": "r", "tool": "t", "status": "ok", "duration_ms": 1}],
        "x-labels": {"tool": {"limit": TOOLS}},
        "x-metrics": {
            "calls_total": {
                "type": "counter", "help": "Calls.", "labels": ["tool", "status"], "limit": len(STATUSES) * TOOLS,
            },
            "call_duration_seconds": {"type": "histogram", "help": "Time.", "buckets": [0.1, 1, 10]} | duration,
            "call_duration_quantile_seconds": {"type": "summary", "help": "Time."} | duration,
        },
    }  # fmt: skip
    folder.mkdir()
    (folder / "call.schema.json").write_text(json.dumps(schema))
    pointers = {"name": "bench", "event": "/event", "time": "/ts", "run": "/run_id", "files": ["*.jsonl"]}
    (folder / "pack.json").write_text(json.dumps(pointers))


def value(address: str, name: str) -> float:
    """The value of a metric without labels."""
    found = re.search(rf"^{name} (\S+)$", get(address, "/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0.0


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-checkpoint-") as folder:
        found = measure(Path(folder))
    print(f"series                      {found.series:10,}")
    print(f"stall, median           ms  {1000 * median(found.stalls):10.1f}")
    print(f"stall, longest          ms  {1000 * max(found.stalls):10.1f}")
    print(f"checkpoint             MiB  {found.checkpoint_bytes / 2**20:10.1f}")
    print(f"memory, resident       MiB  {found.resident_bytes / 2**20:10.0f}")
    print(f"memory, peak           MiB  {found.peak_bytes / 2**20:10.0f}")
    print(f"ready after a restart   s   {found.ready_again:10.2f}")
    print(f"ready with nothing kept s   {found.ready_empty:10.2f}")


if __name__ == "__main__":
    main()
