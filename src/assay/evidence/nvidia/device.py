"""The verification of one device: report, chain, firmware, signature, revocation, measurements, nonce."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from assay.evidence.ledger import CheckFailedError, LedgerBuilder
from assay.evidence.nvidia import checks
from assay.evidence.nvidia.chains import verify_device_chain
from assay.evidence.nvidia.claims import Architecture, DeviceClaims, DeviceKind
from assay.evidence.nvidia.compare import Subject, compare
from assay.evidence.nvidia.opaque import OpaqueData, OpaqueFacts
from assay.evidence.nvidia.revocation import verify_revocation
from assay.evidence.nvidia.spdm import SpdmError, SpdmReport, parse_report
from assay.evidence.verification import Unchecked

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.ledger import Ledger
    from assay.evidence.nvidia.chains import DeviceChain
    from assay.evidence.nvidia.containers import PresentedDevice
    from assay.evidence.nvidia.endorsements import NvidiaEndorsements
    from assay.evidence.nvidia.revocation import Answers
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding

_ECDSA: Final = ec.ECDSA(SHA384())
_HALF: Final = 48


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


def verify_device(device: PresentedDevice, terms: Terms) -> VerifiedDevice:
    """Verify one device; every check of ``DEVICE_CHECKS`` gets its outcome."""
    ledger = LedgerBuilder(checks.DEVICE_CHECKS)
    report: SpdmReport | None = None
    chain: DeviceChain | None = None
    opaque: OpaqueData | None = None
    stated: OpaqueFacts | None = None
    try:
        report = _read(ledger, device.report)
        outcomes, chain = verify_device_chain(device.chain, terms.roots, terms.now, terms.facts)
        ledger.extend(outcomes)
        if chain is not None:
            opaque, stated = _stated(ledger, report, chain)
    except CheckFailedError:
        pass
    if report is None or chain is None or opaque is None or stated is None:
        return VerifiedDevice(ledger.close(), report, chain, stated)
    _firmware(ledger, stated, chain)
    if not _signed(ledger, report, chain):
        return VerifiedDevice(ledger.close(), report, chain, stated)
    _pdi(ledger, stated, chain)
    _statement(ledger, device, report, stated, chain)
    claims = _claims(ledger, report, opaque, stated, chain, terms)
    _bind(ledger, report.nonce, terms.binding)
    return VerifiedDevice(ledger.close(), report, chain, stated, signed=True, claims=claims)


def _read(ledger: LedgerBuilder, data: bytes) -> SpdmReport:
    try:
        report = parse_report(data)
    except SpdmError as defect:
        raise ledger.fail(defect.spec, defect.code, defect.message) from None
    ledger.passed(*checks.REPORT_CHECKS)
    return report


def _stated(ledger: LedgerBuilder, report: SpdmReport, chain: DeviceChain) -> tuple[OpaqueData, OpaqueFacts]:
    try:
        opaque = OpaqueData(report.data, *report.opaque)
        stated = opaque.decode(chain.architecture.kind)
    except SpdmError as defect:
        raise ledger.fail(defect.spec, defect.code, defect.message) from None
    ledger.passed(*checks.OPAQUE_CHECKS)
    return opaque, stated


def _firmware(ledger: LedgerBuilder, stated: OpaqueFacts, chain: DeviceChain) -> None:
    """Record ``CHAIN_FWID``; a switch does not repeat the digest that its certificate states."""
    if chain.fwid_defect:
        ledger.failed(checks.CHAIN_FWID, "nvidia.chain.fwid", chain.fwid_defect)
    elif (chain.architecture.kind is DeviceKind.SWITCH and not stated.fwid) or hmac.compare_digest(
        stated.fwid, chain.fwid
    ):
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
) -> DeviceClaims | None:
    """Record ``OCSP_CHECKS`` and ``GOLDEN_CHECKS``; return the Claims when there is all that they need."""
    outcomes, revocation, _ = verify_revocation(chain, terms.answers, terms.now, terms.facts)
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
    if revocation is None or not references:
        return None
    return DeviceClaims(
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


def _bind(ledger: LedgerBuilder, nonce: bytes, binding: Binding) -> None:
    if isinstance(binding, Unchecked):
        ledger.not_checked(checks.BINDING, "nvidia.binding.unchecked", f"not checked: {binding.reason}")
    elif hmac.compare_digest(nonce, binding.value):
        ledger.passed(checks.BINDING)
    else:
        ledger.failed(checks.BINDING, "nvidia.binding.mismatch", "The nonce is not the one that is expected.")
