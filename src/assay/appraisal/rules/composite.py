"""The checks between pieces of evidence: what makes them one machine, in this session, and nothing else."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.pieces import (
    AZURE,
    DEVICES,
    MACHINES,
    TOKENS,
    TPMS,
    Carried,
    Held,
    Piece,
    Shared,
    Tie,
    expected,
)
from assay.appraisal.result import Verdict
from assay.appraisal.rules.context import company_defect
from assay.evidence.ledger import Check, CheckSpec, Outcome
from assay.evidence.nvidia.composite import (
    GPU_NONCE,
    REPORT_DATA_BYTES,
    NonceShape,
    check_gpu_nonce,
    head_nonce,
)
from assay.evidence.verification import Expected, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from assay.appraisal.policy import Policy

MAX_PIECES: Final = 16

COUNT = CheckSpec(
    "composite.parts",
    f"there are 1 to {MAX_PIECES} pieces of evidence",
    "RFC 9334 section 3.3: composite devices",
)
DISTINCT = CheckSpec(
    "composite.distinct",
    "no piece of evidence, and no device, stands there twice",
    "RFC 9334 section 3.3; the design's law on ambiguity",
)
TOGETHER = CheckSpec(
    "composite.together",
    "every platform that is demanded together is there as often as demanded, and none by surprise",
    "policy key together; RFC 9334 section 3.3",
)
APPRAISED = CheckSpec(
    "composite.appraised",
    "every piece was appraised under this policy, and none was refused",
    "RFC 9334 section 3.3: the lead attester's evidence and that of its components",
)
TIME = CheckSpec("composite.time", "all pieces were judged at one time", "RFC 9334 section 10: freshness")
MACHINE = CheckSpec(
    "composite.machine",
    "exactly one piece speaks for the machine that the others belong to",
    "RFC 9334 section 3.3: one lead attester",
)
ANCHORS = CheckSpec(
    "composite.anchors",
    "either all hardware is real, or all of it is simulated",
    "the design's law on simulated evidence",
)
SESSION = CheckSpec(
    "composite.session",
    "every piece is bound to this session, and the machine's commits to it",
    "RFC 9334 section 10: freshness; assay/binding/v1",
)
TPM_NONCE = CheckSpec(
    "composite.tpm",
    "every virtual TPM answered to what the machine's evidence commits to",
    "TPM 2.0 Library part 3, section 18.4 (qualifying data); dstack 0.6.0, dstack-attest (GcpTdx)",
)
CHECKS: Final = (
    COUNT,
    DISTINCT,
    TOGETHER,
    APPRAISED,
    TIME,
    MACHINE,
    ANCHORS,
    SESSION,
    GPU_NONCE,
    TPM_NONCE,
)
BINDINGS: Final = frozenset({SESSION, GPU_NONCE, TPM_NONCE})
"""Checks that may be left open at the caller's word; then nothing is accepted."""


def judge(pieces: Sequence[Piece], policy: Policy, tie: Tie, now: datetime) -> Iterator[Check]:
    """Return the outcome of every check, in the order of ``CHECKS``."""
    yield _count(pieces)
    yield _distinct(pieces)
    yield _together(pieces, policy)
    yield _appraised(pieces, policy)
    yield _time(pieces, now)
    yield _machine(pieces)
    yield _anchors(pieces)
    yield _session(pieces, tie)
    yield _gpu_nonce(pieces, tie)
    yield _tpm_nonce(pieces, tie)


def _failed(spec: CheckSpec, what: str, reason: str) -> Check:
    return Check(spec, Outcome.FAILED, f"{spec.id}.{what}", reason)


def _open(spec: CheckSpec, reason: str) -> Check:
    return Check(spec, Outcome.NOT_CHECKED, f"{spec.id}.unchecked", reason)


def _no_meaning(spec: CheckSpec, reason: str) -> Check:
    return Check(spec, Outcome.NOT_APPLICABLE, "", reason)


def _count(pieces: Sequence[Piece]) -> Check:
    if 0 < len(pieces) <= MAX_PIECES:
        return COUNT.passed
    return _failed(COUNT, "number", f"There is no evidence, or more than {MAX_PIECES} pieces of it.")


def _distinct(pieces: Sequence[Piece]) -> Check:
    digests = [piece.result.evidence.signed_digest for piece in pieces]
    if len(set(digests)) != len(digests):
        return _failed(DISTINCT, "evidence", "A piece of evidence stands there twice.")
    devices = [name for piece in pieces for name in _device_ids(piece)]
    if len(set(devices)) != len(devices):
        return _failed(DISTINCT, "device", "Two pieces of evidence are of the same device.")
    return DISTINCT.passed


def _device_ids(piece: Piece) -> list[str]:
    """Return what names the devices that a piece is of; two pieces with one name are of one device."""
    evidence = piece.result.evidence
    if not evidence.authentic:
        return []
    claims = evidence.claims
    if evidence.platform in TPMS:
        return _tpm_ids(evidence.platform, claims)
    if evidence.platform not in DEVICES:
        return []
    name = "device_id" if evidence.platform == "nvidia-gpu" else "ueid"
    found = [getattr(device, name) for device in claims.devices]
    named = [f"{evidence.platform} {device}" for device in found if device]
    # Nothing shows that what has no name is another device than what has none elsewhere.
    return named if len(named) == len(found) else [*named, f"{evidence.platform} without a name"]


def _tpm_ids(platform: str, claims: Any) -> list[str]:
    if platform == "tpm":
        return [f"key {claims.quote.ak_digest.hex()}"]
    # Google certifies keys of several algorithms for the one virtual TPM of an instance.
    return [f"key {claims.tpm.ak_digest.hex()}", f"instance {claims.ak.instance.instance_id}"]


def _together(pieces: Sequence[Piece], policy: Policy) -> Check:
    company = tuple([piece.result.platform for piece in pieces])
    if not company:
        return _failed(TOGETHER, "missing", "There is no evidence.")
    for part in (policy, *policy.also):
        demanded = part.document.together
        defect = company_defect(company if demanded is None else demanded, company)
        if defect is not None:
            return _failed(TOGETHER, *defect)
        # Each for itself: what one policy says of several pieces does not relax another that says nothing.
        twice = sorted(name for name in set(company).difference(demanded or ()) if company.count(name) > 1)
        if twice:
            return _failed(
                TOGETHER,
                "repeated",
                f"There are several pieces of {twice[0]}, and the policy {part.name} does not say so.",
            )
    return TOGETHER.passed


def _appraised(pieces: Sequence[Piece], policy: Policy) -> Check:
    left = ""
    for piece in pieces:
        result = piece.result
        if result.policy.digest != policy.digest:
            return _failed(APPRAISED, "policy", f"{piece.name} was appraised under another policy.")
        if result.verdict is not Verdict.REFUSED:
            continue
        if not result.indeterminate:
            return _failed(APPRAISED, "refused", f"{piece.name} was refused.")
        left = left or piece.name
    if left:
        return _open(APPRAISED, f"what {left} needs is missing, so it was not appraised")
    return APPRAISED.passed


def _time(pieces: Sequence[Piece], now: datetime) -> Check:
    if all(piece.result.now == now for piece in pieces):
        return TIME.passed
    return _failed(TIME, "other", "The pieces were judged at different times.")


def _machine(pieces: Sequence[Piece]) -> Check:
    if len(pieces) == 1:
        return _no_meaning(MACHINE, "there is one piece alone")
    found = len(_machines(pieces))
    if found == 1:
        return MACHINE.passed
    return _failed(MACHINE, "number", f"{found or 'No'} pieces speak for the machine, not one.")


def _machines(pieces: Sequence[Piece]) -> list[Piece]:
    own = [piece for piece in pieces if piece.result.platform in MACHINES]
    return own or [piece for piece in pieces if piece.result.platform in TOKENS]


def _anchors(pieces: Sequence[Piece]) -> Check:
    # A token under a published key stands on no root of either kind; its own appraisal says so.
    anchors = [anchor for piece in pieces if (anchor := piece.result.evidence.anchor) is not None]
    kinds = {anchor.simulated for anchor in anchors if not anchor.published_keys}
    if len(kinds) < 2:
        return ANCHORS.passed
    return _failed(ANCHORS, "mixed", "Simulated hardware stands beside real hardware.")


def _session(pieces: Sequence[Piece], tie: Tie) -> Check:
    for piece in pieces:
        evidence = piece.result.evidence
        if evidence.ledger[evidence.binding_check].outcome is not Outcome.PASSED:
            return _open(SESSION, f"the binding of {piece.name} was not compared with this session's")
    if isinstance(tie, Unchecked):
        return _open(SESSION, tie.reason)
    for piece in _machines(pieces):
        found = _held(piece)
        if (found is not None and found not in _committed(tie)) or _answered_another(piece, tie):
            return _failed(SESSION, "other", f"{piece.name} commits to another session.")
    return SESSION.passed


def _answered_another(piece: Piece, tie: Tie) -> bool:
    """Return whether a machine that commits by the quote of its virtual TPM answered another session."""
    evidence = piece.result.evidence
    if evidence.platform not in AZURE or not evidence.authentic:
        return False
    asked = expected(tie, evidence.platform, None)
    return asked != Expected(evidence.claims.tpm.extra_data)


def _held(piece: Piece) -> bytes | None:
    """Return the authenticated bytes that a machine's evidence commits to; None where it has none."""
    evidence = piece.result.evidence
    if not evidence.authentic or evidence.platform in TOKENS:
        return None
    claims = evidence.claims
    if evidence.platform in ("nitro", "nitro-tpm"):
        found = getattr(claims, claims.carrier)
    elif evidence.platform == "gcp-tdx":
        found = claims.td.report_data
    elif evidence.platform == "gcp-snp":
        found = claims.snp.report_data
    elif evidence.platform in AZURE:
        found = claims.runtime.user_data if claims.user_data_bound else None
    else:
        found = claims.report_data
    return found if type(found) is bytes else None


def _committed(tie: Carried | Shared | Held) -> tuple[bytes, ...]:
    """Return what a machine's evidence may hold for this session."""
    if isinstance(tie, Carried):
        return (tie.report_data, tie.digest("tpm").ljust(REPORT_DATA_BYTES, b"\0"))
    if isinstance(tie, Shared):
        return (tie.nonce, tie.nonce.ljust(REPORT_DATA_BYTES, b"\0"))
    return (tie.report_data,)


def _gpu_nonce(pieces: Sequence[Piece], tie: Tie) -> Check:
    devices = [piece.result.evidence for piece in pieces if piece.result.platform in DEVICES]
    if not devices or len(pieces) == 1:
        return _no_meaning(GPU_NONCE, "there is no device beside a machine")
    if not all(device.authentic for device in devices):
        return _open(GPU_NONCE, "not reached: a device's evidence is not authenticated")
    nonces = [device.claims.nonce for device in devices]
    report_data = _report_data(pieces, tie)
    if report_data is None:
        return _open(GPU_NONCE, "what the machine's evidence commits to is not known")
    if isinstance(tie, Carried):
        return check_gpu_nonce(nonces, NonceShape.CARRIER, report_data=report_data, encoding=tie.encoding)
    shape = NonceShape.REPORT_DATA_HEAD
    if not isinstance(tie, Shared) and head_nonce(report_data) is None:
        if not (isinstance(tie, Held) and tie.nonce):
            return _open(GPU_NONCE, "the report data are no nonce, and the session's encoding is not known")
        shape = NonceShape.REPORT_DATA_TAIL
    return check_gpu_nonce(nonces, shape, report_data=report_data, encoding=None)


def _report_data(pieces: Sequence[Piece], tie: Tie) -> bytes | None:
    """Return what the machine commits to, 64 bytes; None when that is not known.

    Evidence without report data commits to the session by its own binding, where that was compared.
    """
    machines = _machines(pieces)
    if len(machines) != 1:
        return None
    found = _held(machines[0])
    if isinstance(tie, Carried) and found in _committed(tie):
        return tie.report_data
    if found is not None:
        return found.ljust(REPORT_DATA_BYTES, b"\0")
    if not machines[0].result.evidence.bound:
        return None
    if isinstance(tie, Carried):
        return tie.report_data
    return tie.nonce.ljust(REPORT_DATA_BYTES, b"\0") if isinstance(tie, Shared) else None


def _tpm_nonce(pieces: Sequence[Piece], tie: Tie) -> Check:
    tpms = [piece for piece in pieces if piece.result.platform in TPMS]
    if not tpms or len(pieces) == 1:
        return _no_meaning(TPM_NONCE, "there is no virtual TPM beside a machine")
    left = None
    for piece in tpms:
        evidence = piece.result.evidence
        if not evidence.authentic:
            return _open(TPM_NONCE, "not reached: the virtual TPM's evidence is not authenticated")
        claims = evidence.claims
        said = claims.tpm.extra_data if evidence.platform == "gcp-vtpm" else claims.quote.extra_data
        wanted = _asked(pieces, tie)
        if wanted is None:
            left = _open(TPM_NONCE, "what the machine's evidence commits to is not known")
        elif not hmac.compare_digest(said, wanted):
            return _failed(
                TPM_NONCE, "mismatch", f"{piece.name} answered to something else than the machine commits to."
            )
    return left or TPM_NONCE.passed


def _asked(pieces: Sequence[Piece], tie: Tie) -> bytes | None:
    """Return what a virtual TPM's quote has to be about; None when that is not known."""
    if isinstance(tie, Carried):
        return tie.digest("tpm")
    if isinstance(tie, Shared):
        return tie.nonce
    report_data = _report_data(pieces, tie)
    if report_data is None:
        return None
    said = tie.nonce if isinstance(tie, Held) and tie.nonce and report_data.endswith(tie.nonce) else None
    return head_nonce(report_data) or said
