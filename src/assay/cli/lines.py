"""Lines with a tag in front: what a lease tells a person, in at most the width of the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from assay.cli.output import escape, style

if TYPE_CHECKING:
    from assay.cli.output import Kind

TAG: Final = 9
_WIDEST: Final = 100
_NARROWEST: Final = 50
_UNITS: Final = ((30, "GiB"), (20, "MiB"), (10, "KiB"))


@dataclass(frozen=True, slots=True)
class Lines:
    """Prints tagged lines.

    Attributes:
        answer: True for what was asked for, on stdout; False for progress, on stderr.
    """

    answer: bool = False

    def line(self, tag: str, text: str, kind: Kind | None = None) -> None:
        """Print one thing: its tag, then its text, escaped, wrapped and indented."""
        width = max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)) - TAG - 2
        for index, row in enumerate(textwrap.wrap(escape(text), width, break_on_hyphens=False) or [""]):
            self._row(tag if index == 0 else "", row, kind)

    def more(self, text: str, kind: Kind | None = None) -> None:
        """Print a further line of the thing that the last line told of."""
        self.line("", text, kind)

    def command(self, text: str) -> None:
        """Print a command for the reader to copy: in one line, however long."""
        self._row("", escape(text), None)

    def _row(self, tag: str, text: str, kind: Kind | None) -> None:
        stream = sys.stdout if self.answer else sys.stderr
        shown = style(text, kind, stream) if kind else text
        click.echo(f"{style(tag.rjust(TAG), 'dim', stream)}  {shown}".rstrip(), err=not self.answer)


def sized(count: int) -> str:
    """Return a size for people: ``34.2 KiB``."""
    if count < 1 << 10:
        return f"{count} B"
    bits, name = next(unit for unit in _UNITS if count >> unit[0])
    return f"{count / (1 << bits):.1f} {name}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return ``1 file`` or ``2 files``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
