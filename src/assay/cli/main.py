"""The command line's entry: a table of verbs, each imported only when it is called."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final

import click

from assay.cli import exit_codes
from assay.cli.output import emit_json, escape, progress, show_error, stop_progress, style
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from click.shell_completion import CompletionItem

PROGRAM: Final = "assay"


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: where its command is, and what the list of verbs says of it.

    Attributes:
        name: What is typed.
        target: ``module:attribute`` of the click command; imported when the verb is called.
        help: One line.
    """

    name: str
    target: str
    help: str

    def load(self) -> click.Command:
        """Import the verb's module and return its command."""
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.target} is not a click command")
        return command


VERBS: Final = (
    Verb("run", "assay.cli.run:run", "Lease a machine, make it prove itself, run a command, release it."),
    Verb("plan", "assay.cli.plan:plan", "Show what would be leased and what that would and would not prove."),
    Verb("lease", "assay.cli.lease:lease", "New, list, show, wait, logs, attach, keep, stop."),
    Verb("cleanup", "assay.cli.cleanup:cleanup", "Finish what was interrupted; release what is overdue."),
    Verb("verify", "assay.cli.verify:verify", "Verify evidence: every check by name, its outcome, and why."),
    Verb("simulate", "assay.cli.simulate:simulate", "Make simulated evidence, attacks included."),
    Verb(
        "endorsements",
        "assay.cli.endorsements:endorsements",
        "Fetch, bundle, show and check what vouches for hardware.",
    ),
    Verb("measure", "assay.cli.measure:measure", "Compute what an image should report."),
    Verb("reference", "assay.cli.reference:reference", "Sign, keep and compare Reference Values."),
    Verb("policy", "assay.cli.policy:policy", "Write, check and explain appraisal policies."),
    Verb("audit", "assay.cli.audit:audit", "Export the log; verify an export offline."),
    Verb("receipt", "assay.cli.receipt:receipt", "Show and verify receipts."),
    Verb("doctor", "assay.cli.doctor:doctor", "Check that this machine has what Assay needs."),
    Verb("completion", "assay.cli.completion:completion", "Print the completion script of a shell."),
)


class _ReaderGoneError(Exception):
    """Whoever read the output closed it."""


class VerbGroup(click.Group):
    """The root command: lists verbs from the table and imports only the one that is called."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; tell a reader of the output that went away from other failures, unlike click."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs that are built, in the order of the table."""
        return list(_built())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Import and return a verb's command; None for a verb that does not exist."""
        verb = _built().get(cmd_name)
        return verb.load() if verb else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """Write the list of verbs without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb.name, verb.help) for verb in _built().values()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs from the table, without importing any of them."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(verb.name, help=verb.help)
            for verb in _built().values()
            if verb.name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)


def _built() -> dict[str, Verb]:
    return {verb.name: verb for verb in VERBS if find_spec(verb.target.partition(":")[0])}


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"{PROGRAM} {version('assay')}")
        ctx.exit(exit_codes.OK)


@click.group(
    cls=VerbGroup,
    name=PROGRAM,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes, settings and policies: see the documentation's reference pages.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and stop.",
)
def root() -> None:
    """Lease confidential machines; nothing goes in until the hardware proves it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind the program's name; None takes those of the process.

    Returns:
        The exit code; see ``exit_codes``.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_standard_streams()
    try:
        return _answer(words)
    except (_ReaderGoneError, BrokenPipeError):
        _silence()
        return exit_codes.BROKEN_PIPE
    except OSError as error:  # stdout takes nothing, be it an answer or an error in JSON
        _silence()
        return _report(_unwritable(error), as_json=False)


def _answer(words: Sequence[str]) -> int:
    """Run the command line; a stdout that cannot be written is left to the caller, wherever it shows.

    Raises:
        OSError: Nothing can be written to stdout.
    """
    as_json = _asked_for_json(words)
    try:
        answer = root.main(words, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except AssayError as error:
        return _report(error, as_json=as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return exit_codes.USAGE
    except click.ClickException as error:
        return _misused(error, as_json=as_json)
    except (_ReaderGoneError, BrokenPipeError):
        raise
    except (KeyboardInterrupt, click.Abort):
        progress("Interrupted.")
        return exit_codes.INTERRUPTED
    except Exception as error:  # the last resort: a sentence instead of a traceback
        if isinstance(error, OSError) and _stdout_is_stuck():
            raise
        return _defect(error, as_json=as_json)
    return answer if isinstance(answer, int) else exit_codes.OK


def _open_standard_streams() -> None:
    """Give a process that was started without standard streams some that lead nowhere.

    Otherwise the next files that it opens would be taken for them, and a workload's output would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names in letters that its encoding does not have


def _report(error: AssayError, *, as_json: bool) -> int:
    """Say what failed, why, and what to do; the exit code tells as much where nobody reads it."""
    with _whether_or_not_it_is_read():
        show_error(error)
    if as_json:
        emit_json("assay/error/v1", {"error": error.to_json()})
    _print_traceback(error)
    return exit_codes.of_error(error)


def _misused(error: click.ClickException, *, as_json: bool) -> int:
    """Say what is wrong with the words that were typed, in the form of every other error."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    action = ""
    if context is not None:
        with _whether_or_not_it_is_read():
            progress(context.get_usage())
        action = f"Type {context.command_path} --help."
    said = " ".join(error.format_message().split())
    return _report(UsageError("cli.usage", said, action=action), as_json=as_json)


def _defect(error: Exception, *, as_json: bool) -> int:
    said = f"Assay itself failed: {type(error).__name__}: {escape(str(error), limit=300)}"
    with _whether_or_not_it_is_read():
        progress(f"{style('error:', 'bad')} {said} [cli.internal]")
        if not _print_traceback(error):
            progress(f"{style('do:', 'strong')} Run it again with ASSAY_DEBUG=1 and report what that prints.")
    if as_json:
        emit_json("assay/error/v1", {"error": {"code": "cli.internal", "message": said}})
    return exit_codes.INTERNAL


def _unwritable(error: OSError) -> UsageError:
    """Return what to say of an output that cannot be written: no verdict, whatever the answer was."""
    return UsageError(
        "cli.output.unwritable",
        f"The output cannot be written: {os.strerror(error.errno or 0)}. What it would have said is lost.",
        action="Make room, or send it to another place, and run it again.",
    )


def _stdout_is_stuck() -> bool:
    """Tell whether it was stdout that failed: by an empty line, since nothing else may be left in it."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        return True
    return False


@contextmanager
def _whether_or_not_it_is_read() -> Iterator[None]:
    """Go on when stderr takes nothing."""
    try:
        yield
    except OSError:
        stop_progress()


def _print_traceback(error: Exception) -> bool:
    """Print where an error was raised, if that was asked for, and return whether it was."""
    if os.environ.get("ASSAY_DEBUG", "") in ("", "0"):
        return False
    import traceback

    traceback.print_exception(error)
    return True


def _asked_for_json(words: Sequence[str]) -> bool:
    ours: Sequence[Any] = words[: words.index("--")] if "--" in words else words
    return "--json" in ours


def _silence() -> None:
    """Point stdout at nothing, so that the interpreter's last flush has nobody to complain to."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
