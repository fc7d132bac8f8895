"""Tokens in which somebody else vouches: Confidential Space, Azure Attestation, Trust Authority, NRAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.jose import JwksEndorsements, TokenLimits
from assay.evidence.roots import GOOGLE_CONFIDENTIAL_SPACE
from assay.verification.formats import Format

if TYPE_CHECKING:
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

_SPACE_INTERMEDIATE: Final = b"Confidential Space Intermediate CA"


@dataclass(frozen=True, slots=True)
class SpaceEndorsements:
    """What vouches for a Confidential Space token.

    Attributes:
        keys: The key set that Google publishes, for OIDC tokens.
        crls: CRLs, DER, for PKI tokens.
    """

    keys: JwksEndorsements | None
    crls: tuple[bytes, ...] = ()


def _common(endorsements: JwksEndorsements | None, given: Given) -> dict[str, Any]:
    """Return what every service's verifier is given."""
    return {
        "endorsements": endorsements,
        "roots": given.roots,
        "limits": TokenLimits(given.terms.token_skew, given.terms.token_max_age),
        "now": given.now,
        "binding": given.binding,
        "facts": given.facts,
    }


def _confidential_space(
    evidence: bytes, endorsements: JwksEndorsements | SpaceEndorsements | None, given: Given
) -> EvidenceResult[Any]:
    # Each service's verifier is imported for its own tokens alone: a token pays for no other's.
    from assay.evidence.confidential_space import verify_confidential_space  # noqa: PLC0415 - as above

    if not isinstance(endorsements, SpaceEndorsements):
        endorsements = SpaceEndorsements(endorsements)
    common = _common(endorsements.keys, given)
    return verify_confidential_space(
        evidence, audience=given.terms.audience, crls=endorsements.crls, **common
    )


def _maa(evidence: bytes, endorsements: JwksEndorsements | None, given: Given) -> EvidenceResult[Any]:
    from assay.evidence.maa import verify_maa  # noqa: PLC0415 - as above

    return verify_maa(evidence, **_common(endorsements, given))


def _trust_authority(
    evidence: bytes, endorsements: JwksEndorsements | None, given: Given
) -> EvidenceResult[Any]:
    from assay.evidence.trust_authority import verify_trust_authority  # noqa: PLC0415 - as above

    return verify_trust_authority(evidence, **_common(endorsements, given))


def _nras(evidence: bytes, endorsements: JwksEndorsements | None, given: Given) -> EvidenceResult[Any]:
    from assay.evidence.nras import verify_nras  # noqa: PLC0415 - as above

    return verify_nras(evidence, **_common(endorsements, given))


def _endorse(
    materials: Materials,
    first: EvidenceResult[Any],
    given: Given,
) -> JwksEndorsements | None:
    """Return the key set of the issuer that the token names."""
    need = next((need for need in first.needs if need.kind == "jwks"), None)
    issuer = "" if need is None else need.key.get("issuer", "")
    found = materials.key_set(issuer, given.now) if issuer else None
    return None if found is None else JwksEndorsements(found, issuer)


def _endorse_space(
    materials: Materials, first: EvidenceResult[Any], given: Given
) -> JwksEndorsements | SpaceEndorsements | None:
    """Return Google's key set, and the lists of its authorities where there are any."""
    keys = _endorse(materials, first, given)
    roots = (root.general.subject for root in given.roots.of(GOOGLE_CONFIDENTIAL_SPACE))
    lists = materials.lists_of((_SPACE_INTERMEDIATE, *roots), given.now)
    return SpaceEndorsements(keys, lists) if lists else keys


FORMATS: Final = {
    "confidential-space": Format("Confidential Space token", None, _confidential_space, _endorse_space),
    "maa": Format("Azure Attestation token", None, _maa, _endorse),
    "trust-authority": Format("Trust Authority token", None, _trust_authority, _endorse),
    "nras": Format("NVIDIA Remote Attestation answer", None, _nras, _endorse),
}
