"""Certificate revocation lists, strictly: version 2, ECDSA with SHA-256, complete lists of one issuer."""

from __future__ import annotations

from dataclasses import dataclass

from assay.evidence.decoding.der import (
    GENERALIZED_TIME,
    INTEGER,
    SEQUENCE,
    UTC_TIME,
    DerError,
    DerReader,
)
from assay.evidence.facts import Window
from assay.evidence.x509.certificate import (
    ECDSA_WITH_SHA256,
    OID_AUTHORITY_KEY_IDENTIFIER,
    authority_key,
    read_extensions,
)

MAX_CRL_BYTES = 1 << 20
OID_CRL_NUMBER = bytes.fromhex("551d14")

_VERSION_2 = bytes.fromhex("020101")


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One decoded CRL; nothing about it is verified.

    Attributes:
        signed: The bytes that its issuer signed.
        signature: ECDSA signature over ``signed``, DER.
        issuer: Name of the issuer, DER.
        window: thisUpdate to nextUpdate.
        authority: Identifier of the issuer's key.
        number: CRL number.
        revoked: Serial numbers as INTEGER contents.
    """

    signed: bytes
    signature: bytes
    issuer: bytes
    window: Window
    authority: bytes
    number: int
    revoked: frozenset[bytes]

    @classmethod
    def parse(cls, der: bytes) -> RevocationList:
        """Decode one CRL.

        Raises:
            DerError: It is no strict CRL of this kind, lacks nextUpdate, key identifier or number, has a
                critical extension (a delta, an indirect or a partitioned list), or is longer than 1 MiB.
        """
        if len(der) > MAX_CRL_BYTES:
            raise DerError(f"A CRL is longer than {MAX_CRL_BYTES} bytes.")
        top = DerReader(der)
        outer = top.enter()
        top.finish()
        first = outer.pos
        tbs = outer.enter()
        signed = der[first : tbs.end]
        if outer.whole(SEQUENCE) != ECDSA_WITH_SHA256:
            raise DerError("A CRL is not signed with ECDSA and SHA-256.")
        signature = outer.bits()
        outer.finish()
        if tbs.whole(INTEGER) != _VERSION_2:
            raise DerError("A CRL is not of version 2.")
        if tbs.whole(SEQUENCE) != ECDSA_WITH_SHA256:
            raise DerError("The two signature algorithms of a CRL differ.")
        issuer = tbs.whole(SEQUENCE)
        window = Window(tbs.time(), tbs.time())
        revoked = _serials(tbs.enter()) if tbs.peek() == SEQUENCE else frozenset()
        extensions = read_extensions(tbs.enter(0xA0))
        tbs.finish()
        if any(critical for critical, _ in extensions.values()):
            raise DerError("A CRL has a critical extension.")
        if OID_AUTHORITY_KEY_IDENTIFIER not in extensions or OID_CRL_NUMBER not in extensions:
            raise DerError("A CRL lacks its issuer's key identifier or its number.")
        number = DerReader(extensions[OID_CRL_NUMBER][1])
        return cls(
            signed=signed,
            signature=signature,
            issuer=issuer,
            window=window,
            authority=authority_key(extensions[OID_AUTHORITY_KEY_IDENTIFIER][1]),
            number=_last_integer(number),
            revoked=revoked,
        )


def _last_integer(reader: DerReader) -> int:
    number = reader.integer()
    reader.finish()
    return number


def _serials(entries: DerReader) -> frozenset[bytes]:
    found = []
    while entries.more():
        entry = entries.enter()
        found.append(entry.unsigned())
        if entry.peek() not in (UTC_TIME, GENERALIZED_TIME):
            raise DerError("A revoked entry has no date.")
        entry.span(entry.peek())
        if entry.more():
            _no_critical(entry)
            entry.finish()
    return frozenset(found)


def _no_critical(entry: DerReader) -> None:
    items = entry.enter()
    while items.more():
        item = items.enter()
        item.span(0x06)
        if item.peek() == 0x01:
            raise DerError("A revoked entry has a critical extension.")
        item.span(0x04)
        item.finish()
