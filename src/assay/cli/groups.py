"""A verb with verbs of its own."""

from __future__ import annotations

from typing import Final

import click

_WHOLE: Final = 1000
"""Characters of a first sentence that are shown: all of them."""


class VerbsBelow(click.Group):
    """A group whose help says what each of its verbs does in a whole sentence; click's own cuts it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs, each with the first sentence of its help."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(_WHOLE)) for name, one in found if one is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
