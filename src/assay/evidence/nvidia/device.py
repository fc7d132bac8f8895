"""The verification of one device: report, chain, firmware, signature, revocation, measurements, nonce."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from assay.evidence.ledger import CheckFailedError, LedgerBuilder, Outcome
from assay.evidence.nvidia import checks
from assay.evidence.nvidia.chains import verify_device_chain
from assay.evidence.nvidia.claims import Architecture, DeviceClaims, DeviceKind
from assay.evidence.nvidia.compare import Subject, compare
from assay.evidence.nvidia.opaque import OpaqueData, OpaqueFacts
from assay.evidence.nvidia.revocation import verify_revocation
from assay.evidence.nvidia.spdm import SpdmError, SpdmReport, parse_report
from assay.evidence.records import record
from assay.evidence.verification import Unchecked

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.ledger import Check, Ledger
    from assay.evidence.nvidia.chains import DeviceChain
    from assay.evidence.nvidia.containers import PresentedDevice
    from assay.evidence.nvidia.endorsements import NvidiaEndorsements
    from assay.evidence.nvidia.revocation import Answers
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding

_ECDSA: Final = ec.ECDSA(SHA384())
_HALF: Final = 48
SHELF: Final = "nvidia.states"
_STATE_CHECKS: Final = frozenset(
    {
        *checks.OPAQUE_CHECKS,
        checks.CHAIN_FWID,
        checks.DEVICE_PDI,
        *checks.OCSP_CHECKS,
        *checks.GOLDEN_CHECKS,
    }
)
_MET: Final = (Outcome.PASSED, Outcome.NOT_APPLICABLE)


@record
class Terms:
    """What every device of a set is verified with.

    Attributes:
        endorsements: Manifests.
        answers: OCSP answers, decoded once for all devices.
        roots: The roots of trust.
        now: The time of the verification.
        binding: The nonce with which every device must have been asked.
        facts: Where verified facts are remembered.
    """

    endorsements: NvidiaEndorsements
    answers: Answers
    roots: Roots
    now: datetime
    binding: Binding
    facts: FactCache


@record
class VerifiedDevice:
    """What became of one device.

    Attributes:
        ledger: Every check of ``DEVICE_CHECKS``.
        report: The report, decoded; None when it cannot be.
        chain: The chain, verified; None when it was not.
        stated: What the opaque data say; None when they cannot be read.
        signed: Whether the report is signed by the certified key.
        claims: Its Claims; None when a check failed on which they rest.
    """

    ledger: Ledger
    report: SpdmReport | None = None
    chain: DeviceChain | None = None
    stated: OpaqueFacts | None = None
    signed: bool = False
    claims: DeviceClaims | None = None


@record
class _State:
    """What was established about a device in one state: everything but signature, statement and nonce.

    Attributes:
        outcomes: The outcomes of ``STATE_CHECKS``.
        stated: What the opaque data say.
        before: The fields of its Claims before the nonce.
        after: Those after it.
    """

    outcomes: tuple[Check, ...]
    stated: OpaqueFacts
    before: tuple[Any, ...]
    after: tuple[Any, ...]


def verify_device(device: PresentedDevice, terms: Terms) -> VerifiedDevice:
    """Verify one device; every check of ``DEVICE_CHECKS`` gets its outcome.

    A device that reports the same state again, under the same chain, answers and manifests, is known but for
    the signature, what the container states, and the nonce.
    """
    ledger = LedgerBuilder(checks.DEVICE_CHECKS)
    report: SpdmReport | None = None
    chain: DeviceChain | None = None
    try:
        report = _read(ledger, device.report)
        if device.chain:
            outcomes, chain = verify_device_chain(device.chain, terms.roots, terms.now, terms.facts)
            ledger.extend(outcomes)
        else:
            _without_chain(ledger)
    except CheckFailedError:
        pass
    if report is None or chain is None:
        return VerifiedDevice(ledger.close(), report, chain)
    given = terms.endorsements
    content = hashlib.sha256(report.content).digest()
    key = (content, chain.leaf_digest, given.digest, given.references, terms.roots.digest)
    shelf = terms.facts.shelf(SHELF)
    state: _State | None = shelf.get(key, terms.now)
    if state is None:
        return _fresh(ledger, device, report, chain, terms, key)
    signed = _signed(ledger, report, chain)
    ledger.extend(state.outcomes)
    if not signed:
        return VerifiedDevice(ledger.close(), report, chain, state.stated)
    _statement(ledger, device, report, state.stated, chain)
    _bind(ledger, report.nonce, terms.binding)
    claims = DeviceClaims(*(*state.before, report.nonce, *state.after))
    return VerifiedDevice(ledger.close(), report, chain, state.stated, signed=True, claims=claims)


def _fresh(
    ledger: LedgerBuilder,
    device: PresentedDevice,
    report: SpdmReport,
    chain: DeviceChain,
    terms: Terms,
    key: Hashable,
) -> VerifiedDevice:
    """Establish everything; remember the state if, and only if, all of it passed."""
    try:
        opaque, stated = _stated(ledger, report, chain)
    except CheckFailedError:
        return VerifiedDevice(ledger.close(), report, chain)
    _firmware(ledger, stated, chain)
    if not _signed(ledger, report, chain):
        return VerifiedDevice(ledger.close(), report, chain, stated)
    _pdi(ledger, stated, chain)
    _statement(ledger, device, report, stated, chain)
    claims, window = _claims(ledger, report, opaque, stated, chain, terms)
    _bind(ledger, report.nonce, terms.binding)
    closed = ledger.close()
    outcomes = tuple(check for check in closed if check.spec in _STATE_CHECKS)
    if claims is not None and window is not None and all(check.outcome in _MET for check in outcomes):
        fields = tuple(getattr(claims, name) for name in DeviceClaims.__match_args__)
        at = DeviceClaims.__match_args__.index("nonce")
        state = _State(outcomes, stated, fields[:at], fields[at + 1 :])
        terms.facts.shelf(SHELF).put(key, window & chain.window, state)
    return VerifiedDevice(closed, report, chain, stated, signed=True, claims=claims)


def _read(ledger: LedgerBuilder, data: bytes) -> SpdmReport:
    try:
        report = parse_report(data)
    except SpdmError as defect:
        raise ledger.fail(defect.spec, defect.code, defect.message) from None
    ledger.passed(*checks.REPORT_CHECKS)
    return report


def _without_chain(ledger: LedgerBuilder) -> None:
    """Record that nothing can be said of a report whose certificates were not given."""
    reason = "not checked: the certificates of the device were not given"
    for spec in checks.DEVICE_CHECKS:
        if spec not in ledger:
            ledger.not_checked(spec, "nvidia.chain.missing", reason)


def _stated(ledger: LedgerBuilder, report: SpdmReport, chain: DeviceChain) -> tuple[OpaqueData, OpaqueFacts]:
    try:
        opaque = OpaqueData(report.data, *report.opaque)
        stated = opaque.decode(chain.architecture.kind)
    except SpdmError as defect:
        raise ledger.fail(defect.spec, defect.code, defect.message) from None
    ledger.passed(*checks.OPAQUE_CHECKS)
    return opaque, stated


def _firmware(ledger: LedgerBuilder, stated: OpaqueFacts, chain: DeviceChain) -> None:
    """Record ``CHAIN_FWID``; switches and older GPUs do not repeat the digest that the certificate states.

    It needs no repetition: the certified firmware's key signs the report.
    """
    if chain.fwid_defect:
        ledger.failed(checks.CHAIN_FWID, "nvidia.chain.fwid", chain.fwid_defect)
    elif not stated.fwid or hmac.compare_digest(stated.fwid, chain.fwid):
        ledger.passed(checks.CHAIN_FWID)
    else:
        reason = "The firmware that the report states is not the one that is certified."
        ledger.failed(checks.CHAIN_FWID, "nvidia.chain.fwid_mismatch", reason)


def _signed(ledger: LedgerBuilder, report: SpdmReport, chain: DeviceChain) -> bool:
    raw = report.signature
    r, s = int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
    try:
        chain.key.verify(encode_dss_signature(r, s), report.signed, _ECDSA)
    except InvalidSignature:
        reason = "The signature over request and response is not the certified firmware's."
        ledger.failed(checks.REPORT_SIGNATURE, "nvidia.report.signature", reason)
        return False
    ledger.passed(checks.REPORT_SIGNATURE)
    return True


def _pdi(ledger: LedgerBuilder, stated: OpaqueFacts, chain: DeviceChain) -> None:
    if chain.architecture.kind is DeviceKind.GPU:
        ledger.not_applicable(checks.DEVICE_PDI, "a GPU does not state its own device id")
    elif stated.pdi is not None and chain.device_id.endswith(stated.pdi.hex().upper()):
        ledger.passed(checks.DEVICE_PDI)
    else:
        reason = "The switch states another device id than its chip's certificate."
        ledger.failed(checks.DEVICE_PDI, "nvidia.device.pdi", reason)


def _statement(
    ledger: LedgerBuilder,
    device: PresentedDevice,
    report: SpdmReport,
    stated: OpaqueFacts,
    chain: DeviceChain,
) -> None:
    """Record ``STATEMENT``: a container says nothing that the device did not sign."""
    signed = {
        "arch": chain.architecture.value,
        "nonce": report.nonce.hex(),
        "driver_version": stated.driver_version,
        "vbios_version": stated.vbios_version,
    }
    for name, text in device.stated.items():
        if text.casefold() != signed[name].casefold():
            reason = f"The container states another {name} than the device."
            ledger.failed(checks.STATEMENT, "nvidia.statement", reason)
            return
    ledger.passed(checks.STATEMENT)


def _claims(
    ledger: LedgerBuilder,
    report: SpdmReport,
    opaque: OpaqueData,
    stated: OpaqueFacts,
    chain: DeviceChain,
    terms: Terms,
) -> tuple[DeviceClaims | None, Window | None]:
    """Record ``OCSP_CHECKS`` and ``GOLDEN_CHECKS``; return the Claims and how long they hold, if they do."""
    outcomes, revocation, window = verify_revocation(chain, terms.answers, terms.now, terms.facts)
    ledger.extend(outcomes)
    # Manifests count from 0, blocks of a report from 1.
    measurements = {index - 1: value for index, value in report.measurements.items()}
    references = compare(
        ledger,
        Subject(
            chain.architecture,
            (chain.chip, stated.chip_info),
            stated.driver_version,
            stated.vbios_version,
            measurements,
            nvdec0_disabled=stated.nvdec0_disabled,
            anchor=chain.root.anchor,
        ),
        terms.endorsements.drivers,
        terms.endorsements.firmware,
        terms.now,
    )
    if revocation is None or window is None or not references:
        return None, None
    for reference in references:
        window &= reference.window
    claims = DeviceClaims(
        architecture=Architecture(chain.architecture),
        chip=chain.chip,
        revision=chain.revision,
        device_id=chain.device_id,
        nonce=report.nonce,
        driver_version=stated.driver_version,
        vbios_version=stated.vbios_version,
        project=stated.project,
        project_sku=stated.project_sku,
        chip_sku=stated.chip_sku,
        chip_info=stated.chip_info,
        fwid=chain.fwid,
        measurements=measurements,
        mode=stated.mode,
        protected_pcie=stated.protected_pcie,
        nvdec0_disabled=stated.nvdec0_disabled,
        pdi=stated.pdi,
        switch_pdis=stated.switch_pdis,
        gpu_pdis=stated.gpu_pdis,
        switch_locked=stated.switch_locked,
        opaque=opaque.fields,
        references=references,
        revocation=revocation,
    )
    return claims, window


def _bind(ledger: LedgerBuilder, nonce: bytes, binding: Binding) -> None:
    if isinstance(binding, Unchecked):
        ledger.not_checked(checks.BINDING, "nvidia.binding.unchecked", f"not checked: {binding.reason}")
    elif hmac.compare_digest(nonce, binding.value):
        ledger.passed(checks.BINDING)
    else:
        ledger.failed(checks.BINDING, "nvidia.binding.mismatch", "The nonce is not the one that is expected.")
