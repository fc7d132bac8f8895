"""Roots of trust: the pinned vendor table, the caller's own anchors, and the test roots that are refused.

Whether evidence is hardware evidence is derived here and nowhere else: from the fingerprint of the root in
which its chain ended. No field, flag or file states it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.pinned import INTEL_SGX_ROOT_CA, INTEL_SGX_ROOT_CA_FINGERPRINT
from assay.evidence.verification import Anchor
from assay.evidence.x509.certificate import Certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ANCHOR_BYTES = 4096
MAX_ANCHORS = 16


@dataclass(frozen=True, slots=True)
class PinnedRoot:
    """One entry of the vendor table.

    Attributes:
        vendor: Which family of formats it anchors: ``intel``.
        name: The name that results show.
        der: The certificate, DER.
    """

    vendor: str
    name: str
    der: bytes


# SHA-256 of the certificate's DER -> the root. The only place that makes evidence hardware evidence.
VENDOR_ROOTS: Mapping[bytes, PinnedRoot] = MappingProxyType(
    {
        INTEL_SGX_ROOT_CA_FINGERPRINT: PinnedRoot("intel", "Intel SGX Root CA", INTEL_SGX_ROOT_CA),
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


@dataclass(frozen=True, slots=True)
class Root:
    """One root that a chain may end in.

    Args:
        vendor: Which family of formats it anchors: ``intel``.
        name: The caller's name for it; a pinned root keeps its own.
        der: The certificate, DER; a chain's own root must equal it byte for byte.

    Attributes:
        anchor: Its fingerprint and name, and whether evidence under it is simulated: derived, never given.
        certificate: The same certificate, decoded.

    Raises:
        DerError: It is no certificate of the kind that Intel's formats use.
        EvidenceError: ``roots.published_test_root`` for a root on the deny list.
    """

    vendor: str
    name: str
    der: bytes
    anchor: Anchor = field(init=False)
    certificate: Certificate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mark = hashlib.sha256(self.der).digest()
        _refuse_published(mark)
        pinned = VENDOR_ROOTS.get(mark)
        anchor = Anchor(mark, pinned.name if pinned else self.name, simulated=pinned is None)
        object.__setattr__(self, "anchor", anchor)
        object.__setattr__(self, "certificate", Certificate.parse(self.der))


@dataclass(frozen=True, slots=True)
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
        object.__setattr__(self, "intel", tuple(root for root in self.entries if root.vendor == "intel"))

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
                ``roots.anchor.malformed`` when name or size are out of bounds; ``roots.anchor.name`` for
                the name of a vendor's root; ``roots.anchor.too_many`` beyond 16 roots.
        """
        mark = hashlib.sha256(der).digest()
        _refuse_published(mark)
        if not 0 < len(der) <= MAX_ANCHOR_BYTES or not 0 < len(name) <= 64 or not name.isprintable():
            raise EvidenceError(
                "roots.anchor.malformed",
                f"An anchor needs a printable name of 1 to 64 characters and 1 to {MAX_ANCHOR_BYTES} bytes.",
            )
        if mark not in VENDOR_ROOTS and any(name == root.name for root in VENDOR_ROOTS.values()):
            raise EvidenceError(
                "roots.anchor.name", f"An anchor cannot be called {name!r}: that is a vendor's root."
            )
        if any(root.anchor.fingerprint == mark for root in self.entries):
            return self
        if len(self.entries) >= MAX_ANCHORS:
            raise EvidenceError("roots.anchor.too_many", f"At most {MAX_ANCHORS} roots can be given.")
        try:
            root = Root(vendor, name, bytes(der))
        except DerError as error:
            raise EvidenceError(
                "roots.anchor.malformed", f"An anchor is no certificate of this kind: {error.message}"
            ) from None
        return Roots((*self.entries, root))


_VENDOR = Roots(tuple(Root(root.vendor, root.name, root.der) for root in VENDOR_ROOTS.values()))
