"""AMD's Key Distribution Service: VCEK certificates, the chains above them, and revocation lists.

Source: VCEK Certificate and KDS Interface Specification (57230). The service limits how often it may be
asked, so the certificate of a chip at a TCB version, valid for years, is asked for once; chain and list
once for all chips of a product.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from assay.endorsements.record import Basis, Wanted
from assay.endorsements.source import (
    Fetched,
    Judged,
    SignedSource,
    malformed,
    part,
    stale,
    swapped,
    unverified,
)
from assay.errors import AssayError, EndorsementError
from assay.evidence.decoding.der import DerError
from assay.evidence.roots import AMD
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.products import LAYOUTS, Product
from assay.evidence.snp.vek import (
    AUTHORITY_POSITIONS,
    ROOT_POSITIONS,
    VEK_POSITIONS,
    VekExtensions,
    authority_name,
)
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import PathDefect, verify_path
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.evidence.x509.signature import SignatureAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.source import Access
    from assay.evidence.facts import Window
    from assay.evidence.roots import Root
    from assay.evidence.snp.vek import Kind

VEK: Final = "amd-vek"
CHAIN: Final = "amd-chain"
CRL: Final = "amd-crl"
VEK_PART: Final = "vek.der"
CHAIN_PART: Final = "cert_chain.pem"
CRL_PART: Final = "crl.der"
_MAX_CERTIFICATE: Final = 8192
_MAX_CHAIN: Final = 32768
_MAX_CRL: Final = 65536
_KIND: Final = re.compile("vcek|vlek")
_PRODUCT: Final = re.compile("|".join(Product))
_SVN: Final = re.compile("[0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5]")


class VekSource(SignedSource):
    """The VCEK certificate of one chip at one TCB version.

    Key: ``kind`` (``vcek``), ``product``, ``chip-id`` (64 bytes in hexadecimal, 8 on Turin), and the
    components of the TCB version in decimal: ``bl``, ``tee``, ``snp``, ``ucode``, on Turin ``fmc``. A VLEK is
    handed out by the provider of the machine, with the report; AMD gives it to nobody else.
    """

    __slots__ = ()
    kinds = frozenset({VEK})
    vendors = (AMD,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask for the certificate, DER."""
        product, kind = _line(wanted)
        if kind != "vcek":
            raise EndorsementError(
                "endorsements.amd.vlek",
                "The report is signed by a VLEK, whose certificate AMD gives to the provider alone.",
                action="Ask the machine for an extended report: its certificate table holds the VLEK.",
            )
        levels = "&".join(
            f"{name}SPL={wanted.demand(name, _SVN)}" for name in LAYOUTS[product].components if name
        )
        place = access.services.place("kds", f"/vcek/v1/{product}/{_chip(wanted)}?{levels}")
        answer = access.client.get(place, max_bytes=_MAX_CERTIFICATE)
        return Fetched({VEK_PART: answer.body}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify the certificate under the chain of its product, and that it is of this chip and version."""
        (above,) = map(access.also, self.rests_on(wanted, parts))
        chain = read_chain(part(above.parts, CHAIN_PART))
        return judge_vek(wanted, SnpEndorsements(vek=part(parts, VEK_PART)).or_else(chain), access, now)

    def rests_on(self, wanted: Wanted, parts: Mapping[str, bytes]) -> tuple[Wanted, ...]:  # noqa: ARG002 - the interface
        """Rest on the chain of the product."""
        product, kind = _line(wanted)
        return (Wanted.of(CHAIN, kind=kind, product=product),)


class ChainSource(SignedSource):
    """ASK or ASVK, and ARK, of a product; key: ``kind`` (``vcek``, ``vlek``), ``product``."""

    __slots__ = ()
    kinds = frozenset({CHAIN})
    vendors = (AMD,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask for the two certificates, PEM."""
        product, kind = _line(wanted)
        place = access.services.place("kds", f"/{kind}/v1/{product}/cert_chain")
        answer = access.client.get(place, max_bytes=_MAX_CHAIN)
        return Fetched({CHAIN_PART: answer.body}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify both by role, to a root of trust."""
        product, kind = _line(wanted)
        chain = read_chain(part(parts, CHAIN_PART))
        if chain.authority is None or chain.root is None:
            raise malformed("The answer is not a chain of an ASK or ASVK and an ARK.")
        root = _pinned(chain.root, access)
        authority = _parse(chain.authority)
        name = authority_name(product, kind)
        if authority.common_name != name:
            raise swapped(f"The chain is that of {authority.common_name[:40]!r}.")
        found = verify_path(
            (authority, root.general), (AUTHORITY_POSITIONS[name], ROOT_POSITIONS[product]), now
        )
        return _judged(found, root)


class CrlSource(SignedSource):
    """The ARK's revocation list, which covers ASK and ASVK; key: ``kind``, ``product``."""

    __slots__ = ()
    kinds = frozenset({CRL})
    vendors = (AMD,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask for the list, DER."""
        product, kind = _line(wanted)
        answer = access.client.get(
            access.services.place("kds", f"/{kind}/v1/{product}/crl"), max_bytes=_MAX_CRL
        )
        return Fetched({CRL_PART: answer.body}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:  # noqa: ARG002 - the interface
        """Verify issuer and signature."""
        product, _ = _line(wanted)
        try:
            crl = GeneralRevocationList.parse(part(parts, CRL_PART), max_bytes=_MAX_CRL)
            named = [root for root in access.roots.of(AMD) if root.general.common_name == f"ARK-{product}"]
            if not any(crl.issuer == root.general.subject for root in named):
                raise swapped(f"The revocation list is not of the root of {product}.")
            pss = crl.algorithm is SignatureAlgorithm.RSA_PSS_SHA384
            signer = next((root for root in named if pss and crl.names(root.general)), None)
            if signer is None or not crl.signed_by(signer.general):
                raise unverified("The signature of the revocation list is not the root's.")
        except DerError as error:
            raise malformed(f"The answer is no revocation list: {error.message}") from None
        return Judged(crl.window, Basis.SIGNATURE, signer.anchor.fingerprint.hex())


def judge_vek(wanted: Wanted, found: SnpEndorsements, access: Access, now: datetime) -> Judged:
    """Verify a VCEK with its chain by role, and that chip, TCB version and product are those wanted.

    Raises:
        EndorsementError: ``endorsements.answer.*``.
    """
    product, kind = _line(wanted)
    if found.vek is None or found.authority is None or found.root is None:
        raise malformed("The answer is not a certificate with its chain.")
    root = _pinned(found.root, access)
    leaf = _parse(found.vek)
    above = AUTHORITY_POSITIONS[authority_name(product, kind)]
    positions = (VEK_POSITIONS[kind], above, ROOT_POSITIONS[product])
    judged = _judged(verify_path((leaf, _parse(found.authority), root.general), positions, now), root)
    try:
        stated = VekExtensions.parse(leaf.extensions, kind)
    except DerError as error:
        raise unverified(f"The certificate is no {kind.upper()}: {error.message}") from None
    chip = (stated.hwid or b"").hex()
    if stated.tcb != tcb_of(wanted) or chip != _chip(wanted) or stated.product is not product:
        raise swapped("The certificate is of another chip, TCB version or product.")
    return judged


def tcb_of(wanted: Wanted) -> bytes:
    """Return the TCB version that is wanted, as a certificate states it.

    Raises:
        EndorsementError: ``endorsements.wanted.malformed``.
    """
    components = LAYOUTS[_line(wanted)[0]].components
    return bytes(int(wanted.demand(name, _SVN)) if name else 0 for name in components)


def read_chain(text: bytes) -> SnpEndorsements:
    """Return the certificates of a PEM text, sorted by what they are.

    Raises:
        EndorsementError: ``endorsements.answer.malformed``.
    """
    try:
        return SnpEndorsements.from_pem(text)
    except AssayError as error:
        raise malformed(f"The answer is no certificate chain: {error.message}") from None


def _line(wanted: Wanted) -> tuple[Product, Kind]:
    return Product(wanted.demand("product", _PRODUCT)), cast("Kind", wanted.demand("kind", _KIND))


def _chip(wanted: Wanted) -> str:
    digits = 2 * LAYOUTS[_line(wanted)[0]].hwid_bytes
    return wanted.demand("chip-id", re.compile(f"[0-9a-f]{{{digits}}}"))


def _parse(der: bytes) -> GeneralCertificate:
    try:
        return GeneralCertificate.parse(der)
    except DerError as error:
        raise malformed(f"The answer is no certificate: {error.message}") from None


def _pinned(der: bytes, access: Access) -> Root:
    found = next((root for root in access.roots.of(AMD) if root.der == der), None)
    if found is None:
        raise unverified("The chain does not end in a root of trust.")
    return found


def _judged(found: Window | PathDefect, root: Root) -> Judged:
    """Turn the outcome of ``verify_path`` into ours."""
    if isinstance(found, PathDefect):
        raise stale(found.reason) if found.kind == "validity" else unverified(found.reason)
    return Judged(found, Basis.SIGNATURE, root.anchor.fingerprint.hex())


SOURCES: Final = (VekSource(), ChainSource(), CrlSource())
