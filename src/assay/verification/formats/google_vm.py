"""Attestations of Google Compute Engine VMs: the virtual TPM, alone or with a TEE's report."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.dstack.google import RELIED_PCRS, vm_evidence
from assay.evidence.dstack.versioned import open_attestation
from assay.evidence.google_vm import GoogleVmEndorsements, verify_google_vm
from assay.evidence.google_vm.protobuf import ProtobufError, read_message
from assay.evidence.roots import GOOGLE_VTPM
from assay.evidence.verification import Expected
from assay.verification.formats import REPORT_DATA_BYTES, Format, dcap, snp

if TYPE_CHECKING:
    from assay.evidence.google_vm.container import GoogleVmEvidence
    from assay.evidence.google_vm.verify import Tee
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

BOOT_PCRS: Final = frozenset(range(8))
"""PCRs that firmware and boot loader fill: a log that comes along has to explain them."""
_AUTHORITIES: Final = ("EK/AK CA Intermediate", "tpm_ek_v1_cloud_host-signer")
_AUTHORITY_NAMES: Final = tuple(name.encode() for name in _AUTHORITIES)
_FIELDS: Final = dict.fromkeys(range(1, 10), bytes)
_TEE_FIELDS: Final = {8: "gcp-snp", 9: "gcp-tdx"}


def whole_of(evidence: bytes) -> str:
    """Return the platform of a container with all that it holds: ``gcp-snp``, or ``gcp-tdx`` for others."""
    return held_in(evidence) or "gcp-tdx"


def held_in(evidence: bytes) -> str:
    """Return the platform whose report a container holds; empty when it holds none, or is no container."""
    try:
        fields = read_message(evidence, _FIELDS)
    except ProtobufError:
        return ""
    return next((name for number, name in _TEE_FIELDS.items() if number in fields), "")


def _verify(
    evidence: bytes, endorsements: GoogleVmEndorsements | None, given: Given, *, tee: Tee
) -> EvidenceResult[Any]:
    binding, explained = given.binding, BOOT_PCRS
    parts: bytes | GoogleVmEvidence = evidence
    report_data = binding  # without a TEE nothing has any, and it is not looked at
    if isinstance(report_data, Expected) and report_data.value:
        # Both carry the session's nonce: the quote as it is, the report data filled up to their size.
        report_data = Expected(report_data.value.ljust(REPORT_DATA_BYTES, b"\0"))
    if (found := _of_dstack(evidence)) is not None:
        parts, explained = found, RELIED_PCRS
        if isinstance(binding, Expected) and tee == "tdx":
            # In dstack the session stands in the report data, and the TPM signs the quote that holds them.
            binding = Expected(hashlib.sha256(found.td_quote or b"").digest())
    return verify_google_vm(
        parts,
        tee=tee,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=binding,
        report_data=report_data,
        explained=explained,
        facts=given.facts,
    )


def _of_dstack(evidence: bytes) -> GoogleVmEvidence | None:
    """Return the parts of a dstack attestation; None when it cannot be read."""
    try:
        return vm_evidence(open_attestation(evidence, variants=("gcp-tdx",)))
    except EvidenceError:
        return None


def _endorse(materials: Materials, first: EvidenceResult[Any], given: Given) -> GoogleVmEndorsements | None:
    collateral, guest = dcap.endorse(materials, first, given), snp.endorse(materials, first, given)
    above = [found for found in materials.certificates if found.common_name.startswith(_AUTHORITIES)]
    # A list counts whether its issuer's certificate is at hand or came with the evidence.
    roots = (root.general.subject for root in given.roots.of(GOOGLE_VTPM))
    lists = materials.lists_of((*_AUTHORITY_NAMES, *roots), given.now)
    if collateral is None and guest is None and not above and not lists:
        return None
    return GoogleVmEndorsements(
        ak_intermediates=tuple(found.der for found in above[:4]),
        crls=lists,
        collateral=collateral,
        snp=guest,
    )


FORMATS: Final = {
    "gcp-vtpm": Format("Google VM attestation", None, partial(_verify, tee="none"), _endorse),
    "gcp-tdx": Format("Google TDX VM attestation", None, partial(_verify, tee="tdx"), _endorse),
    "gcp-snp": Format("Google SNP VM attestation", None, partial(_verify, tee="snp"), _endorse),
}
