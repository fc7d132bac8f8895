"""Certificates as Intel issues them: P-256, ECDSA with SHA-256, version 3; everything else is refused.

The signed part is a slice of the input, and so is every name that is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from assay.evidence.decoding.der import (
    BIT_STRING,
    BOOLEAN,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    PRINTABLE_STRING,
    SEQUENCE,
    SET,
    UTF8_STRING,
    DerError,
    DerReader,
)
from assay.evidence.facts import Window
from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CERTIFICATE_BYTES = 4096
_MAX_EXTENSIONS = 16

# Object identifiers as DER content.
OID_COMMON_NAME = bytes.fromhex("550403")
OID_SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")
OID_KEY_USAGE = bytes.fromhex("551d0f")
OID_BASIC_CONSTRAINTS = bytes.fromhex("551d13")
OID_AUTHORITY_KEY_IDENTIFIER = bytes.fromhex("551d23")

# SEQUENCE { OID 1.2.840.10045.4.3.2 }: ecdsa-with-SHA256, parameters absent as RFC 5758 section 3.2 demands.
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
# SubjectPublicKeyInfo of an uncompressed P-256 point, up to and including the bit string's header.
_P256_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_VERSION_3 = bytes.fromhex("a003020102")
_TRUE = bytes.fromhex("0101ff")
_ECDSA = ec.ECDSA(SHA256())
_CURVE = ec.SECP256R1()


@record
class Certificate:
    """One decoded certificate; nothing about it is verified.

    Attributes:
        der: The whole of it.
        signed: The bytes that its issuer signed, a slice of ``der``.
        signature: ECDSA signature over ``signed``, DER.
        serial: Content of the serial number's INTEGER: unique for its value, never negative.
        issuer: Name of the issuer, DER.
        subject: Name of the subject, DER.
        common_name: The one common name of the subject.
        window: notBefore to notAfter.
        point: Public key, 65 bytes, uncompressed P-256 point; not yet known to lie on the curve.
        extensions: Object identifier (DER content) -> whether it is critical, and its value.
    """

    der: bytes
    signed: bytes
    signature: bytes
    serial: bytes
    issuer: bytes
    subject: bytes
    common_name: str
    window: Window
    point: bytes
    extensions: Mapping[bytes, tuple[bool, bytes]]
    _key: list[ec.EllipticCurvePublicKey] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, der: bytes) -> Certificate:
        """Decode one certificate.

        Raises:
            DerError: It is no strict certificate of this kind, or longer than 4,096 bytes.
        """
        if len(der) > MAX_CERTIFICATE_BYTES:
            raise DerError(f"A certificate is longer than {MAX_CERTIFICATE_BYTES} bytes.")
        top = DerReader(der)
        outer = top.enter()
        top.finish()
        first = outer.pos
        tbs = outer.enter()
        signed = der[first : tbs.end]
        if not outer.fixed(ECDSA_WITH_SHA256):
            raise DerError("A certificate is not signed with ECDSA and SHA-256.")
        signature = outer.bits()
        outer.finish()
        if not tbs.fixed(_VERSION_3):
            raise DerError("A certificate is not of version 3.")
        serial = tbs.unsigned()
        if not tbs.fixed(ECDSA_WITH_SHA256):
            raise DerError("The two signature algorithms of a certificate differ.")
        issuer = tbs.whole(SEQUENCE)
        validity = tbs.enter()
        window = Window(validity.time(), validity.time())
        validity.finish()
        subject = tbs.whole(SEQUENCE)
        key = tbs.whole(SEQUENCE)
        prefix = len(_P256_SPKI_PREFIX)
        # The prefix holds the length of the whole, 91 bytes.
        if key[:prefix] != _P256_SPKI_PREFIX or key[prefix] != 4:
            raise DerError("A certificate's key is no uncompressed P-256 point.")
        extensions = read_extensions(tbs.enter(0xA3))
        tbs.finish()
        return cls(
            der=der,
            signed=signed,
            signature=signature,
            serial=serial,
            issuer=issuer,
            subject=subject,
            common_name=_common_name(subject),
            window=window,
            point=key[prefix:],
            extensions=extensions,
        )

    def key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key, loaded once.

        Raises:
            DerError: The point is not on the curve.
        """
        if not self._key:
            self._key.append(load_point(self.point))
        return self._key[0]

    def key_identifier(self) -> bytes | None:
        """Return the subject key identifier, or None when it has none.

        Raises:
            DerError: The extension is malformed.
        """
        found = self.extensions.get(OID_SUBJECT_KEY_IDENTIFIER)
        if found is None:
            return None
        reader = DerReader(found[1])
        identifier = reader.value(OCTET_STRING)
        reader.finish()
        return identifier


def load_point(point: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key of an uncompressed point of 65 bytes.

    Raises:
        DerError: The point is not on the curve.
    """
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)
    except ValueError:
        raise DerError("A public key is not on the curve.") from None


def verifies(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    """Return whether a DER-encoded ECDSA signature with SHA-256 over ``signed`` is the key's."""
    try:
        key.verify(signature, signed, _ECDSA)
    except InvalidSignature:
        return False
    return True


def raw_signature(raw: bytes) -> bytes:
    """Return the DER form of a raw P-256 signature: r and s, 32 bytes each, big-endian."""
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def read_extensions(wrapper: DerReader) -> dict[bytes, tuple[bool, bytes]]:
    """Read extensions from inside their explicit tag; each may stand there once.

    Raises:
        DerError: An extension is malformed, doubled, or there are too many.
    """
    found: dict[bytes, tuple[bool, bytes]] = {}
    items = wrapper.enter()
    wrapper.finish()
    item = DerReader(items.data)
    while items.more():
        short = _short_extension(items.data, items.pos, items.end)
        if short is not None:
            oid, critical, value, items.pos = short
        else:
            item.pos, item.end = items.span(SEQUENCE)
            oid = item.value(OBJECT_IDENTIFIER)
            critical = False
            if item.peek() == BOOLEAN:
                critical = item.boolean()
                if not critical:
                    raise DerError("A default value is written out.")
            value = item.value(OCTET_STRING)
            item.finish()
        if oid in found or len(found) == _MAX_EXTENSIONS:
            raise DerError("An extension stands twice, or there are too many.")
        found[oid] = (critical, value)
    return found


def _short_extension(data: bytes, pos: int, end: int) -> tuple[bytes, bool, bytes, int] | None:
    """Read ``SEQUENCE { OID, [TRUE], OCTET STRING }`` in place, where all of it is shorter than 128 bytes.

    A chain has dozens of them. None leaves anything else to the reader, which knows what is wrong.
    """
    if pos + 6 > end or data[pos + 1] >= 0x80:
        return None
    stop = pos + 2 + data[pos + 1]
    at = pos + 4 + data[pos + 3]
    if stop > end or at + 2 > stop or data[pos] != SEQUENCE or data[pos + 2] != OBJECT_IDENTIFIER:
        return None
    critical = data.startswith(_TRUE, at)
    value = at + len(_TRUE) if critical else at
    if value + 2 > stop or data[value] != OCTET_STRING or data[value + 1] != stop - value - 2:
        return None
    return data[pos + 4 : at], critical, data[value + 2 : stop], stop


def key_usage(extension: bytes) -> int:
    """Return the named bits of a KeyUsage: bit 0 (digitalSignature) is 0x80 of the first byte.

    Raises:
        DerError: It is not a minimal bit string of one byte (decipherOnly, the ninth bit, is used nowhere
            here).
    """
    if len(extension) != 4 or extension[0] != BIT_STRING or extension[1] != 2:
        raise DerError("A key usage is not a bit string of one byte.")
    unused, bits = extension[2:]
    # The lowest bit that counts is set, and the unused ones below it are not.
    if bits & ((2 << unused) - 1) != 1 << unused:
        raise DerError("A key usage is not a minimal bit string.")
    return bits


def authority_key(extension: bytes) -> bytes:
    """Return the key identifier of an AuthorityKeyIdentifier, which must hold nothing else.

    Raises:
        DerError: It holds something else.
    """
    reader = DerReader(extension)
    inner = reader.enter()
    reader.finish()
    identifier = inner.value(0x80)
    inner.finish()
    return identifier


def _common_name(name: bytes) -> str:
    """Return the one common name among relative names of one attribute each, all shorter than 128 bytes.

    ``SEQUENCE { SET { SEQUENCE { OBJECT IDENTIFIER, string } } ... }``, read in place: every certificate of a
    chain has five of them.
    """
    reader = DerReader(name)
    pos, end = reader.span(SEQUENCE)
    reader.finish()
    found = []
    try:
        while pos < end:
            size = name[pos + 1]
            oid = pos + 6
            value = oid + name[pos + 5]
            if (
                name[pos] != SET
                or name[pos + 2] != SEQUENCE
                or name[pos + 4] != OBJECT_IDENTIFIER
                or size >= 0x80
                or name[pos + 3] != size - 2
                or value + 2 + name[value + 1] != pos + 2 + size
            ):
                raise DerError("A name is not made of short attributes, one at a time.")
            if name[oid:value] == OID_COMMON_NAME:
                if name[value] not in (UTF8_STRING, PRINTABLE_STRING):
                    raise DerError("A common name is neither UTF8String nor PrintableString.")
                found.append(name[value + 2 : pos + 2 + size])
            pos += 2 + size
    except IndexError:
        raise DerError("A name is cut off.") from None
    if pos != end or len(found) != 1:
        raise DerError("A subject does not have exactly one common name.")
    try:
        return found[0].decode("utf-8")
    except UnicodeDecodeError:
        raise DerError("A common name is not UTF-8.") from None
