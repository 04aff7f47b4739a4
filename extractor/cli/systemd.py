"""The command `extractor systemd`: the options of `extractor run` in, a systemd unit that runs it with them out."""

import os
import re
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from extractor.cli.options import Grouped, option
from extractor.cli.run import run
from extractor.cli.settings import file_of
from extractor.service import unit

_ENTRY = "extractor"
_UNSAID = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
"""What need not be said to the service: it reads the same file, also when it is to reload."""

_CHECKOUT = Path(__file__).parents[2]
"""Of an editable installation, where the sources are; else part of what is installed."""


def _matching(pattern: str, what: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def check(_: click.Context, __: click.Parameter, value: Any) -> Any:  # one or several
        for each in [value] if isinstance(value, str) else value:
            if not re.fullmatch(pattern, each):
                raise click.BadParameter(f"{each!r} is not {what}")
        return value

    return check


def _networks(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            ip_network(each, strict=False)
        except ValueError:
            raise click.BadParameter(f"{each!r} is not an address or network; write 192.0.2.7 or 10.0.0.0/8") from None
    return value


@click.command(cls=Grouped, params=[parameter for parameter in run.params if parameter.name != "help"])
@option("--socket", "wants_socket", is_flag=True, help="Print the socket unit instead of the service unit.")
@option(
    "--program",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Path of the installed program; by default, of the running one.",
)
@option(
    "--group",
    "groups",
    multiple=True,
    callback=_matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "a group name; write adm"),
    metavar="NAME",
    help="Group that may read the logs. May be repeated.",
)
@option(
    "--scrape-from",
    "clients",
    multiple=True,
    callback=_networks,
    metavar="ADDRESS",
    help="Address or network that may scrape, in addition to this host. May be repeated.",
)
@option(
    "--memory-max",
    default="2G",
    callback=_matching("[0-9]+[KMGT]?|[0-9]+%|infinity", "an amount of memory; write 500M or 2G"),
    metavar="BYTES",
    help="Memory limit of the service.",
)
@click.pass_context
def systemd(ctx: click.Context, /, **options: Any) -> None:
    """
    Print a systemd unit that runs `extractor run` with these options.

    The service runs as a dynamic user, can read only its inputs, and can write only its state directory,
    /var/lib/extractor unless --state-dir is given.

    Example:

    \b
        extractor systemd /var/log/agents > /etc/systemd/system/extractor.service
        systemctl daemon-reload && systemctl enable --now extractor
    """
    state_dir = _absolute(options["state_dir"] or unit.STATE_ROOT / _ENTRY)
    logs = [_absolute(path) for path in options["logs"]]
    program = _absolute(options["program"] or _running())
    # Of an environment of Python all is needed; of ours also what it is made from.
    code = [program.parent.parent] if options["program"] else [Path(sys.prefix), Path(sys.base_prefix), _CHECKOUT]
    file = file_of(ctx)
    service = unit.Service(
        program=program,
        arguments=[*map(str, logs), "--state-dir", str(state_dir), *_differing(ctx)],
        logs=logs,
        files=[
            *code,
            *([_absolute(file)] if file else []),
            *(path for parameter in run.params for path in _files(parameter, options)),
        ],
        state_dir=state_dir,
        address=options["listen_address"],
        clients=options["clients"],
        groups=options["groups"],
        memory_max=options["memory_max"],
    )
    click.echo(unit.socket_unit(service) if options["wants_socket"] else unit.service_unit(service), nl=False)


def _differing(ctx: click.Context) -> list[str]:
    """The options of `run` that are not as they would be anyway, as words; without those of which paths are made."""
    file = file_of(ctx)
    words = [] if file is None else ["--config", str(_absolute(file))]
    for parameter in run.params:
        if not isinstance(parameter, click.Option) or parameter.name in ("state_dir", "config"):
            continue
        name = parameter.name or ""
        value = ctx.params[name]
        if ctx.get_parameter_source(name) in _UNSAID or value == parameter.get_default(ctx):
            continue
        if parameter.is_flag:
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
            continue
        for each in value if parameter.multiple else [value]:
            words += [parameter.opts[0], _text(each)]
    return words


def _files(parameter: click.Parameter, options: dict[str, Any]) -> list[Path]:
    """What *parameter* points at, if it is a path to read; the logs and the state are known apart."""
    value = options.get(parameter.name or "")
    if not value or not isinstance(parameter.type, click.Path) or parameter.name in ("logs", "state_dir"):
        return []
    return [_absolute(Path(each)) for each in (value if parameter.multiple else [value])]


def _text(value: Any) -> str:  # of any option
    if isinstance(value, Path):
        return str(_absolute(value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # `Path.absolute` leaves ".." in


def _running() -> Path:
    program = Path(sys.argv[0])
    return program if program.name == _ENTRY else Path(sys.executable).with_name(_ENTRY)
