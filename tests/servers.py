"""
Commands in, running servers out; and how a test waits for what they serve.

Knows nothing of what is served.
"""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

DEADLINE = 30
"""Seconds until a condition counts as never met; nothing waits so long unless something is broken."""


def query(url: str, promql: str, at: float | None = None) -> dict[tuple[str, ...], float]:
    """The answer of the Prometheus at *url*: label values in the order of their names, without the metric's."""
    asked = {"query": promql} | ({"time": repr(at)} if at is not None else {})
    answer = json.loads(get(f"{url}/api/v1/query?{urllib.parse.urlencode(asked)}"))
    return {
        tuple(value for name, value in sorted(series["metric"].items()) if name != "__name__"): float(
            series["value"][1]
        )
        for series in answer["data"]["result"]
    }


def get(url: str) -> str:
    """The text at *url*."""
    with urllib.request.urlopen(url, timeout=DEADLINE) as response:
        return response.read().decode()


def eventually(look: Callable[[], object], expected: object) -> None:
    """Look until what is seen is *expected*; what is not served yet is nothing. Fails with what was seen last."""
    seen, pause, deadline = None, Event(), time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            seen = look()
        except (urllib.error.URLError, ConnectionError) as error:
            seen = error
        if expected == seen:
            return
        pause.wait(0.05)
    assert expected == seen, f"expected {expected}, saw {seen}"


@contextmanager
def running(command: Sequence[object], output: Path) -> Iterator[None]:
    """*command* for as long as the block lasts; what it says is in *output*."""
    with output.open("wb") as file:
        process = subprocess.Popen([str(word) for word in command], stdout=file, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            assert 0 == process.wait(DEADLINE), output.read_text()
