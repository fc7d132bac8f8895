"""Simulated OCSP answers (RFC 6960), with every date a parameter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from assay.evidence.ocsp.reply import OcspReply
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.nvidia.pki import spki, tagged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from assay.simulator.nvidia.authority import SimulatedNvidia
    from assay.simulator.nvidia.pki import Issued

VALIDITY: Final = timedelta(days=1)
GOOD: Final = b"\x80\x00"
UNKNOWN: Final = b"\x82\x00"
KEY_COMPROMISE: Final = 1
CERTIFICATE_HOLD: Final = 6
_BASIC: Final = bytes.fromhex("06092b0601050507300101")
_NONCE: Final = bytes.fromhex("06092b0601050507300102")
_NOBODYS: Final = bytes.fromhex("06032a0304")
_TRUE: Final = b"\x01\x01\xff"
_ECDSA_SHA384: Final = bytes.fromhex("300a06082a8648ce3d040303")
_ALGORITHMS: Final = {
    "sha1": bytes.fromhex("300906052b0e03021a0500"),
    "sha256": bytes.fromhex("300d06096086480165030402010500"),
    "sha384": bytes.fromhex("300d06096086480165030402020500"),
    "sha512": bytes.fromhex("300d06096086480165030402030500"),
}
_POINT_AT: Final = 23  # of a P-384 SubjectPublicKeyInfo: where the bit string's bytes begin


def revoked(at: datetime, reason: int | None) -> bytes:
    """Return the status of a certificate that was revoked, for a reason of RFC 5280 section 5.3.1."""
    stated = b"" if reason is None else tagged(0xA0, tagged(0x0A, bytes([reason])))
    return tagged(0xA1, _time(at) + stated)


def _time(at: datetime) -> bytes:
    return tagged(0x18, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())


def _integer(value: int) -> bytes:
    return tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _octets(value: bytes) -> bytes:
    return tagged(0x04, value)


@dataclass(slots=True)
class AnswerDraft:
    """An answer before it is signed; each field may be changed.

    Attributes:
        subject: The certificate in question.
        issuer: Who issued it.
        responder: Whose name the answer bears.
        key: Signs the answer.
        this_update: When the status was known to be right.
        next_update: When the next is due; None leaves it out.
        produced_at: When the answer was signed.
        status: What it says, DER.
        nonce: What it carries; None for nothing.
        asked: The nonce of the question; None when it was asked without.
        certificates: Certificates that come along.
        digest: What the issuer is named with.
        by_key: Whether the responder is named by its key instead of its name.
        serial: Serial number that it is about; None takes the subject's.
        response_status: 0 for success.
        critical: Whether it carries a critical extension that nobody knows.
        after: Changes the signed answer.
    """

    subject: Issued
    issuer: Issued
    responder: Issued
    key: ec.EllipticCurvePrivateKey
    this_update: datetime
    next_update: datetime | None
    produced_at: datetime
    status: bytes = GOOD
    nonce: bytes | None = None
    asked: bytes | None = None
    certificates: tuple[Issued, ...] = ()
    digest: str = "sha384"
    by_key: bool = False
    serial: int | None = None
    response_status: int = 0
    critical: bool = False
    after: Callable[[bytes], bytes] = bytes

    def _identity(self) -> bytes:
        name = self.issuer.certificate.subject.public_bytes()
        digests = [
            _octets(hashlib.new(self.digest, part, usedforsecurity=False).digest())
            for part in (name, spki(self.issuer.key)[_POINT_AT:])
        ]
        serial = self.subject.certificate.serial_number if self.serial is None else self.serial
        return tagged(0x30, _ALGORITHMS[self.digest] + b"".join(digests) + _integer(serial))

    def _responder_id(self) -> bytes:
        if self.by_key:
            point = spki(self.responder.key)[_POINT_AT:]
            return tagged(0xA2, _octets(hashlib.sha1(point, usedforsecurity=False).digest()))
        return tagged(0xA1, self.responder.certificate.subject.public_bytes())

    def sign(self) -> OcspReply:
        """Return the signed answer, and the nonce of its question."""
        due = b"" if self.next_update is None else tagged(0xA0, _time(self.next_update))
        single = tagged(0x30, self._identity() + self.status + _time(self.this_update) + due)
        listed = b""
        if self.nonce is not None:
            listed += tagged(0x30, _NONCE + _octets(_octets(self.nonce)))
        if self.critical:
            listed += tagged(0x30, _NOBODYS + _TRUE + _octets(b"\x05\x00"))
        extensions = tagged(0xA1, tagged(0x30, listed)) if listed else b""
        produced = _time(self.produced_at)
        data = tagged(0x30, self._responder_id() + produced + tagged(0x30, single) + extensions)
        signature = self.key.sign(data, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))
        sent = b"".join(issued.der for issued in self.certificates)
        certificates = tagged(0xA0, tagged(0x30, sent)) if sent else b""
        basic = tagged(0x30, data + _ECDSA_SHA384 + tagged(0x03, b"\0" + signature) + certificates)
        typed = tagged(0x30, _BASIC + _octets(basic))
        status = tagged(0x0A, bytes([self.response_status]))
        response = self.after(tagged(0x30, status + (b"" if self.response_status else tagged(0xA0, typed))))
        asked = Unchecked("asked without a nonce") if self.asked is None else Expected(self.asked)
        return OcspReply(response, asked)


def answers(nvidia: SimulatedNvidia, chain: Sequence[Issued], now: datetime) -> list[AnswerDraft]:
    """Return an answer for each certificate of a chain but the root, before they are signed."""
    found = []
    for subject, issuer in pairwise(chain):
        responder = nvidia.responder(issuer)
        nonce = hashlib.sha256(b"nonce" + subject.der).digest()
        found.append(
            AnswerDraft(
                subject=subject,
                issuer=issuer,
                responder=responder,
                key=responder.key,
                this_update=now - timedelta(hours=1),
                next_update=now + VALIDITY,
                produced_at=now - timedelta(minutes=30),
                nonce=nonce,
                asked=nonce,
                certificates=(responder,),
            )
        )
    return found
