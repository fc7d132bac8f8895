"""What an installation's simulated evidence ends in: roots for each family of formats, and published keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from assay.simulator.intel import Installation
    from assay.simulator.tokens import Service, TokenServices


@dataclass(frozen=True, slots=True)
class SimulatedAnchor:
    """One root of an installation.

    Attributes:
        vendor: The family of formats that it anchors, as ``assay.evidence.roots`` names it.
        name: A name that cannot be taken for a vendor's.
        der: The certificate, DER.
    """

    vendor: str
    name: str
    der: bytes


_FAMILIES: Final = {
    "tdx": ("intel",),
    "sgx": ("intel",),
    "nitro": ("aws",),
    "nitro-tpm": ("aws",),
    "snp": ("amd",),
    "azure-snp": ("amd", "azure-vtpm"),
    "azure-tdx": ("intel", "azure-vtpm"),
    "gcp-vtpm": ("google-vtpm",),
    "gcp-tdx": ("intel", "google-vtpm"),
    "gcp-snp": ("amd", "google-vtpm"),
    "tpm": ("tpm",),
    "nvidia-gpu": ("nvidia",),
    "confidential-space": ("google-confidential-space",),
}
_PUBLISHERS: Final[dict[str, Service]] = {
    "confidential-space": "confidential-space",
    "maa": "maa",
    "trust-authority": "trust-authority",
    "nras": "nras",
}


def anchors(
    installation: Installation, platforms: Collection[str] = tuple(_FAMILIES)
) -> tuple[SimulatedAnchor, ...]:
    """Return the roots behind an installation's simulated evidence of these platforms, Intel's first.

    Those whose keys cannot be derived are there once evidence was made under them: nothing is made for the
    asking.

    Args:
        installation: Whose.
        platforms: Names of platforms; those without a root are left out.
    """
    wanted = {family for platform in platforms for family in _FAMILIES.get(platform, ())}
    return tuple(
        SimulatedAnchor(vendor, name, der)
        for family, roots in _ROOTS.items()
        if family in wanted
        for vendor, name, der in roots(installation)
    )


def fingerprints(
    installation: Installation, platforms: Collection[str] = tuple(_FAMILIES | _PUBLISHERS)
) -> frozenset[bytes]:
    """Return what an installation's evidence of these platforms can end in, SHA-256 each.

    Args:
        installation: Whose.
        platforms: Names of platforms.

    Returns:
        Of roots the digest of the certificate; of services that publish a key the digest of that key (SPKI).
    """
    found = {hashlib.sha256(anchor.der).digest() for anchor in anchors(installation, platforms)}
    for platform in platforms:
        if platform in _PUBLISHERS:
            found |= _published(installation, _PUBLISHERS[platform])
    return frozenset(found)


_Roots = Iterator[tuple[str, str, bytes]]


def _named(vendor: str, title: str, der: bytes) -> tuple[str, str, bytes]:
    return vendor, f"simulated {title} {hashlib.sha256(der).hexdigest()[:16]}", der


def _intel(installation: Installation) -> _Roots:
    yield "intel", installation.anchor_name, installation.root_der


def _aws(installation: Installation) -> _Roots:
    from assay.simulator.nitro.hypervisor import SimulatedAws  # noqa: PLC0415 - for its platforms alone

    aws = SimulatedAws(installation)
    yield "aws", aws.anchor_name, aws.root_der


def _amd(installation: Installation) -> _Roots:
    from assay.simulator.amd.installation import SimulatedAmd  # noqa: PLC0415 - for its platforms alone

    for product, der in SimulatedAmd.of(installation).known_roots().items():
        yield _named("amd", f"AMD root for {product}", der)


def _azure(installation: Installation) -> _Roots:
    from assay.simulator.amd.installation import SimulatedAmd  # noqa: PLC0415 - for its platforms alone
    from assay.simulator.azure import SimulatedAzure  # noqa: PLC0415 - the same

    azure = SimulatedAzure(SimulatedAmd.of(installation), installation)
    if azure.has_root:
        yield _named("azure-vtpm", "Azure root", azure.root_der)


def _google(installation: Installation) -> _Roots:
    from assay.simulator.amd.installation import SimulatedAmd  # noqa: PLC0415 - for its platforms alone
    from assay.simulator.google_vm import SimulatedGoogle  # noqa: PLC0415 - the same

    google = SimulatedGoogle(SimulatedAmd.of(installation), installation)
    if google.has_root:
        yield _named("google-vtpm", "Google root", google.root_der)


def _confidential_space(installation: Installation) -> _Roots:
    services = _services(installation)
    if services.has_root:
        yield _named("google-confidential-space", "Confidential Space root", services.root.der)


def _nvidia(installation: Installation) -> _Roots:
    from assay.simulator.nvidia import SimulatedNvidia  # noqa: PLC0415 - for its platform alone

    for name, der, vendor in SimulatedNvidia.of(installation).anchors:
        yield vendor, name, der


def _tpm(installation: Installation) -> _Roots:
    from assay.simulator.tpm.attacks import root_der  # noqa: PLC0415 - for its platform alone

    yield _named("tpm", "TPM root", root_der(installation.secret))


def _services(installation: Installation) -> TokenServices:
    from assay.simulator.tokens import ServiceKeys, TokenServices  # noqa: PLC0415 - for its platforms alone

    return TokenServices(ServiceKeys(installation.secret, installation.directory))


def _published(installation: Installation, service: Service) -> frozenset[bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - the same

    services = _services(installation)
    if not services.has_key(service):
        return frozenset()
    public = services.key(service).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return frozenset((hashlib.sha256(spki).digest(),))


_ROOTS: Final = {
    "intel": _intel,
    "aws": _aws,
    "amd": _amd,
    "azure-vtpm": _azure,
    "google-vtpm": _google,
    "google-confidential-space": _confidential_space,
    "nvidia": _nvidia,
    "tpm": _tpm,
}
