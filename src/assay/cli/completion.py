"""``assay completion SHELL``: print the script that completes verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from assay.errors import UsageError


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    For bash, add this line to ~/.bashrc:  eval "$(assay completion bash)"
    """
    found = get_completion_class(shell)
    if found is None:
        raise UsageError("cli.completion.shell", f"There is no completion script for {shell}.")
    click.echo(found(ctx.find_root().command, {}, "assay", "_ASSAY_COMPLETE").source())
