"""The verification of one OCSP answer: responder, nonce, certificate, dates, status.

RFC 6960 section 4.2.2.2 leaves two responders: the authority that issued the certificate in question, or one
to which that same authority gave a certificate for exactly this. Any other key under the same root is none.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import OBJECT_IDENTIFIER, DerError, DerReader
from assay.evidence.facts import Window
from assay.evidence.ocsp.response import CertificateStatus, OcspResponse
from assay.evidence.verification import Expected
from assay.evidence.x509.certificate import OID_BASIC_CONSTRAINTS, OID_KEY_USAGE
from assay.evidence.x509.general import GeneralCertificate, usage_bits, verify_signature
from assay.evidence.x509.path import DIGITAL_SIGNATURE, KEY_CERT_SIGN, issue_defect

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from assay.evidence.ocsp.reply import OcspReply

_EXTENDED_KEY_USAGE: Final = bytes.fromhex("551d25")
_OCSP_SIGNING: Final = bytes.fromhex("2b06010505070309")
_NO_CHECK: Final = bytes.fromhex("2b0601050507300105")  # id-pkix-ocsp-nocheck
_NULL: Final = b"\x05\x00"
_MOST_PURPOSES: Final = 8
_CERTIFICATE_HOLD: Final = 6
_KNOWN_CRITICAL: Final = frozenset({_EXTENDED_KEY_USAGE, OID_KEY_USAGE, OID_BASIC_CONSTRAINTS})


class HoldPolicy(StrEnum):
    """What becomes of a certificate on hold (RFC 5280 section 5.3.1): revoked, perhaps not for good."""

    REFUSE = "refuse"
    ADMIT = "admit"


class OcspStep(StrEnum):
    """The steps of the verification, in the order in which they are taken."""

    LAYOUT = "layout"
    SUBJECT = "subject"
    RESPONDER = "responder"
    SIGNATURE = "signature"
    NONCE = "nonce"
    TIME = "time"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class OcspQuestion:
    """What an answer must be about.

    Attributes:
        subject: The certificate in question.
        issuer: The authority that issued it, verified.
        now: The time of the verification, aware.
        max_age: How old a status may be that names no date of the next one.
        hold: What becomes of a certificate on hold.
    """

    subject: GeneralCertificate
    issuer: GeneralCertificate
    now: datetime
    max_age: timedelta
    hold: HoldPolicy


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """What a verified answer establishes.

    Attributes:
        window: When the status holds: from thisUpdate to nextUpdate, while the responder is valid.
        fresh: Whether it carried the nonce of the question.
        held: Whether the certificate is on hold and that was admitted.
        responder_unasked: Whether the responder may be revoked for all that is known here: it is a delegate,
            and its issuer did not write into its certificate that nobody needs to ask.
    """

    window: Window
    fresh: bool
    held: bool
    responder_unasked: bool


@dataclass(frozen=True, slots=True)
class OcspDefect:
    """The first thing that is wrong with an answer.

    Attributes:
        step: Where it was found.
        reason: A sentence for a person.
    """

    step: OcspStep
    reason: str


def concerns(response: OcspResponse, subject: GeneralCertificate, issuer: GeneralCertificate) -> bool:
    """Return whether a response is about ``subject`` as issued by ``issuer``."""
    reader = DerReader(issuer.spki)
    inner = reader.enter()
    inner.enter()
    digests = (_digest(response.hash_name, issuer.subject), _digest(response.hash_name, inner.bits()))
    return response.serial == subject.serial and digests == (
        response.issuer_name_hash,
        response.issuer_key_hash,
    )


def _digest(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data, usedforsecurity=False).digest()


def verify_reply(reply: OcspReply, question: OcspQuestion) -> OcspAnswer | OcspDefect:
    """Verify one answer.

    Args:
        reply: The answer and the nonce of its question.
        question: What it must be about.

    Returns:
        What it establishes, or the first defect; never an exception for a bad answer.
    """
    try:
        response = OcspResponse.parse(reply.response)
    except DerError as error:
        return OcspDefect(OcspStep.LAYOUT, error.message)
    return verify_response(response, reply, question)


def verify_response(
    response: OcspResponse, reply: OcspReply, question: OcspQuestion
) -> OcspAnswer | OcspDefect:
    """Verify an answer that is decoded already; see ``verify_reply``."""
    if not concerns(response, question.subject, question.issuer):
        return OcspDefect(OcspStep.SUBJECT, "The OCSP answer is about another certificate.")
    responder = _signer(response, question)
    if isinstance(responder, OcspDefect):
        return responder
    fresh = isinstance(reply.nonce, Expected)
    if isinstance(reply.nonce, Expected) and not _carries(response, reply.nonce.value):
        return OcspDefect(OcspStep.NONCE, "The OCSP answer does not carry the nonce of its question.")
    window = _window(response, question)
    if isinstance(window, OcspDefect):
        return window
    held = response.status is CertificateStatus.REVOKED and response.reason == _CERTIFICATE_HOLD
    if response.status is CertificateStatus.GOOD or (held and question.hold is HoldPolicy.ADMIT):
        # The issuer's own status is the question of another answer, and a root has none.
        unasked = responder is not question.issuer and not _exempt(responder)
        return OcspAnswer(window & responder.window, fresh, held, unasked)
    return OcspDefect(OcspStep.STATUS, f"The certificate is {_status(response, held=held)}.")


def _carries(response: OcspResponse, nonce: bytes) -> bool:
    """Return whether an answer carries the nonce of its question; an empty one is none."""
    return bool(nonce) and hmac.compare_digest(response.nonce or b"", nonce)


def _signer(response: OcspResponse, question: OcspQuestion) -> GeneralCertificate | OcspDefect:
    """Return the responder, whose signature it is."""
    responder = _responder(response, question)
    if isinstance(responder, OcspDefect):
        return responder
    try:
        key = responder.key()
    except DerError as error:
        return OcspDefect(OcspStep.RESPONDER, f"The OCSP responder's key is unusable: {error.message}")
    if verify_signature(key, response.algorithm, response.signature, response.signed):
        return responder
    return OcspDefect(OcspStep.SIGNATURE, "The signature of the OCSP answer is not its responder's.")


def _status(response: OcspResponse, *, held: bool) -> str:
    if response.status is CertificateStatus.UNKNOWN:
        return "unknown to the OCSP service"
    if held:
        return "on hold"
    return "revoked" if response.reason is None else f"revoked (reason {response.reason & 0xFF})"


def _window(response: OcspResponse, question: OcspQuestion) -> Window | OcspDefect:
    if response.produced_at < response.this_update:
        return OcspDefect(OcspStep.TIME, "The OCSP answer was signed before its status was known.")
    if question.now < response.produced_at:
        return OcspDefect(OcspStep.TIME, "The OCSP answer is of the future.")
    # It is not of the future, so that the greatest age added to its date stays within what a date can be.
    end = response.next_update or response.this_update + question.max_age
    if question.now > end:
        return OcspDefect(OcspStep.TIME, f"The OCSP answer was due again at {end.isoformat()}.")
    return Window(response.produced_at, end)


def _responder(response: OcspResponse, question: OcspQuestion) -> GeneralCertificate | OcspDefect:
    """Return the one that may have signed: the issuer itself, or its delegate, valid now."""
    if _names(response, question.issuer):
        return question.issuer
    try:
        sent = [GeneralCertificate.parse(der) for der in response.certificates]
        found = next((certificate for certificate in sent if _names(response, certificate)), None)
        defect = None if found is None else _delegate_defect(found, question)
    except DerError as error:
        return OcspDefect(OcspStep.RESPONDER, f"A certificate of the OCSP answer: {error.message}")
    if found is not None:
        return found if defect is None else OcspDefect(OcspStep.RESPONDER, defect)
    return OcspDefect(OcspStep.RESPONDER, "The OCSP answer names a responder whose certificate is not there.")


def _names(response: OcspResponse, certificate: GeneralCertificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    reader = DerReader(certificate.spki)
    inner = reader.enter()
    inner.enter()
    return response.responder_key == _digest("sha1", inner.bits())


def _delegate_defect(found: GeneralCertificate, question: OcspQuestion) -> str | None:
    title = "OCSP responder"
    known = _KNOWN_CRITICAL | {_NO_CHECK} if _exempt(found) else _KNOWN_CRITICAL
    unknown = any(critical and oid not in known for oid, (critical, _) in found.extensions.items())
    purposes = found.extensions.get(_EXTENDED_KEY_USAGE)
    usage = found.extensions.get(OID_KEY_USAGE)
    bits = usage_bits(usage[1]) if usage is not None else DIGITAL_SIGNATURE
    if unknown or purposes is None or _OCSP_SIGNING not in _purposes(purposes[1]):
        return f"The {title} was not certified for that."
    if not bits & DIGITAL_SIGNATURE or bits & KEY_CERT_SIGN:
        return f"The {title} has another key usage than its role."
    if question.now not in found.window:
        return f"The {title}'s certificate is not valid at the given time."
    defect = issue_defect(found, question.issuer, title)
    return None if defect is None else defect.reason


def _exempt(responder: GeneralCertificate) -> bool:
    """Return whether a responder is trusted for as long as its certificate is valid (section 4.2.2.2.1).

    Its issuer decided that, and is to keep that time short. Without the extension the issuer means people to
    ask, by a CRL or another answer; none is at hand here, and to refuse for that would refuse every service
    that leaves it out. So the answer counts, and it is said what is not known.
    """
    found = responder.extensions.get(_NO_CHECK)
    return found is not None and found[1] == _NULL


def _purposes(extension: bytes) -> tuple[bytes, ...]:
    reader = DerReader(extension)
    items = reader.enter()
    reader.finish()
    found: list[bytes] = []
    while items.more():
        if len(found) == _MOST_PURPOSES:
            raise DerError("A certificate has more purposes than any responder needs.")
        found.append(items.value(OBJECT_IDENTIFIER))
    return tuple(found)
