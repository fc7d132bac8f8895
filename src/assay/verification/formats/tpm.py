"""Evidence of a stand-alone TPM: quote, logs, and what vouches for the attestation key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.evidence.tpm.verify import TpmEndorsements, verify_tpm
from assay.verification.formats import Format

if TYPE_CHECKING:
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

_MOST: Final = 4
_ANY_NAME: Final = (b"",)  # nobody says how the authorities of stand-alone TPMs are called


def _verify(evidence: bytes, endorsements: TpmEndorsements | None, given: Given) -> EvidenceResult[Any]:
    return verify_tpm(
        evidence,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=given.binding,
        facts=given.facts,
    )


def _endorse(
    materials: Materials,
    first: EvidenceResult[Any],
    given: Given,
) -> TpmEndorsements | None:
    """Return the certificates of authorities at hand, from which the verifier builds the chain, and lists."""
    found: tuple[bytes, ...] = ()
    if any(need.kind == "ak" for need in first.needs):
        found = tuple(each.der for each in materials.certificates if each.subject != each.issuer)
    lists = materials.lists_of(_ANY_NAME, given.now)
    return TpmEndorsements(certificates=found[:_MOST], crls=lists) if found or lists else None


FORMATS: Final = {"tpm": Format("TPM quote", None, _verify, _endorse)}
