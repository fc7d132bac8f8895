"""The roots that a person names: the vendors', those of a file, this installation's own simulated ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.cli.output import escape
from assay.cli.reading import read_file
from assay.errors import UsageError
from assay.evidence.roots import TPM, VENDORS, Roots

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from assay.appraisal.policy import Policy
    from assay.simulator.anchors import SimulatedAnchor

MAX_ROOTS_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Own:
    """What this installation's simulated evidence ends in.

    Attributes:
        anchors: Its roots.
        fingerprints: SHA-256 of the roots, and of the keys that its token services publish.
    """

    anchors: tuple[SimulatedAnchor, ...] = ()
    fingerprints: frozenset[bytes] = frozenset()


def roots_of(named: Iterable[str], own: Own) -> Roots:
    """Return the vendor's roots, this installation's own where they are asked for, and those of PEM files.

    A root of a file anchors the family that was typed before it (``tpm=FILE``), else that of the vendor whose
    root has its name, else stand-alone TPMs, whose makers' roots have names of their own. Evidence under it
    is simulated in any case.

    Args:
        named: ``FILE`` or ``VENDOR=FILE``.
        own: This installation's roots.

    Raises:
        UsageError: ``cli.file.*``, ``cli.verify.roots``.
        EvidenceError: ``roots.*``.
    """
    roots = Roots.vendor()
    for anchor in own.anchors:
        roots = roots.with_anchor(anchor.name, anchor.der, vendor=anchor.vendor)
    families = {root.decode().common_name: root.vendor for root in Roots.vendor().entries} if named else {}
    for word in named:
        vendor, _, rest = word.partition("=")
        path = Path(rest if vendor in VENDORS else word)
        found = _certificates(path)
        for index, (der, common_name) in enumerate(found, 1):
            name = escape(path.name, limit=40)[:50] + (f" #{index}" if len(found) > 1 else "")
            family = vendor if vendor in VENDORS else families.get(common_name, TPM)
            roots = roots.with_anchor(name, der, vendor=family)
    return roots


def _certificates(path: Path) -> list[tuple[bytes, str]]:
    """Return every certificate of a PEM file, DER, with its common name."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_pem_x509_certificates(read_file(path, limit=MAX_ROOTS_BYTES))
        names = [each.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME) for each in found]
    except ValueError:
        raise UsageError(
            "cli.verify.roots", f"{escape(str(path), limit=300)} holds no certificates in PEM."
        ) from None
    return [
        (each.public_bytes(Encoding.DER), str(name[0].value) if name else "")
        for each, name in zip(found, names, strict=True)
    ]


def own_roots(policy: Policy, environ: Mapping[str, str]) -> Own:
    """Return this installation's simulated roots, where the policy is for simulated machines of its kind.

    Raises:
        SimulatorError: ``simulator.installation.exposed``, ``simulator.installation.malformed``.
    """
    document = policy.document
    return installation_roots(environ, document.platforms) if document.simulated == "only" else Own()


def installation_roots(environ: Mapping[str, str], platforms: Collection[str] | None = None) -> Own:
    """Return this installation's simulated roots; none when it never made one.

    Args:
        environ: The environment, for the state directory.
        platforms: Those that roots are wanted for; None for all.

    Raises:
        SimulatorError: ``simulator.installation.exposed``, ``simulator.installation.malformed``.
    """
    from assay.errors import SimulatorError
    from assay.simulator.anchors import anchors, fingerprints
    from assay.simulator.intel import STATE_DIRECTORY, Installation
    from assay.store.paths import state_directory

    try:
        installation = Installation.open(state_directory(environ) / STATE_DIRECTORY)
    except SimulatorError as error:
        if error.code == "simulator.installation.missing":
            return Own()
        raise
    if platforms is None:
        return Own(anchors(installation), fingerprints(installation))
    return Own(anchors(installation, platforms), fingerprints(installation, platforms))
