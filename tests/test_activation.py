"""A socket that the service manager listens on is served as if it were our own."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from extractor.errors import ServerError
from extractor.service.activation import handed_over
from tests.conftest import Log
from tests.managers import extractor, managed
from tests.reading import tool_call
from tests.servers import DEADLINE, eventually, get

LAUNCH = """
import os, sys
given, count, *command = sys.argv[1:]
if int(given) != 3:
    os.dup2(int(given), 3)
    os.close(int(given))
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": "extractor.socket"}
os.execv(command[0], command)
"""
"""What systemd does: the socket becomes file descriptor 3 of the process whose number it says."""

TAKEN = "203.0.113.1:9464"
"""An address that is no machine's: whoever binds it fails."""


class UnixConnection(HTTPConnection):
    """HTTP over the socket at *path*."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


@contextmanager
def activated(listener: socket.socket, log: Log, said: Path, count: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """An extractor that was handed *listener*."""
    run = extractor("run", log.path.parent, "--web.listen-address", TAKEN)
    command = [sys.executable, "-c", LAUNCH, listener.fileno(), count, *run]
    with managed(None, command, said, pass_fds=[listener.fileno()]) as process:
        yield process


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    """A listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def asked(connection: HTTPConnection, path: str) -> tuple[int, str]:
    """The status and the text at *path*."""
    connection.request("GET", path)
    with closing(connection), connection.getresponse() as response:
        return response.status, response.read().decode()


def test_a_tcp_socket_is_served(tcp: socket.socket, log: Log, tmp_path: Path) -> None:
    """What comes to the socket is answered, --web.listen-address is not bound, and it is said which socket it is."""
    log.append(tool_call())
    url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
    with activated(tcp, log, tmp_path / "said"):
        eventually(lambda: get(f"{url}/-/ready"), "Ready.\n")

        assert 'tool="search"} 1.0' in get(f"{url}/metrics")
    assert f"serving on the socket passed by systemd, {url}/metrics" in (tmp_path / "said").read_text()


def test_a_unix_socket_is_served(log: Log, tmp_path: Path) -> None:
    """A socket in the file system is served, too."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with activated(listener, log, tmp_path / "said"):
            eventually(lambda: asked(UnixConnection(path), "/-/ready"), (200, "Ready.\n"))

            assert 200 == asked(UnixConnection(path), "/metrics")[0]
            assert 200 == asked(UnixConnection(path), "/")[0]
    assert f"serving on the socket passed by systemd, unix:{path}:/metrics" in (tmp_path / "said").read_text()


def test_who_comes_between_two_processes_waits(tcp: socket.socket, log: Log, tmp_path: Path) -> None:
    """While the service starts again nobody is refused: the next process answers."""
    with activated(tcp, log, tmp_path / "said") as first:
        eventually(lambda: get(f"http://127.0.0.1:{tcp.getsockname()[1]}/-/ready"), "Ready.\n")
        first.terminate()
        assert 0 == first.wait(DEADLINE)
    host, port = tcp.getsockname()
    with closing(HTTPConnection(host, port, timeout=DEADLINE)) as waiting:
        waiting.request("GET", "/-/healthy")
        with activated(tcp, log, tmp_path / "said"), waiting.getresponse() as response:
            assert 200 == response.status


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not installed")
def test_systemd_hands_over(free_ports: Callable[[int], list[int]], log: Log, tmp_path: Path) -> None:
    """systemd's own program hands its socket to us as it does to every service."""
    [port] = free_ports(1)
    log.append(tool_call())
    run = extractor("run", log.path.parent, "--web.listen-address", TAKEN)
    program = shutil.which("systemd-socket-activate")
    path = os.environ["PATH"]
    with managed(None, [program, f"--listen=127.0.0.1:{port}", f"--setenv=PATH={path}", *run], tmp_path / "said"):
        eventually(lambda: get(f"http://127.0.0.1:{port}/-/ready"), "Ready.\n")

        assert 'tool="search"} 1.0' in get(f"http://127.0.0.1:{port}/metrics")


def test_several_sockets_are_too_many(tcp: socket.socket, log: Log, tmp_path: Path) -> None:
    """Two sockets are refused in one line that says what to write instead."""
    with activated(tcp, log, tmp_path / "said", count=2) as process:
        assert 1 == process.wait(DEADLINE)
    message = "2 sockets were passed, but only one can be served (keep one ListenStream= in the .socket unit)"
    assert f"extractor: {message}\n" == (tmp_path / "said").read_text()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"LISTEN_FDS": "many"}, "LISTEN_FDS is 'many', not a number"),
        ({"LISTEN_FDS": "-1"}, "LISTEN_FDS is '-1', not a number"),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "me"}, "LISTEN_PID is 'me', not a number"),
        ({"LISTEN_FDS": "1", "LISTEN_PID": ""}, "LISTEN_PID is not set"),
        ({"LISTEN_FDS": ""}, "LISTEN_FDS is not set"),
    ],
)
def test_bad_values(environment: dict[str, str], message: str) -> None:
    """Values that systemd does not write are an error that names them."""
    with pytest.raises(ServerError, match=message):
        handed_over({"LISTEN_PID": str(os.getpid())} | environment)


def test_what_is_no_listening_socket(tmp_path: Path) -> None:
    """A file, a socket for datagrams and a connection are refused, and so is what is not open at all."""
    ours = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    left, right = socket.socketpair()
    with (
        (tmp_path / "file").open("w") as file,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket() as unbound,
        left,
        right,
    ):
        for each, message in (
            (file, "is not a socket"),
            (datagrams, "is not a TCP or Unix stream socket"),
            (left, "is not a listening socket"),
            (unbound, "is not a listening socket"),
        ):
            with pytest.raises(ServerError, match=message):
                handed_over(dict(ours), each.fileno())
        number = os.dup(file.fileno())
    os.close(number)
    with pytest.raises(ServerError, match="is not a socket"):
        handed_over(dict(ours), number)


@pytest.mark.parametrize(
    "environment", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())}]
)
def test_nothing_is_handed_over(environment: dict[str, str]) -> None:
    """Without the variables, or where they are another process's, there is no socket; and none of them is left."""
    mine = environment | {"LISTEN_FDNAMES": "x"}

    assert handed_over(mine) is None
    assert {} == mine
