"""
The options of commands in, the effective value of each and its origin out.

The command line takes precedence over the environment, the environment over the file, and the file over the default.
The whole file is checked, whichever command is run.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from extractor.cli.config_file import Place, Said, read
from extractor.cli.options import PATH_TEXT, Grouped, PathText
from extractor.errors import ConfigurationError, ExtractorError
from extractor.schema.properties import did_you_mean

_ARGUMENTS, _FILE = "extractor.arguments", "extractor.file"
_CONFIG = "config"
_LIKE = {"systemd": "run"}  # what prints how another command is run is told what that one would be
_RELATIVE = "a path is relative to the file"


class _WrongTypeError(Exception):
    """What a file says is not of the type that the option wants."""


class Command(Grouped):
    """A command whose options a file may give, too: the one that `--config` names."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # click's own
        super().__init__(*args, **settings)
        self.params.append(
            click.Option(
                ["--config"],
                type=click.Path(dir_okay=False, path_type=Path),
                envvar="EXTRACTOR_CONFIG",
                show_envvar=True,
                is_eager=True,
                expose_value=False,
                callback=_take_file,
                metavar="FILE",
                help="TOML file of options; see docs/configuration.md.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take *args* as click does; they are kept for `reread`."""
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def reread(self, ctx: click.Context) -> dict[str, Any]:
        """The parameters of *ctx* as they would be now. Raises `ExtractorError`."""
        try:
            return self.make_context(ctx.info_name, list(ctx.meta[_ARGUMENTS]), ctx.parent).params
        except click.UsageError as error:
            raise ExtractorError(error.format_message()) from error


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file says that is right, by command and name of the parameter; and what is wrong."""

    by_command: Mapping[str, Mapping[str, Said]] = field(default_factory=dict)
    problems: tuple[ConfigurationError, ...] = ()


class Setting(NamedTuple):
    """What is in force for one parameter: its key, its value, and who says so."""

    parameter: click.Parameter
    key: str
    value: object
    origin: str


def file_of(ctx: click.Context) -> Path | None:
    """The configuration file of the command of *ctx*, if any."""
    path: Path | None = ctx.meta.get(_FILE)
    return path


def key_of(parameter: click.Parameter) -> str:
    """The key of *parameter* in a file."""
    return max(parameter.opts, key=len).removeprefix("--")


def configurable(command: click.Command) -> dict[str, click.Parameter]:
    """The parameters of *command* that a file may give, by key."""
    found = {key_of(each): each for each in command.params}
    return {key: each for key, each in found.items() if key != _CONFIG} if isinstance(command, Command) else {}


def commands_of(group: click.Command) -> dict[str, click.Command]:
    """The commands of *group*, by name."""
    if not isinstance(group, click.Group):
        return {}
    ctx = click.Context(group)
    found = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    return {name: command for name, command in found.items() if isinstance(command, Command)}


def check(path: Path, commands: Mapping[str, click.Command], used: str) -> Checked:
    """
    What the file at *path* says to *commands*. Raises `ConfigurationError` where it cannot be read at all.

    Whether there is what a path names is asked only for the command *used*: others may be used elsewhere, or later.
    """
    parameters = {name: configurable(command) for name, command in commands.items()}
    by_command: dict[str, dict[str, Said]] = {name: {} for name in commands}
    problems = []
    # What is for all comes first.
    for said in sorted(read(path, commands), key=lambda said: (said.command != "", said.place.line)):
        having = [name for name in ([said.command] if said.command else commands) if said.key in parameters[name]]
        if not having:
            problems.append(_unknown(said, parameters))
        for name in having:
            parameter = parameters[name][said.key]
            assert parameter.name is not None
            try:
                value = _from_file(parameter, said, path.parent)
                if name == used or not is_path(parameter):
                    parameter.process_value(click.Context(commands[name], info_name=name), value)
            except _WrongTypeError as error:
                problems.append(said.place.error(str(error), _example(parameter)))
                break
            except click.BadParameter as error:
                hint = _RELATIVE if is_path(parameter) else _example(parameter)
                problems.append(said.place.error(error.message.rstrip("."), hint))
                break
            by_command[name][parameter.name] = said._replace(value=value)
    return Checked(by_command, tuple(problems))


def is_path(parameter: click.Parameter) -> bool:
    """Whether *parameter* is a path, or several."""
    return isinstance(parameter.type, click.Path | PathText)


def in_force(
    command: click.Command, name: str, said: Mapping[str, Said], words: Sequence[str], *, looks: bool
) -> list[Setting]:
    """
    What is in force for *command*, of which a file has *said* so much, and the command line *words*.

    Nothing of it must have been said. Only if it *looks*, paths must exist.
    """
    lenient = copy(command)
    lenient.params = [copy(each) for each in configurable(command).values()]
    for each in lenient.params:
        each.required = False
        if isinstance(each.type, click.Path) and not looks:
            each.type = PATH_TEXT
    ctx = lenient.make_context(name, list(words), default_map={name: each.value for name, each in said.items()})
    settings = []
    for key, parameter in configurable(lenient).items():
        assert parameter.name is not None
        match ctx.get_parameter_source(parameter.name):
            case ParameterSource.COMMANDLINE:
                origin = "command line"
            case ParameterSource.ENVIRONMENT:
                origin = str(parameter.envvar)
            case ParameterSource.DEFAULT_MAP:
                origin = str(said[parameter.name].place)
            case _:
                origin = "default"
        settings.append(Setting(parameter, key, _plain(parameter, ctx.params.get(parameter.name)), origin))
    return sorted(settings, key=lambda setting: setting.key)


def _take_file(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    name = ctx.info_name or ""
    used = _LIKE.get(name, name)
    checked = check(path, commands_of(ctx.find_root().command), used)
    if checked.problems:
        raise checked.problems[0]
    said = checked.by_command.get(used, {})
    ctx.meta[_FILE] = path
    ctx.default_map = {name: each.value for name, each in said.items()}


def _unknown(said: Said, parameters: Mapping[str, Mapping[str, click.Parameter]]) -> ConfigurationError:
    place: Place = said.place
    if said.command:
        return place.error(
            f"extractor {said.command} has no such option", did_you_mean(said.key, parameters[said.command])
        )
    first, _, rest = said.key.partition(".")
    meant = did_you_mean(first, parameters)
    if rest and meant.startswith("did"):
        return place.error(f"there is no command '{first}'", meant)
    return place.error(
        "no command has such an option", did_you_mean(said.key, {key for each in parameters.values() for key in each})
    )


def _from_file(parameter: click.Parameter, said: Said, folder: Path) -> object:
    """The value as click takes it: of the right type, and with paths that are relative to *folder* made whole."""
    value = said.value
    if _is_many(parameter):
        if not isinstance(value, list):
            raise _WrongTypeError("must be a list")
        return [_one(parameter, each, folder) for each in value]
    if isinstance(value, list):
        raise _WrongTypeError("must be a single value, not a list")
    return _one(parameter, value, folder)


def _one(parameter: click.Parameter, value: object, folder: Path) -> object:
    kind = parameter.type
    if _is_flag(parameter):
        right, wanted = isinstance(value, bool), "true or false"
    elif isinstance(kind, click.types.IntParamType):
        right, wanted = isinstance(value, int) and not isinstance(value, bool), "an integer"
    elif isinstance(kind, click.types.FloatParamType):
        right = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        wanted = "a number"
    else:
        right, wanted = isinstance(value, str) and value != "" and "\0" not in value, "a string in quotes"
    if not right:
        raise _WrongTypeError(f"must be {wanted}")
    return str(folder / str(value)) if is_path(parameter) and value != "-" else value


def _example(parameter: click.Parameter) -> str:
    default = parameter.default
    if _is_flag(parameter):
        shown = "true"
    elif isinstance(default, int | float | str):
        shown = f'"{default}"' if isinstance(default, str) else str(default)
    elif isinstance(parameter.type, click.types.IntParamType):
        shown = "1"
    else:
        name = (parameter.metavar or parameter.type.name).removesuffix("...")
        shown = f'"{name}"'
    return f"write {key_of(parameter)} = {f'[{shown}]' if _is_many(parameter) else shown}"


def _is_many(parameter: click.Parameter) -> bool:
    return parameter.multiple or parameter.nargs == -1


def _is_flag(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.is_flag


def _plain(parameter: click.Parameter, value: object) -> object:
    """*value*, as it was made by click, as one would write it."""
    match value:
        case Path():
            return str(value)
        case dict():
            return [f"{name}={text}" for name, text in value.items()]
        case tuple():
            return [_plain(parameter, each) for each in value]
        case int() | float() if parameter.metavar == "DURATION":
            return f"{value}s"
        case int() | float() if parameter.metavar == "TIME":
            return f"{value:.6f}".rstrip("0").rstrip(".")
        case _:
            return value
