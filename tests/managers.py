"""
A service manager in a test: what a process tells it over NOTIFY_SOCKET, as systemd would hear it.

Knows nothing of what the process does.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers import DEADLINE, eventually


class Manager:
    """Listens at *address*, a path, or a name after an @; hears datagrams in their order, in a thread of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        if not address.startswith("@"):
            Path(address).chmod(0o777)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while message := self._socket.recv(1 << 16).decode():
            self.heard.append(dict(line.split("=", 1) for line in message.splitlines()))

    def values(self, name: str) -> list[str]:
        """All that was heard of *name* so far, in its order."""
        return [message[name] for message in list(self.heard) if name in message]

    def hears(self, name: str, value: str = "1") -> None:
        """Wait until *name* is told as *value*."""
        eventually(lambda: value in self.values(name), expected=True)

    def hears_more(self, name: str) -> None:
        """Wait until *name* is told again."""
        before = len(self.values(name))
        eventually(lambda: len(self.values(name)) > before, expected=True)

    def falls_silent(self, seconds: float) -> None:
        """Wait until nothing is heard for *seconds*."""
        pause = threading.Event()

        def has_been_silent() -> bool:
            before = len(self.heard)
            pause.wait(seconds)
            return before == len(self.heard)

        eventually(has_been_silent, expected=True)

    def close(self) -> None:
        """Hear no more."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join(DEADLINE)
        self._socket.close()


@contextmanager
def managed(
    manager: Manager | None,
    command: Sequence[object],
    said: Path,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """*command* as the service of *manager*, killed at the end of the block; what it says is in *said*."""
    ours = ("NOTIFY_", "WATCHDOG_", "LISTEN_", "EXTRACTOR_")
    known = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    known |= {"NOTIFY_SOCKET": manager.address} if manager else {}
    with said.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=known | dict(environment or {}),
            pass_fds=pass_fds,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE)


def extractor(*arguments: object) -> list[object]:
    """The command line of the program with *arguments*."""
    return [sys.executable, "-m", "extractor", *arguments]
