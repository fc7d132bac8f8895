"""What shells complete of words that are no options: many verbs import it, so it imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


def policies(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a policy: the shipped ones by name, others by file."""
    from click.shell_completion import CompletionItem

    from assay.appraisal.policy import SHIPPED

    named = [CompletionItem(name, help="shipped") for name in SHIPPED if name.startswith(incomplete)]
    return [*named, CompletionItem(incomplete, type="file")]
