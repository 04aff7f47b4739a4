"""
The settings of a service in, the text of its systemd units out.

The service may read logs, write its state and serve one port; everything else is denied. It runs as a dynamic user.
Files below /home and /tmp are hidden from it, except for its inputs.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from extractor.errors import UnitError
from extractor.service import quoting

STATE_ROOT = Path("/var/lib")
"""Where systemd makes directories for the state of services."""

_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  # named because the service gets others in their place
_STATE_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Service:
    """
    What is run: *program* with *arguments*, which reads *logs* and *files*, and keeps its state in *state_dir*.
    What the program itself consists of is among the files.

    It listens on *address*, HOST:PORT, for *clients*, addresses or networks; for all who can reach it if there are
    none. *groups* are those that may read the logs.
    """

    program: Path
    arguments: Sequence[str]
    logs: Sequence[Path]
    files: Sequence[Path]
    state_dir: Path
    address: str
    clients: Sequence[str] = ()
    groups: Sequence[str] = ()
    memory_max: str = "2G"


def service_unit(service: Service) -> str:
    """`extractor.service`."""
    command = quoting.command(str(service.program), ["run", *service.arguments])
    groups = " ".join(service.groups)
    return _SERVICE.format(
        command=command,
        state=_state_name(service.state_dir),
        view="\n".join(_view(service)),
        groups=f"SupplementaryGroups={groups}" if groups else "#SupplementaryGroups=adm",
        clients="\n".join(_clients(service)),
        port=_port(service.address),
        memory_max=service.memory_max,
    )


def socket_unit(service: Service) -> str:
    """`extractor.socket`."""
    _port(service.address)
    host, _, port = service.address.rpartition(":")
    if host:
        try:
            ip_address(host.strip("[]"))
        except ValueError:
            hint = "use an IP address, such as 127.0.0.1"
            raise UnitError(f"systemd cannot listen on the name {host}", hint) from None
    return _SOCKET.format(stream=f"{host}:{port}" if host else port, clients="\n".join(_clients(service)))


def _view(service: Service) -> list[str]:
    """What the service sees of the file system besides what is the same for all."""
    wanted = [*service.logs, *service.files]
    seen = list(dict.fromkeys(each for path in wanted for each in (str(path), os.path.realpath(path))))
    homes = [path for path in seen if _is_below(path, _HOMES)]
    hidden = [path for path in seen if _is_below(path, (*_HOMES, *_TEMPORARY))]
    lines = [f"ProtectHome={'tmpfs' if homes else 'yes'}"]
    lines += [f"BindReadOnlyPaths={quoting.bound(path)}" for path in hidden]
    # They may appear later, hence the -.
    lines += [f"ReadOnlyPaths={quoting.word(f'-{path}')}" for path in map(str, service.logs) if path not in hidden]
    return lines


def _clients(service: Service) -> list[str]:
    if service.clients:
        allowed = " ".join(("localhost", *service.clients))
    elif _is_local(service.address):
        allowed = "localhost"
    else:
        return ["# Listens for other machines; restrict them with --scrape-from ADDRESS."]
    return ["IPAddressDeny=any", f"IPAddressAllow={allowed}"]


def _is_local(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(address: str) -> str:
    port = address.rpartition(":")[2]
    if ":" not in address or not port.isdecimal():
        raise UnitError(f"cannot listen on {address!r}", "write HOST:PORT, such as 127.0.0.1:9464")
    return "tcp" if port == "0" else f"tcp:{port}"


def _state_name(path: Path) -> str:
    below = path.is_relative_to(STATE_ROOT) and path != STATE_ROOT
    name = str(path.relative_to(STATE_ROOT)) if below else ""
    if not _STATE_NAME.fullmatch(name) or ".." in name.split("/") or name.startswith("private"):
        raise UnitError(
            f"systemd cannot create the state directory {path}",
            f"use one below {STATE_ROOT}, such as {STATE_ROOT}/extractor, with letters, digits and _ . - in its name",
        )
    return name


def _is_below(path: str, roots: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(root) for root in roots)


_SERVICE = """\
# Follows the logs of AI agents and serves their metrics. Printed by `extractor systemd`; see docs/service.md.
#
#     extractor systemd LOG_DIR... > /etc/systemd/system/extractor.service
#     systemctl daemon-reload && systemctl enable --now extractor
#
# Set options for this host with that command, and everything else with `systemctl edit extractor`.

[Unit]
Description=Prometheus metrics from the event logs of AI agents
After=network.target

[Service]
# Started once the existing logs are read and /metrics answers: the start timeout is extended while reading makes
# progress. If the reading loop hangs, the process is killed, prints a traceback, and is restarted.
Type=notify
NotifyAccess=main
WatchdogSec=2min
Environment=PYTHONFAULTHANDLER=1
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5s
# 2 is wrong usage: a restart would not help.
RestartPreventExitStatus=2

# systemd allocates a user for the service; only the state directory persists.
DynamicUser=yes
StateDirectory={state}
StateDirectoryMode=0700
UMask=0077
# If the logs are not world-readable: a group that may read them.
{groups}

# The service reads logs, writes its state and serves HTTP on one port; everything else is denied.
ProtectSystem=strict
{view}
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Hides other processes, but not /proc/stat: process_start_time_seconds needs the boot time.
ProtectProc=invisible

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
KeyringMode=private

SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

DeviceAllow=
DevicePolicy=closed
{clients}
# AF_UNIX is needed for sd_notify and for the socket pair that wakes Python's event loop.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SocketBindDeny=any
SocketBindAllow={port}

# Well above normal use, and well below what would harm the host.
MemoryMax={memory_max}
TasksMax=64
LimitNOFILE=8192
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""

_SOCKET = """\
# The socket of extractor.service: systemd listens on it, so that no scrape is refused while the service restarts.
# Printed by `extractor systemd --socket`; see docs/service.md.
#
#     extractor systemd --socket LOG_DIR... > /etc/systemd/system/extractor.socket
#     systemctl daemon-reload && systemctl enable --now extractor.socket extractor.service

[Unit]
Description=Socket for scraping the metrics of AI agents

[Socket]
ListenStream={stream}
{clients}

[Install]
WantedBy=sockets.target
"""
