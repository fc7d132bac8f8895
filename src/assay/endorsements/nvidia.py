"""NVIDIA's certificate status, asked by OCSP (RFC 6960) with a nonce for one certificate of a device."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from assay.endorsements.record import Basis
from assay.endorsements.source import (
    Fetched,
    Judged,
    malformed,
    part,
    signing_anchors,
    stale,
    unverified,
)
from assay.errors import EndorsementError
from assay.evidence.decoding.der import SEQUENCE, DerError, DerReader
from assay.evidence.ocsp import HoldPolicy, OcspDefect, OcspQuestion, OcspReply, verify_reply
from assay.evidence.ocsp.response import MAX_RESPONSE_BYTES
from assay.evidence.roots import NVIDIA, NVIDIA_RIM
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import issue_defect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.record import Wanted
    from assay.endorsements.source import Access
    from assay.evidence.roots import Root

OCSP: Final = "nvidia-ocsp"
RESPONSE_PART: Final = "response.der"
NONCE_PART: Final = "nonce.bin"
NONCE_BYTES: Final = 32
_MAX_CHAIN: Final = 6
_MAX_AGE: Final = timedelta(days=1)
_NOW: Final = frozenset({"time"})


@dataclass(frozen=True, slots=True)
class OcspSource:
    """The status of one certificate.

    Key: ``chain``, base64 of the certificate in question and of every one above it up to the root, DER, one
    after the other. The answer is believed for the issuer's signature, and the issuer for the root's.
    """

    kinds: frozenset[str] = frozenset({OCSP})

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask with a fresh nonce of 32 bytes."""
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - the same
        from cryptography.x509 import OCSPNonce, ocsp  # noqa: PLC0415 - its encoder is needed here alone

        subject, issuer = chain_of(wanted)[:2]
        nonce = access.surroundings.nonce(NONCE_BYTES)
        reader = DerReader(issuer.spki)
        inner = reader.enter()
        inner.enter()
        request = (
            ocsp.OCSPRequestBuilder()
            .add_certificate_by_hash(
                hashlib.sha384(issuer.subject).digest(),
                hashlib.sha384(inner.bits()).digest(),
                int.from_bytes(subject.serial, "big"),
                hashes.SHA384(),
            )
            .add_extension(OCSPNonce(nonce), critical=False)
            .build()
            .public_bytes(serialization.Encoding.DER)
        )
        answer = access.client.post(
            access.services.place("nvidia-ocsp", "/"),
            request,
            media_type="application/ocsp-request",
            max_bytes=MAX_RESPONSE_BYTES,
        )
        return Fetched({RESPONSE_PART: answer.body, NONCE_PART: nonce}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify the chain, the responder, the nonce, the dates, and that the certificate is good."""
        chain = chain_of(wanted)
        root = _root(chain[-1], access)
        for child, issuer in pairwise(chain):
            defect = issue_defect(child, issuer, child.common_name[:40] or "certificate")
            if defect is not None:
                raise unverified(defect.reason)
        reply = OcspReply(part(parts, RESPONSE_PART), Expected(part(parts, NONCE_PART)))
        question = OcspQuestion(chain[0], chain[1], now, _MAX_AGE, HoldPolicy.REFUSE)
        found = verify_reply(reply, question)
        if isinstance(found, OcspDefect):
            if found.step == "layout":
                raise malformed(found.reason)
            if found.step == "status":
                raise EndorsementError("endorsements.nvidia.revoked", found.reason)
            raise stale(found.reason) if found.step in _NOW else unverified(found.reason, check=found.step)
        return Judged(found.window, Basis.SIGNATURE, root.anchor.fingerprint.hex())

    def anchors(self, wanted: Wanted, access: Access) -> frozenset[str]:  # noqa: ARG002 - the interface
        """Return NVIDIA's roots, of devices and of manifests."""
        return signing_anchors(access, NVIDIA) | signing_anchors(access, NVIDIA_RIM)


def chain_of(wanted: Wanted) -> tuple[GeneralCertificate, ...]:
    """Return the certificates that a need names: the one in question first, the root last.

    Raises:
        EndorsementError: ``endorsements.wanted.malformed``.
    """
    try:
        data = base64.b64decode(wanted.get("chain"), validate=True)
        reader = DerReader(data)
        ders: list[bytes] = []
        while reader.more() and len(ders) <= _MAX_CHAIN:
            ders.append(reader.whole(SEQUENCE))
        found = tuple(map(GeneralCertificate.parse, ders))
    except (DerError, binascii.Error):
        found = ()
    if not 2 <= len(found) <= _MAX_CHAIN:
        raise EndorsementError(
            "endorsements.wanted.malformed", "The evidence does not name a certificate and those above it."
        )
    return found


def encode_chain(ders: tuple[bytes, ...]) -> str:
    """Return the value of ``chain`` for certificates in DER: the one in question first, the root last."""
    return base64.b64encode(b"".join(ders)).decode("ascii")


def _root(last: GeneralCertificate, access: Access) -> Root:
    roots = (*access.roots.of(NVIDIA), *access.roots.of(NVIDIA_RIM))
    found = next((root for root in roots if root.der == last.der), None)
    if found is None:
        raise unverified("The chain of the certificate in question does not end in a root of trust.")
    return found


SOURCES: Final = (OcspSource(),)
