"""What a person sees: stdout for what was asked, stderr for progress, and nothing a peer wrote unescaped."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assay.errors import AssayError

Kind = Literal["good", "bad", "warn", "dim", "strong"]

_CODES: Final[Mapping[str, str]] = {
    "good": "\x1b[32m",
    "bad": "\x1b[31;1m",
    "warn": "\x1b[33m",
    "dim": "\x1b[2m",
    "strong": "\x1b[1m",
}
_RESET: Final = "\x1b[0m"
SHOWN_CHARACTERS: Final = 2000


def escape(text: str, *, limit: int = SHOWN_CHARACTERS) -> str:
    r"""Return ``text`` as one line that a terminal, a log or a page shows as it is.

    Control, format (bidirectional overrides, zero-width), surrogate, private and unassigned characters, and
    all white space but the plain space, become ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``.

    Args:
        text: Anything, from anyone.
        limit: Characters of the input that are shown; how many were left out is said.
    """
    shown = text[:limit]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _escaped(char) for char in shown)
    left_out = len(text) - limit
    return shown if left_out <= 0 else f"{shown}... ({left_out} characters more)"


def _escaped(char: str) -> str:
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def coloured(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``stream`` takes colours: a terminal, not ``TERM=dumb``, and no ``NO_COLOR``."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb" and stream.isatty()


def style(text: str, kind: Kind, stream: TextIO | None = None) -> str:
    """Return ``text`` in the colour of its kind, where ``stream`` (default: stderr) takes colours."""
    return f"{_CODES[kind]}{text}{_RESET}" if coloured(stream or sys.stderr) else text


def progress(text: str, kind: Kind | None = None) -> None:
    """Print one line of progress to stderr at once. What came from a peer was escaped by the caller.

    Where stderr is a file for which there is no room, what goes on is not to fail over that.
    """
    try:
        click.echo(style(text, kind) if kind else text, err=True)
    except (BrokenPipeError, BlockingIOError):  # a reader that went away, or is slow, is told apart
        raise
    except OSError:
        stop_progress()


def stop_progress() -> None:
    """Point stderr at nothing: nobody reads it, and what goes on is not to fail over that."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def show_error(error: AssayError) -> None:
    """Print what failed, why, and what to do."""
    progress(f"{style('error:', 'bad')} {escape(error.message)} [{escape(error.code)}]")
    if error.action:
        progress(f"{style('do:', 'strong')} {escape(error.action)}")


def emit(text: str) -> None:
    """Print one line, or several, of what was asked for to stdout."""
    click.echo(text)


def emit_json(schema: str, members: Mapping[str, Any]) -> None:
    """Print an object to stdout as indented JSON in ASCII: what a peer wrote stays escaped.

    Args:
        schema: Its first member ``schema``: what the others are, and in which version.
        members: The others.
    """
    import json

    click.echo(json.dumps({"schema": schema, **members}, indent=2, ensure_ascii=True, allow_nan=False))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return aligned columns, every cell escaped; the last column is not padded."""
    cells = [[escape(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
