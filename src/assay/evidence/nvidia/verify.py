"""The one verification of NVIDIA GPUs and switches.

Each device is verified alone: report, chain, firmware, signature, revocation, measurements. A set is
authentic when every device is, and what holds for them together does. Chain and revocation are facts about
signed bytes and are remembered: a second report of the same device costs one signature.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.ledger import Check, LedgerBuilder, Outcome
from assay.evidence.nvidia import checks
from assay.evidence.nvidia.claims import NvidiaClaims
from assay.evidence.nvidia.compare import manifest_ids
from assay.evidence.nvidia.containers import (
    ContainerError,
    PresentedDevice,
    is_container,
    read_container,
)
from assay.evidence.nvidia.device import Terms, VerifiedDevice, verify_device
from assay.evidence.nvidia.endorsements import NvidiaEndorsements
from assay.evidence.nvidia.revocation import Answers
from assay.evidence.nvidia.topology import judge_set
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion
from assay.evidence.x509 import need_chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.ledger import Ledger
    from assay.evidence.nvidia.spdm import SpdmReport
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Anchor, Binding
    from assay.evidence.x509.general import GeneralCertificate

PLATFORM: Final = "nvidia-gpu"
_NONE: Final = NvidiaEndorsements()
_BINDING_NEED: Final = Need("binding", {}, "The nonce was not compared with anything.")
_BINDINGS: Final = (Expected, Unchecked)


def verify_nvidia(
    evidence: bytes,
    *,
    endorsements: NvidiaEndorsements | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[NvidiaClaims]:
    """Verify one or more devices and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: Devices in JSON, each with report and chain; or one bare report, whose chain then stands in
            the endorsements.
        endorsements: OCSP answers and verified manifests; None leaves the checks that need them unmade, and
            the result says what to get.
        roots: The roots of trust.
        now: The time at which everything must be valid; aware.
        binding: The nonce with which every device must have been asked, 32 bytes, or the caller's word that
            it is not checked.
        facts: Where verified facts are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``, ``evidence.call.type`` when evidence or
            binding are of another type: errors of the caller.
    """
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    expected = binding.value if isinstance(binding, Expected) else b""
    if type(binding) not in _BINDINGS or {type(evidence), type(expected)} != {bytes}:
        raise EvidenceError(
            "evidence.call.type", "Evidence and what is expected are bytes, and nothing else."
        )
    given = endorsements or _NONE
    terms = Terms(given, Answers(given), roots, now, binding, facts)
    if not is_container(evidence):
        return _set(evidence, (PresentedDevice(evidence, given.chain, {}),), (), terms)
    try:
        devices, regions = read_container(evidence)
    except ContainerError as error:
        return _unreadable(evidence, error)
    return _set(evidence, devices, regions, terms)


def _unreadable(evidence: bytes, error: ContainerError) -> EvidenceResult[NvidiaClaims]:
    ledger = LedgerBuilder(checks.NVIDIA_CHECKS)
    ledger.failed(checks.CONTAINER, error.code, error.message)
    return EvidenceResult(
        platform=PLATFORM,
        ledger=ledger.close(),
        binding_check=checks.BINDING.id,
        anchor=None,
        signed_digest=hashlib.sha256(evidence).digest(),
        unsigned=(UnsignedRegion(0, len(evidence), "all of it: the container cannot be read"),),
        needs=(),
        decoded={},
        _claims=None,
    )


def _set(
    evidence: bytes,
    devices: Sequence[PresentedDevice],
    regions: tuple[UnsignedRegion, ...],
    terms: Terms,
) -> EvidenceResult[NvidiaClaims]:
    found = [verify_device(device, terms) for device in devices]
    claims = [device.claims for device in found if device.claims is not None]
    ledger = LedgerBuilder(checks.NVIDIA_CHECKS)
    ledger.passed(checks.CONTAINER)
    ledger.extend(_merged([device.ledger for device in found]))
    signed = [(device.chain, device.stated) for device in found if device.signed]
    if len(signed) == len(found):
        nonces = len({device.report.nonce for device in found if device.report is not None})
        judge_set(ledger, [(chain, stated) for chain, stated in signed if chain and stated], nonces)
    closed = ledger.close()
    reports = [device.report for device in found if device.report is not None]
    if len(devices) == 1 and reports and not regions and reports[0].end < len(evidence):
        regions = (UnsignedRegion(reports[0].end, len(evidence), "zero padding"),)
    anchors = {device.chain.root.anchor if device.chain else None for device in found}
    complete = len(claims) == len(found) and len(anchors) == 1
    if not reports:
        regions = (UnsignedRegion(0, len(evidence), "all of it: no report can be read"),)
    return EvidenceResult(
        platform=PLATFORM,
        ledger=closed,
        binding_check=checks.BINDING.id,
        anchor=_anchor(anchors),
        signed_digest=_digest(evidence, reports if len(reports) == len(found) else ()),
        unsigned=regions,
        needs=_needs(found, closed, terms),
        decoded=_decoded(found),
        _claims=NvidiaClaims(tuple(claims), claims[0].nonce) if complete else None,
    )


def _anchor(anchors: set[Anchor | None]) -> Anchor | None:
    """Return the one root of all devices; with several, the set is as weak as the weakest."""
    if None in anchors:
        return None
    known = [anchor for anchor in anchors if anchor is not None]
    return next((anchor for anchor in known if anchor.simulated), known[0])


def _digest(evidence: bytes, reports: Sequence[SpdmReport]) -> bytes:
    if not reports:
        return hashlib.sha256(evidence).digest()
    if len(reports) == 1:
        return hashlib.sha256(reports[0].signed).digest()
    seal = hashlib.sha256()
    for report in reports:
        seal.update(hashlib.sha256(report.signed).digest())
    return seal.digest()


def _merged(ledgers: Sequence[Ledger]) -> Sequence[Check]:
    """Return one outcome for each check of the devices: the worst, with the device that it is about."""
    if len(ledgers) == 1:
        return ledgers[0].checks
    return [
        _worst([ledger.checks[place] for ledger in ledgers]) for place in range(len(checks.DEVICE_CHECKS))
    ]


_RANK: Final = {
    Outcome.FAILED: 0,
    Outcome.NOT_CHECKED: 1,
    Outcome.PASSED: 2,
    Outcome.NOT_APPLICABLE: 3,
}


def _worst(found: Sequence[Check]) -> Check:
    number, check = min(enumerate(found), key=lambda pair: _RANK[pair[1].outcome])
    if check.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE):
        return check
    return Check(check.spec, check.outcome, check.code, f"device {number}: {check.reason}")


_WITHOUT_MANIFEST: Final = frozenset(
    {"nvidia.golden.missing", "nvidia.golden.driver", "nvidia.golden.firmware", "nvidia.golden.time"}
)


def _needs(found: Sequence[VerifiedDevice], ledger: Ledger, terms: Terms) -> tuple[Need, ...]:
    if not ledger.unmet():
        return ()
    needs: list[Need] = []
    codes = {check.code for check in ledger}
    stale = ledger[checks.OCSP_TIME.id].outcome is Outcome.FAILED
    if "nvidia.ocsp.missing" in codes or stale:
        for device in found:
            if device.chain is not None:
                needs.extend(_status_needs(device.chain.certificates))
    if "nvidia.chain.missing" in codes:
        needs.append(Need("chain", {}, "The certificates of the device, PEM, leaf first."))
    if not codes.isdisjoint(_WITHOUT_MANIFEST):
        for device in found:
            needs.extend(_manifest_needs(device))
    if "nvidia.set.switches.missing" in codes:
        needs.append(Need("evidence", {"arch": "LS10"}, "The switches behind the GPUs must be in the set."))
    if isinstance(terms.binding, Unchecked):
        needs.append(_BINDING_NEED)
    return tuple({(need.kind, *need.key.items()): need for need in needs}.values())


def _status_needs(chain: Sequence[GeneralCertificate]) -> Iterator[Need]:
    """Return what to ask for each certificate below the root, the firmware's left out.

    ``chain`` holds it and every certificate above it, DER, one after the other, in base64: the question names
    the issuer by digests, and the answer is judged under the issuer's key.
    """
    for place in range(1, len(chain) - 1):
        key = {
            "serial": chain[place].serial.hex(),
            "chain": need_chain.encode(each.der for each in chain[place:]),
        }
        yield Need("ocsp", key, "The status of a certificate is not known.")


def _manifest_needs(device: VerifiedDevice) -> Sequence[Need]:
    if device.chain is None or device.stated is None:
        return ()
    stated = device.stated
    names = manifest_ids(
        device.chain.architecture,
        (device.chain.chip, stated.chip_info),
        stated.driver_version,
        stated.vbios_version,
        (stated.project, stated.project_sku, stated.chip_sku),
    )
    return [
        Need("rim", {"component": component, "id": name}, "No manifest of this component was given.")
        for component, name in names.items()
    ]


def _decoded(found: Sequence[VerifiedDevice]) -> Mapping[str, Any]:
    """Return what the reports say, unauthenticated, for display."""
    devices = []
    for device in found:
        if device.report is None:
            continue
        shown: dict[str, Any] = {"nonce": device.report.nonce.hex()}
        if device.chain is not None:
            shown |= {"chip": device.chain.chip, "device_id": device.chain.device_id}
        if device.stated is not None:
            shown |= {
                "driver_version": device.stated.driver_version,
                "vbios_version": device.stated.vbios_version,
                "mode": device.stated.mode.value,
            }
        devices.append(shown)
    return {"devices": devices}
