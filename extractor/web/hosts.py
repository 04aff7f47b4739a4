"""
The `Host` header of a request in, whether it may be answered out.

A server on a loopback address is meant for this machine. A web page opened in a browser on it can point its own host
name at 127.0.0.1 (DNS rebinding) and read the response as if it were its own, but its requests carry that name. So only
addresses, `localhost` and configured names are accepted.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

_LOCAL = "localhost"
_SCHEMES = ("http", "https")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE | re.ASCII)


class Hosts:
    """What a request may ask for: any address, `localhost`, and the hosts of *urls*, which `host_of` takes."""

    def __init__(self, urls: Iterable[str] = ()) -> None:
        self._names = {_LOCAL, *map(host_of, urls)}

    def admit(self, headers: Iterable[bytes]) -> bool:
        """Whether a request with these `Host` *headers* may be answered; without any, it is from no browser."""
        return all(self._admits(_name(header)) for header in headers)

    def _admits(self, name: str) -> bool:
        return not name or name in self._names or _is_address(name)


def host_of(url: str) -> str:
    """The host in *url*, as a client sends it; raises `ValueError` if there is none."""
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()  # a UnicodeError is a ValueError
    if parts.scheme not in _SCHEMES or not (_NAME.fullmatch(host) or _is_address(host)):
        raise ValueError(f"{url!r} has no host")
    return _name(host.encode())


def is_loopback(listener: socket.socket) -> bool:
    """Whether *listener* is reached from this machine alone, over TCP, by way of which a browser comes."""
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    address = ip_address(str(listener.getsockname()[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _name(header: bytes) -> str:
    """The host of a header, without port, brackets and the dot at the end."""
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        inner, closed, rest = text[1:].partition("]")
        return inner if inner and closed and rest[:1] in ("", ":") else text
    return text if text.count(":") > 1 else text.partition(":")[0].removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
