"""
A systemd unit in, its service run as systemd would run it, as far as this machine lets us.

As root with all capabilities, or as a user who may make namespaces: with a read-only root, a /tmp, /home and /var/lib
of its own, and of what is hidden there only what the unit binds. Everywhere: with no privileges, none to be had, and
as root as a user who owns nothing. What needs a running systemd (filters of system calls and of addresses) is left out.

Run as a program inside the new namespace it puts up the mounts and becomes the service.

Knows nothing of what the service does.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.units import command, settings, words

USER = 61184
"""A user as DynamicUser= takes one: it owns nothing."""

_HIDDEN = ("/tmp", "/var/tmp", "/home", "/root", "/run/user", "/var/lib")
_PR_SET_MDWE = 65
_OURS = Path("/proc/self/ns/mnt")


def has_namespaces() -> bool:
    """Whether a namespace of mounts can be made here."""
    done = subprocess.run([*_unshared(), "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True, check=False)
    return 0 == done.returncode


def launch(unit: str, state: Path, *, namespaces: bool) -> list[object]:
    """The command that runs the service of *unit* with its state directory at *state*."""
    told = json.dumps({"unit": unit, "state": str(state), "outside": str(_OURS.readlink()) if namespaces else ""})
    return [*(_unshared() if namespaces else []), sys.executable, "-m", "tests.sandbox", told]


def _unshared() -> Sequence[str]:
    # A user becomes root in a namespace of users, which is what lets it mount.
    alone = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *alone, "--mount", "--propagation", "private"]


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _view(unit: dict[str, list[str]], state: str, outside: str) -> None:
    """Put up what the service sees of the file system."""
    assert str(_OURS.readlink()) != outside, "this must never be done to the mounts of the machine"
    name = unit["StateDirectory"][0]
    bound = [words(each)[0] for each in unit["BindReadOnlyPaths"]]
    held = {path: os.open(path, os.O_PATH) for path in [*bound, state]}
    for path in filter(os.path.isdir, _HIDDEN):
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", path)
    Path("/tmp").chmod(0o1777)
    for path in bound:
        _bind(held[path], Path(path))
        _mount("-o", "remount,bind,ro", path)
    _bind(held[state], Path("/var/lib", name))
    _mount("-o", "remount,bind,ro", "/")
    for path in filter(os.path.isdir, ("/home", "/root", "/run/user", "/var/lib")):
        _mount("-o", "remount,bind,ro", path)


def _bind(descriptor: int, path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    # Not made canonical: that would be the path which is hidden by now.
    mount = ["mount", "--no-canonicalize", "--bind", f"/proc/self/fd/{descriptor}", str(path)]
    subprocess.run(mount, check=True, pass_fds=[descriptor])


def main() -> None:
    """Become the service."""
    told = json.loads(sys.argv[1])
    unit = settings(told["unit"])
    service = command(unit["ExecStart"][0])
    if told["outside"]:
        _view(unit, told["state"], told["outside"])
    else:
        service = [each.replace(f"/var/lib/{unit['StateDirectory'][0]}", told["state"]) for each in service]
    assignments = [each.partition("=") for value in unit["Environment"] for each in words(value)]
    os.environ.update({name: value for name, _, value in assignments})
    os.environ["HOME"] = "/"
    os.umask(int(unit["UMask"][0], 8))
    os.chdir("/")
    files = int(unit["LimitNOFILE"][0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if unit["MemoryDenyWriteExecute"] == ["yes"]:
        ctypes.CDLL(None).prctl(_PR_SET_MDWE, 1, 0, 0, 0)  # older kernels do not know it
    without = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"] if os.geteuid() == 0 else []
    user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if _is_root_outside() else []
    os.execvp("setpriv", ["setpriv", "--no-new-privs", *user, *without, *service])


def _is_root_outside() -> bool:
    inside, outside, _ = Path("/proc/self/uid_map").read_text().split()[:3]
    return os.geteuid() == 0 and (inside, outside) == ("0", "0")


if __name__ == "__main__":
    main()
