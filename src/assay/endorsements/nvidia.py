"""NVIDIA's reference manifests (RIM), and the status of certificates by OCSP (RFC 6960) with a nonce."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from assay.endorsements.record import Basis, Wanted
from assay.endorsements.source import (
    Fetched,
    Judged,
    SignedSource,
    malformed,
    part,
    stale,
    swapped,
    unverified,
)
from assay.errors import AssayError, EndorsementError
from assay.evidence.decoding import strictjson
from assay.evidence.decoding.der import DerReader
from assay.evidence.facts import FactCache
from assay.evidence.ocsp import HoldPolicy, OcspDefect, OcspQuestion, OcspReply, verify_reply
from assay.evidence.ocsp.response import MAX_RESPONSE_BYTES
from assay.evidence.roots import NVIDIA, NVIDIA_RIM
from assay.evidence.verification import Expected
from assay.evidence.x509 import need_chain
from assay.evidence.x509.path import issue_defect
from assay.reference.rim import checks as rim_checks
from assay.reference.rim import verify_rim
from assay.reference.rim.manifest import RimError, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.endorsements.source import Access
    from assay.evidence.roots import Root
    from assay.evidence.x509.general import GeneralCertificate

OCSP: Final = "nvidia-ocsp"
RIM: Final = "nvidia-rim"
RIM_PART: Final = "rim.xml"
RESPONSE_PART: Final = "response.der"
NONCE_PART: Final = "nonce.bin"
NONCE_BYTES: Final = 32
_MAX_CHAIN: Final = 6
_MAX_AGE: Final = timedelta(days=1)
_NOW: Final = frozenset({"time"})
_LATE: Final = frozenset({rim_checks.CHAIN_VALIDITY.id})
_RIM_ID: Final = re.compile("[A-Za-z0-9_.-]{1,128}")
_DRIVER_ID: Final = re.compile("NV_GPU_(?:CC_)?DRIVER_([A-Z]{2})")
_MAX_RIM: Final = 2 << 20


class OcspSource(SignedSource):
    """The status of one certificate.

    Key: ``chain``, base64 of the certificate in question and of every one above it up to the root, DER, one
    after the other. The answer is believed for the issuer's signature, and the issuer for the root's.
    """

    __slots__ = ()
    kinds = frozenset({OCSP})
    vendors = (NVIDIA, NVIDIA_RIM)

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
        """Verify the chain, the responder, the nonce, the dates, and that the certificate is not revoked.

        One on hold is kept: whether it is admitted is the verifier's question, with this answer before it.
        """
        chain = chain_of(wanted)
        root = _root(chain[-1], access)
        for child, issuer in pairwise(chain):
            defect = issue_defect(child, issuer, child.common_name[:40] or "certificate")
            if defect is not None:
                raise unverified(defect.reason)
        reply = OcspReply(part(parts, RESPONSE_PART), Expected(part(parts, NONCE_PART)))
        question = OcspQuestion(chain[0], chain[1], now, _MAX_AGE, HoldPolicy.ADMIT)
        found = verify_reply(reply, question)
        if isinstance(found, OcspDefect):
            if found.step == "layout":
                raise malformed(found.reason)
            if found.step == "status":
                raise EndorsementError("endorsements.nvidia.revoked", found.reason)
            raise stale(found.reason) if found.step in _NOW else unverified(found.reason, check=found.step)
        return Judged(found.window, Basis.SIGNATURE, root.anchor.fingerprint.hex())


def chain_of(wanted: Wanted) -> tuple[GeneralCertificate, ...]:
    """Return the certificates that a need names: the one in question first, the root last.

    Raises:
        EndorsementError: ``endorsements.wanted.malformed``.
    """
    found = need_chain.decode(wanted.get("chain"), most=_MAX_CHAIN)
    if len(found) < 2:
        raise EndorsementError(
            "endorsements.wanted.malformed", "The evidence does not name a certificate and those above it."
        )
    return found


def _root(last: GeneralCertificate, access: Access) -> Root:
    roots = (*access.roots.of(NVIDIA), *access.roots.of(NVIDIA_RIM))
    found = next((root for root in roots if root.der == last.der), None)
    if found is None:
        raise unverified("The chain of the certificate in question does not end in a root of trust.")
    return found


class RimSource(SignedSource):
    """A reference integrity manifest; key: ``id``, such as ``NV_GPU_DRIVER_GH100_550.90.07``.

    It is verified with the status of its own certificates, which is asked for as well.
    """

    __slots__ = ()
    kinds = frozenset({RIM})
    vendors = (NVIDIA_RIM,)

    def fetch(self, wanted: Wanted, access: Access) -> Fetched:
        """Ask for the manifest, and take it out of the JSON that it comes in."""
        name = wanted.demand("id", _RIM_ID)
        answer = access.client.get(access.services.place("nvidia-rim", f"/v1/rim/{name}"), max_bytes=_MAX_RIM)
        try:
            top = strictjson.parse_object(answer.body, max_bytes=_MAX_RIM)
            stated = strictjson.member(top, "id", str)
            xml = base64.b64decode(strictjson.member(top, "rim", str), validate=True)
            digest = top.get("sha256", "")
        except (AssayError, ValueError):
            raise malformed("The answer is no manifest in JSON.") from None
        if stated != name:
            raise swapped("The answer is another manifest than the one asked for.")
        if digest and digest != hashlib.sha256(xml).hexdigest():
            raise malformed("The manifest has another digest than the answer says.")
        return Fetched({RIM_PART: xml}, (answer.url,))

    def judge(self, wanted: Wanted, parts: Mapping[str, bytes], access: Access, now: datetime) -> Judged:
        """Verify the manifest's signature and chain, the status of its certificates, and its version."""
        replies = []
        for needed in self.rests_on(wanted, parts):
            found = access.also(needed)
            nonce = Expected(part(found.parts, NONCE_PART))
            replies.append(OcspReply(part(found.parts, RESPONSE_PART), nonce))
        result = verify_rim(
            part(parts, RIM_PART),
            ocsp=replies,
            roots=access.roots,
            now=now,
            hold=HoldPolicy.ADMIT,
            facts=FactCache(),
        )
        unmet = next(iter(result.ledger.unmet()), None)
        if unmet is not None:
            late = unmet.id in _LATE
            raise stale(unmet.reason) if late else unverified(unmet.reason, check=unmet.id)
        version = result.golden.version.replace(".", "").upper()
        if not wanted["id"].replace(".", "").upper().endswith(version):
            raise swapped(f"The manifest is for version {result.golden.version[:60]!r}.")
        if not _of_family(wanted["id"], result.golden.product):
            raise swapped(f"The manifest is for {result.golden.product[:60]!r}.")
        return Judged(result.golden.window, Basis.SIGNATURE, result.golden.anchor.fingerprint.hex())

    def rests_on(self, wanted: Wanted, parts: Mapping[str, bytes]) -> tuple[Wanted, ...]:  # noqa: ARG002 - the interface
        """Rest on the status of each certificate of the manifest below the root."""
        try:
            chain = read_manifest(part(parts, RIM_PART)).certificates
        except RimError as error:
            raise malformed(f"The answer is no manifest: {error.message}") from None
        return tuple(
            Wanted.of(OCSP, chain=need_chain.encode(chain[place:])) for place in range(len(chain) - 1)
        )


def _of_family(name: str, product: str) -> bool:
    """Return whether a chip is of the family that a name is of; which chip it is, the verifier asks."""
    driver = _DRIVER_ID.match(name)
    if driver is not None:
        return product.upper().startswith(driver[1])
    return product.upper().startswith("LS") == name.startswith("NV_SWITCH_")


SOURCES: Final = (OcspSource(), RimSource())
