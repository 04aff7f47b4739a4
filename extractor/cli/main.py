"""
The command line `extractor`: arguments in, an exit code out.

0: success. 1: failed or incomplete, with one line on stderr and a hint. 2: wrong usage. 3: an objective is broken, or
a line was rejected under `--strict`. 130: interrupted by Ctrl-C.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from extractor import __version__
from extractor.cli.streams import give_up_output
from extractor.cli.termination import terminable
from extractor.errors import ExtractorError, SchemaError
from extractor.service.escapes import printable
from extractor.state.internal_errors import origin

_INTERRUPTED = 130
_TRACEBACK = "please report it; set EXTRACTOR_TRACEBACK=1 to see the traceback"
_COMMANDS = {
    "check": "Check that the schemas are valid.",
    "completion": "Print the completion script for SHELL.",
    "config": "Print the effective options and where each value comes from.",
    "replay": "Read PATH to the end and print a summary.",
    "report": "Compare the agents in PATH with the previous window and the objectives.",
    "requeue": "Retry rejected lines after a schema or a clock has been fixed.",
    "rules": "Print the recording and alert rules for Prometheus.",
    "run": "Follow LOG_DIR and serve its metrics.",
    "systemd": "Print a systemd unit that runs `extractor run` with these options.",
}
"""Every command and what it does: the first line of its help, which is not imported to print this."""


class _Commands(click.Group):
    """
    Turns the errors that end the program into one line and exit code 1.

    Commands are imported when they are used: each has a file of its own, and some import all there is.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # as click has it
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as click has it
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"extractor.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # as click
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # noqa: PLC0415  # seldom needed

            near = get_close_matches(args[0], _COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"No such command '{args[0]}'. Did you mean '{near[0]}'?", ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # Not by click, which would import every command for its help.
        found = [CompletionItem(name, help=text) for name, text in _COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click would say "Aborted!"
            _fail("interrupted", _INTERRUPTED)

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            with terminable():
                return super().main(*args, **extra)
        except SchemaError as error:
            more = f"; {len(error.others)} more: run extractor check to list them" if error.others else ""
            _fail(f"{error}{more}")
        except ExtractorError as error:
            _fail(str(error))
        except OSError as error:
            # What cannot be done with a file is an error of ours, with its name; what is left is what is printed.
            _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")
        except Exception as error:
            if os.environ.get("EXTRACTOR_TRACEBACK"):
                raise
            _fail(f"internal error: {origin(error)} ({_TRACEBACK})")


def _fail(text: str, code: int = 1) -> NoReturn:
    """Print the error and exit."""
    try:
        sys.stdout.flush()
    except OSError:
        give_up_output()
    with suppress(OSError):
        click.echo(f"extractor: {printable(text)}", err=True)
    sys.exit(code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="extractor")
def main() -> None:
    """Prometheus metrics from the event logs of AI agents."""
