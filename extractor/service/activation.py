"""
Socket activation: the environment set by the service manager in, the socket to serve on out.

The manager passes a listening socket as file descriptor 3 and sets LISTEN_FDS and LISTEN_PID (sd_listen_fds(3)). The
socket stays open while the service restarts, so clients wait instead of being refused.
"""

import os
import socket
from collections.abc import MutableMapping

from extractor.errors import ServerError

FIRST = 3
"""The file descriptor of the first socket that is handed over."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def handed_over(environment: MutableMapping[str, str], first: int = FIRST) -> socket.socket | None:
    """
    The socket that *environment* speaks of, listening; None if it speaks of none, or to another process.

    The variables are taken out of *environment*: they are for this process, not for its children.
    """
    count, pid = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if not count and not pid:
        return None
    for name, value in (("LISTEN_FDS", count), ("LISTEN_PID", pid)):
        if not (value.isascii() and value.isdecimal()):
            raise ServerError(
                f"{name} is {value!r}, not a number" if value else f"{name} is not set, but the other variable is",
                "systemd sets LISTEN_FDS and LISTEN_PID for a .socket unit; unset both to disable socket activation",
            )
    if int(pid) != os.getpid() or int(count) == 0:
        return None
    if int(count) > 1:
        raise ServerError(
            f"{count} sockets were passed, but only one can be served",
            "keep one ListenStream= in the .socket unit",
        )
    return _listener(first)


def _listener(descriptor: int) -> socket.socket:
    where = f"file descriptor {descriptor} passed by systemd"
    hint = "the .socket unit must say ListenStream= and Accept=no"
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ServerError(f"{where} is not a socket: {error.strerror}", hint) from error
    if listener.family not in _FAMILIES or listener.type != socket.SOCK_STREAM:
        listener.detach()
        raise ServerError(f"{where} is not a TCP or Unix stream socket", hint)
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.detach()
        raise ServerError(f"{where} is not a listening socket", hint)
    listener.set_inheritable(False)
    return listener
