"""Attestation documents of AWS Nitro, which bring their own chain."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.nitro.verify import verify_nitro
from assay.verification.formats import Format, nothing

if TYPE_CHECKING:
    from assay.evidence.nitro.claims import Platform
    from assay.evidence.verification import EvidenceResult
    from assay.verification.terms import Given


def _verify(evidence: bytes, endorsements: None, given: Given, *, platform: Platform) -> EvidenceResult[Any]:
    return verify_nitro(
        evidence,
        platform=platform,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=given.binding,
        facts=given.facts,
        carrier=given.terms.nitro_carrier,
        validity=given.terms.nitro_validity,
    )


FORMATS: Final = {
    "nitro": Format("Nitro document", None, partial(_verify, platform="nitro"), nothing),
    "nitro-tpm": Format("NitroTPM document", None, partial(_verify, platform="nitro-tpm"), nothing),
}
