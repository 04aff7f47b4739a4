"""
A folder of logs in, a real `extractor run` that follows them out, ready to be scraped.

Knows nothing of the package but its command line.
"""

import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Following:
    """A process that is ready: where it serves, and the seconds until it was."""

    pid: int
    address: str
    seconds: float

    def cpu_seconds(self) -> float:
        """The CPU time it has used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def following(logs: Path, *options: str) -> Iterator[Following]:
    """An extractor that follows *logs*; it is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "extractor", "run", str(logs), "--web.listen-address", address, *options]
    began, pause = time.monotonic(), threading.Event()
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            while not is_ready(address):
                if process.poll() is not None:
                    said.seek(0)
                    sys.exit(f"{said.read()}{' '.join(command)}: exit {process.returncode}")
                pause.wait(0.01)
            yield Following(process.pid, address, time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)


def is_ready(address: str) -> bool:
    """Whether it says so."""
    try:
        get(address, "/-/ready")
    except OSError:  # not yet there, answers 503, or has just ended
        return False
    return True


def get(address: str, path: str) -> str:
    """The text of a page."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
    return text
