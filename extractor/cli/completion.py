"""The command `extractor completion`: the name of a shell in, its completion script out."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """
    Print the completion script for SHELL.

    Example:

    \b
        extractor completion bash > /etc/bash_completion.d/extractor
        extractor completion zsh > /usr/local/share/zsh/site-functions/_extractor
        extractor completion fish > ~/.config/fish/completions/extractor.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "extractor", "_EXTRACTOR_COMPLETE").source())
