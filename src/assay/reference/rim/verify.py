"""The one verification of a reference integrity manifest; it makes the golden values that evidence takes."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.decoding.der import DerError
from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.nvidia.golden import GoldenMeasurements
from assay.evidence.ocsp.response import OcspResponse
from assay.evidence.ocsp.verify import (
    HoldPolicy,
    OcspAnswer,
    OcspDefect,
    OcspQuestion,
    concerns,
    verify_response,
)
from assay.evidence.verification import Expected
from assay.evidence.x509.general import GeneralCertificate, KeyKind, verify_signature
from assay.evidence.x509.path import DIGITAL_SIGNATURE, DefectKind, PathDefect, Position, named, verify_path
from assay.evidence.x509.signature import SignatureAlgorithm
from assay.reference.rim import checks
from assay.reference.rim.manifest import Manifest, RimError, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.ledger import CheckSpec, Ledger
    from assay.evidence.ocsp.reply import OcspReply
    from assay.evidence.roots import Root, Roots
    from assay.evidence.verification import Anchor

SHELF: Final = "rim.manifests"
MAX_AGE: Final = timedelta(days=7)
MAX_REPLIES: Final = 16
_HALF: Final = 48
_MAX_CERTIFICATE_BYTES: Final = 2048

_SIGNER_NAME: Final = re.compile(r"(?:[A-Za-z0-9_-]{1,16} ){1,4}L4(?: [A-Za-z0-9_-]{1,16}){1,4}")
_ISSUING_NAME: Final = re.compile(r"NVIDIA Reference Value L3(?: [A-Za-z0-9_-]{1,16}){1,4}")
_FAMILY_NAME: Final = re.compile(r"NVIDIA Reference Value [A-Za-z0-9_-]{1,16} CA(?: [0-9]{1,8})?")
_P384: Final = frozenset({KeyKind.P384})
_ECDSA: Final = frozenset({SignatureAlgorithm.ECDSA_SHA384})


def _root_names(certificate: GeneralCertificate) -> str | None:
    """A root is found among those given, byte for byte; its name is whatever its owner gave it."""
    del certificate
    return None


def _authority(title: str, names: Callable[[GeneralCertificate], str | None]) -> Position:
    return Position(title, authority=True, names=names, keys=_P384, algorithms=_ECDSA)


POSITIONS: Final = (
    Position(
        "manifest signer",
        authority=False,
        names=named("manifest signer", _SIGNER_NAME),
        keys=_P384,
        algorithms=_ECDSA,
        usage=DIGITAL_SIGNATURE,
    ),
    _authority("issuing authority", named("issuing authority", _ISSUING_NAME)),
    _authority("family's authority", named("family's authority", _FAMILY_NAME)),
    _authority("manifest root", _root_names),
)
_STEPS: Final[dict[DefectKind, tuple[CheckSpec, str]]] = {
    DefectKind.ISSUER: (checks.CHAIN_SIGNATURE, "rim.chain.issuer"),
    DefectKind.SIGNATURE: (checks.CHAIN_SIGNATURE, "rim.chain.signature"),
    DefectKind.VALIDITY: (checks.CHAIN_VALIDITY, "rim.chain.validity"),
}


@dataclass(frozen=True, slots=True)
class RimResult:
    """The outcome of verifying one manifest.

    Attributes:
        ledger: Every check of ``RIM_CHECKS``.
        manifest: What it says, decoded and not relied on; None when it cannot be read.
        anchor: The root in which its chain ended; None when it ended in none.
    """

    ledger: Ledger
    manifest: Manifest | None
    anchor: Anchor | None
    _golden: GoldenMeasurements | None = field(repr=False, default=None)

    @property
    def verified(self) -> bool:
        """True when every check passed."""
        return self._golden is not None and not self.ledger.unmet()

    @property
    def golden(self) -> GoldenMeasurements:
        """The golden values.

        Raises:
            ReferenceValueError: ``rim.unverified`` when a check failed or was not made.
        """
        if self._golden is None or not self.verified:
            first = next(iter(self.ledger.unmet()), None)
            raise ReferenceValueError(
                "rim.unverified",
                "The golden values cannot be read: the manifest is not verified"
                + (f" ({first.code}: {first.reason})" if first else "."),
            )
        return self._golden


def verify_rim(
    data: bytes,
    *,
    ocsp: Sequence[OcspReply],
    roots: Roots,
    now: datetime,
    hold: HoldPolicy,
    facts: FactCache,
) -> RimResult:
    """Verify a manifest and return every check with its outcome; a bad one is never an exception.

    Args:
        data: The manifest, as it was received.
        ocsp: Answers about its certificates below the root, at most 16; without any, revocation stays
            unchecked and the values unreachable.
        roots: The roots of trust; those for manifests are their own, a device root is none of them.
        now: The time at which everything must be valid; aware.
        hold: What becomes of a signer whose certificate is on hold.
        facts: Where verified manifests are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``.
        ReferenceValueError: ``rim.replies.oversized`` for more answers than any chain needs.
    """
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    if len(ocsp) > MAX_REPLIES:
        raise ReferenceValueError("rim.replies.oversized", f"At most {MAX_REPLIES} OCSP answers are read.")
    ledger = LedgerBuilder(checks.RIM_CHECKS)
    try:
        manifest = read_manifest(data)
    except RimError as error:
        _before(ledger, error.spec)
        ledger.failed(error.spec, error.code, error.message)
        return RimResult(ledger.close(), None, None)
    key = _key(manifest, ocsp, roots, hold)
    shelf = facts.shelf(SHELF)
    known: RimResult | None = shelf.get(key, now)
    if known is not None:
        return known
    ledger.passed(checks.XML, checks.LAYOUT, checks.FORM, checks.MEASUREMENTS)
    anchor: Anchor | None = None
    golden: GoldenMeasurements | None = None
    try:
        chain, root = _chain(ledger, manifest, roots)
        anchor = root.anchor
        window = _path(ledger, chain, now)
        _signature(ledger, manifest, chain[0])
        answers = _revocation(ledger, chain, ocsp, now, hold)
        if answers is not None:
            golden = _golden(manifest, anchor, window, answers)
    except CheckFailedError:
        golden = None
    result = RimResult(ledger.close(), manifest, anchor, golden)
    if result.verified and golden is not None:
        shelf.put(key, golden.window, result)
    return result


def _before(ledger: LedgerBuilder, spec: CheckSpec) -> None:
    """Record the checks of form before the one that failed: each was passed on the way to it."""
    order = (checks.XML, checks.LAYOUT, checks.FORM, checks.MEASUREMENTS)
    for earlier in order[: order.index(spec)] if spec in order else order:
        ledger.passed(earlier)


def _key(
    manifest: Manifest, ocsp: Sequence[OcspReply], roots: Roots, hold: HoldPolicy
) -> tuple[bytes, bytes, HoldPolicy]:
    seal = hashlib.sha256()
    parts = [manifest.content, manifest.signed_info, manifest.signature, *manifest.certificates]
    for reply in ocsp:
        asked = b"\1" + reply.nonce.value if isinstance(reply.nonce, Expected) else b"\0"
        parts += [reply.response, asked]
    for part in parts:
        seal.update(len(part).to_bytes(4, "big") + part)
    return seal.digest(), roots.digest, hold


def _chain(
    ledger: LedgerBuilder, manifest: Manifest, roots: Roots
) -> tuple[tuple[GeneralCertificate, ...], Root]:
    try:
        below = [
            GeneralCertificate.parse(der, max_bytes=_MAX_CERTIFICATE_BYTES)
            for der in manifest.certificates[:-1]
        ]
        below[0].key()
    except DerError as error:
        raise ledger.fail(checks.CHAIN_LAYOUT, "rim.chain.layout", error.message) from None
    ledger.passed(checks.CHAIN_LAYOUT)
    last = manifest.certificates[-1]
    root = next((entry for entry in roots.of("nvidia-rim") if entry.der == last), None)
    if root is None:
        mark = hashlib.sha256(last).hexdigest()
        raise ledger.fail(
            checks.CHAIN_ROOT, "rim.chain.root", f"The chain's root, SHA-256 {mark}, is none of those given."
        )
    ledger.passed(checks.CHAIN_ROOT)
    return (*below, root.general), root


def _path(ledger: LedgerBuilder, chain: tuple[GeneralCertificate, ...], now: datetime) -> Window:
    found = verify_path(chain, POSITIONS, now)
    if isinstance(found, PathDefect):
        spec, code = _STEPS.get(found.kind, (checks.CHAIN_ROLE, "rim.chain.role"))
        if spec is not checks.CHAIN_ROLE:
            ledger.passed(checks.CHAIN_ROLE)
        if spec is checks.CHAIN_VALIDITY:
            ledger.passed(checks.CHAIN_SIGNATURE)
        raise ledger.fail(spec, code, found.reason)
    ledger.passed(checks.CHAIN_ROLE, checks.CHAIN_SIGNATURE, checks.CHAIN_VALIDITY)
    return found


def _signature(ledger: LedgerBuilder, manifest: Manifest, signer: GeneralCertificate) -> None:
    if hmac.compare_digest(hashlib.sha384(manifest.content).digest(), manifest.digest):
        ledger.passed(checks.DIGEST)
    else:
        ledger.failed(checks.DIGEST, "rim.digest", "The manifest is not the one that was signed.")
    raw = manifest.signature
    r, s = int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
    der = encode_dss_signature(r, s)
    if verify_signature(signer.key(), SignatureAlgorithm.ECDSA_SHA384, der, manifest.signed_info):
        ledger.passed(checks.SIGNATURE)
    else:
        ledger.failed(checks.SIGNATURE, "rim.signature", "The signature is not the signer's.")


def _revocation(
    ledger: LedgerBuilder,
    chain: tuple[GeneralCertificate, ...],
    replies: Sequence[OcspReply],
    now: datetime,
    hold: HoldPolicy,
) -> list[OcspAnswer] | None:
    """Record ``REVOCATION``; return what each answer establishes, None where there are none."""
    spec = checks.REVOCATION
    if not replies:
        ledger.not_checked(spec, "rim.revocation.missing", "not checked: there are no OCSP answers")
        return None
    try:
        decoded = [(OcspResponse.parse(reply.response), reply) for reply in replies]
    except DerError as error:
        raise ledger.fail(spec, "rim.revocation.layout", error.message) from None
    found: list[OcspAnswer] = []
    for subject, issuer in pairwise(chain):
        about = next((pair for pair in decoded if concerns(pair[0], subject, issuer)), None)
        if about is None:
            reason = f"No OCSP answer is about the certificate {subject.common_name!a}."
            raise ledger.fail(spec, "rim.revocation.subject", reason)
        answer = verify_response(*about, OcspQuestion(subject, issuer, now, MAX_AGE, hold))
        if isinstance(answer, OcspDefect):
            reason = f"{subject.common_name!a}: {answer.reason}"
            raise ledger.fail(spec, f"rim.revocation.{answer.step}", reason)
        found.append(answer)
    ledger.passed(spec)
    return found


def _golden(
    manifest: Manifest, anchor: Anchor, window: Window, answers: Sequence[OcspAnswer]
) -> GoldenMeasurements:
    for answer in answers:
        window &= answer.window
    return GoldenMeasurements(
        product=manifest.product,
        version=manifest.colloquial_version,
        manifest_id=manifest.tag_id,
        active={index: manifest.values[index] for index in sorted(manifest.active)},
        listed=frozenset(manifest.values),
        anchor=anchor,
        window=window,
        held=any(answer.held for answer in answers),
        digest=hashlib.sha256(manifest.content).digest(),
        responder_unasked=any(answer.responder_unasked for answer in answers),
        fresh=all(answer.fresh for answer in answers),
    )
