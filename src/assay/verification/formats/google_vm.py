"""Attestations of Google Compute Engine VMs: the virtual TPM, alone or with a TD quote."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.google_vm import GoogleVmEndorsements, verify_google_vm
from assay.evidence.verification import Expected, Unchecked
from assay.verification.formats import REPORT_DATA_BYTES, Format, dcap

if TYPE_CHECKING:
    from assay.evidence.google_vm.verify import Tee
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

BOOT_PCRS: Final = frozenset(range(8))
"""PCRs that firmware and boot loader fill: a log that comes along has to explain them."""
_AUTHORITIES: Final = ("EK/AK CA Intermediate", "tpm_ek_v1_cloud_host-signer")
_NO_TD: Final = Unchecked("no TD quote is looked at")


def _verify(
    evidence: bytes, endorsements: GoogleVmEndorsements | None, given: Given, *, tee: Tee
) -> EvidenceResult[Any]:
    binding = given.binding
    report_data = binding if tee == "tdx" else _NO_TD
    if isinstance(report_data, Expected):
        # Both carry the session's nonce: the quote as it is, the report data filled up to their size.
        report_data = Expected(report_data.value.ljust(REPORT_DATA_BYTES, b"\0"))
    return verify_google_vm(
        evidence,
        tee=tee,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=binding,
        report_data=report_data,
        explained=BOOT_PCRS,
        facts=given.facts,
    )


def _endorse(materials: Materials, first: EvidenceResult[Any], given: Given) -> GoogleVmEndorsements | None:
    collateral = dcap.endorse(materials, first, given)
    above = [found for found in materials.certificates if found.common_name.startswith(_AUTHORITIES)]
    lists = [crl for found in above if (crl := materials.crl_of(found)) is not None]
    if collateral is None and not above:
        return None
    return GoogleVmEndorsements(
        ak_intermediates=tuple(found.der for found in above[:4]), crls=tuple(lists), collateral=collateral
    )


FORMATS: Final = {
    "gcp-vtpm": Format("gcp-vtpm", "Google VM attestation", None, partial(_verify, tee="none"), _endorse),
    "gcp-tdx": Format("gcp-tdx", "Google TDX VM attestation", None, partial(_verify, tee="tdx"), _endorse),
}
