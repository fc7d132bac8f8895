"""What a person typed, read strictly: bindings, times, policies, Reference Values, files."""

from __future__ import annotations

import binascii
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from assay.appraisal.platforms import reference_sizes
from assay.appraisal.policy import SHIPPED, Policy, shipped_text
from assay.cli.output import escape
from assay.cli.reading import read_directory, read_file
from assay.errors import UsageError
from assay.evidence.verification import Expected, Unchecked
from assay.verification.opening import MAX_LOG_BYTES, MAX_TPM_EVIDENCE_BYTES
from assay.verification.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.evidence.verification import Binding
    from assay.verification.formats import Format
    from assay.verification.materials import Materials

UNCHECKED: Final = "unchecked"
REPORT_DATA_BYTES: Final = 64
SHORTEST_NONCE_BYTES: Final = 16
LONGEST_NONCE_BYTES: Final = 1024
LONGEST_CARRIED_BYTES: Final = 1024
_TEXT: Final = "text:"
MAX_POLICY_BYTES: Final = 1 << 20
MAX_BUNDLE_BYTES: Final = 64 << 20
MAX_COMPOSE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What the evidence must carry, as it was typed; what that means depends on the format.

    Attributes:
        value: The bytes; None when nothing is compared.
        nonce: Whether they are a nonce, which formats of a fixed size fill up with zeros.
        beside: The nonce that devices beside a machine answered, where the machine's report data were typed,
            too; empty for none.
    """

    value: bytes | None
    nonce: bool
    beside: bytes = b""

    def of(self, form: Format) -> Binding:
        """Return the binding for evidence of a format.

        Raises:
            UsageError: ``cli.verify.report_data``, ``cli.verify.nonce`` for a size that the format cannot
                carry.
        """
        if self.value is None:
            return Unchecked("--report-data unchecked")
        if self.nonce:
            if form.binding_bytes is not None and len(self.value) > form.binding_bytes:
                raise UsageError(
                    "cli.verify.nonce", f"A {form.title} carries {form.binding_bytes} bytes at most."
                )
            return Expected(form.nonce(self.value))
        if form.binding_bytes is not None and len(self.value) != form.binding_bytes:
            raise UsageError(
                "cli.verify.report_data",
                f"For a {form.title} --report-data takes exactly {form.binding_bytes} bytes in"
                f' {2 * form.binding_bytes} hexadecimal digits, or the word "{UNCHECKED}".',
                action="For a shorter value at its beginning, use --nonce.",
            )
        return Expected(self.value)


def binding_of(report_data: str | None, nonce: str | None) -> Asked:
    """Return what was asked for; one of them at least was.

    Raises:
        UsageError: ``cli.verify.binding_twice``, ``cli.verify.report_data``, ``cli.verify.nonce``.
    """
    if nonce is not None and report_data == UNCHECKED:
        raise UsageError(
            "cli.verify.binding_twice", "--report-data unchecked and --nonce exclude each other."
        )
    if nonce is not None and report_data is not None:
        return replace(binding_of(report_data, None), beside=binding_of(None, nonce).value or b"")
    if nonce is not None:
        value = nonce[len(_TEXT) :].encode() if nonce.startswith(_TEXT) else _unhex(nonce)
        least = 1 if nonce.startswith(_TEXT) else SHORTEST_NONCE_BYTES
        if value is None or not least <= len(value) <= LONGEST_NONCE_BYTES:
            raise UsageError(
                "cli.verify.nonce",
                f"--nonce takes {SHORTEST_NONCE_BYTES} to {LONGEST_NONCE_BYTES} bytes in hexadecimal digits,"
                f' or, for tokens, "{_TEXT}" and the text of the nonce.',
            )
        return Asked(value, nonce=True)
    if report_data == UNCHECKED:
        return Asked(None, nonce=False)
    value = _unhex(report_data or "")
    if not value or len(value) > LONGEST_CARRIED_BYTES:
        raise UsageError(
            "cli.verify.report_data",
            f'--report-data takes hexadecimal digits, or the word "{UNCHECKED}".',
            action="For a shorter value at its beginning, use --nonce.",
        )
    return Asked(value, nonce=False)


def terms_of(audience: str | None, user_data: str | None, carrier: str) -> Terms:
    """Return what else the evidence is compared with.

    Raises:
        UsageError: ``cli.verify.user_data`` for what is no hexadecimal text of 1 to 64 bytes.
    """
    found = Terms(nitro_carrier=cast("Any", carrier))
    if audience is not None:
        found = replace(found, audience=audience)
    if user_data is not None:
        value = _unhex(user_data)
        if not value or len(value) > REPORT_DATA_BYTES:
            raise UsageError(
                "cli.verify.user_data",
                f"--user-data takes 1 to {REPORT_DATA_BYTES} bytes in hexadecimal digits.",
            )
        found = replace(found, user_data=Expected(value))
    return found


def time_of(at: str | None) -> datetime:
    """Return the time to verify at: ``at``, or now.

    Raises:
        UsageError: ``cli.verify.time`` for what is no time, or a time without zone.
    """
    if at is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(at)
        moment = found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise UsageError(
            "cli.verify.time",
            f"--at takes a time with its zone, not {escape(at, limit=60)!r}.",
            action="For example 2025-06-25T12:00Z.",
        )
    return moment


def policy_of(name: str, also: tuple[str, ...]) -> Policy:
    """Return the policy of that name or in that file, tightened by the others.

    Raises:
        UsageError: ``cli.file.*``.
        PolicyError: As ``Policy.load`` does.
    """
    found = load_policy(name)
    for other in also:
        found = found.tighten(load_policy(other))
    return found


def load_policy(name: str) -> Policy:
    """Return a shipped policy by its name, or the one in a file."""
    return Policy.load(policy_text(name), name=name if name in SHIPPED else Path(name).name[:64] or "policy")


def policy_text(name: str) -> bytes:
    """Return the text of a shipped policy, or of a file.

    Raises:
        UsageError: ``cli.file.*``.
        PolicyError: ``policy.unknown_name`` for a bare word that is neither.
    """
    if name in SHIPPED:
        return shipped_text(name)
    try:
        return read_file(Path(name), limit=MAX_POLICY_BYTES)
    except UsageError as error:
        if error.code != "cli.file.missing" or os.sep in name or "." in name:
            raise
        return shipped_text(name)


def references_of(words: tuple[str, ...]) -> dict[str, frozenset[bytes]]:
    """Return the Reference Values that were typed as ``REGISTER=HEX``.

    Raises:
        UsageError: ``cli.verify.reference``.
    """
    found: dict[str, frozenset[bytes]] = {}
    sizes = reference_sizes() if words else {}
    for word in words:
        name, _, digits = word.partition("=")
        value = _unhex(digits)
        if value is None or len(value) not in sizes.get(name, ()):
            known = ", ".join(sizes)
            raise UsageError(
                "cli.verify.reference",
                f"--reference takes REGISTER=HEX of the register's size, not {escape(word, limit=60)!r}.",
                action=f"Registers: {known}.",
            )
        found[name] = found.get(name, frozenset()) | {value}
    return found


def materials_of(paths: Iterable[Path]) -> Materials:
    """Return the contents of files, and of the files of directories.

    Raises:
        UsageError: ``cli.file.*``.
        EndorsementError: ``endorsements.bundle.*``.
    """
    from assay.verification.materials import Materials

    found: dict[str, bytes] = {}
    for path in paths:
        try:
            files = {path.name: read_file(path, limit=MAX_BUNDLE_BYTES)}
        except UsageError as error:
            if error.code != "cli.file.directory":
                raise
            files = read_directory(path, limit=MAX_BUNDLE_BYTES)
        for name, data in files.items():
            # Two directories may hold files of one name; both are looked at.
            found[name if name not in found else f"{path}/{name}"] = data
    return Materials.of(found)


def evidence_of(path: Path) -> bytes:
    """Return the contents of an evidence file.

    Raises:
        UsageError: ``cli.file.*``.
    """
    return read_file(path, limit=MAX_TPM_EVIDENCE_BYTES)


def log_of(path: Path | None) -> bytes | None:
    """Return the contents of an event log's file.

    Raises:
        UsageError: ``cli.file.*``.
    """
    return None if path is None else read_file(path, limit=MAX_LOG_BYTES)


def compose_of(path: Path | None) -> bytes | None:
    """Return the contents of an app-compose document.

    Raises:
        UsageError: ``cli.file.*``.
    """
    return None if path is None else read_file(path, limit=MAX_COMPOSE_BYTES)


def _unhex(text: str) -> bytes | None:
    try:
        return binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        return None
