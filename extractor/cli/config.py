"""The command `extractor config`: print or check the effective options of commands."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from extractor.cli.options import Grouped, option
from extractor.cli.settings import Checked, Setting, check, commands_of, in_force
from extractor.errors import ConfigurationError
from extractor.schema.properties import did_you_mean
from extractor.service.escapes import printable

_PREFIX = "EXTRACTOR_"


@click.command(cls=Grouped)
@click.argument("command", required=False, metavar="[COMMAND]")
@click.argument("arguments", nargs=-1, metavar="[-- ARGUMENTS...]")
@option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="TOML file of options."
)
@option("--format", "form", type=click.Choice(["table", "json", "toml"]), default="table", help="Output format.")
@option("--check", "only_check", is_flag=True, help="Only check the options; exit with code 1 if there are errors.")
@click.pass_context
def config(
    ctx: click.Context,
    /,
    command: str | None,
    arguments: tuple[str, ...],
    file: Path | None,
    **output: Any,
) -> None:
    """
    Print the effective options and where each value comes from.

    Covers COMMAND with the given ARGUMENTS, or all commands. The TOML output can be used as --config.

    Example:

    \b
        extractor config run --config extractor.toml
        extractor config run -- /var/log/agents --poll-interval 1
        extractor config --check --config /etc/extractor.toml
    """
    commands = commands_of(ctx.find_root().command)
    if command is not None and command not in commands:
        raise click.UsageError(f"there is no command {command!r} to configure; {did_you_mean(command, commands)}")
    used = command or "run"
    checked = Checked() if file is None else _checked(file, commands, used)
    problems = [*map(str, checked.problems), *_of_variables(ctx, commands)]
    for problem in problems:
        click.echo(f"extractor: {printable(problem)}", err=True)
    if problems:
        sys.exit(1)
    found = {
        name: in_force(commands[name], name, checked.by_command.get(name, {}), arguments, looks=name == used)
        for name in ([command] if command else sorted(commands))
    }
    if not output["only_check"]:
        click.echo("\n".join(_FORMS[output["form"]](found)))
    else:
        click.echo("the configuration is valid" if file is None else f"{printable(str(file))} is valid")


def _checked(file: Path, commands: Mapping[str, click.Command], used: str) -> Checked:
    try:
        return check(file, commands, used)
    except ConfigurationError as error:
        return Checked(problems=(error,))


def _of_variables(ctx: click.Context, commands: Mapping[str, click.Command]) -> Iterator[str]:
    known = {
        str(each.envvar).removeprefix(_PREFIX)
        for command in (ctx.command, *commands.values())
        for each in command.params
    }
    for name in sorted(os.environ):
        word = name.removeprefix(_PREFIX)
        if name.startswith(_PREFIX) and word not in known:
            near = get_close_matches(word, known, n=1)
            yield f"{name}: no option reads this variable" + (f" (did you mean {_PREFIX}{near[0]}?)" if near else "")


def _table(found: Mapping[str, list[Setting]]) -> Iterator[str]:
    rows = [
        (f"{name} {setting.key}", _shown(setting.value), setting.origin) for name in found for setting in found[name]
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for key, value, origin in rows:
        yield printable(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}")


def _json(found: Mapping[str, list[Setting]]) -> Iterator[str]:
    yield json.dumps(
        {
            name: {setting.key: {"value": setting.value, "from": setting.origin} for setting in settings}
            for name, settings in found.items()
        },
        indent=1,
    )


def _toml(found: Mapping[str, list[Setting]]) -> Iterator[str]:
    for name, settings in found.items():
        yield f"[{name}]"
        for setting in settings:
            # The file may be kept elsewhere, where a relative path would mean another.
            is_said = setting.value not in (None, [])
            text = f"{setting.key} = {_shown(setting.value)}" if is_said else f"# {setting.key} ="
            yield f"{text}  # {printable(setting.origin)}"
        yield ""


def _shown(value: Any) -> str:
    """As TOML has it."""
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(map(_character, value)) + '"'
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case _:
            return str(value)


def _character(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if char.isprintable() else f"\\U{ord(char):08x}"


_FORMS = {"table": _table, "json": _json, "toml": _toml}
