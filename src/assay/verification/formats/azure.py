"""Evidence of Azure confidential VMs: hardware report, paravisor and virtual TPM in one container."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.azure import AzureEndorsements, verify_azure
from assay.evidence.roots import AZURE_VTPM
from assay.verification.formats import Format, dcap, snp

if TYPE_CHECKING:
    from assay.evidence.azure import AzurePlatform
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

_AUTHORITY_WORDS: Final = ("Global Virtual TPM", "Azure Cloud Virtual TPM")  # two hierarchies at once
_AUTHORITY_NAMES: Final = tuple(word.encode() for word in _AUTHORITY_WORDS)


def _verify(
    evidence: bytes, endorsements: AzureEndorsements | None, given: Given, *, platform: AzurePlatform
) -> EvidenceResult[Any]:
    return verify_azure(
        evidence,
        platform=platform,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=given.binding,
        user_data=given.terms.user_data,
        facts=given.facts,
    )


def _endorse(materials: Materials, first: EvidenceResult[Any], given: Given) -> AzureEndorsements | None:
    """Return what vouches for the hardware, the certificates above the attestation key's, and their lists."""
    hardware = snp.endorse(materials, first, given)
    collateral = dcap.endorse(materials, first, given)
    above = tuple(
        found.der
        for found in materials.certificates
        if any(word in found.common_name for word in _AUTHORITY_WORDS) and found.subject != found.issuer
    )
    roots = (root.general.subject for root in given.roots.of(AZURE_VTPM))
    lists = materials.lists_of((*_AUTHORITY_NAMES, *roots), given.now)
    if hardware is None and collateral is None and not above and not lists:
        return None
    return AzureEndorsements(snp=hardware, collateral=collateral, ak_intermediates=above[:4], ak_crls=lists)


FORMATS: Final = {
    "azure-snp": Format("Azure SNP VM", None, partial(_verify, platform="azure-snp"), _endorse),
    "azure-tdx": Format("Azure TDX VM", None, partial(_verify, platform="azure-tdx"), _endorse),
}
