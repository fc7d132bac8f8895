"""Microsoft's signed word for the utility VM in which Azure runs confidential containers (SEV-SNP).

The endorsement is a COSE_Sign1 message. Its protected header names the issuer as a ``did:x509`` (digest of
an authority's certificate, and a key usage that the signer's certificate must state) and the feed; it
carries the chain. The payload, JSON, holds the launch measurement and a security version. Who relies on it
names issuer, feed and the least version, as a confidential container's own policy does.

Source: microsoft/confidential-sidecar-containers (UVM reference info); Microsoft, "did:x509 Method
Specification"; RFC 9360 (x5chain, x5t).
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import CONTENT_TYPE, Sign1
from assay.evidence.decoding import strictjson
from assay.evidence.decoding.cbor import Tag
from assay.evidence.decoding.der import DerError, DerReader
from assay.evidence.x509.general import GeneralCertificate, KeyKind
from assay.evidence.x509.path import PathDefect, Position, verify_path
from assay.evidence.x509.roles import DIGITAL_SIGNATURE
from assay.evidence.x509.signature import SignatureAlgorithm
from assay.reference.values import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import NoReturn

LARGEST: Final = 256 * 1024
MAX_CHAIN: Final = 5
ISSUER: Final = "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2"
"""Microsoft's issuer of these endorsements, as its published container policies name it."""
FEED: Final = "ContainerPlat-AMD-UVM"
_CHAIN, _THUMBPRINT = 33, 34
_SHA256 = -16
_OBJECT_IDENTIFIER = 0x06
_EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
_DID = re.compile(r"did:x509:0:sha256:([A-Za-z0-9_-]{43})::eku:([0-2](?:\.[0-9]{1,9}){1,15})")
_MEASUREMENT, _SVN = "x-ms-sevsnpvm-launchmeasurement", "x-ms-sevsnpvm-guestsvn"
_SVN_INT = "x-ms-sevsnpvm-guestsvn-int"
_KNOWN = {_MEASUREMENT, _SVN, _SVN_INT}
_ALGORITHMS = (Algorithm.PS256, Algorithm.PS384, Algorithm.PS512, Algorithm.ES256, Algorithm.ES384)
_KEYS = frozenset({KeyKind.RSA, KeyKind.P256, KeyKind.P384})
_SIGNED_WITH = frozenset(SignatureAlgorithm)


def verify_endorsement(data: bytes, *, issuer: str, feed: str, minimum_svn: int, now: datetime) -> Measured:
    """Verify an endorsement; the register is ``measurement`` of ``snp``.

    Args:
        data: The message, at most 256 KiB.
        issuer: The ``did:x509`` that is trusted; see ``ISSUER``.
        feed: What the endorsement must be of; see ``FEED``.
        minimum_svn: The least security version that is accepted.
        now: The moment of use. The signer's certificate has to be valid then: a time stamp is not verified.

    Raises:
        ReferenceValueError: ``reference.azure.malformed``, ``reference.azure.issuer``,
            ``reference.azure.feed``, ``reference.azure.certificate``, ``reference.azure.signature``,
            ``reference.azure.svn``.
    """
    match = _DID.fullmatch(issuer)
    if match is None:
        _refuse("issuer", "The trusted issuer is not a did:x509 with a digest and a key usage.")
    message = _message(data)
    if message.headers.get("iss") != issuer:
        _refuse("issuer", "The endorsement is of another issuer than the trusted one.")
    if message.headers.get("feed") != feed:
        _refuse("feed", "The endorsement is of another feed than the one asked for.")
    leaf = _signer(message, _unbase64(match[1]), match[2], now)
    try:
        message.verify(leaf.key(), algorithms=_ALGORITHMS, understood=(_CHAIN, _THUMBPRINT))
    except EvidenceError as error:
        raise ReferenceValueError("reference.azure.signature", error.message) from error
    return _measured(message, issuer, feed, minimum_svn, leaf)


def _message(data: bytes) -> Sign1:
    try:
        message = Sign1.parse(data, max_bytes=LARGEST)
    except EvidenceError as error:
        raise ReferenceValueError("reference.azure.malformed", error.message) from error
    if message.payload is None or message.headers.get(CONTENT_TYPE) != "application/json":
        _refuse("malformed", "The endorsement does not hold JSON.")
    return message


def _signer(message: Sign1, authority: bytes, usage: str, now: datetime) -> GeneralCertificate:
    chain = message.headers.get(_CHAIN)
    if not isinstance(chain, list) or not 2 <= len(chain) <= MAX_CHAIN:
        _refuse("certificate", f"The endorsement does not carry a chain of 2 to {MAX_CHAIN} certificates.")
    try:
        certificates = [GeneralCertificate.parse(each) for each in chain if isinstance(each, bytes)]
    except EvidenceError as error:
        raise ReferenceValueError("reference.azure.certificate", error.message) from error
    digests = [hashlib.sha256(each.der).digest() for each in certificates]
    if len(digests) != len(chain) or authority not in digests[1:]:
        _refuse("issuer", "The authority that the issuer names is not in the endorsement's chain.")
    trusted = certificates[: digests.index(authority, 1) + 1]
    found = verify_path(trusted, _positions(len(trusted)), now)
    if isinstance(found, PathDefect):
        _refuse("certificate", found.reason)
    if _identifier(usage) not in _usages(certificates[0]):
        _refuse("certificate", "The signer's certificate does not state the usage that the issuer names.")
    if message.headers.get(_THUMBPRINT) not in (None, [_SHA256, digests[0]]):
        _refuse("certificate", "The endorsement names another certificate than that of its chain.")
    return certificates[0]


def _positions(count: int) -> Sequence[Position]:
    def anyone(_: GeneralCertificate) -> None:
        return None  # the issuer is named by digest and usage, not by names

    signer = Position(
        "endorsement signer",
        authority=False,
        names=anyone,
        keys=_KEYS,
        algorithms=_SIGNED_WITH,
        usage=DIGITAL_SIGNATURE,
    )
    above = Position(
        "endorsement authority", authority=True, names=anyone, keys=_KEYS, algorithms=_SIGNED_WITH
    )
    return (signer, *[above] * (count - 1))


def _usages(certificate: GeneralCertificate) -> list[bytes]:
    """Return the purposes of the extension ExtendedKeyUsage (RFC 5280 section 4.2.1.12), DER contents."""
    found = certificate.extensions.get(_EXTENDED_KEY_USAGE)
    if found is None:
        return []
    try:
        outer = DerReader(found[1])
        inner, usages = outer.enter(), []
        outer.finish()
        while inner.more():
            usages.append(inner.value(_OBJECT_IDENTIFIER))
    except DerError as error:
        raise ReferenceValueError("reference.azure.certificate", error.message) from error
    return usages


def _identifier(dotted: str) -> bytes:
    """Return an object identifier in dotted form as DER content (X.690 section 8.19)."""
    first, second, *rest = (int(each) for each in dotted.split("."))
    content = b""
    for number in (40 * first + second, *rest):
        groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
        content += bytes([*(group | 0x80 for group in groups[:0:-1]), groups[0]])
    return content


def _measured(message: Sign1, issuer: str, feed: str, minimum_svn: int, leaf: GeneralCertificate) -> Measured:
    try:
        payload = strictjson.parse_object(message.payload or b"", max_bytes=LARGEST)
    except EvidenceError as error:
        raise ReferenceValueError("reference.azure.malformed", error.message) from error
    measurement, svn = payload.get(_MEASUREMENT), _svn(payload)
    if not isinstance(measurement, str) or not re.fullmatch("[0-9a-f]{96}", measurement):
        _refuse("malformed", "The endorsement holds no launch measurement of 48 bytes.")
    if svn < minimum_svn:
        _refuse("svn", f"The endorsement is of security version {svn}; at least {minimum_svn} is asked for.")
    parameters = {
        "issuer": issuer,
        "feed": feed,
        "guest_svn": str(svn),
        "signer_sha256": hashlib.sha256(leaf.der).hexdigest(),
    }
    signed_at = message.headers.get("signingtime")
    if isinstance(signed_at, Tag) and type(signed_at.value) is int:
        parameters["stated_signing_time"] = str(signed_at.value)
    extra = sorted(payload.keys() - _KNOWN)[:8]
    notes = tuple(f"The endorsement also holds {each[:64]}; that is not appraised." for each in extra)
    return Measured("snp", {"measurement": frozenset({bytes.fromhex(measurement)})}, (), parameters, notes)


def _svn(payload: dict[str, Any]) -> int:
    text, number = payload.get(_SVN), payload.get(_SVN_INT)
    if not isinstance(text, str) or not re.fullmatch("0|[1-9][0-9]{0,9}", text):
        _refuse("malformed", "The endorsement states no security version.")
    if number is not None and (type(number) is not int or number != int(text)):
        _refuse("malformed", "The endorsement states two security versions.")
    return int(text)


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")  # 43 characters of its alphabet: 32 bytes


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.azure.{code}", message)
