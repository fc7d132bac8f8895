"""What vouches for the key of a report: its certificate, the issuer's, the root's, and the root's CRL.

They come from a certificate table, from AMD's Key Distribution Service as PEM, or from Azure's THIM as JSON.
All of it is public and unauthenticated until ``verify_snp`` has looked at it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import certificates
from assay.evidence.decoding.strictjson import member, parse_object
from assay.evidence.snp import table
from assay.evidence.x509.general import GeneralCertificate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.evidence.snp.vek import Kind

MAX_THIM_BYTES: Final = 65536
MAX_CERTIFICATES: Final = 4  # VEK, ASK, ASVK, ARK
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_KEYS: Final[dict[Kind, bytes]] = {"vcek": table.VCEK, "vlek": table.VLEK}


class EndorsementsError(EvidenceError):
    """The certificates cannot be told apart.

    Codes: ``snp.endorsements.count``, ``snp.endorsements.malformed``, ``snp.endorsements.ambiguous``; and
        those of the decoders of PEM, JSON and tables.
    """


@dataclass(frozen=True, slots=True)
class SnpEndorsements:
    """Certificates and CRL, DER; None for what is not at hand: the result says what to get.

    Attributes:
        vek: The VCEK or VLEK certificate.
        authority: The certificate that issued it: ASK for a VCEK, ASVK for a VLEK.
        root: The ARK that comes with them; it must equal a root of trust. None leaves it out.
        crl: The ARK's CRL, which covers ASK and ASVK.
        digest: SHA-256 over all of them, 32 bytes: names them as the key of a verified fact.
    """

    vek: bytes | None = None
    authority: bytes | None = None
    root: bytes | None = None
    crl: bytes | None = None
    digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        seal = hashlib.sha256()
        for part in (self.vek, self.authority, self.root, self.crl):
            seal.update(b"\0" if part is None else b"\1" + len(part).to_bytes(4, "big") + part)
        object.__setattr__(self, "digest", seal.digest())

    @classmethod
    def from_certificates(cls, ders: Iterable[bytes], *, crl: bytes | None = None) -> SnpEndorsements:
        """Sort certificates by their names; order does not matter.

        Args:
            ders: At most 4 certificates, DER.
            crl: The ARK's CRL, DER.

        Raises:
            EndorsementsError: One is malformed, or there are two for one place.
        """
        found = list(ders)
        if len(found) > MAX_CERTIFICATES:
            raise EndorsementsError(
                "snp.endorsements.count", f"There are more than {MAX_CERTIFICATES} certificates."
            )
        try:
            parsed = [GeneralCertificate.parse(der) for der in found]
        except DerError as error:
            raise EndorsementsError("snp.endorsements.malformed", error.message) from None
        veks = [one for one in parsed if one.common_name in ("SEV-VCEK", "SEV-VLEK")]
        roots = [one for one in parsed if one.common_name.startswith("ARK-")]
        authorities = [one for one in parsed if one not in veks and one not in roots]
        if len(veks) == 1 and len(authorities) > 1:
            # The ASK and the ASVK of a product come together: the one that the VEK names is meant.
            authorities = [one for one in authorities if one.subject == veks[0].issuer]
        if max(len(veks), len(roots), len(authorities)) > 1:
            raise EndorsementsError(
                "snp.endorsements.ambiguous", "There are several certificates for one place of a chain."
            )
        return cls(
            vek=veks[0].der if veks else None,
            authority=authorities[0].der if authorities else None,
            root=roots[0].der if roots else None,
            crl=crl,
        )

    @classmethod
    def from_pem(cls, text: bytes, *, crl: bytes | None = None) -> SnpEndorsements:
        """Read certificates as the KDS and others write them: PEM, 1 to 4 of them, in any order.

        Raises:
            EndorsementsError: As ``from_certificates``.
            PemError: The text is not strict PEM.
        """
        return cls.from_certificates(_ders(text), crl=crl)

    @classmethod
    def from_table(cls, data: bytes, *, kind: Kind | None = None) -> SnpEndorsements:
        """Read a certificate table whose contents are DER or PEM.

        Args:
            data: The table.
            kind: The key whose certificate is meant, where there are two: hosts that use both list both. None
                where nothing says so.

        Raises:
            TableError: It is malformed.
            EndorsementsError: As ``from_certificates``, or it holds both a VCEK and a VLEK and none is meant.
            PemError: A content is PEM, but not strict PEM.
        """
        contents = table.parse_table(data)
        keys = {name: contents[guid] for name, guid in _KEYS.items() if guid in contents}
        if len(keys) > 1 and kind is None:
            raise EndorsementsError(
                "snp.endorsements.ambiguous", "A certificate table holds both a VCEK and a VLEK."
            )
        vek = _one(keys[kind] if len(keys) > 1 and kind else next(iter(keys.values()), None))
        return cls(
            vek=vek,
            authority=_issuer(vek, [_one(contents.get(guid)) for guid in (table.ASK, table.ASVK)]),
            root=_one(contents.get(table.ARK)),
            crl=contents.get(table.CRL),
        )

    @classmethod
    def from_thim(cls, data: bytes, *, crl: bytes | None = None) -> SnpEndorsements:
        """Read the answer of Azure's trusted hardware identity management: VCEK and chain as PEM in JSON.

        Raises:
            JsonError: It is not that JSON.
            EndorsementsError: As ``from_certificates``.
            PemError: A member is not strict PEM.
        """
        members = parse_object(data, max_bytes=MAX_THIM_BYTES)
        names = ("vcekCert", "certificateChain")
        texts = [member(members, name, str).encode("utf-8", "replace") for name in names]
        return cls.from_certificates([der for text in texts for der in _ders(text)], crl=crl)

    def or_else(self, other: SnpEndorsements | None) -> SnpEndorsements:
        """Return these, with what they lack taken from ``other``."""
        if other is None:
            return self
        return SnpEndorsements(
            vek=self.vek or other.vek,
            authority=self.authority or other.authority,
            root=self.root or other.root,
            crl=self.crl or other.crl,
        )


def _ders(text: bytes) -> tuple[bytes, ...]:
    """Return the DER of 1 to 4 certificates; blank lines may stand around each, as services leave them."""
    first, *blocks = text.split(_BEGIN, MAX_CERTIFICATES + 1)
    if first.strip() or not 0 < len(blocks) <= MAX_CERTIFICATES:
        raise EndorsementsError(
            "snp.endorsements.count", f"A text is not 1 to {MAX_CERTIFICATES} PEM certificates."
        )
    return tuple(certificates(_BEGIN + block.rstrip(b"\r\n") + b"\n", count=1)[0] for block in blocks)


def _issuer(vek: bytes | None, offered: Iterable[bytes | None]) -> bytes | None:
    """Return the authority that a certificate names, or the first that is offered; None without any."""
    found = [der for der in offered if der is not None]
    if vek is None or len(found) < 2:
        return found[0] if found else None
    try:
        wanted = GeneralCertificate.parse(vek).issuer
        return next((der for der in found if GeneralCertificate.parse(der).subject == wanted), found[0])
    except DerError:
        return found[0]


def _one(content: bytes | None) -> bytes | None:
    """Return the DER of one certificate in a table, which may be PEM."""
    if content is None or not content.startswith(_BEGIN):
        return content
    found = _ders(content)
    if len(found) > 1:
        raise EndorsementsError("snp.endorsements.count", "An entry of a table holds several certificates.")
    return found[0]
