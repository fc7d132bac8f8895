"""Certificates of every vendor but Intel: RSA and NIST curves, read as strictly as their issuers allow.

``certificate.py`` reads the one kind that Intel issues and is built for speed. This module reads what AMD,
AWS, Google, Microsoft and NVIDIA issue. The signed part is a slice of the input, and so is every name that
is compared.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import (
    BIT_STRING,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    DerError,
    DerReader,
)
from assay.evidence.facts import Window
from assay.evidence.records import field, record
from assay.evidence.x509.certificate import (
    OID_COMMON_NAME,
    OID_SUBJECT_KEY_IDENTIFIER,
    read_extensions,
)
from assay.evidence.x509.signature import (
    ALGORITHMS,
    PublicKey,
    SignatureAlgorithm,
    load_key,
    verify_signature,
)
from assay.evidence.x509.spki import KeyKind, key_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_GENERAL_CERTIFICATE_BYTES: Final = 8192
_MAX_NAME_ATTRIBUTES: Final = 16
_MAX_ALGORITHM_BYTES: Final = 128
_STRINGS: Final[Mapping[int, str]] = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1E: "utf-16-be",
}

_VERSION_3: Final = bytes.fromhex("a003020102")


@record
class GeneralCertificate:
    """One decoded certificate; nothing about it is verified.

    Attributes:
        der: The whole of it.
        signed: The bytes that its issuer signed, a slice of ``der``.
        signature: The signature over ``signed``: ECDSA in DER, RSA as a big-endian number.
        algorithm: What it was made with.
        serial: Content of the serial number's INTEGER: unique for its value, never negative, zero allowed.
        issuer: Name of the issuer, DER.
        subject: Name of the subject, DER.
        names: The subject's attributes in order: object identifier (DER content) and text.
        common_name: The one common name of the subject; empty when it has none.
        window: notBefore to notAfter.
        spki: SubjectPublicKeyInfo, DER.
        key_kind: What kind of key it holds.
        extensions: Object identifier (DER content) -> whether it is critical, and its value.
    """

    der: bytes
    signed: bytes
    signature: bytes
    algorithm: SignatureAlgorithm
    serial: bytes
    issuer: bytes
    subject: bytes
    names: tuple[tuple[bytes, str], ...]
    common_name: str
    window: Window
    spki: bytes
    key_kind: KeyKind
    extensions: Mapping[bytes, tuple[bool, bytes]]
    _key: list[PublicKey] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, der: bytes, *, max_bytes: int = MAX_GENERAL_CERTIFICATE_BYTES) -> GeneralCertificate:
        """Decode one certificate.

        Args:
            der: The certificate, and nothing behind it.
            max_bytes: Longest certificate that is looked at.

        Raises:
            DerError: It is no strict X.509 version 3 certificate of a known algorithm and key, has two common
                names, or is longer than ``max_bytes``.
        """
        if len(der) > max_bytes:
            raise DerError(f"A certificate is longer than {max_bytes} bytes.")
        top = DerReader(der)
        outer = top.enter()
        top.finish()
        first = outer.pos
        tbs = outer.enter()
        signed = der[first : tbs.end]
        stated = outer.whole(SEQUENCE)
        algorithm = ALGORITHMS.get(stated) if len(stated) <= _MAX_ALGORITHM_BYTES else None
        if algorithm is None:
            raise DerError("A certificate is signed with an algorithm that is not known here.")
        signature = outer.bits()
        outer.finish()
        if not tbs.fixed(_VERSION_3):
            raise DerError("A certificate is not of version 3.")
        serial = tbs.unsigned()
        if not tbs.fixed(stated):
            raise DerError("The two signature algorithms of a certificate differ.")
        issuer = tbs.whole(SEQUENCE)
        validity = tbs.enter()
        window = Window(validity.time(any_form=True), validity.time(any_form=True))
        validity.finish()
        subject = tbs.whole(SEQUENCE)
        spki = tbs.whole(SEQUENCE)
        extensions = read_extensions(tbs.enter(0xA3)) if tbs.more() else {}
        tbs.finish()
        names = read_name(subject)
        if issuer != subject:
            read_name(issuer)  # a name that no reader understands is refused wherever it stands
        common = [text for oid, text in names if oid == OID_COMMON_NAME]
        if len(common) > 1:
            raise DerError("A subject has more than one common name.")
        return cls(
            der,
            signed,
            signature,
            algorithm,
            serial,
            issuer,
            subject,
            names,
            common[0] if common else "",
            window,
            spki,
            key_kind(spki),
            extensions,
        )

    def key(self) -> PublicKey:
        """Return the public key, loaded once.

        Raises:
            DerError: The point is not on its curve, or the key is otherwise unusable.
        """
        if not self._key:
            self._key.append(load_key(self.spki))
        return self._key[0]

    def verify(self, child: GeneralCertificate) -> bool:
        """Return whether this certificate's key made the signature of ``child``.

        Raises:
            DerError: This certificate's key is unusable.
        """
        return verify_signature(self.key(), child.algorithm, child.signature, child.signed)

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


def read_name(name: bytes) -> tuple[tuple[bytes, str], ...]:
    """Return the attributes of a distinguished name in order: object identifier (DER content) and text.

    Raises:
        DerError: It is malformed, has more than 16 attributes, or text in an unknown encoding.
    """
    reader = DerReader(name)
    sets = reader.enter()
    reader.finish()
    pos, end = sets.pos, sets.end
    found: list[tuple[bytes, str]] = []
    while pos < end:
        # SET { SEQUENCE { OID, string } }, all of it shorter than 128 bytes, is read in place: a certificate
        # has a dozen of them. What is anything else goes to the reader, which knows what is wrong.
        size = name[pos + 1] if pos + 8 <= end else 0
        stop = pos + 2 + size
        at = pos + 6 + name[pos + 5] if size else end
        if (
            at + 2 <= stop <= end
            and size < 0x80
            and name[pos] == SET
            and name[pos + 2] == SEQUENCE
            and name[pos + 3] == size - 2
            and name[pos + 4] == OBJECT_IDENTIFIER
            and name[at + 1] == stop - at - 2
        ):
            _append(found, name[pos + 6 : at], name[at], name[at + 2 : stop])
            pos = stop
            continue
        sets.pos = pos
        items = sets.enter(SET)
        pos = sets.pos
        while items.more():
            item = items.enter()
            oid = item.value(OBJECT_IDENTIFIER)
            tag = item.peek()
            _append(found, oid, tag, item.value(tag) if tag in _STRINGS else b"")
            item.finish()
    return tuple(found)


def _append(found: list[tuple[bytes, str]], oid: bytes, tag: int, value: bytes) -> None:
    encoding = _STRINGS.get(tag)
    if encoding is None or len(found) == _MAX_NAME_ATTRIBUTES:
        raise DerError("A name holds something that is no text, or too much.")
    try:
        found.append((oid, value.decode(encoding)))
    except UnicodeDecodeError:
        raise DerError("A name holds text that is not in its encoding.") from None


def usage_bits(extension: bytes) -> int:
    """Return the named bits of a KeyUsage, digitalSignature (bit 0) as 0x80 and decipherOnly as 0x8000.

    Raises:
        DerError: It is not a bit string of one or two bytes whose unused bits are zero.
    """
    return _usage_bits(extension)


@lru_cache(maxsize=64)
def _usage_bits(extension: bytes) -> int:
    """Read a KeyUsage; remembered, because certificates have the same few."""
    reader = DerReader(extension)
    content = reader.value(BIT_STRING)
    reader.finish()
    if len(content) not in (2, 3):
        raise DerError("A key usage has another length than one or two bytes.")
    # Trailing zero bits, which DER leaves out, are let pass: AMD writes all eight. They are signed, and mean
    # what they mean.
    if content[0] > 7 or content[-1] & ((1 << content[0]) - 1):
        raise DerError("A key usage has unused bits that are set.")
    return content[1] | (content[2] << 8 if len(content) == 3 else 0)


__all__ = [
    "MAX_GENERAL_CERTIFICATE_BYTES",
    "GeneralCertificate",
    "KeyKind",
    "PublicKey",
    "SignatureAlgorithm",
    "key_kind",
    "read_name",
    "usage_bits",
    "verify_signature",
]
