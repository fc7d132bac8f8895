"""Reports of NVIDIA GPUs and switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.nvidia import NvidiaEndorsements, verify_nvidia
from assay.evidence.ocsp import HoldPolicy, OcspReply
from assay.evidence.verification import Expected
from assay.reference.rim import verify_rim
from assay.verification.formats import Format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assay.evidence.nvidia.golden import GoldenMeasurements
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given

MAX_MANIFESTS: Final = 64
MAX_REPLIES: Final = 512
_REPLIES_OF_A_MANIFEST: Final = 16
_DRIVER: Final = "_DRIVER_"
_XML: Final = (b"<?xml", b"<SoftwareIdentity", b"<ns0:SoftwareIdentity")


def _verify(evidence: bytes, endorsements: NvidiaEndorsements | None, given: Given) -> EvidenceResult[Any]:
    return verify_nvidia(
        evidence,
        endorsements=endorsements,
        roots=given.roots,
        now=given.now,
        binding=given.binding,
        facts=given.facts,
    )


def _endorse(materials: Materials, first: EvidenceResult[Any], given: Given) -> NvidiaEndorsements | None:
    """Return the answers about certificates, and the manifests that verify with them."""
    if not any(need.kind in ("ocsp", "rim") for need in first.needs):
        return None
    replies = tuple(_replies(materials))[:MAX_REPLIES]
    golden = tuple(_golden(materials, replies, given))
    if not replies and not golden:
        return None
    return NvidiaEndorsements(
        ocsp=replies,
        drivers=tuple(each for each in golden if _DRIVER in each.manifest_id),
        firmware=tuple(each for each in golden if _DRIVER not in each.manifest_id),
    )


def _replies(materials: Materials) -> Iterator[OcspReply]:
    for found in materials.endorsements("nvidia-ocsp"):
        yield OcspReply(found.parts["response.der"], Expected(found.parts["nonce.bin"]))


def _golden(materials: Materials, replies: Sequence[OcspReply], given: Given) -> Iterator[GoldenMeasurements]:
    manifests = [data for _, data in sorted(materials.files.items()) if data.lstrip().startswith(_XML)]
    for data in manifests[:MAX_MANIFESTS]:
        found = verify_rim(
            data,
            ocsp=replies[:_REPLIES_OF_A_MANIFEST],
            roots=given.roots,
            now=given.now,
            hold=HoldPolicy.REFUSE,
            facts=given.facts,
        )
        try:
            yield found.golden
        except EvidenceError:
            continue


FORMATS: Final = {"nvidia-gpu": Format("nvidia-gpu", "NVIDIA GPU report", None, _verify, _endorse)}
