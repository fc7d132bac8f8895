"""``assay endorsements``: get what vouches for hardware, carry it along, say when it ends to hold."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from assay.cli import exit_codes
from assay.cli.groups import VerbsBelow
from assay.cli.output import emit, emit_json, escape
from assay.cli.writing import write_new

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assay.cli.gathering import Errand
    from assay.endorsements.bundle import Bundle
    from assay.endorsements.record import Endorsement

MAX_CA_BYTES: Final = 1 << 20
_TYPED: Final = frozenset(
    {
        "endorsements.http.authorities",
        "endorsements.service.address",
        "endorsements.service.proxy",
        "endorsements.service.unknown",
    }
)
"""Errors about what was typed, wherever they are noticed."""


@click.group(cls=VerbsBelow)
def endorsements() -> None:
    """Fetch what vouches for hardware, bundle it for machines without a network, see what expires."""


def _asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of everything that may ask a publisher."""
    options = (
        click.option(
            "--update",
            type=click.Choice(["early", "standard"]),
            help="Which of Intel's TCB recoveries count: as soon as known, or after their grace time.",
        ),
        click.option(
            "--evaluation-number",
            type=click.IntRange(min=1),
            metavar="N",
            help="Intel's TCB evaluation data number, instead of --update.",
        ),
        click.option(
            "--imds",
            is_flag=True,
            help="On an Azure confidential VM: take its chip's certificate from the instance metadata.",
        ),
        click.option(
            "--endorsements",
            "given",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE|DIR",
            help="What you have, such as certificates that evidence leaves out. Repeatable.",
        ),
        click.option(
            "--without-lists",
            is_flag=True,
            help="Leave out what authorities of attestation keys revoked; only a policy can demand it.",
        ),
        click.option(
            "--service",
            "services",
            multiple=True,
            metavar="NAME=URL",
            help="Ask this https address instead of the published one: pcs=https://pccs.example. Repeatable.",
        ),
        click.option(
            "--tls-ca",
            type=click.Path(path_type=Path),
            metavar="PEM",
            help="Certificate authorities that TLS is verified with, instead of the public ones.",
        ),
        click.option(
            "--proxy",
            default="",
            metavar="URL",
            help="Go through this proxy: http://HOST:PORT. None is taken from the environment.",
        ),
        click.option(
            "--roots",
            multiple=True,
            metavar="[VENDOR=]PEM",
            help="Roots of your own besides the vendors'; what rests on them is always simulated.",
        ),
        click.option("--fresh", is_flag=True, help="Ask even for what is at hand and holds."),
        click.option("--offline", is_flag=True, help="Ask nobody; take what is at hand."),
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@endorsements.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="EVIDENCE...")
@_asking
def fetch(files: tuple[Path, ...], *, as_json: bool, **typed: Any) -> int:
    """Get what evidence needs from its publishers, verify it, and keep it at hand.

    Exit codes: 0 nothing is missing that somebody publishes, 1 something is, 2 usage.
    """
    errand = _errand(files, **typed)
    if as_json:
        emit_json("assay/endorsements-fetch/v1", {"results": errand.to_json()})
    else:
        emit("\n".join(errand.lines()))
    return exit_codes.OK if errand.complete else exit_codes.REFUSED


@endorsements.command()
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="EVIDENCE...")
@_asking
def bundle(out: Path, files: tuple[Path, ...], *, as_json: bool, **typed: Any) -> int:
    """Write all that evidence needs into one file, for a machine without a network.

    Nothing is written unless it is complete. Exit codes: as fetch.
    """
    errand = _errand(files, **typed)
    made = errand.bundle()
    if errand.complete:
        write_new(out, made.encode())
    if as_json:
        written = str(out) if errand.complete else None
        emit_json(
            "assay/endorsements-bundle-made/v1",
            {
                "path": written,
                "created": f"{made.created:%Y-%m-%dT%H:%M:%SZ}",
                "endorsements": len(made.endorsements),
                "results": errand.to_json(),
            },
        )
        return exit_codes.OK if errand.complete else exit_codes.REFUSED
    emit("\n".join(errand.lines()))
    if not errand.complete:
        emit("No bundle was written: it would lack what is missing above.")
        return exit_codes.REFUSED
    from assay.cli.missing import typed_name

    shown = escape(str(out), limit=300)
    emit(f"{len(made.endorsements)} endorsements are in {shown}. Use them where there is no network:")
    emit(f"assay verify EVIDENCE --endorsements {typed_name(out, word='BUNDLE')} ...")
    return exit_codes.OK


@endorsements.command()
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[BUNDLE]")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def show(file: Path | None, *, as_json: bool) -> int:
    """List what is at hand, or what is in a bundle: about what, until when, on what it rests."""
    now = datetime.now(UTC)
    opened = None if file is None else _open(file)
    found, unreadable = (opened.endorsements, 0) if opened is not None else _kept()
    if as_json:
        emit_json(
            "assay/endorsements/v1",
            {
                "created": None if opened is None else f"{opened.created:%Y-%m-%dT%H:%M:%SZ}",
                "endorsements": [each.record() | {"stale": each.stale(now)} for each in found],
                "unreadable": unreadable,
            },
        )
        return exit_codes.OK
    if opened is not None:
        emit(f"made {opened.created:%Y-%m-%d %H:%M} UTC")
    emit(_listed(found, now) if found else "There are no endorsements.")
    _tell_of_unreadable(unreadable)
    return exit_codes.OK


@endorsements.command()
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[BUNDLE]")
@click.option(
    "--within", default="7d", show_default=True, metavar="TIME", help="What counts as soon: 12h, 7d."
)
@click.option("--max-age", metavar="TIME", help="How old a bundle may be; only with BUNDLE.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def check(file: Path | None, *, within: str, max_age: str | None, as_json: bool) -> int:
    """Say what has expired or soon will, at hand or in a bundle.

    Exit codes: 0 everything holds for longer, 1 something has expired, expires soon, is too old or cannot be
    read, or there is nothing to check; 2 usage.
    """
    from assay.errors import EndorsementError, UsageError
    from assay.settings.values import parse_duration

    now = datetime.now(UTC)
    soon = now + timedelta(seconds=parse_duration(within))
    oldest = None if max_age is None else timedelta(seconds=parse_duration(max_age))
    if oldest is not None and file is None:
        raise UsageError("cli.endorsements.max_age", "--max-age is about a bundle, and none was named.")
    opened = None if file is None else _open(file)
    if opened is not None and oldest is not None:
        opened.check_age(now, at_most=oldest)
    found, unreadable = (opened.endorsements, 0) if opened is not None else _kept()
    if not found and not unreadable:  # a watch that was pointed at the wrong place must not stay green
        raise EndorsementError(
            "endorsements.check.nothing",
            f"There are no endorsements in {str(file or _directory())!r}: nothing was checked.",
            action="assay endorsements fetch EVIDENCE gets some; ASSAY_STATE_DIR says whose are meant.",
        )
    ending = [each for each in found if each.stale(now) or each.window.end < soon]
    if as_json:
        emit_json(
            "assay/endorsements-check/v1",
            {
                "checked": len(found),
                "unreadable": unreadable,
                "ending": [each.record() | {"stale": each.stale(now)} for each in ending],
            },
        )
        return exit_codes.REFUSED if ending or unreadable else exit_codes.OK
    if ending:
        emit(_listed(ending, now))
    elif found:
        emit(f"All {len(found)} hold for longer than {within}.")
    _tell_of_unreadable(unreadable)
    return exit_codes.REFUSED if ending or unreadable else exit_codes.OK


def _tell_of_unreadable(count: int) -> None:
    """Say how many entries count for nothing: what is not shown may be what somebody relies on."""
    if count:
        where = escape(str(_directory() / "entries"), limit=300)
        emit(f"Not readable, and of no use: {count}. Fetch them again, or remove them from {where}.")


def _errand(
    files: tuple[Path, ...],
    *,
    update: str | None,
    evaluation_number: int | None,
    imds: bool,
    given: tuple[Path, ...],
    without_lists: bool,
    services: tuple[str, ...],
    tls_ca: Path | None,
    proxy: str,
    roots: tuple[str, ...],
    fresh: bool,
    offline: bool,
) -> Errand:
    """Gather what files need."""
    from assay.cli import anchors, typed
    from assay.cli.gathering import run_errand
    from assay.cli.reading import read_file
    from assay.endorsements.needs import Choices
    from assay.endorsements.surroundings import Surroundings
    from assay.errors import EndorsementError, UsageError

    if update and evaluation_number:
        raise UsageError("cli.endorsements.channel", "--update and --evaluation-number exclude each other.")
    if fresh and offline:
        raise UsageError("cli.endorsements.offline", "--fresh and --offline exclude each other.")
    try:
        return run_errand(
            [(path, typed.evidence_of(path)) for path in files],
            state=_directory(),
            roots=anchors.roots_of(roots, anchors.installation_roots(os.environ)),
            choices=Choices(update or "", str(evaluation_number or ""), imds, lists=not without_lists),
            services=services,
            authorities=None if tls_ca is None else read_file(tls_ca, limit=MAX_CA_BYTES),
            proxy=proxy,
            fresh=fresh,
            offline=offline,
            surroundings=Surroundings.real(),
            materials=typed.materials_of(given),
        )
    except EndorsementError as error:  # 1 would say that something is missing
        if error.code not in _TYPED:
            raise
        raise UsageError(error.code, error.message, action=error.action) from None


def _directory() -> Path:
    from assay.store.paths import state_directory

    return state_directory(os.environ) / "endorsements"


def _kept() -> tuple[Sequence[Endorsement], int]:
    """Return what is at hand, and how many entries of it cannot be read."""
    from assay.endorsements.cache import Cache
    from assay.endorsements.surroundings import Surroundings
    from assay.store.files import is_absent

    directory = _directory()
    return ((), 0) if is_absent(directory) else Cache(directory, Surroundings.real()).contents()


def _open(path: Path) -> Bundle:
    from assay.cli.reading import read_file
    from assay.endorsements.bundle import MAX_BUNDLE_BYTES, Bundle

    return Bundle.decode(read_file(path, limit=MAX_BUNDLE_BYTES))


def _listed(found: Sequence[Endorsement], now: datetime) -> str:
    from assay.cli.gathering import row
    from assay.cli.output import table

    return table(("about", "holds until", "rests on"), [row(each, now) for each in found])
