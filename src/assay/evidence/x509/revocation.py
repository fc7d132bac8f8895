"""Certificate revocation lists of any issuer with a known algorithm: strict, and complete for one issuer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import SEQUENCE, DerError, DerReader
from assay.evidence.x509.crl import MAX_CRL_BYTES, read_list
from assay.evidence.x509.signature import ALGORITHMS, SignatureAlgorithm, verify_signature

if TYPE_CHECKING:
    from assay.evidence.facts import Window
    from assay.evidence.x509.general import GeneralCertificate

_VERSION_2: Final = bytes.fromhex("020101")


@dataclass(frozen=True, slots=True)
class GeneralRevocationList:
    """One decoded CRL; nothing about it is verified.

    Attributes:
        signed: The bytes that its issuer signed.
        signature: The signature over ``signed``: ECDSA in DER, RSA as a big-endian number.
        algorithm: What it was made with.
        issuer: Name of the issuer, DER.
        window: thisUpdate to nextUpdate.
        authority: Identifier of the issuer's key.
        number: CRL number.
        revoked: Serial numbers as INTEGER contents.
    """

    signed: bytes
    signature: bytes
    algorithm: SignatureAlgorithm
    issuer: bytes
    window: Window
    authority: bytes
    number: int
    revoked: frozenset[bytes]

    @classmethod
    def parse(cls, der: bytes, *, max_bytes: int = MAX_CRL_BYTES) -> GeneralRevocationList:
        """Decode one CRL.

        Args:
            der: The CRL, and nothing behind it.
            max_bytes: Longest CRL that is looked at.

        Raises:
            DerError: It is no strict CRL of a known algorithm, lacks nextUpdate, key identifier or number,
                has a critical extension (a delta, an indirect or a partitioned list), or is longer than
                ``max_bytes``.
        """
        if len(der) > max_bytes:
            raise DerError(f"A CRL is longer than {max_bytes} bytes.")
        top = DerReader(der)
        outer = top.enter()
        top.finish()
        first = outer.pos
        tbs = outer.enter()
        signed = der[first : tbs.end]
        stated = outer.whole(SEQUENCE)
        algorithm = ALGORITHMS.get(stated)
        if algorithm is None:
            raise DerError("A CRL is signed with an algorithm that is not known here.")
        signature = outer.bits()
        outer.finish()
        if not tbs.fixed(_VERSION_2):
            raise DerError("A CRL is not of version 2.")
        if not tbs.fixed(stated):
            raise DerError("The two signature algorithms of a CRL differ.")
        issuer, window, authority, number, revoked = read_list(tbs)
        return cls(
            signed=signed,
            signature=signature,
            algorithm=algorithm,
            issuer=issuer,
            window=window,
            authority=authority,
            number=number,
            revoked=revoked,
        )

    def names(self, issuer: GeneralCertificate) -> bool:
        """Return whether the list names this certificate and its key as its issuer.

        Raises:
            DerError: The certificate's key identifier is malformed.
        """
        return self.issuer == issuer.subject and self.authority == issuer.key_identifier()

    def signed_by(self, issuer: GeneralCertificate) -> bool:
        """Return whether the signature is that of this certificate's key.

        Raises:
            DerError: The certificate's key is unusable.
        """
        return verify_signature(issuer.key(), self.algorithm, self.signature, self.signed)
