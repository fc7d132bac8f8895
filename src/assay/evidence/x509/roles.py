"""What a certificate must be for the position in which it stands.

"It chains to the root" says nothing about what a key may sign: the key of a PCK certificate chains to the
root as well as the TCB signing key does. A role says what the name, the usage, the constraints and the
extensions must be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.records import record
from assay.evidence.x509.certificate import (
    OID_AUTHORITY_KEY_IDENTIFIER,
    OID_BASIC_CONSTRAINTS,
    OID_KEY_USAGE,
    authority_key,
    key_usage,
    verifies,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.x509.certificate import Certificate

DIGITAL_SIGNATURE = 0x80
KEY_CERT_SIGN = 0x04
CRL_SIGN = 0x02


@record
class Role:
    """The demands of one position.

    Attributes:
        title: How a person calls it.
        common_names: The names that may stand in it.
        authority: Whether it issues certificates and CRLs.
        path_length: Most CAs that may follow it, at most 127; only for an authority, and exact.
        extension: An extension that it must have (DER content of its identifier); None when none is needed.
    """

    title: str
    common_names: frozenset[str]
    authority: bool
    path_length: int | None
    extension: bytes | None

    def defect(self, certificate: Certificate) -> str | None:
        """Return why ``certificate`` cannot stand in this position, as a sentence; None when it can.

        Raises:
            DerError: One of its extensions is malformed.
        """
        if certificate.common_name not in self.common_names:
            return f"The {self.title} has another name than {' or '.join(sorted(self.common_names))}."
        return self._extension_defect(certificate.extensions) or self._usage_defect(certificate.extensions)

    def _extension_defect(self, extensions: Mapping[bytes, tuple[bool, bytes]]) -> str | None:
        for oid, (critical, _) in extensions.items():
            if critical and oid not in (OID_BASIC_CONSTRAINTS, OID_KEY_USAGE, self.extension):
                return f"The {self.title} has a critical extension that is not known in that position."
        if self.extension is not None and self.extension not in extensions:
            return f"The {self.title} lacks the extension of its role."
        return None

    @property
    def constraints(self) -> bytes:
        """The basic constraints of the role, in their one encoding."""
        if not self.authority:
            return b"\x30\x00"
        if self.path_length is None:
            return b"\x30\x03\x01\x01\xff"
        return b"\x30\x06\x01\x01\xff\x02\x01" + bytes([self.path_length])

    def _usage_defect(self, extensions: Mapping[bytes, tuple[bool, bytes]]) -> str | None:
        constraints = extensions.get(OID_BASIC_CONSTRAINTS)
        usage = extensions.get(OID_KEY_USAGE)
        if constraints is None or not constraints[0] or usage is None or not usage[0]:
            return f"The {self.title} lacks critical basic constraints or key usage."
        if constraints[1] != self.constraints:
            return f"The basic constraints of the {self.title} are not those of its role."
        bits = key_usage(usage[1])
        needed = KEY_CERT_SIGN | CRL_SIGN if self.authority else DIGITAL_SIGNATURE
        refused = 0 if self.authority else KEY_CERT_SIGN | CRL_SIGN
        if bits & needed != needed or bits & refused:
            return f"The key usage of the {self.title} is not that of its role."
        return None


def issued(certificate: Certificate, issuer: Certificate, title: str) -> str | None:
    """Return why ``issuer`` did not issue ``certificate``, as a sentence; None when it did.

    Compared are the names, byte for byte, the identifier of the issuer's key, and the signature.

    Args:
        certificate: The certificate in question.
        issuer: The one that is said to have issued it.
        title: How a person calls ``certificate``.

    Raises:
        DerError: An extension is malformed, or the issuer's key is not on the curve.
    """
    if certificate.issuer != issuer.subject:
        return f"The {title} names another issuer."
    stated = certificate.extensions.get(OID_AUTHORITY_KEY_IDENTIFIER)
    identifier = issuer.key_identifier()
    if stated is None or identifier is None or authority_key(stated[1]) != identifier:
        return f"The {title} names another key of its issuer."
    if not verifies(issuer.key(), certificate.signature, certificate.signed):
        return f"The signature of the {title} is not its issuer's."
    return None
