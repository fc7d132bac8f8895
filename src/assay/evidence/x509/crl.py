"""Certificate revocation lists, strictly: version 2, ECDSA with SHA-256, complete lists of one issuer."""

from __future__ import annotations

from assay.evidence.decoding.der import (
    BOOLEAN,
    GENERALIZED_TIME,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    UTC_TIME,
    DerError,
    DerReader,
)
from assay.evidence.facts import Window
from assay.evidence.records import record
from assay.evidence.x509.certificate import (
    ECDSA_WITH_SHA256,
    OID_AUTHORITY_KEY_IDENTIFIER,
    authority_key,
    read_extensions,
)

MAX_CRL_BYTES = 1 << 20
OID_CRL_NUMBER = bytes.fromhex("551d14")

_VERSION_2 = bytes.fromhex("020101")


@record
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
        if not outer.fixed(ECDSA_WITH_SHA256):
            raise DerError("A CRL is not signed with ECDSA and SHA-256.")
        signature = outer.bits()
        outer.finish()
        if not tbs.fixed(_VERSION_2):
            raise DerError("A CRL is not of version 2.")
        if not tbs.fixed(ECDSA_WITH_SHA256):
            raise DerError("The two signature algorithms of a CRL differ.")
        issuer, window, authority, number, revoked = read_list(tbs)
        return cls(
            signed=signed,
            signature=signature,
            issuer=issuer,
            window=window,
            authority=authority,
            number=number,
            revoked=revoked,
        )


def read_list(tbs: DerReader) -> tuple[bytes, Window, bytes, int, frozenset[bytes]]:
    """Read what follows the signature algorithm of a CRL, to its end.

    Returns:
        Name of the issuer (DER), thisUpdate to nextUpdate, identifier of the issuer's key, CRL number, and
        the serial numbers as INTEGER contents.

    Raises:
        DerError: It is malformed, lacks nextUpdate, key identifier or number, or has a critical extension.
    """
    issuer = tbs.whole(SEQUENCE)
    window = Window(tbs.time(), tbs.time())
    revoked: frozenset[bytes] = frozenset()
    if tbs.peek() == SEQUENCE:
        revoked = read_serials(tbs.enter())
    extensions = read_extensions(tbs.enter(0xA0))
    tbs.finish()
    if any(critical for critical, _ in extensions.values()):
        raise DerError("A CRL has a critical extension.")
    if OID_AUTHORITY_KEY_IDENTIFIER not in extensions or OID_CRL_NUMBER not in extensions:
        raise DerError("A CRL lacks its issuer's key identifier or its number.")
    reader = DerReader(extensions[OID_CRL_NUMBER][1])
    number = reader.integer()
    reader.finish()
    return issuer, window, authority_key(extensions[OID_AUTHORITY_KEY_IDENTIFIER][1]), number, revoked


def read_serials(entries: DerReader) -> frozenset[bytes]:
    """Return the serial numbers of all entries of a CRL, as INTEGER contents.

    Raises:
        DerError: An entry is malformed, cut off, or has a critical extension.
    """
    try:
        return _serials(entries)
    except IndexError:
        raise DerError("The entries of a CRL are cut off.") from None


def _serials(entries: DerReader) -> frozenset[bytes]:
    """Read the serial numbers of all entries: ``SEQUENCE { INTEGER, Time, [extensions] }``.

    Lists are long and entries short, so the lengths, one byte each, are read in place.
    """
    data, pos, end = entries.data, entries.pos, entries.end
    found = []
    harmless: set[bytes] = set()
    while pos < end:
        stop = pos + 2 + data[pos + 1]
        serial = pos + 4
        time = serial + data[pos + 3]
        rest = time + 2 + data[time + 1] if time + 1 < stop else end + 1
        if stop > end or rest > stop or data[pos + 1] >= 0x80 or data[pos] != SEQUENCE:
            raise DerError("An entry of a CRL does not end where it says.")
        if data[pos + 2] != INTEGER or data[time] not in (UTC_TIME, GENERALIZED_TIME):
            raise DerError("An entry of a CRL has no serial number, or no date.")
        number = data[serial:time]
        if not number or number[0] & 0x80 or (number[0] == 0 and len(number) > 1 and not number[1] & 0x80):
            raise DerError("A serial number is negative, or not in its shortest form.")
        found.append(number)
        extensions = data[rest:stop]
        if extensions and extensions not in harmless:
            _harmless(extensions)
            harmless.add(extensions)
        pos = stop
    return frozenset(found)


def _harmless(extensions: bytes) -> None:
    """Demand that the extensions of an entry are well-formed and none is critical."""
    reader = DerReader(extensions)
    items = reader.enter()
    reader.finish()
    while items.more():
        item = items.enter()
        item.span(OBJECT_IDENTIFIER)
        if item.peek() == BOOLEAN:
            raise DerError("An entry of a CRL has a critical extension.")
        item.span(OCTET_STRING)
        item.finish()
