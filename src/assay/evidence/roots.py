"""Roots of trust: the pinned vendor table, the caller's own anchors, and the test roots that are refused.

Whether evidence is hardware evidence is derived here and nowhere else: from the fingerprint of the root in
which its chain ended. No field, flag or file states it.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence import pinned
from assay.evidence.decoding.der import DerError
from assay.evidence.records import field, record
from assay.evidence.verification import Anchor
from assay.evidence.x509.certificate import Certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.x509.general import GeneralCertificate

MAX_ANCHOR_BYTES = 4096
MAX_ANCHORS = 32

INTEL = "intel"
AMD = "amd"
AWS = "aws"
GOOGLE_CONFIDENTIAL_SPACE = "google-confidential-space"
GOOGLE_VTPM = "google-vtpm"
AZURE_VTPM = "azure-vtpm"
NVIDIA = "nvidia"
NVIDIA_RIM = "nvidia-rim"
TPM = "tpm"  # whoever certified the attestation keys of stand-alone TPMs: no root of these is pinned
VENDORS = (INTEL, AMD, AWS, GOOGLE_CONFIDENTIAL_SPACE, GOOGLE_VTPM, AZURE_VTPM, NVIDIA, NVIDIA_RIM, TPM)
"""The families of formats that a root can anchor; a root never anchors another family than its own."""


@record
class PinnedRoot:
    """One entry of the vendor table.

    Attributes:
        vendor: Which family of formats it anchors, one of ``VENDORS``.
        name: The name that results show.
        der: The certificate, DER.
    """

    vendor: str
    name: str
    der: bytes


# SHA-256 of the certificate's DER -> the root. The only place that makes evidence hardware evidence.
VENDOR_ROOTS: Mapping[bytes, PinnedRoot] = MappingProxyType(
    {
        pinned.INTEL_SGX_ROOT_CA_FINGERPRINT: PinnedRoot(
            INTEL, "Intel SGX Root CA", pinned.INTEL_SGX_ROOT_CA
        ),
        pinned.AMD_ARK_MILAN_FINGERPRINT: PinnedRoot(AMD, "AMD ARK-Milan", pinned.AMD_ARK_MILAN),
        pinned.AMD_ARK_GENOA_FINGERPRINT: PinnedRoot(AMD, "AMD ARK-Genoa", pinned.AMD_ARK_GENOA),
        pinned.AMD_ARK_TURIN_FINGERPRINT: PinnedRoot(AMD, "AMD ARK-Turin", pinned.AMD_ARK_TURIN),
        pinned.AWS_NITRO_ENCLAVES_ROOT_FINGERPRINT: PinnedRoot(
            AWS, "AWS Nitro Enclaves Root G1", pinned.AWS_NITRO_ENCLAVES_ROOT
        ),
        pinned.GOOGLE_CONFIDENTIAL_SPACE_ROOT_FINGERPRINT: PinnedRoot(
            GOOGLE_CONFIDENTIAL_SPACE,
            "Google Confidential Space Root CA",
            pinned.GOOGLE_CONFIDENTIAL_SPACE_ROOT,
        ),
        pinned.GOOGLE_EK_AK_ROOT_FINGERPRINT: PinnedRoot(
            GOOGLE_VTPM, "Google EK/AK CA Root", pinned.GOOGLE_EK_AK_ROOT
        ),
        pinned.AZURE_VTPM_ROOT_2023_FINGERPRINT: PinnedRoot(
            AZURE_VTPM,
            "Azure Virtual TPM Root Certificate Authority 2023",
            pinned.AZURE_VTPM_ROOT_2023,
        ),
        pinned.NVIDIA_DEVICE_IDENTITY_CA_FINGERPRINT: PinnedRoot(
            NVIDIA, "NVIDIA Device Identity CA", pinned.NVIDIA_DEVICE_IDENTITY_CA
        ),
        pinned.NVIDIA_RIM_SIGNING_ROOT_FINGERPRINT: PinnedRoot(
            NVIDIA_RIM, "NVIDIA CoRIM signing Root CA", pinned.NVIDIA_RIM_SIGNING_ROOT
        ),
    }
)

# SHA-256 of roots that anybody can find with their evidence, or whose private key is published: never an
# anchor.
PUBLISHED_TEST_ROOTS: Mapping[bytes, str] = MappingProxyType(
    {
        bytes.fromhex("842a5bcb64ba3f7d755036ce1bb85778b3481a5dd75f4731c381b8eea658aa0d"): (
            "the SGX sample data of Intel's quote verification library"
        ),
        bytes.fromhex("bf85a53fc08f84cb1f73a4f75f48af566e30ac040699ba0ec1b8d593c05b56fc"): (
            "the TDX sample data of Intel's quote verification library"
        ),
        bytes.fromhex("817c8e49cae444d9388f0af8ee334613817ec8d8c767c0579a8b7138abe342c4"): (
            "a published mock of Intel's certificates"
        ),
        # Not the pinned certificate although it certifies the same key: a withdrawn issue (2018-05-21
        # 10:41:11) that survives in published test quotes.
        bytes.fromhex("fc64f8076d79a4fee9d1d473d74c89eb8d8fd55c5abafeabeba7366d20429404"): (
            "published test quotes with a withdrawn issue of Intel's root"
        ),
    }
)


def _refuse_published(mark: bytes) -> None:
    if mark in PUBLISHED_TEST_ROOTS:
        raise EvidenceError(
            "roots.published_test_root",
            f"This root comes from {PUBLISHED_TEST_ROOTS[mark]}: anyone can make evidence under it.",
            action="Use an anchor of your own installation.",
        )


@record
class Root:
    """One root that a chain may end in.

    Args:
        vendor: Which family of formats it anchors, one of ``VENDORS``.
        name: The caller's name for it; a pinned root keeps its own.
        der: The certificate, DER; a chain's own root must equal it byte for byte.

    Attributes:
        anchor: Its fingerprint and name, and whether evidence under it is simulated: derived, never given.

    Raises:
        EvidenceError: ``roots.published_test_root`` for a root on the deny list.
    """

    vendor: str
    name: str
    der: bytes
    anchor: Anchor = field(init=False)
    _decoded: list[Certificate | GeneralCertificate] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        mark = hashlib.sha256(self.der).digest()
        _refuse_published(mark)
        pin = VENDOR_ROOTS.get(mark)
        known = pin is not None and pin.vendor == self.vendor
        anchor = Anchor(mark, pin.name if pin and known else self.name, simulated=not known)
        object.__setattr__(self, "anchor", anchor)

    @property
    def certificate(self) -> Certificate:
        """The certificate of one of Intel's roots, decoded.

        Raises:
            DerError: It is no certificate of the kind that Intel's formats use.
        """
        if not self._decoded:
            self._decoded.append(Certificate.parse(self.der))
        found = self._decoded[0]
        if not isinstance(found, Certificate):
            raise DerError("A root of another vendor was taken for one of Intel's.")
        return found

    @property
    def general(self) -> GeneralCertificate:
        """The certificate of any other vendor's root, decoded.

        Raises:
            DerError: It is no certificate of a kind that is known here.
        """
        if not self._decoded:
            # Imported here because Intel's formats, which most verifications are of, never need it.
            from assay.evidence.x509.general import GeneralCertificate  # noqa: PLC0415

            self._decoded.append(GeneralCertificate.parse(self.der))
        found = self._decoded[0]
        if isinstance(found, Certificate):
            raise DerError("One of Intel's roots was taken for one of another vendor.")
        return found

    def decode(self) -> Certificate | GeneralCertificate:
        """Return the certificate as the formats of its vendor read it.

        Raises:
            DerError: It is no certificate of that kind.
        """
        return self.certificate if self.vendor == INTEL else self.general


@record
class Roots:
    """The roots that a verification may end in; always given by the caller, never a default.

    Attributes:
        entries: The pinned vendor roots, then the caller's own.
        digest: SHA-256 over them, 32 bytes: part of every key under which facts are remembered.
        intel: Those that anchor Intel's formats.
    """

    entries: tuple[Root, ...]
    digest: bytes = field(init=False, repr=False)
    intel: tuple[Root, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        seal = hashlib.sha256()
        for root in self.entries:
            for part in (root.vendor.encode(), root.anchor.name.encode(), root.anchor.fingerprint):
                seal.update(len(part).to_bytes(4, "big") + part)
        object.__setattr__(self, "digest", seal.digest())
        object.__setattr__(self, "intel", self.of(INTEL))

    def of(self, vendor: str) -> tuple[Root, ...]:
        """Return the roots that anchor one family of formats."""
        return tuple(root for root in self.entries if root.vendor == vendor)

    @classmethod
    def vendor(cls) -> Roots:
        """Return the pinned vendor table alone: what a gate over real hardware uses."""
        return _VENDOR

    def with_anchor(self, name: str, der: bytes, *, vendor: str = "intel") -> Roots:
        """Return these roots and one of the caller's own; evidence under it is always simulated.

        Args:
            name: What results call it, at most 64 printable characters.
            der: The certificate, DER, at most 4096 bytes.
            vendor: Which family of formats it anchors.

        Raises:
            EvidenceError: ``roots.published_test_root`` for a root on the deny list;
                ``roots.anchor.malformed`` when name, size or vendor are out of bounds or it is no
                certificate; ``roots.anchor.name`` for the name of a vendor's root;
                ``roots.anchor.too_many`` beyond 32 roots.
        """
        mark = hashlib.sha256(der).digest()
        _refuse_published(mark)
        if vendor not in VENDORS:
            raise EvidenceError(
                "roots.anchor.malformed", f"An anchor is of one of these families: {', '.join(VENDORS)}."
            )
        if not 0 < len(der) <= MAX_ANCHOR_BYTES or not 0 < len(name) <= 64 or not name.isprintable():
            raise EvidenceError(
                "roots.anchor.malformed",
                f"An anchor needs a printable name of 1 to 64 characters and 1 to {MAX_ANCHOR_BYTES} bytes.",
            )
        pin = VENDOR_ROOTS.get(mark)
        if (pin is None or pin.vendor != vendor) and any(name == root.name for root in VENDOR_ROOTS.values()):
            raise EvidenceError(
                "roots.anchor.name", f"An anchor cannot be called {name!r}: that is a vendor's root."
            )
        if any(root.anchor.fingerprint == mark and root.vendor == vendor for root in self.entries):
            return self
        if len(self.entries) >= MAX_ANCHORS:
            raise EvidenceError("roots.anchor.too_many", f"At most {MAX_ANCHORS} roots can be given.")
        try:
            root = Root(vendor, name, bytes(der))
            root.decode()
        except DerError as error:
            raise EvidenceError(
                "roots.anchor.malformed", f"An anchor is no certificate of this kind: {error.message}"
            ) from None
        return Roots((*self.entries, root))


_VENDOR = Roots(tuple(Root(root.vendor, root.name, root.der) for root in VENDOR_ROOTS.values()))
