"""``assay reference``: Reference Values under a name, a version and a signature."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from assay.cli.groups import VerbsBelow
from assay.cli.measure import FILE
from assay.cli.output import emit, emit_json, escape, progress, table
from assay.cli.reading import read_file
from assay.cli.writing import write_new
from assay.errors import AssayError, ReferenceValueError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from assay.reference.manifest import SignedManifest, TrustedKey
    from assay.reference.memory import Seen
    from assay.reference.values import Measured

DIRECTORY = "references"
KEYS = "reference-keys"
MAX_KEY_BYTES = 16 * 1024
MAX_KEPT = 1024
_LONGEST_DAYS = 3650
_UNSTATED = "corim"
"""Stands for the platform of a CoRIM, which does not say it in our words."""


@click.group(cls=VerbsBelow)
def reference() -> None:
    """Sign, keep and compare Reference Values."""


@reference.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--name", required=True, help="What they are the values of.")
@click.option("--version", type=int, required=True, metavar="N", help="Counts up: an older one is refused.")
@click.option(
    "--days", type=click.IntRange(1, _LONGEST_DAYS), required=True, help="How long they may be used."
)
@click.option("--key", type=FILE, required=True, metavar="PEM", help="Private key: Ed25519 or P-256.")
@click.option("--out", type=FILE, required=True, metavar="FILE", help="A new file.")
def sign(files: tuple[Path, ...], name: str, version: int, days: int, key: Path, out: Path) -> None:
    """Put measured values of one platform under a name, a version and a signature."""
    from importlib.metadata import version as version_of

    from assay.reference import manifest
    from assay.reference.values import union, valid_until

    values = union([_measured(path) for path in files])
    now = datetime.now(UTC).replace(microsecond=0)
    end = valid_until(values)
    if end is not None and end < now + timedelta(days=days):
        raise UsageError(
            "cli.reference.outlives",
            f"The CoRIM or manifest that the values came from holds until {end:%Y-%m-%d %H:%M} UTC,"
            " and no longer.",
            action=f"Say --days {(end - now).days} at most." if end - now >= timedelta(days=1) else "",
        )
    tool = f"assay {version_of('assay')}"
    found = manifest.Manifest(name, version, now, now + timedelta(days=days), values, tool)
    write_new(out, manifest.sign(found, manifest.load_signing_key(_key_bytes(key))))
    progress(f"Signed version {version} of {escape(name)}; it expires on {found.expires:%Y-%m-%d}.")


@reference.command()
@click.argument("file", type=FILE)
@click.option("--trust", type=FILE, multiple=True, required=True, metavar="PEM", help="Whose word is taken.")
def put(file: Path, trust: tuple[Path, ...]) -> None:
    """Keep a signed manifest, unless it is expired or older than one seen before."""
    from assay.reference.manifest import LARGEST_ENVELOPE, open_manifest
    from assay.store.files import prepare_directory, write_private
    from assay.store.paths import state_directory

    data = read_file(file, limit=LARGEST_ENVELOPE)
    signed = open_manifest(data, trusted_keys(trust))
    state = state_directory(os.environ)
    remember(signed, state, datetime.now(UTC))
    prepare_directory(state / DIRECTORY)
    write_private(state / DIRECTORY / f"{signed.manifest.name}.json", data)
    found = signed.manifest
    progress(f"Keeping version {found.version} of {found.name}, until {found.expires:%Y-%m-%d}.")


@reference.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_kept(*, as_json: bool) -> None:
    """List the manifests that are kept. Their signatures are checked when they are used, not here."""
    from assay.store.files import list_directory
    from assay.store.paths import state_directory

    listed = list_directory(state_directory(os.environ) / DIRECTORY)
    found = [path for path in listed if path.suffix == ".json"]
    kept = [_kept(path, datetime.now(UTC)) for path in found[:MAX_KEPT]]
    if found[MAX_KEPT:]:
        progress(f"Of {len(found)} manifests the first {MAX_KEPT} are listed.", "warn")
    if as_json:
        emit_json("assay/reference-manifests/v1", {"manifests": kept})
        return
    rows = [
        (
            str(each["name"]),
            str(each.get("version", "")),
            str(each.get("platform", "")),
            f"{each.get('expires', each.get('error'))}{' (expired)' if each.get('expired') else ''}",
        )
        for each in kept
    ]
    emit(table(("name", "version", "platform", "expires"), rows) if rows else "There are no manifests.")


def _kept(path: Path, now: datetime) -> dict[str, str | int | bool]:
    """Return what is said of a kept manifest; one that cannot be read does not hide the others."""
    from assay.reference.manifest import LARGEST_ENVELOPE, read_unverified
    from assay.store.files import read_private

    try:
        found = read_unverified(read_private(path, limit=LARGEST_ENVELOPE))
    except AssayError as error:
        return {"name": path.stem, "error": error.code}
    return {
        "name": found.name,
        "version": found.version,
        "platform": found.values.platform,
        "expires": found.expires.isoformat(),
        "expired": now >= found.expires,
    }


@reference.command()
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def diff(before: Path, after: Path, *, as_json: bool) -> int:
    """Show what two files of values differ in; 1 when they differ, 2 when one cannot be read.

    Each is a signed manifest, a file of `assay measure --out`, or a CoRIM. Signatures are not checked.
    Values of two platforms differ, whatever they are; a CoRIM is of any.
    """
    from assay.reference.difference import compare

    try:
        values = _measured(before), _measured(after)
    except AssayError as error:  # 1 would say that they differ
        raise UsageError(error.code, error.message, action=error.action) from None
    found = compare(*values)
    platforms = sorted({each.platform for each in values} - {_UNSTATED})
    other = len(platforms) > 1
    if other:
        progress(f"They are values of different platforms: {' and '.join(platforms)}.", "warn")
    if as_json:
        changes = [{"register": name, "change": kind, "value": value.hex()} for name, kind, value in found]
        emit_json("assay/reference-difference/v1", {"platforms": platforms, "changes": changes})
    elif found:
        emit(table(("register", "change", "value"), [(n, kind, value.hex()) for n, kind, value in found]))
    elif not other:
        progress("The same values in every register.")
    return 1 if found or other else 0


@reference.command()
@click.argument("file", type=FILE)
@click.option("--tag-id", required=True, help="Name of the CoRIM.")
@click.option("--vendor", required=True, help="Vendor of the environment that is measured.")
@click.option("--model", required=True, help="Its model.")
@click.option("--key", type=FILE, metavar="PEM", help="Sign it with this private key: Ed25519 or P-256.")
@click.option("--out", type=FILE, required=True, metavar="FILE", help="A new file.")
def export(file: Path, tag_id: str, vendor: str, model: str, key: Path | None, out: Path) -> None:
    """Write values as a CoRIM, signed (COSE) with --key."""
    from assay.reference import corim
    from assay.reference.manifest import load_signing_key

    data = corim.encode(_measured(file), tag_id=tag_id, vendor=vendor, model=model)
    if key is not None:
        data = corim.sign(data, load_signing_key(_key_bytes(key)), signer=vendor)
    write_new(out, data)
    emit(f"Wrote {escape(str(out))}, {'unsigned' if key is None else 'signed'}.")


@reference.command("import")
@click.argument("file", type=FILE)
@click.option("--platform", required=True, help="Whose registers these are, as policies name it.")
@click.option(
    "--trust", type=FILE, multiple=True, metavar="PEM", help="Keys one of which must have signed it."
)
@click.option("--unsigned", is_flag=True, help="Accept a CoRIM that nobody signed.")
@click.option(
    "--out", type=FILE, required=True, metavar="FILE", help="A new file, for `assay reference sign`."
)
def import_corim(file: Path, platform: str, trust: tuple[Path, ...], out: Path, *, unsigned: bool) -> None:
    """Read the digests of a CoRIM as values."""
    from assay.reference import corim
    from assay.reference.values import write_measured

    if unsigned == bool(trust):
        raise UsageError(
            "cli.reference.trust",
            "Say whose signature the CoRIM must have, or that it needs none.",
            action="Add either --trust KEY.pem or --unsigned.",
        )
    data = read_file(file, limit=corim.LARGEST)
    now = datetime.now(UTC)
    found = corim.decode(data) if unsigned else corim.verify(data, trusted_keys(trust), now=now)
    values = corim.values(found, platform=platform, now=now)
    write_new(out, write_measured(values))
    emit(f"Wrote {escape(str(out))}: {', '.join(sorted(values.registers))} of {escape(platform)}.")
    for note in values.notes:
        progress(f"note: {escape(note)}")


def trusted_keys(paths: Sequence[Path]) -> list[TrustedKey]:
    """Load the public keys whose word about Reference Values is taken.

    Raises:
        UsageError: ``cli.file.*``, ``cli.reference.trust`` for a file without such a key.
    """
    from assay.reference.manifest import TrustedKey

    found: list[TrustedKey] = []
    for path in paths:
        try:
            found.append(TrustedKey.load(_key_bytes(path)))
        except ReferenceValueError as error:
            raise UsageError(
                "cli.reference.trust",
                f"{escape(str(path), limit=300)}: {error.message}",
                action="Name a public key: openssl pkey -in KEY -pubout writes it.",
            ) from None
    return found


def remember(signed: SignedManifest, state: Path, now: datetime) -> None:
    """Admit a manifest and write the memory of it, durably, before anything rests on it.

    Raises:
        ReferenceValueError: as ``memory.admit``; ``reference.memory.unreadable``.
        StoreError: ``store.*``.
    """
    from assay.reference.memory import NAME, admit, encode_memory
    from assay.store.files import prepare_directory, write_private

    prepare_directory(state)
    with _locked(state):
        after = admit(signed, now=now, memory=memory_of(state))
        write_private(state / NAME, encode_memory(after))


def memory_of(state: Path) -> Mapping[str, Seen]:
    """Return what is remembered; empty when nothing ever was.

    Raises:
        ReferenceValueError: ``reference.memory.unreadable``.
        StoreError: ``store.file.*``.
    """
    from assay.reference.memory import LARGEST_FILE, NAME, decode_memory
    from assay.store.files import read_private

    try:
        return decode_memory(read_private(state / NAME, limit=LARGEST_FILE))
    except StoreError as error:
        if error.code == "store.file.missing":
            return {}
        raise


def manifest_references(
    file: Path, trust: Sequence[Path], *, platform: str, now: datetime, name: str | None = None
) -> Mapping[str, frozenset[bytes]]:
    """Return what a signed manifest allows for each register, and remember its version first.

    Args:
        file: The manifest.
        trust: Public keys one of which must have signed it.
        platform: The platform that the policy names.
        now: The moment of use.
        name: What it must be called; None for any name.

    Raises:
        UsageError: ``cli.file.*``.
        ReferenceValueError: ``reference.*``.
        StoreError: ``store.*``.
    """
    from assay.reference.manifest import LARGEST_ENVELOPE, open_manifest
    from assay.reference.memory import NAME, encode_memory, references
    from assay.store.files import prepare_directory, write_private
    from assay.store.paths import state_directory

    signed = open_manifest(read_file(file, limit=LARGEST_ENVELOPE), trusted_keys(trust))
    state = state_directory(os.environ)
    prepare_directory(state)
    with _locked(state):
        found, after = references(signed, platform=platform, now=now, memory=memory_of(state), name=name)
        write_private(state / NAME, encode_memory(after))
    return found


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    # Of the directory: the file itself is replaced by each writer.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _key_bytes(path: Path) -> bytes:
    return read_file(path, limit=MAX_KEY_BYTES)


def _measured(path: Path) -> Measured:
    """Return the values of a file of any form, whoever signed it; those of a manifest end when it does."""
    from assay.reference import corim
    from assay.reference.manifest import LARGEST_ENVELOPE, is_envelope, read_unverified
    from assay.reference.values import held_until, read_measured

    data = read_file(path, limit=LARGEST_ENVELOPE)
    if is_envelope(data):
        found = read_unverified(data)
        return held_until(found.values, found.expires)
    if data.lstrip()[:1] == b"{":
        return read_measured(data)
    return corim.values(corim.decode(data), platform=_UNSTATED, now=None)
